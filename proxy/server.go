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
	// before that as provisional when a step stalls, and when that is made out to
	// be something else. It is called from many goroutines; the records of one
	// attempt come one after the other. nil: nobody wants to know.
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

	ctx     context.Context
	stop    context.CancelFunc
	mu      sync.Mutex     // makes stopping and entering exclude each other
	wg      sync.WaitGroup // what is under way: http.Server forgets hijacked connections
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
	s.mu.Lock()
	s.stop()
	s.mu.Unlock()
	err := s.http.Shutdown(ctx)
	done := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		err = errors.Join(err, ctx.Err(), s.http.Close())
	}
	s.tr.CloseIdleConnections()
	return err
}

// enter says that something begins which Shutdown has to wait for; false when it
// is too late for that.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return false
	}
	s.wg.Add(1)
	return true
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
	s.proxy = p

	s.http = &http.Server{
		Handler:           http.HandlerFunc(s.serve),
		ReadHeaderTimeout: headTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxRequestHead,
		ErrorLog:          log.New(discard{}, "", 0),
		BaseContext:       func(net.Listener) context.Context { return s.ctx },
		ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
		ConnState:         idle,
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
	// continueTimeout is how long a request's body waits for "100 Continue" when
	// the client asked for that: about what clients themselves wait.
	continueTimeout = time.Second
	// idlePerHost is how many idle connections to one server are kept for plain
	// HTTP. Go's default of 2 makes a busy page reconnect all the time.
	idlePerHost = 64
)

type connKey struct{}

// connOf is the client's connection, nil if it is of an unknown kind.
func connOf(r *http.Request) *frontConn {
	c, _ := r.Context().Value(connKey{}).(*frontConn)
	return c
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if !s.enter() {
		panic(http.ErrAbortHandler)
	}
	defer s.wg.Done()
	if c := connOf(r); c != nil {
		c.served.Store(true)
		c.used()
	}
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

// isSelf: a connection to addr would reach this proxy. Another loopback address
// with our port does so only when we listen on all of them.
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
			if p := plainFrom(r.Context()); p != nil && p.upstream {
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
		ExpectContinueTimeout:  continueTimeout,
		MaxResponseHeaderBytes: maxResponseHead,
		ForceAttemptHTTP2:      false,
	}
}

// discard throws away what libraries log: attempts are recorded, not printed.
type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) Printf(string, ...any)       {}
