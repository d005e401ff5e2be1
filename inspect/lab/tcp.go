package lab

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"
)

// A conn is a connection that a site has accepted. Its handler owns it and the
// lab closes it when the handler returns, unless it was given to the web server.
type conn struct {
	net.Conn
	tcp   *net.TCPConn
	lab   *Lab
	site  *Site
	head  []byte       // read ahead, to be read again
	page  http.Handler // what the web server is to say on it
	given bool
}

func (c *conn) Read(p []byte) (int, error) {
	if len(c.head) > 0 {
		n := copy(p, c.head)
		c.head = c.head[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

func (c *conn) Close() error {
	c.lab.forget(c)
	return c.Conn.Close()
}

// CloseWrite says goodbye and goes on listening.
func (c *conn) CloseWrite() error { return c.tcp.CloseWrite() }

func (c *conn) base() *conn { return c }

// behaviour is what a site does with its connections. open is called once for
// each listener; the function it returns has a goroutine for every connection.
type behaviour interface {
	open(*Lab, *Site) func(*conn)
}

// script is a behaviour that needs nothing but the connection.
type script func(*conn)

func (s script) open(*Lab, *Site) func(*conn) { return s }

// turns is a behaviour that takes turns: the first connection gets the first,
// and so on.
type turns []behaviour

func (t turns) open(l *Lab, s *Site) func(*conn) {
	var each []func(*conn)
	for _, b := range t {
		each = append(each, b.open(l, s))
	}
	var n atomic.Uint64
	return func(c *conn) {
		each[(n.Add(1)-1)%uint64(len(each))](c)
	}
}

// Endings.

// reset ends the connection with an RST.
func (c *conn) reset() {
	c.tcp.SetLinger(0)
	c.Close()
}

// drop ends the connection at once: a FIN, and an RST for what comes later.
func (c *conn) drop() { c.Close() }

// finish says goodbye (FIN) and waits for the client to do the same, so that
// nothing turns it into an RST.
func (c *conn) finish() {
	c.CloseWrite()
	c.SetReadDeadline(time.Now().Add(drainTime))
	io.Copy(io.Discard, c.Conn)
	c.Close()
}

// hold keeps silent until the client closes.
func (c *conn) hold() {
	io.Copy(io.Discard, c.Conn)
	c.Close()
}

// deaf keeps silent and does not even read, so it cannot see the client leave;
// a minute is longer than browsers wait for a handshake (30 s).
func (c *conn) deaf() {
	c.lab.wait(c.lab.ctx, time.Minute)
	c.Close()
}

// halfClosed says goodbye at once and then listens for ever.
func (c *conn) halfClosed() {
	c.CloseWrite()
	c.hold()
}

// Scripts.

// onHello is a script that reads the client's hello, or whatever its first
// words are, before it goes on.
func onHello(then func(*conn)) script {
	return func(c *conn) {
		if _, err := c.hello(); err == nil {
			c.head = nil
			then(c)
		}
	}
}

// onRequest is a script that reads a plain HTTP request's head.
func onRequest(then func(*conn)) script {
	return func(c *conn) {
		if readRequest(c) == nil {
			then(c)
		}
	}
}

// readRequest reads a request and drops it. The body is not read: nobody sends
// one to the sites that use this.
func readRequest(c io.Reader) error {
	_, err := http.ReadRequest(bufio.NewReader(c))
	return err
}

// say writes text and then does what comes after.
func say(text string, then func(*conn)) func(*conn) {
	return func(c *conn) {
		if _, err := io.WriteString(c, text); err == nil {
			then(c)
		}
	}
}

// reserve finds addresses at which nothing listens and nothing will while the
// lab runs. A connected socket does it: its port is taken, and a SYN for it is
// refused. (A socket that is bound and not listening would do as well, but
// package net cannot make one.)
func (l *Lab) reserve() error {
	v4, err := l.reserved("127.0.0.1")
	if err != nil {
		return err
	}
	l.closed4 = v4
	// Without IPv6 on this machine any address of it fails as it should.
	l.closed6 = netip.AddrPortFrom(netip.IPv6Loopback(), v4.Port())
	if v6, err := l.reserved("::1"); err == nil {
		l.closed6 = v6
	}
	return nil
}

func (l *Lab) reserved(addr string) (netip.AddrPort, error) {
	ln, err := net.Listen("tcp", net.JoinHostPort(addr, "0"))
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer ln.Close()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(addr)}}
	out, err := d.DialContext(l.ctx, "tcp", ln.Addr().String())
	if err != nil {
		return netip.AddrPort{}, err
	}
	l.keep(out)
	in, err := ln.Accept()
	if err != nil {
		return netip.AddrPort{}, err
	}
	l.keep(in)
	return addrPort(out.LocalAddr()), nil
}
