package proxy

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
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
	s.wg.Add(1)
	defer s.wg.Done()
	a := s.begin(inspect.Plain, r, r.URL.Host)
	p := &plainAttempt{attempt: a, upstream: s.Dial.chains(a.a.Host)}
	defer s.finish(a)

	a.set(func(x *inspect.Attempt) {
		x.URL = redact(r.URL)
		x.Seen.HTTP = &inspect.HTTPStep{Method: r.Method}
	})
	ctx := httptrace.WithClientTrace(context.WithValue(r.Context(), plainKey{}, p), p.trace())
	rc := http.NewResponseController(w)
	s.proxy.ServeHTTP(edgeWriter{w, rc}, r.WithContext(ctx))
	p.done(r, rc)
}

// A plainAttempt is an attempt whose HTTP can be seen.
type plainAttempt struct {
	*attempt
	upstream bool      // it goes through the upstream proxy
	sent     time.Time // when the request was written
}

type plainKey struct{}

func plainFrom(ctx context.Context) *plainAttempt {
	p, _ := ctx.Value(plainKey{}).(*plainAttempt)
	return p
}

// trace takes what the transport tells of the round trip.
func (p *plainAttempt) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) {
			p.set(func(x *inspect.Attempt) {
				x.Step = inspect.StepRequest
				if i.Reused {
					x.Seen.DNS = nil
					x.Seen.TCP = &inspect.TCPStep{Reused: true, Addr: i.Conn.RemoteAddr().String()}
				}
			})
		},
		WroteRequest: func(httptrace.WroteRequestInfo) {
			p.set(func(*inspect.Attempt) { p.sent = time.Now() })
		},
		GotFirstResponseByte: func() {
			p.set(func(x *inspect.Attempt) {
				x.Step = inspect.StepResponse
				if !p.sent.IsZero() {
					h := *x.Seen.HTTP
					wait := sinceMs(p.sent)
					h.FirstByteMs = &wait
					x.Seen.HTTP = &h
				}
			})
		},
	}
}

// dialPlain is the transport's dialer: the same as for tunnels.
func (s *Server) dialPlain(ctx context.Context, addr string) (net.Conn, error) {
	p := plainFrom(ctx)
	if p == nil {
		return nil, errors.New("dial without an attempt")
	}
	// The transport's context outlives the request; ours ends with the server.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	dial := s.Dial.dial
	if p.upstream {
		dial = func(ctx context.Context, host string, _ uint16, watch func(*inspect.DNSStep, *inspect.TCPStep)) (
			*net.TCPConn, *inspect.DNSStep, *inspect.TCPStep, error) {
			return s.Dial.dialUpstream(ctx, host, watch)
		}
	}
	conn, err := s.reach(ctx, p.attempt, dial)
	if err != nil {
		return nil, err
	}
	_ = conn.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: keepAliveIdle, Interval: keepAliveIdle})
	return conn, nil
}

// request is goproxy's hook before the round trip.
func (s *Server) request(r *http.Request, ctx *goproxy.ProxyCtx) (*http.Request, *http.Response) {
	ctx.RoundTripper = goproxy.RoundTripperFunc(func(r *http.Request, _ *goproxy.ProxyCtx) (*http.Response, error) {
		resp, err := s.tr.RoundTrip(r)
		p := plainFrom(r.Context())
		if err != nil || p == nil {
			return resp, err
		}
		p.answered(resp)
		return resp, nil
	})
	return r, nil
}

// answered keeps the head of a response and watches over its body.
func (p *plainAttempt) answered(resp *http.Response) {
	p.set(func(x *inspect.Attempt) {
		x.Step = inspect.StepResponse
		h := *x.Seen.HTTP
		h.Proto, h.Status, h.Length = resp.Proto, resp.StatusCode, resp.ContentLength
		h.Reason = inspect.Printable([]byte(strings.TrimSpace(strings.TrimPrefix(resp.Status, strconv.Itoa(resp.StatusCode)))))
		h.Server = inspect.Printable([]byte(resp.Header.Get("Server")))
		h.Type = inspect.Printable([]byte(resp.Header.Get("Content-Type")))
		h.Upgrade = inspect.Printable([]byte(resp.Header.Get("Upgrade")))
		h.ProxyStatus = inspect.Printable([]byte(resp.Header.Get("Proxy-Status")))
		if u, err := resp.Location(); err == nil {
			h.Location = redact(u)
		} else if resp.StatusCode/100 == 3 && resp.Header.Get("Location") != "" {
			h.BadLocation = inspect.Printable([]byte(err.Error()))
		}
		if p.upstream && resp.StatusCode == http.StatusProxyAuthRequired {
			x.Seen.TCP = &inspect.TCPStep{Reused: true, Proxy: &inspect.ProxyAnswer{
				Addr: x.Chain, Status: resp.StatusCode, Challenge: inspect.Printable([]byte(resp.Header.Get("Proxy-Authenticate"))),
			}}
		}
		x.Seen.HTTP = &h
	})
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return // the body is the connection; goproxy relays it
	}
	b := &body{ReadCloser: resp.Body, start: p.start}
	b.last.Store(int64(time.Since(p.start)))
	p.set(func(*inspect.Attempt) { p.body = b })
	resp.Body = b
}

