package proxy

import (
	"io"
	"net"
	"net/http"
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
	return &frontConn{TCPConn: tcp, server: f.server}, nil
}

// frontConn looks at the first byte that is read from it.
type frontConn struct {
	*net.TCPConn
	server  *Server
	checked bool
}

func (c *frontConn) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	if n > 0 && !c.checked {
		c.checked = true
		if first := b[0]; first == 0x16 || first == 0x04 || first == 0x05 {
			c.server.notHTTP(c.TCPConn, b[:n])
			return 0, io.EOF
		}
	}
	return n, err
}

// notHTTP records a client that does not speak HTTP to us, and answers SOCKS in
// its own words: no method is acceptable (RFC 1928 §3), request rejected.
func (s *Server) notHTTP(c *net.TCPConn, b []byte) {
	a := s.begin(inspect.Tunnel, &http.Request{RemoteAddr: c.RemoteAddr().String()}, "proxy")
	defer s.finish(a)
	a.set(func(x *inspect.Attempt) {
		x.Refused, x.Step, x.Host, x.Port = inspect.RefusedProtocol, inspect.StepRequest, "", 0
		var w wire.Conversation
		w.Feed(wire.Client, b, 0)
		x.Seen.Hello, _ = inspect.FromWire(w.Facts(), nil)
	})
	_ = c.SetWriteDeadline(time.Now().Add(time.Second))
	switch b[0] {
	case 5:
		_, _ = c.Write([]byte{5, 0xff})
	case 4:
		_, _ = c.Write([]byte{0, 91, 0, 0, 0, 0, 0, 0})
	}
}
