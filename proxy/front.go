package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"faultline/inspect"
	"faultline/inspect/wire"
)

// front is the listener with a glance at the first byte of each connection: a
// browser whose setting says HTTPS proxy or SOCKS speaks no HTTP, and would be
// answered with a riddle.
type front struct {
	net.Listener
	server *Server
}

func (f front) Accept() (net.Conn, error) {
	c, err := f.Listener.Accept()
	if err != nil {
		return nil, err
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c, nil
	}
	// At the end http.Server waits for seconds for what a connection without a
	// request may yet say.
	spare := context.AfterFunc(f.server.ctx, func() { tcp.Close() })
	return &frontConn{TCPConn: tcp, server: f.server, used: spare}, nil
}

// frontConn looks at the first byte that is read from it, and at what is written
// to it while no handler is at work.
type frontConn struct {
	*net.TCPConn
	server *Server
	used   func() bool // to be called when it has a request
	spoke  bool
	left   bool        // the client has ended it
	served atomic.Bool // a handler has been called for the request
}

func (c *frontConn) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	c.left = c.left || err != nil && !errors.Is(err, os.ErrDeadlineExceeded) // by which net/http stops reading
	if n > 0 && !c.spoke {
		c.spoke = true
		if b[0] == tlsHandshake || b[0] == socks4 || b[0] == socks5 {
			c.server.notHTTP(c.TCPConn, b[:n])
			return 0, io.EOF
		}
	}
	return n, err
}

// Write notices when net/http refuses a request by itself. It asks nobody, and
// without this such a client would leave no trace.
func (c *frontConn) Write(b []byte) (int, error) {
	if !c.served.Swap(true) && !c.left {
		status, _, _ := bytes.Cut(bytes.TrimPrefix(b, []byte("HTTP/1.1 ")), []byte("\r"))
		c.server.misspoken(c.TCPConn, func(x *inspect.Attempt) {
			x.Refused, x.Internal = inspect.RefusedRequest, "the client's request was answered "+inspect.Printable(status)
		})
	}
	return c.TCPConn.Write(b)
}

// idle marks a connection on which the next request is awaited.
func idle(c net.Conn, state http.ConnState) {
	if c, ok := c.(*frontConn); ok && state == http.StateIdle {
		c.served.Store(false)
	}
}

// The first bytes of a TLS record with a hello, and of what SOCKS clients say.
const (
	tlsHandshake = 0x16
	socks4       = 0x04
	socks5       = 0x05
)

// notHTTP records a client that does not speak HTTP to us, and answers SOCKS in
// its own words: no method is acceptable (RFC 1928 §3), request rejected.
func (s *Server) notHTTP(c *net.TCPConn, b []byte) {
	_ = c.SetWriteDeadline(time.Now().Add(time.Second))
	switch b[0] {
	case socks5:
		_, _ = c.Write([]byte{5, 0xff})
	case socks4:
		_, _ = c.Write([]byte{0, 91, 0, 0, 0, 0, 0, 0})
	}
	s.misspoken(c, func(x *inspect.Attempt) {
		x.Refused = inspect.RefusedProtocol
		var w wire.Conversation
		w.Feed(wire.Client, b, 0)
		x.Seen.Hello, _ = inspect.FromWire(w.Facts(), nil)
	})
}

// misspoken records a client whose words make no request.
func (s *Server) misspoken(c *net.TCPConn, why func(*inspect.Attempt)) {
	if !s.enter() {
		return
	}
	defer s.wg.Done()
	a := s.begin(inspect.Tunnel, &http.Request{RemoteAddr: c.RemoteAddr().String()}, "")
	defer s.finish(a)
	a.set(func(x *inspect.Attempt) {
		x.Target, x.Step = "proxy", inspect.StepRequest
		why(x)
	})
}
