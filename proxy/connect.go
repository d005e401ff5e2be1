package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
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
func (s *Server) reach(ctx context.Context, a *attempt, dial dialFunc) (conn *net.TCPConn, err error) {
	defer func() {
		if p := recover(); p != nil {
			a.failed(p)
			conn, err = nil, errInternal
		}
	}()
	x := a.facts()
	if x.Refused != "" {
		return nil, errRefused
	}
	if strings.EqualFold(x.Host, LocalHost) {
		a.set(func(x *inspect.Attempt) { x.Refused = inspect.RefusedLoop })
		return nil, ErrLoop
	}
	conn, dns, tcp, err := dial(ctx, x.Host, x.Port, a.dialled)
	a.dialled(dns, tcp)
	switch {
	case errors.Is(err, ErrLoop):
		a.set(func(x *inspect.Attempt) { x.Refused = inspect.RefusedLoop })
	case errors.Is(err, errInvalidName):
		a.set(func(x *inspect.Attempt) { x.Refused = inspect.RefusedName })
	case err != nil && ctx.Err() != nil:
		a.left(nil)
	}
	return conn, err
}

var (
	errInternal = errors.New("faultline failed")
	errRefused  = errors.New("refused")
)

// accept tells the client that its tunnel stands.
func accept(client net.Conn) error {
	_, err := io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n")
	return err
}

// left: the client went away before there was anything to see, or we do.
func (a *attempt) left(err error) {
	end := &inspect.EndStep{First: "client", Client: "fin", Ms: sinceMs(a.start)}
	if a.server.ctx.Err() != nil {
		end.First, end.Client = "faultline", "ours"
	}
	if err != nil {
		end.Client, end.Error = how(err), inspect.Printable([]byte(err.Error()))
	}
	a.set(func(x *inspect.Attempt) { x.Step, x.Seen.End = inspect.StepEnd, end })
}

// tunnel relays both ways with an eye on what passes in clear, until both sides
// have ended.
func (s *Server) tunnel(a *attempt, client, server *net.TCPConn, early []byte) {
	a.set(func(x *inspect.Attempt) { x.Step = inspect.StepHandshake })
	began := time.Now()
	end := relay(s.ctx, client, server, relayOptions{
		began:   began,
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

// refuse answers a CONNECT that could not be served, and gives the client the
// time to read it: what it has sent meanwhile would turn our end into a reset,
// and that throws the answer away.
func refuse(client *net.TCPConn, a *attempt) {
	resp := a.refusal()
	resp.Close = true
	_ = client.SetWriteDeadline(time.Now().Add(refuseTimeout))
	if resp.Write(client) == nil && client.CloseWrite() == nil {
		_ = client.SetReadDeadline(time.Now().Add(leaveTimeout))
		_, _ = io.Copy(io.Discard, client)
	}
}

const (
	// refuseTimeout is how long writing a refusal may take. It fits into what the
	// system keeps for a connection, so this is long.
	refuseTimeout = 5 * time.Second
	// leaveTimeout is how long a client may take to leave after a refusal, as
	// long as net/http gives. Browsers leave at once.
	leaveTimeout = 500 * time.Millisecond
)

// refusal is the answer to what could not be served. The status is the one that
// makes Firefox show its own page for the cause; the body is for everything
// that shows it, and must not be empty, or Firefox blames the site.
func (a *attempt) refusal() *http.Response {
	x := a.facts()
	v := a.judge(x)
	text := explain(v, x.Target)
	return &http.Response{
		StatusCode: refusalStatus(x, v), ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{
			"Proxy-Status":   {proxyStatus(v)},
			"Content-Type":   {"text/plain; charset=utf-8"},
			"Content-Length": {strconv.Itoa(len(text))},
			"Cache-Control":  {"no-store"},
		},
		ContentLength: int64(len(text)), Body: io.NopCloser(strings.NewReader(text)),
	}
}

func refusalStatus(x *inspect.Attempt, v inspect.Verdict) int {
	if x.Refused == inspect.RefusedRequest {
		return http.StatusBadRequest
	}
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
