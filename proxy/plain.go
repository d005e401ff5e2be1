package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/elazarl/goproxy"

	"faultline/inspect"
)

// plain is the life of a plain http:// request: goproxy makes the round trip,
// our hooks see it, and what the server did to the body is done to the client.
func (s *Server) plain(w http.ResponseWriter, r *http.Request) {
	p := s.beginPlain(w, r)
	defer s.finish(p.attempt)
	defer p.client.close()
	defer p.rescue()

	_ = p.client.rc.EnableFullDuplex() // a server may answer before it has read all
	ctx := httptrace.WithClientTrace(context.WithValue(r.Context(), plainKey{}, p), p.trace())
	s.proxy.ServeHTTP(p.client, r.WithContext(ctx))
	p.done(r)
}

// A plainAttempt is an attempt whose HTTP can be seen.
type plainAttempt struct {
	*attempt
	client   *edgeWriter
	method   string
	upstream bool // it goes through the upstream proxy
	asked    bool // the transport took the request

	// The transport's goroutines tell what follows; the attempt's lock guards it.
	sent time.Time // when the request was written
}

type plainKey struct{}

func plainFrom(ctx context.Context) *plainAttempt {
	p, _ := ctx.Value(plainKey{}).(*plainAttempt)
	return p
}

func (s *Server) beginPlain(w http.ResponseWriter, r *http.Request) *plainAttempt {
	a := s.begin(inspect.Plain, r, r.URL.Host)
	p := &plainAttempt{
		attempt: a, method: r.Method, upstream: a.a.Chain != "",
		client: &edgeWriter{ResponseWriter: w, rc: http.NewResponseController(w), stop: s.ctx},
	}
	a.set(func(x *inspect.Attempt) {
		x.URL = redact(r.URL)
		switch ip, literal := literal(x.Host); {
		case x.Refused != "":
		case r.URL.Scheme != "http":
			x.Refused = inspect.RefusedRequest
			x.Internal = fmt.Sprintf("%s:// was asked for without a tunnel (CONNECT)", clip(r.URL.Scheme, 16))
		case p.upstream && literal && s.Dial.forbids(netip.AddrPortFrom(ip, x.Port)):
			x.Refused = inspect.RefusedLoop // the upstream proxy would send it back
		}
	})
	return p
}

// http changes the HTTP step. Records share the old one.
func (p *plainAttempt) http(change func(*inspect.HTTPStep)) {
	p.set(func(x *inspect.Attempt) {
		h := inspect.HTTPStep{Method: p.method}
		if x.Seen.HTTP != nil {
			h = *x.Seen.HTTP
		}
		change(&h)
		x.Seen.HTTP = &h
	})
}

// trace takes what the transport tells of the round trip.
func (p *plainAttempt) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn: func(string) { // again, when a connection that was kept is dead
			p.asked = true
			p.set(func(x *inspect.Attempt) {
				x.Step, x.Seen.DNS, x.Seen.TCP, x.Seen.HTTP = inspect.StepResolve, nil, nil, nil
				p.sent = time.Time{}
			})
		},
		GotConn: func(i httptrace.GotConnInfo) {
			p.set(func(x *inspect.Attempt) {
				x.Step = inspect.StepRequest
				x.Seen.HTTP = &inspect.HTTPStep{Method: p.method}
				x.Seen.DNS, x.Seen.TCP = i.Conn.(*plainConn).use()
			})
		},
		WroteRequest: func(httptrace.WroteRequestInfo) {
			p.set(func(*inspect.Attempt) { p.sent = time.Now() })
		},
		GotFirstResponseByte: func() {
			p.http(func(h *inspect.HTTPStep) {
				wait := sinceMs(later(p.stepped, p.sent)) // the answer may be faster than the word that all was sent
				h.FirstByteMs = &wait
			})
		},
		Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
			if code != http.StatusContinue { // net/http says that itself
				p.client.inform(code, http.Header(header))
			}
			return nil
		},
	}
}

// dialPlain is the transport's dialer: the same as for tunnels.
func (s *Server) dialPlain(ctx context.Context, addr string) (net.Conn, error) {
	p := plainFrom(ctx)
	if p == nil {
		return nil, errors.New("dial without an attempt")
	}
	// The transport may go on when the request is over, for the next one.
	if !s.enter() {
		return nil, s.ctx.Err()
	}
	defer s.wg.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()

	c := &plainConn{}
	conn, err := s.reach(ctx, p.attempt, func(ctx context.Context, host string, port uint16, watch func(*inspect.DNSStep, *inspect.TCPStep)) (
		conn *net.TCPConn, dns *inspect.DNSStep, tcp *inspect.TCPStep, err error) {
		if p.upstream {
			conn, dns, tcp, err = s.Dial.dialUpstream(ctx, host, watch)
		} else {
			conn, dns, tcp, err = s.Dial.dial(ctx, host, port, watch)
		}
		c.dns, c.tcp = dns, tcp
		return conn, dns, tcp, err
	})
	if err != nil {
		return nil, err
	}
	_ = conn.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: keepAliveIdle, Interval: keepAliveIdle})
	c.TCPConn = conn
	return c, nil
}

