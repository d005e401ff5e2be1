//go:build !unix

package proxy

import (
	"net"
	"os"
	"time"
)

// reading is a read under way.
type reading struct {
	full bool // the last read filled its buffer
}

// read waits for bytes and returns them in a buffer of the pool, which is held
// while waiting: here a read cannot be tried. At the end of the stream the error
// is io.EOF.
func (p *pump) read() (*chunk, int, error) {
	buf := buffers.Get().(*chunk)
	n, err := p.from.Read(buf[:])
	p.full = n == len(buf)
	if n > 0 {
		return buf, n, nil // an error comes again
	}
	buffers.Put(buf)
	return nil, 0, err
}

// awaitError waits until we have closed the connection, or for a time. A reset
// is noticed by writing only.
func (p *pump) awaitError(limit time.Duration) error {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-p.r.closed:
		return net.ErrClosed
	case <-t.C:
		return os.ErrDeadlineExceeded
	}
}
