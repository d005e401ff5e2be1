package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"faultline/inspect"
)

// upstream is a proxy that hears one CONNECT per connection and then does what
// a test tells it to. It gives away what it heard.
func upstream(t *testing.T, do func(c *net.TCPConn)) (u *url.URL, heard chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	heard = make(chan string, 8)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			heard <- head(c)
			do(c.(*net.TCPConn))
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return &url.URL{Scheme: "http", Host: l.Addr().String()}, heard
}

// head is what comes up to an empty line.
func head(r io.Reader) string {
	var b []byte
	one := make([]byte, 1)
	for !bytes.HasSuffix(b, []byte("\r\n\r\n")) {
		if _, err := r.Read(one); err != nil {
			break
		}
		b = append(b, one[0])
	}
	return string(b)
}

// says answers with s and waits for the client to leave.
func says(s string) func(*net.TCPConn) {
	return func(c *net.TCPConn) {
		io.WriteString(c, s)
		c.CloseWrite()
		io.Copy(io.Discard, c)
	}
}

func TestChainTunnel(t *testing.T) {
	u, heard := upstream(t, func(c *net.TCPConn) {
		// The tunnel's first words come together with the head.
		io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 Connection established\r\nVia: 1.1 near\r\nvia: 1.0 far\r\n\r\n\r\n220 early")
		io.Copy(c, c)
	})
	u.User = url.UserPassword("user", "p:ss")
	d := &Dialer{Upstream: u}
	conn, dns, tcp, err := d.dial(t.Context(), "example.test", 443, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const want = "CONNECT example.test:443 HTTP/1.1\r\nHost: example.test:443\r\nProxy-Authorization: Basic dXNlcjpwOnNz\r\n\r\n"
	if got := <-heard; got != want {
		t.Errorf("the proxy heard:\n got %q\nwant %q", got, want)
	}
	io.WriteString(conn, " hello")
	conn.CloseWrite()
	if got, err := io.ReadAll(conn); string(got) != "\r\n220 early hello" || err != nil {
		t.Errorf("through the tunnel: got %q, %v", got, err)
	}
	if dns.From != "upstream-proxy" || dns.Name != "example.test" || dns.A != nil {
		t.Errorf("dns: got %+v", dns)
	}
	p := tcp.Proxy
	if p.Status != 200 || p.Reason != "Connection established" || p.Via != "1.1 near, 1.0 far" || p.Addr != u.Host || p.Failure != "" || p.Error != "" {
		t.Errorf("proxy: got %+v", p)
	}
	if tcp.Addr != u.Host || len(tcp.Tries) != 1 || p.DNS.From != "literal" {
		t.Errorf("tcp: got %+v, the proxy's name %+v", tcp, p.DNS)
	}
}

func TestChainAnswers(t *testing.T) {
	tests := []struct {
		name string
		do   func(*net.TCPConn)
		want inspect.ProxyAnswer
	}{
		{"refused", says("HTTP/1.1 403 Forbidden by policy\r\nContent-Length: 4\r\n\r\nbody"),
			inspect.ProxyAnswer{Status: 403, Reason: "Forbidden by policy"}},
		{"authentication", says("HTTP/1.1 407 Proxy Authentication Required\r\n" +
			"Proxy-Authenticate: Negotiate\r\nproxy-authenticate: NTLM, Basic realm=\"a, Digest b\", charset = \"UTF-8\"\r\n\r\n"),
			inspect.ProxyAnswer{Status: 407, Reason: "Proxy Authentication Required", Challenge: "Negotiate, NTLM, Basic"}},
		{"gateway", says("HTTP/1.0 502\r\nProxy-Status: squid; error=dns_error; rcode=\"NXDOMAIN\"\r\n\r\n"),
			inspect.ProxyAnswer{Status: 502, ProxyStatus: `squid; error=dns_error; rcode="NXDOMAIN"`}},
		{"bare line ends", says("HTTP/1.1 504 Gateway Timeout\nVia: x\n\n"),
			inspect.ProxyAnswer{Status: 504, Reason: "Gateway Timeout", Via: "x"}},
		{"odd fields", says("HTTP/1.1 500 Oops\r\nno field\r\n: empty\r\nVia:y\r\n\r\n"),
			inspect.ProxyAnswer{Status: 500, Reason: "Oops", Via: "y"}},
		{"switching", says("HTTP/1.1 101 Switching Protocols\r\n\r\n"),
			inspect.ProxyAnswer{Status: 101, Reason: "Switching Protocols"}},
		{"another protocol", says("SSH-2.0-OpenSSH_9.6\r\nmore"),
			inspect.ProxyAnswer{Failure: "not-http", Error: `not an HTTP answer: begins with "SSH-2.0-OpenSSH_9.6"`}},
		{"an alert", says("\x15\x03\x01\x00\x02\x02\x46"),
			inspect.ProxyAnswer{Failure: "not-http", Error: `not an HTTP answer: begins with "\x15\x03\x01\x00\x02\x02F"`}},
		{"an echo", func(c *net.TCPConn) {
			says("CONNECT x HTTP/1.1\r\nProxy-Authorization: Basic dXNlcjpodW50ZXIy\r\n\r\n")(c)
		},
			inspect.ProxyAnswer{Failure: "not-http", Error: `not an HTTP answer: begins with "CONNECT x HTTP/1.1"`}},
		{"secrets told back", says("HTTP/1.1 403 Basic dXNlcjpodW50ZXIy\r\nVia: dXNlcjpodW50ZXIy\r\n\r\n"),
			inspect.ProxyAnswer{Status: 403, Reason: "Basic ***", Via: "***"}},
		{"no status", says("HTTP/1.1 OK\r\n\r\n"),
			inspect.ProxyAnswer{Failure: "not-http", Error: `not an HTTP answer: begins with "HTTP/1.1 OK\r"`}},
		{"closed", says(""),
			inspect.ProxyAnswer{Failure: "closed", Error: "after 0 bytes of an answer: EOF"}},
		{"closed inside", says("HTTP/1.1 200 OK\r\n"),
			inspect.ProxyAnswer{Failure: "closed", Error: "after 17 bytes of an answer: EOF"}},
		{"reset", func(c *net.TCPConn) { c.SetLinger(0) },
			inspect.ProxyAnswer{Failure: "broken", Error: "connection reset by peer"}},
		{"too long", says("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", maxAnswerHead)),
			inspect.ProxyAnswer{Failure: "too-long", Error: "head of the answer too long: more than 65536 bytes"}},
		{"silent", func(c *net.TCPConn) { io.Copy(io.Discard, c) },
			inspect.ProxyAnswer{Failure: "timeout", Error: "i/o timeout"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u, _ := upstream(t, tt.do)
			u.User = url.UserPassword("user", "hunter2")
			lim := quick()
			if tt.want.Failure == "timeout" {
				lim.answer = 100 * time.Millisecond
			}
			ignore := goleak.IgnoreCurrent()
			d := &Dialer{Upstream: u, limits: &lim}
			conn, dns, tcp, err := d.dial(t.Context(), "example.test", 443, nil)
			goleak.VerifyNone(t, ignore)
			if conn != nil || !errors.Is(err, errProxy) || errors.Is(err, errConnect) || errors.Is(err, errResolve) {
				t.Fatalf("got %v, %v, want errProxy", conn, err)
			}
			got := *tcp.Proxy
			if !strings.HasSuffix(got.Error, tt.want.Error) || (got.Error == "") != (tt.want.Error == "") {
				t.Errorf("error: got %q, want %q", got.Error, tt.want.Error)
			}
			tt.want.Addr = u.Host
			got.DNS, got.Ms, got.Error, tt.want.Error = nil, 0, "", ""
			if got != tt.want {
				t.Errorf("\n got %+v\nwant %+v", got, tt.want)
			}
			if tcp.Addr != u.Host || dns.From != "upstream-proxy" {
				t.Errorf("got %+v, %+v", dns, tcp)
			}
			noSecrets(t, dns, tcp, err)
		})
	}
}