// plainConn is a connection to a server that knows how it was made: the request
// that it was made for may have gone another way.
type plainConn struct {
	*net.TCPConn
	dns  *inspect.DNSStep
	tcp  *inspect.TCPStep
	used atomic.Bool
}

// use gives the facts of the connection's making to its first user.
func (c *plainConn) use() (*inspect.DNSStep, *inspect.TCPStep) {
	if c.used.Swap(true) {
		return nil, &inspect.TCPStep{Reused: true, Addr: c.tcp.Addr}
	}
	return c.dns, c.tcp
}

// request is goproxy's hook before the round trip.
func (s *Server) request(r *http.Request, ctx *goproxy.ProxyCtx) (*http.Request, *http.Response) {
	ctx.RoundTripper = goproxy.RoundTripperFunc(s.roundTrip)
	dropHopByHop(r.Header)
	r.Close = false // which was about the client's connection
	if r.Header["User-Agent"] == nil {
		r.Header["User-Agent"] = []string{""} // none, instead of Go's own
	}
	if r.Body != nil && r.Body != http.NoBody {
		p := plainFrom(r.Context())
		b := newBody(p.attempt, r.Body)
		p.set(func(*inspect.Attempt) { p.upload = b })
		r.Body = b
	}
	return r, nil
}

// roundTrip always has an answer: where the server gave none, ours says why.
func (s *Server) roundTrip(r *http.Request, _ *goproxy.ProxyCtx) (*http.Response, error) {
	p := plainFrom(r.Context())
	if p.facts().Refused != "" {
		return p.refusal(), nil
	}
	resp, err := s.tr.RoundTrip(r)
	p.client.seal()
	if err == nil && resp.StatusCode < 100 { // net/http reads it and panics when it is to write it
		resp.Body.Close()
		err = fmt.Errorf("malformed HTTP status code %q", resp.Status)
	}
	if err != nil {
		p.unanswered(err, r)
		return p.refusal(), nil
	}
	p.answered(resp)
	if p.upstream && resp.StatusCode == http.StatusProxyAuthRequired {
		resp.Body.Close() // the client has no credentials for that proxy, and cannot give them
		return p.refusal(), nil
	}
	dropHopByHop(resp.Header)
	if resp.StatusCode != http.StatusSwitchingProtocols { // else the body is the connection, and goproxy relays it
		resp.Body = p.watch(resp)
	}
	return resp, nil
}

// answered keeps the head of a response.
func (p *plainAttempt) answered(resp *http.Response) {
	field := func(name string) string { return inspect.Printable([]byte(resp.Header.Get(name))) }
	p.http(func(h *inspect.HTTPStep) {
		h.Proto, h.Status, h.Length = resp.Proto, resp.StatusCode, resp.ContentLength
		h.Reason = inspect.Printable([]byte(strings.TrimSpace(strings.TrimPrefix(resp.Status, strconv.Itoa(resp.StatusCode)))))
		h.Server, h.Type, h.Upgrade, h.ProxyStatus = field("Server"), field("Content-Type"), field("Upgrade"), field("Proxy-Status")
		if u, err := resp.Location(); err == nil {
			h.Location = redact(u)
		} else if resp.StatusCode/100 == 3 && resp.Header.Get("Location") != "" {
			if u := new(url.Error); errors.As(err, &u) {
				err = u.Err // the rest is the URL
			}
			h.BadLocation = inspect.Printable([]byte(err.Error()))
		}
	})
	p.set(func(x *inspect.Attempt) {
		x.Step = inspect.StepResponse
		if p.upstream && resp.StatusCode == http.StatusProxyAuthRequired {
			x.Seen.TCP = &inspect.TCPStep{Reused: true, Proxy: &inspect.ProxyAnswer{
				Addr: x.Chain, Status: resp.StatusCode, Reason: x.Seen.HTTP.Reason, Challenge: challenge(resp.Header),
			}}
			x.Seen.HTTP = nil // it is not the site that answered
		}
	})
}

func challenge(h http.Header) string {
	var all []string
	for _, value := range h["Proxy-Authenticate"] {
		all = append(all, schemes(value)...)
	}
	return clip(strings.Join(all, ", "), maxField)
}

