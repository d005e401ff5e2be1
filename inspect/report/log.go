package report

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"unicode/utf8"

	"github.com/DeRuina/timberjack"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"faultline/inspect"
)

const (
	// logMegabytes is when the log file is put aside for a new one. A record of
	// a failed attempt has about 2 KB, so a file holds some 30,000.
	logMegabytes = 64
	// logBackups is how many older files stay, compressed to about a tenth.
	logBackups = 8
)

// Log writes one JSON line per record, at once and without a buffer, so that a
// crash loses nothing: a buffer was tried, gained no time at the rates of a
// browser, and lost all 500 of 500 lines when the process was killed. There is
// no fsync after each line (a hundred times the cost); a power cut may take the
// last lines.
type Log struct {
	path string
	core zapcore.Core
	sink *sink
	lock io.Closer
}

// OpenLog opens the log at path for appending, or standard output for "-".
// Missing directories are made, with mode 0700; the file has mode 0600. The
// first trouble with writing is told to complain, standard error when nil.
//
// One process writes to a file: a second one gets an error that says so.
func OpenLog(path string, complain io.Writer) (*Log, error) {
	return openLog(path, complain, logMegabytes)
}

func openLog(path string, complain io.Writer, megabytes int) (*Log, error) {
	if complain == nil {
		complain = os.Stderr
	}
	l := &Log{path: path, sink: &sink{path: path, complain: complain}}
	if err := l.open(megabytes); err != nil {
		return nil, fmt.Errorf("open the log %s: %w", path, err)
	}
	// Time, level and message are ordinary fields of the line: zap would write
	// the level before the time, and people read a line from the left.
	l.core = zapcore.NewCore(zapcore.NewJSONEncoder(zapcore.EncoderConfig{}), l.sink, zapcore.DebugLevel)
	return l, nil
}

// open chooses between standard output, a device or pipe (which must never be
// renamed), and a file that is rotated.
func (l *Log) open(megabytes int) error {
	if l.path == "-" {
		l.sink.path = "standard output"
		l.sink.out = keepOpen{os.Stdout}
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(l.path), 0o700); err != nil {
		return hint(err)
	}
	if info, err := os.Stat(l.path); err == nil && !info.Mode().IsRegular() {
		if info.IsDir() {
			return errors.New("it is a directory; name a file with --log")
		}
		f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return hint(err)
		}
		l.sink.out = f
		return nil
	}
	var err error
	if l.lock, err = acquire(l.path + ".lock"); err != nil {
		return err
	}
	if err := l.prepare(); err != nil {
		l.lock.Close()
		return hint(err)
	}
	l.sink.out = &timberjack.Logger{
		Filename: l.path, FileMode: 0o600,
		MaxSize: megabytes, MaxBackups: logBackups, Compression: "gzip",
	}
	return nil
}

// prepare makes the file, or tightens the mode of the one that is there, so
// that trouble shows at the start and not at the first failed attempt. It looks
// at the last byte too: a line cut short by a crash must not swallow the next.
func (l *Log) prepare() error {
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 != 0 {
		if err := f.Chmod(0o600); err != nil {
			return err
		}
	}
	if info.Size() > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, info.Size()-1); err != nil {
			return err
		}
		l.sink.torn = last[0] != '\n'
	}
	return nil
}

// Path is where the log is, as it was given.
func (l *Log) Path() string { return l.path }

// Lost counts the records that could not be written.
func (l *Log) Lost() uint64 {
	l.sink.mu.Lock()
	defer l.sink.mu.Unlock()
	return l.sink.lost
}

// Write writes one record as one line. It does not return an error, because
// the attempt goes on whatever happens to the log: see Lost.
func (l *Log) Write(r *inspect.Record) {
	// The core is asked directly: a zap.Logger takes the time from the clock
	// and hides the error.
	err := l.core.Write(zapcore.Entry{}, []zapcore.Field{zap.Inline((*line)(r))})
	if err != nil {
		l.sink.failed(err)
	}
}

// Close closes the file and lets another process have it.
func (l *Log) Close() error {
	err := l.sink.Close()
	if l.lock != nil {
		err = errors.Join(err, l.lock.Close())
	}
	return err
}

// sink takes whole lines. It makes them safe to look at, mends a line that was
// cut short, and counts what could not be written.
type sink struct {
	mu       sync.Mutex
	path     string
	out      io.WriteCloser
	closed   bool
	torn     bool // the file ends in the middle of a line
	lost     uint64
	told     bool
	complain io.Writer
	buf      []byte
}

// Write implements zapcore.WriteSyncer.
func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, fs.ErrClosed
	}
	s.buf = s.buf[:0]
	if s.torn {
		s.buf = append(s.buf, '\n')
	}
	s.buf = appendVisible(s.buf, p)
	n, err := s.out.Write(s.buf)
	if n > 0 {
		s.torn = n < len(s.buf) // a full disk takes a part
	}
	if cap(s.buf) > 1<<20 {
		s.buf = nil
	}
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// Sync implements zapcore.WriteSyncer; nothing is held back.
func (s *sink) Sync() error { return nil }

func (s *sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.out.Close()
}

// failed counts a lost record, and says so the first time.
func (s *sink) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost++
	if s.told {
		return
	}
	s.told = true
	fmt.Fprintf(s.complain, "faultline: an attempt could not be written to the log %s: %v. faultline goes on and counts what is lost.\n",
		Clean(s.path), hint(err))
}

// hint adds the next step to an error about a file.
func hint(err error) error {
	step := "choose another file with --log"
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		step = "free some space on that disk, or choose another file with --log"
	case errors.Is(err, syscall.EROFS):
		step = "that disk is read-only; choose another file with --log"
	case errors.Is(err, fs.ErrPermission):
		step = "make it writable for you, or choose another file with --log"
	case errors.Is(err, fs.ErrClosed):
		step = "faultline was already stopping"
	}
	return fmt.Errorf("%w (%s)", err, step)
}

// appendVisible copies a line of JSON and writes as \uXXXX what a terminal could
// obey or hide: DEL, C1 controls, bidirectional controls, line separators. zap
// has already escaped the C0 controls and replaced invalid UTF-8. Outside of
// strings JSON is ASCII, so no structure is touched.
func appendVisible(dst, line []byte) []byte {
	from := 0
	for i := 0; i < len(line); {
		if line[i] < 0x7f {
			i++
			continue
		}
		r, n := utf8.DecodeRune(line[i:])
		if !visible(r) {
			dst = append(dst, line[from:i]...)
			dst = appendEscaped(dst, r)
			from = i + n
		}
		i += n
	}
	return append(dst, line[from:]...)
}

// appendEscaped writes a character as JSON's \uXXXX, in two halves beyond the
// basic plane.
func appendEscaped(dst []byte, r rune) []byte {
	if r > 0xffff {
		r -= 0x10000
		return appendEscaped(appendEscaped(dst, 0xd800+r>>10), 0xdc00+r&0x3ff)
	}
	const hex = "0123456789abcdef"
	return append(dst, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}

// keepOpen is standard output: not ours to close.
type keepOpen struct{ io.Writer }

func (keepOpen) Close() error { return nil }

// inUse is the error for a log that another process writes to.
func inUse(lockfile string) error {
	who := "another faultline"
	if b, err := os.ReadFile(lockfile); err == nil {
		if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
			who = fmt.Sprintf("another faultline (process %d)", pid)
		}
	}
	return fmt.Errorf("%s is writing to it; stop that one, or give this one its own file with --log", who)
}