// noSecrets: what is kept tells no credentials.
func noSecrets(t *testing.T, dns *inspect.DNSStep, tcp *inspect.TCPStep, err error) {
	t.Helper()
	b, jsonErr := json.Marshal([]any{dns, tcp, err.Error()})
	if jsonErr != nil {
		t.Fatal(jsonErr)
	}
	for _, secret := range []string{"hunter2", "dXNlcjpodW50ZXIy"} {
		if strings.Contains(string(b), secret) {
			t.Errorf("%q in %s", secret, b)
		}
	}
}

func TestChainProxyUnreachable(t *testing.T) {
	down := closed(t, "127.0.0.1:0").String()
	ns := serveNames(t, map[string]say{"down.test A": addresses("127.0.0.1")})
	_, port, _ := net.SplitHostPort(down)
	tests := []struct {
		name, host, failure string
		err                 error
		tries               int
	}{
		{"refused", down, "connect", errConnect, 1},
		{"refused by name", "down.test:" + port, "connect", errConnect, 1},
		{"no such name", "nothing.test:3128", "resolve", errResolve, 0},
		{"no name", "a..b:3128", "resolve", errResolve, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := &Dialer{Resolver: ns.resolver(), Upstream: &url.URL{Scheme: "http", Host: tt.host}}
			conn, dns, tcp, err := d.dial(t.Context(), "example.test", 443, nil)
			if conn != nil || !errors.Is(err, errProxy) || !errors.Is(err, tt.err) || errors.Is(err, errInvalidName) {
				t.Fatalf("got %v, %v", conn, err)
			}
			p := tcp.Proxy
			if p.Addr != tt.host || p.Failure != tt.failure || p.Status != 0 || p.DNS == nil || len(tcp.Tries) != tt.tries {
				t.Errorf("got %+v, %+v", tcp, p)
			}
			if dns.Name != "example.test" || dns.From != "upstream-proxy" {
				t.Errorf("dns: got %+v", dns)
			}
		})
	}
}