// watch keeps an eye on a response's body.
func (p *plainAttempt) watch(resp *http.Response) io.ReadCloser {
	b := newBody(p.attempt, resp.Body)
	kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	b.events = slices.Contains([]string{"text/event-stream", "multipart/x-mixed-replace"}, strings.ToLower(strings.TrimSpace(kind)))
	p.set(func(*inspect.Attempt) { p.body = b })
	return b
}

// unanswered keeps why there is no response. Where there was no connection, the
// dial's facts say that already.
func (p *plainAttempt) unanswered(err error, r *http.Request) {
	words := inspect.Printable([]byte(err.Error()))
	switch x := p.facts(); {
	case !p.asked:
		p.set(func(x *inspect.Attempt) { x.Refused, x.Internal = inspect.RefusedRequest, words })
	case x.Seen.End != nil:
	case p.upload.broke() != nil && how(p.upload.broke()) == "error" && !errors.Is(p.upload.broke(), io.ErrUnexpectedEOF):
		p.set(func(x *inspect.Attempt) {
			x.Refused, x.Internal = inspect.RefusedRequest, "the client's request: "+inspect.Printable([]byte(p.upload.broke().Error()))
		})
	case p.upload.broke() != nil:
		p.left(p.upload.broke())
	case r.Context().Err() != nil:
		p.left(nil)
	case x.Seen.HTTP != nil:
		p.http(func(h *inspect.HTTPStep) { h.Error = words })
	}
}

// done looks at how the body ended. A body that broke off upstream must break
// off for the client too, in the same way: a polite end would forge a complete
// answer.
func (p *plainAttempt) done(r *http.Request) {
	b := p.body
	if b == nil { // our own answer, or a WebSocket that is over
		p.set(func(x *inspect.Attempt) {
			if x.Seen.HTTP != nil && x.Seen.HTTP.Status > 0 {
				x.Step = inspect.StepEnd
			}
		})
		return
	}
	broke := b.broke()
	away := p.client.err != nil || r.Context().Err() != nil && !b.complete.Load()
	p.http(func(h *inspect.HTTPStep) {
		h.Body = b.n.Load()
		if broke != nil && !away {
			h.BodyError = inspect.Printable([]byte(broke.Error()))
		}
	})
	switch {
	case away:
		p.left(p.client.err)
	case broke == nil:
		p.set(func(x *inspect.Attempt) { x.Step = inspect.StepEnd })
		return
	case errors.Is(broke, syscall.ECONNRESET):
		if c := connOf(r); c != nil {
			_ = c.SetLinger(0)
		}
	}
	panic(http.ErrAbortHandler)
}

// rescue answers a request at which faultline itself failed, if there is still
// time for that; finish does the rest.
func (p *plainAttempt) rescue() {
	e := recover()
	if e == nil {
		return
	}
	if e == http.ErrAbortHandler || p.client.began {
		panic(e)
	}
	p.failed(e)
	resp := p.refusal()
	for name, values := range resp.Header {
		p.client.Header()[name] = values
	}
	p.client.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(p.client, resp.Body)
}

// body counts what is read of a body, and keeps the error that ended it.
type body struct {
	io.ReadCloser
	start    time.Time
	n        atomic.Int64
	last     atomic.Int64 // when the last byte came, since start
	err      atomic.Pointer[error]
	complete atomic.Bool
	events   bool // its silence means nothing
}

func newBody(a *attempt, rc io.ReadCloser) *body {
	b := &body{ReadCloser: rc, start: a.start}
	b.last.Store(int64(time.Since(a.start)))
	return b
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	b.last.Store(int64(time.Since(b.start)))
	switch err {
	case nil:
	case io.EOF:
		b.complete.Store(true)
	case http.ErrBodyReadAfterClose: // by the transport, which has its answer
	default:
		b.err.Store(&err)
	}
	return n, err
}

// broke is the error that ended it early, nil if there was none.
func (b *body) broke() error {
	if b == nil {
		return nil
	}
	if err := b.err.Load(); err != nil {
		return *err
	}
	return nil
}

// moved is when the last byte came.
func (b *body) moved() time.Time {
	if b == nil {
		return time.Time{}
	}
	return b.start.Add(time.Duration(b.last.Load()))
}

// redact is a URL that may be written down: no credentials, no fragment, the
// names in its query without their values.
func redact(u *url.URL) string {
	v := *u
	v.User, v.Fragment, v.RawFragment = nil, "", ""
	if v.RawQuery != "" {
		var names []string
		for part := range strings.SplitSeq(v.RawQuery, "&") {
			name, _, _ := strings.Cut(part, "=")
			names = append(names, name+"=")
			if len(names) == 20 {
				break
			}
		}
		v.RawQuery = strings.Join(names, "&")
	}
	return inspect.Printable([]byte(v.String()))
}
