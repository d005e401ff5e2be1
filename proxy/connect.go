package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/elazarl/goproxy"

	"faultline/inspect"
	"faultline/inspect/wire"
)

// connect is the life of a CONNECT. The attempt is recorded once, whatever
// happens; the client hears 200 only when there is a connection to its server.
func (s *Server) connect(r *http.Request, client *net.TCPConn, early []byte) {
	a := s.begin(inspect.Tunnel, r, r.URL.Host)
	defer s.finish(a)
	defer client.Close()

	server, err := s.reach(s.ctx, a, s.Dial.dial)
	if err != nil {
		refuse(client, a)
		return
	}
	if err := accept(client); err != nil {
		server.Close()
		a.left(err)
		return
	}
	s.tunnel(a, client, server, early)
}

// A dialFunc makes a connection and says what it met, as Dialer.dial does.
type dialFunc func(ctx context.Context, host string, port uint16, watch func(*inspect.DNSStep, *inspect.TCPStep)) (
	*net.TCPConn, *inspect.DNSStep, *inspect.TCPStep, error)

// reach resolves and dials, and keeps the facts.
func (s *Server) reach(ctx context.Context, a *attempt, dial dialFunc) (*net.TCPConn, error) {
	x := &a.a
	if x.Refused != "" {
		return nil, errInvalidName
	}
	if strings.EqualFold(x.Host, LocalHost) {
		a.set(func(x *inspect.Attempt) { x.Refused = inspect.RefusedLoop })
		return nil, ErrLoop
	}
	conn, dns, tcp, err := dial(ctx, x.Host, x.Port, a.dialled)
	a.dialled(dns, tcp)
	a.set(func(x *inspect.Attempt) {
		switch {
		case errors.Is(err, ErrLoop):
			x.Refused = inspect.RefusedLoop
		case errors.Is(err, errInvalidName):
			x.Refused = inspect.RefusedName
		case err != nil && s.ctx.Err() != nil:
			x.Seen.End = &inspect.EndStep{First: "faultline", Ms: sinceMs(a.start)}
		case errors.Is(err, context.Canceled):
			x.Seen.End = &inspect.EndStep{First: "client", Client: "fin", Ms: sinceMs(a.start)}
		}
	})
	return conn, err
}

// accept tells the client that its tunnel stands.
func accept(client net.Conn) error {
	_, err := io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n")
	return err
}

// left: the client was gone before its tunnel stood.
func (a *attempt) left(err error) {
	a.set(func(x *inspect.Attempt) {
		x.Step = inspect.StepEnd
		x.Seen.End = &inspect.EndStep{First: "client", Client: "reset", Error: err.Error(), Ms: sinceMs(a.start)}
	})
}

// tunnel relays both ways with an eye on what passes in clear, until both sides
// have ended.
func (s *Server) tunnel(a *attempt, client, server *net.TCPConn, early []byte) {
	a.set(func(x *inspect.Attempt) { x.Step = inspect.StepHandshake })
	began := time.Now()
	end := relay(s.ctx, client, server, relayOptions{
		early:   early,
		tap:     func(side wire.Side, b []byte) { a.wire.Feed(side, b, time.Since(began)) },
		settled: a.wire.Settled,
		handshaking: func() bool {
			spoke := a.wire.Facts().Client.Protocol
			return !a.wire.Settled() && (spoke == "tls" || spoke == "")
		},
		skipped: func(side wire.Side, n int64) { a.wire.Skip(side, n, time.Since(began)) },
	})
	a.set(func(x *inspect.Attempt) {
		x.Step = inspect.StepEnd
		x.Seen.End = end.step()
	})
}

// refuse answers a CONNECT that could not be served. The status is the one that
// makes Firefox show its own page for the cause; the body is for everything
// that shows it, and must not be empty, or Firefox blames the site.
func refuse(client net.Conn, a *attempt) {
	a.mu.Lock()
	x := a.a
	a.mu.Unlock()
	x.Elapsed = time.Since(a.start)
	v := inspect.Diagnose(&x)
	status := refusalStatus(v)
	body := explain(v, x.Target)
	_ = client.SetWriteDeadline(time.Now().Add(refuseTimeout))
	fmt.Fprintf(client, "HTTP/1.1 %d %s\r\nProxy-Status: %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		status, http.StatusText(status), proxyStatus(v), len(body), body)
}

// refuseTimeout is how long a client may take to read a refusal.
const refuseTimeout = 5 * time.Second

func refusalStatus(v inspect.Verdict) int {
	if f, ok := inspect.Lookup(v.Fault); ok {
		if status := inspect.ConnectStatus(f); status != http.StatusOK {
			return status
		}
	}
	return http.StatusBadGateway
}

// proxyStatus is the Proxy-Status field for a verdict (RFC 9209), with the
// fault's ID as the details.
func proxyStatus(v inspect.Verdict) string {
	kind := v.Codes.ProxyStatus
	if kind == "" {
		kind = "proxy_internal_error"
	}
	return fmt.Sprintf(`faultline; error=%s; details="%s"`, kind, v.Fault)
}

// explain is a verdict in a few lines of plain text.
func explain(v inspect.Verdict, target string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n%s: %s\n", v.Title, inspect.Printable([]byte(target)), v.Why)
	fmt.Fprintf(&b, "Layer: %s. Party: %s. Fault: %s.\n", v.Layer, v.Blame, v.Fault)
	if v.Codes.Chromium != "" {
		fmt.Fprintf(&b, "Without a proxy a browser shows: %s, %s\n", v.Codes.Chromium, v.Codes.Firefox)
	}
	if v.Fix.User != "" {
		fmt.Fprintf(&b, "\nWhat you can do: %s\n", v.Fix.User)
	}
	if v.Fix.Server != "" {
		fmt.Fprintf(&b, "What the server's administrator can do: %s\n", v.Fix.Server)
	}
	return b.String()
}

// hijacked receives a CONNECT from goproxy, with the connection keepEarly gave.
func (s *Server) hijacked(r *http.Request, client net.Conn, _ *goproxy.ProxyCtx) {
	s.wg.Add(1)
	defer s.wg.Done()
	c, ok := client.(earlyConn)
	if !ok { // only if goproxy stops passing on what Hijack returned
		client.Close()
		return
	}
	s.connect(r, c.TCPConn, c.early)
}

// keepEarly hands over what the client sent right behind its CONNECT: net/http
// may have read it already, and goproxy drops the reader it is in.
type keepEarly struct{ http.ResponseWriter }

// earlyConn carries the bytes that came early to the one who asked for the
// connection. Nobody reads it.
type earlyConn struct {
	*net.TCPConn
	early []byte
}

func (w keepEarly) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	c, ok := conn.(*frontConn)
	if !ok {
		conn.Close()
		return nil, nil, fmt.Errorf("hijack: a %T instead of a TCP connection", conn)
	}
	early, _ := rw.Reader.Peek(rw.Reader.Buffered())
	return earlyConn{c.TCPConn, append([]byte(nil), early...)}, rw, nil
}

func sinceMs(t time.Time) float64 { return float64(time.Since(t).Microseconds()) / 1000 }