func TestChainTargets(t *testing.T) {
	u, heard := upstream(t, says("HTTP/1.1 502 no\r\n\r\n"))
	self := netip.MustParseAddrPort("127.0.0.1:8080")
	d := &Dialer{Upstream: u, Forbidden: func(a netip.AddrPort) bool { return a == self }}
	for host, want := range map[string]string{
		"example.test":    "example.test:80",
		"192.0.2.1":       "192.0.2.1:80",
		"[2001:db8::1]":   "[2001:db8::1]:80",
		"fe80::1%lo":      "[fe80::1]:80",
		"under_score.xyz": "under_score.xyz:80",
	} {
		_, _, _, err := d.dial(t.Context(), host, 80, nil)
		if !errors.Is(err, errProxy) {
			t.Errorf("%s: got %v", host, err)
			continue
		}
		if got := <-heard; got != "CONNECT "+want+" HTTP/1.1\r\nHost: "+want+"\r\n\r\n" {
			t.Errorf("%s: the proxy heard %q", host, got)
		}
	}

	if _, dns, tcp, err := d.dial(t.Context(), "a\r\nb", 80, nil); !errors.Is(err, errInvalidName) || errors.Is(err, errProxy) || dns == nil || tcp != nil {
		t.Errorf("invalid name: got %+v, %+v, %v", dns, tcp, err)
	}
	if _, _, _, err := d.dial(t.Context(), "127.0.0.1", 8080, nil); !errors.Is(err, ErrLoop) {
		t.Errorf("ourselves: got %v, want ErrLoop", err)
	}
	d.Forbidden = func(a netip.AddrPort) bool { return a.String() == u.Host }
	if _, _, _, err := d.dial(t.Context(), "example.test", 80, nil); !errors.Is(err, ErrLoop) {
		t.Errorf("ourselves as upstream: got %v, want ErrLoop", err)
	}
	if len(heard) > 0 {
		t.Errorf("the proxy heard %q", <-heard)
	}
}

func TestChainDirect(t *testing.T) {
	to := listening(t, "127.0.0.1:0")
	d := &Dialer{
		Upstream: &url.URL{Scheme: "http", Host: "192.0.2.1:3128"},
		Direct:   func(host string) bool { return host == "127.0.0.1" },
	}
	conn, dns, tcp, err := d.dial(t.Context(), "127.0.0.1", to.Port(), nil)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if dns.From != "literal" || tcp.Proxy != nil {
		t.Errorf("got %+v, %+v, want no proxy", dns, tcp)
	}
}

