//go:build unix

package proxy

import (
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// reading is a read under way. The poller calls back when the connection may be
// readable, so that a buffer is held only while there is something to put in.
type reading struct {
	try  func(fd uintptr) bool // readNow; kept because making it costs
	buf  *chunk
	n    int
	err  error
	full bool // the last read filled its buffer
}

// read waits for bytes and returns them in a buffer of the pool. At the end of
// the stream the error is io.EOF.
func (p *pump) read() (*chunk, int, error) {
	if p.try == nil {
		p.try = p.readNow
	}
	if err := p.rawFrom.Read(p.try); err != nil {
		return nil, 0, err
	}
	buf := p.buf
	p.buf = nil
	p.full = p.n == len(buf)
	if p.n > 0 {
		return buf, p.n, nil
	}
	buffers.Put(buf)
	if p.err == nil {
		p.err = io.EOF
	}
	return nil, 0, p.err
}

// readNow reads if that is possible without waiting.
func (p *pump) readNow(fd uintptr) bool {
	buf := buffers.Get().(*chunk)
	n, err := syscall.Read(int(fd), buf[:])
	for err == syscall.EINTR {
		n, err = syscall.Read(int(fd), buf[:])
	}
	if err == syscall.EAGAIN {
		buffers.Put(buf)
		return false
	}
	p.buf, p.n, p.err = buf, n, nil
	if err != nil {
		p.n, p.err = 0, readError(p.from, err)
	}
	return true
}

// readError tells of an error as reading in the ordinary way would.
func readError(c *net.TCPConn, err error) error {
	return &net.OpError{Op: "read", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError("read", err)}
}

// awaitError waits for an error of a connection that nobody reads any more:
// os.ErrDeadlineExceeded after a time, net.ErrClosed when we have closed it.
func (p *pump) awaitError(limit time.Duration) error {
	if err := p.from.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	var broken error
	err := p.rawFrom.Read(func(fd uintptr) bool {
		n, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_ERROR)
		switch {
		case err != nil:
			broken = readError(p.from, err)
		case n != 0:
			broken = readError(p.from, syscall.Errno(n))
		}
		return broken != nil
	})
	if err != nil {
		return err
	}
	return broken
}
