package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"faultline/inspect"
)

func open(t testing.TB, path string, complain io.Writer) *Log {
	t.Helper()
	l, err := OpenLog(path, complain)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// written writes one record and returns its line.
func written(t testing.TB, r *inspect.Record) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "attempts.jsonl")
	open(t, path, nil).Write(r)
	return read(t, path)
}

// The line says what encoding/json says of the record, so no field is missing
// or named otherwise, whatever is added to the type.
func TestLineIsTheRecord(t *testing.T) {
	full := &inspect.Record{}
	fill(reflect.ValueOf(full).Elem(), 0)
	full.TS = noon
	full.Msg = "attempt"
	for name, r := range map[string]*inspect.Record{
		"refused": refused(), "expired": expired(), "fine": fine(), "everything": full,
		"nothing": {Level: "info", Msg: "attempt", TS: noon},
	} {
		var got, want any
		if err := json.Unmarshal(written(t, r), &got); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %v\nwant %v", name, got, want)
		}
	}
}

// fill sets every field to something that is not its zero value.
func fill(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), depth+1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), depth+1)
		fill(v.Index(1), depth+1)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(noon))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), depth+1)
		}
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d", depth))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64:
		v.SetFloat(float64(depth) + 0.125)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(-depth))
	case reflect.Uint8, reflect.Uint16, reflect.Uint64:
		v.SetUint(uint64(depth))
	default:
		panic(fmt.Sprintf("fill does not know %v", v.Type()))
	}
}

func TestLineOrder(t *testing.T) {
	d := json.NewDecoder(bytes.NewReader(written(t, expired())))
	var keys []string
	depth := 0
	for isKey := true; ; {
		tok, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch tok {
		case json.Delim('{'), json.Delim('['):
			depth++
			continue
		case json.Delim('}'), json.Delim(']'):
			depth--
			isKey = depth == 1
			continue
		}
		if depth == 1 {
			if isKey {
				keys = append(keys, tok.(string))
			}
			isKey = !isKey
		}
	}
	want := "ts level msg id final mode target outcome layer step fault blame certainty http_reached title why fix also codes " +
		"timing client host port visit dns tcp hello tls cert end probes"
	if got := strings.Join(keys, " "); got != want {
		t.Errorf("the order is\n%s, want\n%s", got, want)
	}
}

func TestLevel(t *testing.T) {
	for want, r := range map[string]*inspect.Record{
		`"level":"warn"`: but(refused(), func(r *inspect.Record) { r.Level = "" }),
		`"level":"info"`: but(fine(), func(r *inspect.Record) { r.Level = "" }),
	} {
		if got := written(t, r); !bytes.Contains(got, []byte(want)) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// A time in another zone is written as UTC.
func TestTimeIsUTC(t *testing.T) {
	r := but(fine(), func(r *inspect.Record) { r.TS = noon.In(time.FixedZone("", 3600)) })
	if got, want := string(written(t, r)), `{"ts":"2026-03-01T12:00:00.123456789Z",`; !strings.HasPrefix(got, want) {
		t.Errorf("got %.60s, want %s", got, want)
	}
}

// What comes from outside can neither break the line nor reach a terminal that
// shows the file.
func TestLineHostile(t *testing.T) {
	for name, s := range hostile {
		r := but(expired(), func(r *inspect.Record) {
			r.Target, r.Why, r.URL = s, s, s
			hello := *r.Hello.ClientHello
			hello.SNI = s
			step := *r.Hello
			step.ClientHello = &hello
			r.Hello = &step
			r.Also = []inspect.Also{{Fault: "cert-expired", Layer: "tls", Why: s}}
		})
		line := written(t, r)
		if n := bytes.Count(line, []byte("\n")); n != 1 || line[len(line)-1] != '\n' {
			t.Errorf("%s: %d line ends in %q", name, n, line)
		}
		if bad := strings.IndexFunc(strings.TrimSuffix(string(line), "\n"), func(r rune) bool { return !visible(r) }); bad >= 0 {
			t.Errorf("%s: invisible character at %d of %q", name, bad, line)
		}
		var got inspect.Record
		if err := json.Unmarshal(line, &got); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if want := strings.ToValidUTF8(s, "\ufffd"); name != "invalid UTF-8" && (got.Target != want || got.Hello.SNI != want) {
			t.Errorf("%s: read back %q and %q, want %q", name, got.Target, got.Hello.SNI, want)
		}
	}
}

// What cannot be encoded costs its own field, not the line.
func TestLineNotANumber(t *testing.T) {
	r := but(refused(), func(r *inspect.Record) { r.TCP = &inspect.TCPStep{Ms: math.NaN()} })
	var got map[string]any
	if err := json.Unmarshal(written(t, r), &got); err != nil {
		t.Fatal(err)
	}
	if got["tcp"] != nil || got["end"] == nil || got["fault"] != "tcp-refused" {
		t.Errorf("got %v, want all but tcp", got)
	}
}

func TestLogConcurrent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "attempts.jsonl")
	l := open(t, path, nil)
	var wg sync.WaitGroup
	const writers, each = 8, 100
	for range writers {
		wg.Go(func() {
			for range each {
				l.Write(expired())
			}
		})
	}
	wg.Wait()
	var lines int
	for line := range bytes.Lines(read(t, path)) {
		lines++
		if !json.Valid(line) {
			t.Fatalf("line %d is broken: %s", lines, line)
		}
	}
	if lines != writers*each {
		t.Errorf("%d lines, want %d", lines, writers*each)
	}
}