func TestChainUpstreamAddr(t *testing.T) {
	tests := []struct {
		url, name string
		port      uint16
		ok        bool
	}{
		{"http://proxy.test:3128", "proxy.test", 3128, true},
		{"http://proxy.test", "proxy.test", 80, true},
		{"http://[::1]:8080", "::1", 8080, true},
		{"https://proxy.test:443", "proxy.test", 443, false},
		{"socks5://proxy.test:1080", "proxy.test", 1080, false},
		{"http://proxy.test:99999", "proxy.test", 0, false},
	}
	for _, tt := range tests {
		u, err := url.Parse(tt.url)
		if err != nil {
			t.Fatal(err)
		}
		name, port, err := upstreamAddr(u)
		if name != tt.name || port != tt.port || (err == nil) != tt.ok {
			t.Errorf("%s: got %q, %d, %v", tt.url, name, port, err)
		}
	}
}

// A client that leaves ends the wait for the proxy's answer; until then the
// watcher knows what is waited for.
func TestChainCancelled(t *testing.T) {
	u, heard := upstream(t, func(c *net.TCPConn) { io.Copy(io.Discard, c) })
	ignore := goleak.IgnoreCurrent()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-heard; cancel() }()
	var last *inspect.TCPStep
	d := &Dialer{Upstream: u}
	conn, _, tcp, err := d.dial(ctx, "example.test", 443, func(dns *inspect.DNSStep, tcp *inspect.TCPStep) {
		if dns == nil || tcp == nil || tcp.Proxy == nil || tcp.Proxy.Addr != u.Host {
			t.Errorf("told %+v, %+v", dns, tcp)
		}
		last = tcp
	})
	if conn != nil || !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, %v, want cancelled", conn, err)
	}
	if last == nil || last.Addr != u.Host || last.Proxy.Failure != "" {
		t.Errorf("last told: %+v", last)
	}
	if tcp.Proxy.Failure != "" || tcp.Proxy.Status != 0 {
		t.Errorf("got %+v, want nothing known", tcp.Proxy)
	}
	goleak.VerifyNone(t, ignore)
}

// scripted is a connection on which everything has been said already.
type scripted struct {
	net.Conn
	in *bytes.Reader
}

func (s scripted) Read(b []byte) (int, error)      { return s.in.Read(b) }
func (scripted) Write(b []byte) (int, error)       { return len(b), nil }
func (scripted) SetReadDeadline(t time.Time) error { return nil }

func FuzzProxyAnswer(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\n\r\nrest",
		"HTTP/1.1 407 x\r\nProxy-Authenticate: Basic realm=\"a\\\", b\", NTLM\r\nVia: 1\r\nVia: 2\r\nProxy-Status: p; error=x\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 502\n\n",
		"SSH-2.0\r\n", "", "HTTP/1.1 20", "HTTP/1.1 OK\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		in := bytes.NewReader(b)
		head, err := exchange(scripted{in: in}, "x.test:443", "")
		if err != nil {
			if proxyFailure(err) == proxyBroken {
				t.Errorf("%q: %v, but nothing broke", b, err)
			}
			return
		}
		// Nothing behind the head was taken, and nothing before the rest is lost.
		rest, _ := io.ReadAll(in)
		if !bytes.HasSuffix(b, append(bytes.Clone(head), rest...)) || len(head) > maxAnswerHead {
			t.Errorf("%q: head %q, rest %q", b, head, rest)
		}
		var a inspect.ProxyAnswer
		if err := readProxyAnswer(head, &a); err != nil {
			if a != (inspect.ProxyAnswer{}) || !errors.Is(err, errNotHTTP) {
				t.Errorf("%q: got %+v with %v", b, a, err)
			}
			return
		}
		if a.Status < 100 || a.Status > 999 {
			t.Errorf("%q: status %d", b, a.Status)
		}
		for _, s := range []string{a.Reason, a.Via, a.ProxyStatus, a.Challenge} {
			if len(s) > maxField || strings.Contains(s, "\n") {
				t.Errorf("%q: unbounded %q", b, s)
			}
		}
		if strings.Trim(a.Challenge, tokenBytes+", ") != "" {
			t.Errorf("%q: challenge %q", b, a.Challenge)
		}
	})
}
