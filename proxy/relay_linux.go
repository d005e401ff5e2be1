package proxy

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

const canSplice = true

const (
	// pipeSize is how much a pipe holds, which is what one splice moves at most.
	// 256 KiB was measured to cost a fifth more, 64 KiB more than half; 1 MiB is
	// what an ordinary user may have (pipe-max-size).
	pipeSize = 1 << 20

	// leastPipe is what a pipe must hold to be better than copying.
	leastPipe = 64 << 10

	// maxPipes bounds the pipes in use. One is in use while bytes are in it, so
	// few are needed, unless many readers are slow; those beyond copy in user
	// space. The kernel grants an ordinary user 64 MiB of pipes in all
	// (pipe-user-pages-soft) and makes those beyond tiny, for everybody.
	maxPipes = 32

	// sparePipes is how many are kept for the next to come.
	sparePipes = 8

	// smallSplice is what must come in one go to make splicing go on. Below it,
	// copying is cheaper.
	smallSplice = 16 << 10
)

// splicing is a splice under way.
type splicing struct {
	tryIn  func(fd uintptr) bool // spliceIn
	tryOut func(fd uintptr) bool // spliceOut
	pipe   *pipe                 // nil while waiting for the connection
	inPipe int
	short  bool // the last splice out of the pipe left something in it
	spErr  error
}

// splice moves bytes through a pipe, unseen, while they come in bulk. It is done
// by hand because io.Copy does not say which side failed, and keeps a pipe while
// it waits. Without an error there may be more to read.
func (p *pump) splice() (readErr, writeErr error) {
	if p.tryIn == nil {
		p.tryIn, p.tryOut = p.spliceIn, p.spliceOut
	}
	defer p.dropPipe()
	for {
		p.full = false
		if err := p.rawFrom.Read(p.tryIn); err != nil {
			return err, nil
		}
		n := p.inPipe
		switch {
		case p.spErr == errNoPipe, p.spErr == unix.EINVAL, p.spErr == unix.ENOSYS:
			p.spliceFrom = p.bytes.Load() + spliceAfter // perhaps later
			return nil, nil
		case p.spErr != nil:
			return readError(p.from, p.spErr), nil
		case n == 0:
			return io.EOF, nil
		}
		if skipped := p.r.opts.skipped; skipped != nil {
			skipped(p.side, int64(n))
		}
		if err := p.rawTo.Write(p.tryOut); err != nil {
			return nil, err
		}
		if p.spErr != nil {
			return nil, writeError(p.to, p.spErr)
		}
		if n < smallSplice {
			return nil, nil
		}
	}
}

// spliceIn fills the pipe if that is possible without waiting.
func (p *pump) spliceIn(fd uintptr) bool {
	if p.pipe == nil {
		if p.pipe = pipes.get(); p.pipe == nil {
			p.spErr = errNoPipe
			return true
		}
	}
	n, err := spliceOnce(int(fd), p.pipe.w, pipeSize)
	if err == unix.EAGAIN {
		p.dropPipe()
		return false
	}
	p.inPipe, p.spErr = n, err
	return true
}

// spliceOut empties the pipe as far as is possible without waiting.
func (p *pump) spliceOut(fd uintptr) bool {
	for p.inPipe > 0 {
		n, err := spliceOnce(p.pipe.r, int(fd), p.inPipe)
		if err == unix.EAGAIN {
			return false
		}
		if err == nil && n == 0 {
			err = io.ErrUnexpectedEOF // cannot be: the pipe's other end is ours
		}
		if err == unix.EPIPE && p.short {
			// A splice that is stopped by a reset half-way tells what it moved, and
			// nobody of the reset. Had there been a FIN, its reader would have known
			// before: a peer with so much unread resets.
			err = unix.ECONNRESET
		}
		if err != nil {
			p.spErr = err
			return true
		}
		p.inPipe -= n
		p.short = p.inPipe > 0
		p.bytes.Add(int64(n))
	}
	p.spErr = nil
	return true
}

func spliceOnce(from, to, n int) (int, error) {
	for {
		moved, err := unix.Splice(from, nil, to, nil, n, unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		if err != unix.EINTR {
			return max(0, int(moved)), err
		}
	}
}

// dropPipe gives the pipe back, or closes it if something is left in it.
func (p *pump) dropPipe() {
	if p.pipe == nil {
		return
	}
	pipes.put(p.pipe, p.inPipe == 0)
	p.pipe, p.inPipe = nil, 0
}

func writeError(c *net.TCPConn, err error) error {
	return &net.OpError{Op: "write", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError("splice", err)}
}

// pipe is a pipe's two descriptors.
type pipe struct{ r, w int }

// pipePool lends pipes and keeps a few.
type pipePool struct {
	mu    sync.Mutex
	spare []*pipe
	lent  int
}

var pipes pipePool

// errNoPipe: there are enough pipes already, or no descriptors left.
const errNoPipe = syscall.Errno(unix.EMFILE)

// get lends an empty pipe, nil if none is to be had.
func (l *pipePool) get() *pipe {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lent >= maxPipes {
		return nil
	}
	if n := len(l.spare); n > 0 {
		p := l.spare[n-1]
		l.spare = l.spare[:n-1]
		l.lent++
		return p
	}
	p := newPipe()
	if p != nil {
		l.lent++
	}
	return p
}

// newPipe makes a pipe as large as is allowed, nil if that is not worth it.
func newPipe() *pipe {
	var fd [2]int
	if unix.Pipe2(fd[:], unix.O_CLOEXEC|unix.O_NONBLOCK) != nil {
		return nil
	}
	p := &pipe{r: fd[0], w: fd[1]}
	for size := pipeSize; size >= leastPipe; size /= 4 {
		if _, err := unix.FcntlInt(uintptr(p.w), unix.F_SETPIPE_SZ, size); err == nil {
			return p
		}
	}
	p.close()
	return nil
}

func (p *pipe) close() {
	unix.Close(p.r)
	unix.Close(p.w)
}

// put takes a pipe back.
func (l *pipePool) put(p *pipe, empty bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lent--
	if empty && len(l.spare) < sparePipes {
		l.spare = append(l.spare, p)
		return
	}
	p.close()
}

// behindEOF says whether the connection is gone altogether although reading told
// of nothing but its end, and the error that nobody has been told yet. The kernel
// tells an error once, to whoever comes first; who reads later finds the end of
// the stream, which must not be taken for a FIN.
func (p *pump) behindEOF() (gone bool, err error) {
	_ = p.rawFrom.Control(func(fd uintptr) {
		info, e := unix.GetsockoptTCPInfo(int(fd), unix.SOL_TCP, unix.TCP_INFO)
		if e != nil || info.State != unix.BPF_TCP_CLOSE { // the same number for everybody
			return
		}
		gone = true
		if n, e := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR); e == nil && n != 0 {
			err = syscall.Errno(n)
		}
	})
	return gone, err
}

// unsent is how many bytes the peer has not acknowledged, 0 if that is not
// known.
func unsent(raw syscall.RawConn) (n int) {
	_ = raw.Control(func(fd uintptr) {
		n, _ = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
	})
	return n
}