// response is goproxy's hook after the round trip. A round trip that failed has
// no response; ours explains why.
func (s *Server) response(resp *http.Response, ctx *goproxy.ProxyCtx) *http.Response {
	if resp != nil || ctx.Error == nil {
		return resp
	}
	p := plainFrom(ctx.Req.Context())
	if p == nil {
		return nil
	}
	p.failed(ctx.Error)
	p.mu.Lock()
	x := p.a
	p.mu.Unlock()
	x.Elapsed = time.Since(p.start)
	v := inspect.Diagnose(&x)
	status := refusalStatus(v)
	text := explain(v, x.Target)
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: ctx.Req,
		Header: http.Header{
			"Proxy-Status": {proxyStatus(v)}, "Content-Type": {"text/plain; charset=utf-8"},
			"Content-Length": {strconv.Itoa(len(text))}, "Cache-Control": {"no-store"},
		},
		ContentLength: int64(len(text)), Body: io.NopCloser(strings.NewReader(text)),
	}
}

// failed keeps the words of a round trip that failed after a connection was
// made; before that the dial's facts say more.
func (p *plainAttempt) failed(err error) {
	p.set(func(x *inspect.Attempt) {
		switch {
		case errors.Is(err, errConnect) || errors.Is(err, errResolve) || errors.Is(err, errInvalidName) || errors.Is(err, ErrLoop) || errors.Is(err, errProxy):
			x.Seen.HTTP = nil
		case errors.Is(err, context.Canceled):
			x.Seen.End = &inspect.EndStep{First: "client", Ms: sinceMs(p.start)}
		default:
			h := *x.Seen.HTTP
			h.Error = inspect.Printable([]byte(err.Error()))
			x.Seen.HTTP = &h
		}
	})
}

// done looks at how the body ended. A body that broke off upstream must break
// off for the client too, in the same way: a polite end would forge a complete
// answer.
func (p *plainAttempt) done(r *http.Request, rc *http.ResponseController) {
	b := p.body
	if b == nil {
		p.set(func(x *inspect.Attempt) {
			if x.Seen.HTTP != nil && x.Seen.HTTP.Status > 0 {
				x.Step = inspect.StepEnd
			}
		})
		return
	}
	p.set(func(x *inspect.Attempt) {
		h := *x.Seen.HTTP
		h.Body = b.n.Load()
		if b.err != nil && !errors.Is(b.err, context.Canceled) {
			h.BodyError = inspect.Printable([]byte(b.err.Error()))
		} else {
			x.Step = inspect.StepEnd
		}
		x.Seen.HTTP = &h
		if r.Context().Err() != nil {
			x.Seen.End = &inspect.EndStep{First: "client", Down: b.n.Load(), Ms: sinceMs(p.start)}
		}
	})
	if b.err == nil {
		return
	}
	_ = rc.Flush() // the head, which a browser had got without us
	if c, ok := r.Context().Value(connKey{}).(*frontConn); ok && errors.Is(b.err, syscall.ECONNRESET) {
		_ = c.SetLinger(0)
	}
	panic(http.ErrAbortHandler)
}

// body counts a response's body and keeps the error that ended it. The counts
// are read by the stall report too.
type body struct {
	io.ReadCloser
	start time.Time
	n     atomic.Int64
	last  atomic.Int64 // when the last byte came, since start
	err   error
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	b.last.Store(int64(time.Since(b.start)))
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

// edgeWriter passes on what it gets at once: goproxy holds back every stream
// that does not call itself an event stream.
type edgeWriter struct {
	http.ResponseWriter
	rc *http.ResponseController
}

func (w edgeWriter) Write(b []byte) (int, error) {
	n, err := w.ResponseWriter.Write(b)
	if err == nil {
		err = w.rc.Flush()
	}
	return n, err
}

func (w edgeWriter) Flush() { _ = w.rc.Flush() }

func (w edgeWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) { return w.rc.Hijack() }

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