func TestLogRotates(t *testing.T) {
	dir := t.TempDir()
	l, err := openLog(filepath.Join(dir, "attempts.jsonl"), nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	line := len(written(t, expired()))
	n := 2_500_000 / line
	for range n {
		l.Write(expired())
	}
	if err := l.Close(); err != nil { // waits for the compression
		t.Fatal(err)
	}
	if l.Lost() != 0 {
		t.Errorf("%d lost", l.Lost())
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	old := 0
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > 1<<20 {
			t.Errorf("%s has %d bytes", f, info.Size())
		}
		if runsUnix && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", f, info.Mode())
		}
		if strings.HasSuffix(f, ".gz") {
			old++
		}
	}
	if old != 2 {
		t.Errorf("%d older files, want 2: %v", old, files)
	}
}

// A line cut short by a crash stays alone.
func TestLogAfterTornLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "attempts.jsonl")
	if err := os.WriteFile(path, []byte(`{"ts":"2026-03-01T1`), 0o644); err != nil {
		t.Fatal(err)
	}
	l := open(t, path, nil)
	l.Write(fine())
	l.Write(fine())
	lines := bytes.Split(bytes.TrimSuffix(read(t, path), []byte("\n")), []byte("\n"))
	if len(lines) != 3 || !json.Valid(lines[1]) || !json.Valid(lines[2]) {
		t.Errorf("got %q, want the torn line and two whole ones", lines)
	}
	if info, err := os.Stat(path); err != nil || runsUnix && info.Mode().Perm() != 0o600 {
		t.Errorf("the mode is %v, %v, want 0600", info.Mode(), err)
	}
}

// broken takes a part of each line until it is mended.
type broken struct {
	bytes.Buffer
	take int
	err  error
}

func (b *broken) Write(p []byte) (int, error) {
	if b.err == nil {
		return b.Buffer.Write(p)
	}
	n, _ := b.Buffer.Write(p[:b.take])
	return n, b.err
}

func (*broken) Close() error { return nil }

// A disk that is full takes a part of a line; when there is room again, the
// next line is whole.
func TestLogRecovers(t *testing.T) {
	var said bytes.Buffer
	l := open(t, filepath.Join(t.TempDir(), "attempts.jsonl"), &said)
	out := &broken{take: 20, err: syscall.ENOSPC}
	l.sink.out.Close()
	l.sink.out = out
	l.Write(fine())
	l.Write(fine())
	out.err = nil
	l.Write(fine())
	lines := strings.Split(out.String(), "\n")
	if last := lines[len(lines)-2]; !json.Valid([]byte(last)) {
		t.Errorf("the line after the trouble is %q", last)
	}
	if l.Lost() != 2 {
		t.Errorf("%d lost, want 2", l.Lost())
	}
	if n := strings.Count(said.String(), "\n"); n != 1 || !strings.Contains(said.String(), "free some space") {
		t.Errorf("said %q, want one line with the next step", said.String())
	}
}

func TestLogClosed(t *testing.T) {
	var said bytes.Buffer
	l := open(t, filepath.Join(t.TempDir(), "attempts.jsonl"), &said)
	for range 2 {
		if err := l.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
			t.Fatal(err)
		}
	}
	l.Write(fine())
	if l.Lost() != 1 || said.Len() == 0 {
		t.Errorf("%d lost, said %q; want 1 and a word", l.Lost(), said.String())
	}
}

func TestOpenLogTrouble(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		dir:                             "directory",
		filepath.Join(file, "x", "log"): "choose another file with --log",
	} {
		if _, err := OpenLog(path, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("OpenLog(%s): %v, want %q", path, err, want)
		}
	}
}

func TestLogMakesDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "faultline")
	open(t, filepath.Join(dir, "attempts.jsonl"), nil).Write(fine())
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if info, err := os.Stat(d); err != nil || runsUnix && info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v, want mode 0700", d, info.Mode(), err)
		}
	}
}

// The price of one line, unbuffered, with its evidence and without.
func BenchmarkRecord(b *testing.B) {
	scalars := but(refused(), func(r *inspect.Record) { r.Evidence, r.Probes = inspect.Evidence{}, nil })
	for _, c := range []struct {
		name string
		r    *inspect.Record
	}{{"scalars", scalars}, {"refused", refused()}, {"expired", expired()}} {
		for _, dir := range []string{"file", "encode"} {
			b.Run(c.name+"/"+dir, func(b *testing.B) {
				l := open(b, filepath.Join(b.TempDir(), "attempts.jsonl"), nil)
				if dir == "encode" {
					l.sink.out.Close()
					l.sink.out = struct{ io.WriteCloser }{discard{}}
				}
				b.ReportAllocs()
				b.SetBytes(int64(len(written(b, c.r))))
				for b.Loop() {
					l.Write(c.r)
				}
			})
		}
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Close() error                { return nil }
