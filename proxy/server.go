package proxy

import (
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/elazarl/goproxy"

	"faultline/inspect"
)

// A Server is a forward proxy that judges every attempt that comes through it.
// The zero value works: it records nothing and compares nothing. Set the fields
// before Serve; they must not change afterwards.
type Server struct {
	// Dial makes the connections to servers; the zero value asks the system's name
	// servers and goes there directly. Its Forbidden is set by Serve, so that the
	// proxy cannot be sent to itself.
	Dial Dialer
	// Record receives every attempt with its verdict: once when it is over, and
	// before that at most once as provisional, when a step stalls. It is called
	// from many goroutines. nil: nobody wants to know.
	Record func(*inspect.Record)
	// Probe makes a connection of our own to the same place, to compare. It is
	// called after the client's connection has ended. nil: never.
	Probe func(context.Context, *inspect.Attempt) []inspect.Probe
	// ProbeAlways compares every TLS attempt, not only those a comparison helps.
	ProbeAlways bool
	// Judge looks for what is wrong with a chain that passed in clear. nil: the
	// chain is not judged.
	Judge func(chain [][]byte, staple []byte, host string, at time.Time) *inspect.CertStep
	// Local answers requests that are meant for faultline itself: those with a
	// path only, and those for LocalHost. nil: a line of text.
	Local http.Handler

	stop    context.CancelFunc
	ctx     context.Context
	wg      sync.WaitGroup // tunnels: http.Server forgets hijacked connections
	http    *http.Server
	proxy   *goproxy.ProxyHttpServer
	tr      *http.Transport
	self    []netip.AddrPort
	repeats repeats
	start   sync.Once
}

// LocalHost is the name under which the proxy itself is reached through itself.
const LocalHost = "faultline.internal"

// Serve answers on the listener until Shutdown is called; then it returns nil.
func (s *Server) Serve(l net.Listener) error {
	s.start.Do(func() { s.init(l.Addr()) })
	err := s.http.Serve(front{l, s})
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Shutdown stops listening, ends what is open and waits until all of it is
// recorded, or until ctx is done.
func (s *Server) Shutdown(ctx context.Context) error {
	s.start.Do(func() { s.init(nil) })
	s.stop()
	err := s.http.Shutdown(ctx)
	done := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		err = errors.Join(err, ctx.Err())
	}
	s.tr.CloseIdleConnections()
	return err
}

func (s *Server) init(addr net.Addr) {
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.self = ownAddresses(addr)
	if s.Dial.Forbidden == nil {
		s.Dial.Forbidden = s.isSelf
	}
	s.tr = s.transport()

	// goproxy parses, dispatches and runs the hooks. Everything after CONNECT is
	// ours: its own tunnel drops early bytes, turns resets into clean ends, and
	// tells nobody what failed.
	p := goproxy.NewProxyHttpServer()
	p.ConnectDial = nil // it would read HTTPS_PROXY and could dial us
	p.Tr = s.tr
	p.KeepAcceptEncoding = true
	p.Logger = log.New(discard{}, "", 0)
	p.NonproxyHandler = http.HandlerFunc(s.local)
	p.OnRequest().HandleConnectFunc(func(host string, _ *goproxy.ProxyCtx) (*goproxy.ConnectAction, string) {
		return &goproxy.ConnectAction{Action: goproxy.ConnectHijack, Hijack: s.hijacked}, host
	})
	p.OnRequest().DoFunc(s.request)
	p.OnResponse().DoFunc(s.response)
	s.proxy = p

	s.http = &http.Server{
		Handler:           http.HandlerFunc(s.serve),
		ReadHeaderTimeout: headTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxRequestHead,
		ErrorLog:          log.New(discard{}, "", 0),
		BaseContext:       func(net.Listener) context.Context { return s.ctx },
		ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
	}
}

const (
	// headTimeout is how long a client may take to send the head of a request. A
	// browser's spare connections to a proxy send theirs at once.
	headTimeout = 30 * time.Second
	// idleTimeout is how long a client's connection may wait for its next request;
	// Chromium closes its own after 300 s, servers usually after 60 to 120.
	idleTimeout = 120 * time.Second
	// maxRequestHead bounds a request's head: servers refuse at 8 to 64 KiB, so a
	// request this big fails everywhere.
	maxRequestHead = 256 << 10
	// maxResponseHead is what the most patient browser takes (Firefox: 384 KiB).
	maxResponseHead = 384 << 10
	// idlePerHost is how many idle connections to one server are kept for plain
	// HTTP. Go's default of 2 makes a busy page reconnect all the time.
	idlePerHost = 64
)

type connKey struct{}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodConnect:
		s.proxy.ServeHTTP(keepEarly{w}, r)
	case !r.URL.IsAbs() || strings.EqualFold(r.URL.Hostname(), LocalHost):
		s.local(w, r)
	default:
		s.plain(w, r)
	}
}

func (s *Server) local(w http.ResponseWriter, r *http.Request) {
	if s.Local != nil {
		s.Local.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("This is faultline, a proxy. Give its address to your browser's proxy setting.\n"))
}

// ownAddresses are the addresses at which the listener can be reached.
func ownAddresses(addr net.Addr) []netip.AddrPort {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return nil
	}
	at := tcp.AddrPort()
	own := []netip.AddrPort{netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), at.Port())}
	if !at.Addr().IsUnspecified() {
		return own
	}
	all, _ := net.InterfaceAddrs()
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok {
				own = append(own, netip.AddrPortFrom(ip.Unmap(), at.Port()))
			}
		}
	}
	return own
}

// Redial makes a connection to the place that an attempt reached, in the same
// way: to the same address, or through the same upstream proxy. It is for
// comparisons.
func (s *Server) Redial(ctx context.Context, a *inspect.Attempt, direct *net.Dialer) (net.Conn, error) {
	if s.Dial.chains(a.Host) {
		conn, _, _, err := s.Dial.dial(ctx, a.Host, a.Port, nil)
		if err != nil {
			return nil, err // not a nil *net.TCPConn in a net.Conn
		}
		return conn, nil
	}
	if a.Seen.TCP == nil || a.Seen.TCP.Addr == "" {
		return nil, errConnect
	}
	addr := a.Seen.TCP.Addr
	for _, y := range a.Seen.TCP.Tries {
		if y.OK && y.Routed != "" {
			addr = y.Routed
		}
	}
	return direct.DialContext(ctx, "tcp", addr)
}

// isSelf: a connection to addr would reach this proxy. Every loopback address
// with our port counts when we listen on one of them: the system may route
// 127.0.0.2 elsewhere, but nobody is served by trying.
func (s *Server) isSelf(addr netip.AddrPort) bool {
	ip := addr.Addr().Unmap().WithZone("")
	for _, own := range s.self {
		if own.Port() == addr.Port() && (own.Addr() == ip || own.Addr().IsUnspecified() && ip.IsLoopback()) {
			return true
		}
	}
	return false
}

func (s *Server) transport() *http.Transport {
	return &http.Transport{
		Proxy: func(r *http.Request) (*url.URL, error) { // never the environment's: it could be us
			if s.Dial.chains(r.URL.Hostname()) {
				return s.Dial.Upstream, nil
			}
			return nil, nil
		},
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return s.dialPlain(ctx, addr)
		},
		DisableCompression:     true, // pass on what was asked for and what came
		MaxIdleConnsPerHost:    idlePerHost,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: maxResponseHead,
		ForceAttemptHTTP2:      false,
	}
}

// discard throws away what libraries log: attempts are recorded, not printed.
type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) Printf(string, ...any)       {}
