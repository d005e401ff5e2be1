package proxy

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"faultline/inspect"
)

// What comes right behind the CONNECT, in the same segment, reaches the server.
func TestConnectEarlyBytes(t *testing.T) {
	target := serving(t, echo)
	s := newStand(t, nil)
	for i, extra := range []string{"", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", "Expect: 100-continue\r\n"} {
		for range 20 {
			c := s.client()
			tell(t, c, "CONNECT "+target+" HTTP/1.1\r\nHost: x\r\n"+extra+"\r\n5\r\nhello\r\n")
			if got := head(c); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
				t.Fatalf("%d: got %q", i, got)
			}
			hear(t, c, "5\r\nhello\r\n")
			must(t, c.CloseWrite())
			if _, end := hearEnd(t, c); end != "fin" {
				t.Errorf("ended by %s", end)
			}
			s.expect(inspect.FaultOK)
		}
	}
}

// Ends come through as they were.
func TestConnectEnds(t *testing.T) {
	peer := make(chan *net.TCPConn)
	done := make(chan struct{})
	target := serving(t, func(c *net.TCPConn) { peer <- c; <-done })
	s := newStand(t, nil)
	defer close(done)
	pair := func(t *testing.T) (client, server *net.TCPConn) {
		client = s.tunnel(target)
		server = <-peer
		tell(t, client, "hello")
		hear(t, server, "hello")
		tell(t, server, "welcome")
		hear(t, client, "welcome")
		return client, server
	}
	t.Run("half-closed by the client", func(t *testing.T) {
		c, p := pair(t)
		must(t, c.CloseWrite())
		if _, end := hearEnd(t, p); end != "fin" {
			t.Errorf("the server met a %s", end)
		}
		tell(t, p, "answer")
		must(t, p.Close())
		hear(t, c, "answer")
		if _, end := hearEnd(t, c); end != "fin" {
			t.Errorf("the client met a %s", end)
		}
		s.expect(inspect.FaultOK)
	})
	t.Run("half-closed by the server", func(t *testing.T) {
		c, p := pair(t)
		must(t, p.CloseWrite())
		if _, end := hearEnd(t, c); end != "fin" {
			t.Errorf("the client met a %s", end)
		}
		tell(t, c, "more")
		must(t, c.Close())
		hear(t, p, "more")
		if _, end := hearEnd(t, p); end != "fin" {
			t.Errorf("the server met a %s", end)
		}
		s.expect(inspect.FaultOK)
	})
	t.Run("reset by the server", func(t *testing.T) {
		c, p := pair(t)
		tell(t, p, "last")
		must(t, awaitSent(p))
		reset(t, p)
		hear(t, c, "last")
		if _, end := hearEnd(t, c); end != "reset" {
			t.Errorf("the client met a %s", end)
		}
		if e := s.final().End; e.First != "server" || e.Server != "reset" || e.Up != 5 || e.Down != 11 {
			t.Errorf("recorded as %+v", e)
		}
	})
	t.Run("reset by the client", func(t *testing.T) {
		c, p := pair(t)
		reset(t, c)
		if _, end := hearEnd(t, p); end != "reset" {
			t.Errorf("the server met a %s", end)
		}
		if e := s.final().End; e.First != "client" || e.Client != "reset" {
			t.Errorf("recorded as %+v", e)
		}
	})
}

// Nothing comes from the server before the client has spoken.
func TestConnectServerFirst(t *testing.T) {
	target := serving(t, func(c *net.TCPConn) { _, _ = io.WriteString(c, "220 ready\r\n"); hold(c) })
	s := newStand(t, nil)
	c := s.client()
	tell(t, c, "CONNECT "+target+" HTTP/1.1\r\nHost: x\r\n\r\n")
	begin := time.Now()
	if got := head(c); got != "HTTP/1.1 200 Connection established\r\n\r\n" {
		t.Errorf("got %q", got)
	}
	hear(t, c, "220 ready\r\n")
	if took := time.Since(begin); took < holdFor/2 {
		t.Errorf("the greeting came after %s", took)
	}
}

// A CONNECT that fails is answered with the status for the cause, never with
// silence.
func TestConnectRefusals(t *testing.T) {
	refused := closed(t, "127.0.0.1:0").String()
	_, port, _ := net.SplitHostPort(refused)
	s := newStand(t, func(s *stand) {
		s.names["broken.test A"], s.names["broken.test AAAA"] = code(dnsmessage.RCodeServerFailure), code(dnsmessage.RCodeServerFailure)
		s.names["self.test A"], s.names["self.test AAAA"] = addresses("127.0.0.1"), code(0)
	})
	_, own, _ := net.SplitHostPort(s.addr)
	tests := []struct {
		name, target string
		status       int
		kind, fault  string
		firefox      string
	}{
		{"unknown name", "nothing.test:443", 404, "dns_error", "dns-nxdomain", "NS_ERROR_UNKNOWN_HOST"},
		{"broken name server", "broken.test:443", 404, "dns_error", "dns-servfail", "NS_ERROR_UNKNOWN_HOST"},
		{"invalid name", "a_b..test:443", 404, "http_request_error", "dns-invalid-name", "NS_ERROR_UNKNOWN_HOST"},
		{"long name", strings.Repeat("a", 300) + ".test:443", 404, "http_request_error", "dns-invalid-name", "NS_ERROR_UNKNOWN_HOST"},
		{"refused", refused, 502, "connection_refused", "tcp-refused", "NS_ERROR_PROXY_BAD_GATEWAY"},
		{"refused, IPv6", "[::1]:" + port, 502, "connection_refused", "tcp-refused", "NS_ERROR_PROXY_BAD_GATEWAY"},
		{"odd port", "127.0.0.1:1", 502, "connection_refused", "tcp-refused", "NS_ERROR_PROXY_BAD_GATEWAY"},
		{"self", s.addr, 403, "proxy_loop_detected", "client-proxy-loop", "NS_ERROR_PROXY_FORBIDDEN"},
		{"self, mapped", "[::ffff:127.0.0.1]:" + own, 403, "proxy_loop_detected", "client-proxy-loop", "NS_ERROR_PROXY_FORBIDDEN"},
		{"self, unspecified", "0.0.0.0:" + own, 403, "proxy_loop_detected", "client-proxy-loop", "NS_ERROR_PROXY_FORBIDDEN"},
		{"self by localhost", "localhost:" + own, 403, "proxy_loop_detected", "client-proxy-loop", "NS_ERROR_PROXY_FORBIDDEN"},
		{"self by a name", "self.test:" + own, 403, "proxy_loop_detected", "client-proxy-loop", "NS_ERROR_PROXY_FORBIDDEN"},
		{"our own name", "faultline.internal:443", 403, "proxy_loop_detected", "client-proxy-loop", "NS_ERROR_PROXY_FORBIDDEN"},
		{"our own name otherwise", "FaultLine.Internal.:80", 403, "proxy_loop_detected", "client-proxy-loop", "NS_ERROR_PROXY_FORBIDDEN"},
		{"port too large", "site.test:99999", 400, "http_request_error", "client-proxy-misconfigured", ""},
		{"port zero", "site.test:0", 400, "http_request_error", "client-proxy-misconfigured", ""},
		{"no port", "site.test:", 400, "http_request_error", "client-proxy-misconfigured", ""},
		{"no port at all", "site.test", 400, "http_request_error", "client-proxy-misconfigured", ""},
		{"no host", ":443", 400, "http_request_error", "client-proxy-misconfigured", ""},
		{"an enormous name", strings.Repeat("a", 100<<10) + ":443", 404, "http_request_error", "dns-invalid-name", "NS_ERROR_UNKNOWN_HOST"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if strings.HasPrefix(tt.target, "[::1]") {
				closed(t, "[::1]:0") // or skip
			}
			for _, version := range []string{"1.1", "1.0"} {
				a := s.ask("CONNECT " + tt.target + " HTTP/" + version + "\r\nHost: x\r\n\r\n")
				checkRefusal(t, a, tt.status, tt.kind, tt.fault)
				if _, end := hearEnd(t, a.conn); end != "fin" {
					t.Errorf("the connection ends with a %s", end)
				}
				a.conn.Close()
				r := s.expect(tt.fault)
				if r.HTTPReached == nil || *r.HTTPReached {
					t.Errorf("http_reached is %v", r.HTTPReached)
				}
				if tt.firefox != "" && (r.Codes.FirefoxShown != tt.firefox || r.Codes.ChromiumShown != "ERR_TUNNEL_CONNECTION_FAILED") {
					t.Errorf("shown: %s, %s; want %s", r.Codes.FirefoxShown, r.Codes.ChromiumShown, tt.firefox)
				}
				if len(r.Target) > 300 || len(r.Host) > 300 {
					t.Errorf("a target of %d bytes is kept", len(r.Target))
				}
			}
		})
	}
}

func TestConnectTimedOut(t *testing.T) {
	at, ok := hole(t)
	if !ok {
		skipf(t, "no address without an answer can be made here")
	}
	lim := quick()
	lim.connect = 50 * time.Millisecond
	s := newStand(t, func(s *stand) { s.server.Dial.limits = &lim })
	checkRefusal(t, s.ask("CONNECT "+at+" HTTP/1.1\r\nHost: x\r\n\r\n"), 504, "connection_timeout", "tcp-timeout")
	s.expect("tcp-timeout")
}

// A client that does not wait for the answer hears it all the same.
func TestConnectRefusalIsHeard(t *testing.T) {
	target := closed(t, "127.0.0.1:0").String()
	s := newStand(t, nil)
	for range 20 {
		c := s.client()
		tell(t, c, "CONNECT "+target+" HTTP/1.1\r\nHost: x\r\n\r\n")
		go func() { _, _ = c.Write(make([]byte, 1<<20)) }()
		checkRefusal(t, s.read(c, false), 502, "connection_refused", "tcp-refused")
		c.Close()
		s.expect("tcp-refused")
	}
}

// Addresses and ports of every kind.
func TestConnectTargets(t *testing.T) {
	at := serving(t, echo)
	_, port, _ := net.SplitHostPort(at)
	s := newStand(t, func(s *stand) { s.name("site.test", "192.0.2.1", at) })
	for _, target := range []string{
		at, "localhost:" + port, // which has an IPv6 address too, and that is no fault
		"[::ffff:127.0.0.1]:" + port, "site.test:25", "site.test.:65535",
	} {
		c := s.tunnel(target)
		tell(t, c, "word")
		hear(t, c, "word")
		c.Close()
		r := s.expect(inspect.FaultOK)
		if host, _, _ := net.SplitHostPort(target); r.Target != target || r.Host != strings.TrimSuffix(host, ".") || fmt.Sprint(r.Port) != target[strings.LastIndex(target, ":")+1:] {
			t.Errorf("%s is recorded as %s, %s, %d", target, r.Target, r.Host, r.Port)
		}
	}
	if l, err := net.Listen("tcp", "[::1]:0"); err != nil {
		skipf(t, "no IPv6 on loopback: %v", err)
	} else {
		go func() {
			if c, err := l.Accept(); err == nil {
				echo(c.(*net.TCPConn))
				c.Close()
			}
			l.Close()
		}()
		c := s.tunnel(l.Addr().String())
		tell(t, c, "word")
		hear(t, c, "word")
		c.Close()
		s.expect(inspect.FaultOK)
	}
}

// A tunnel that carries TLS tells what passed in clear.
func TestConnectTLS(t *testing.T) {
	target := secure(t, tls.VersionTLS12)
	s := newStand(t, func(s *stand) {
		s.server.Judge = func(chain [][]byte, _ []byte, host string, _ time.Time) *inspect.CertStep {
			return &inspect.CertStep{Chain: []inspect.CertInfo{{Subject: host}}}
		}
	})
	c, err := greetTLS(s.tunnel(target))
	must(t, err)
	must(t, c.Close())
	r := s.expect(inspect.FaultOK)
	if r.Hello == nil || r.Hello.SNI != "site.test" || r.TLS == nil || r.TLS.Version != "TLS 1.2" || !r.TLS.Complete || r.Cert == nil || r.Cert.Chain[0].Subject != "site.test" {
		t.Errorf("recorded: %+v, %+v, %+v", r.Hello, r.TLS, r.Cert)
	}
	if r.Timing.TLS == nil || r.Timing.Connect == nil || r.Timing.Total == nil {
		t.Errorf("timing: %+v", r.Timing)
	}
}

// A WebSocket in clear comes through a tunnel, as browsers do it.
func TestConnectWebSocket(t *testing.T) {
	target := serving(t, upgrading)
	s := newStand(t, nil)
	c := s.tunnel(target)
	tell(t, c, upgrade("/", target)+"first")
	r := bufio.NewReader(c)
	if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != 101 {
		t.Fatalf("got %v, %v", resp, err)
	}
	heardWords(t, r, "serverfirst")
	tell(t, c, "second")
	heardWords(t, r, "second")
	c.Close()
	s.expect(inspect.FaultOK)
}

// upgrade asks for a WebSocket.
func upgrade(url, host string) string {
	return "GET " + url + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
}

// upgrading becomes a WebSocket, says something at once, and then echoes.
func upgrading(c *net.TCPConn) {
	asked := strings.ToLower(head(c))
	if !strings.Contains(asked, "\r\nupgrade: websocket\r\n") || !strings.Contains(asked, "upgrade\r\n") {
		return
	}
	_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nserver")
	echo(c)
}

func heardWords(t *testing.T, r io.Reader, words string) {
	t.Helper()
	got := make([]byte, len(words))
	if _, err := io.ReadFull(r, got); err != nil || string(got) != words {
		t.Fatalf("heard %q (%v), want %q", got, err, words)
	}
}

// upstreamStand is a proxy behind another.
func upstreamStand(t *testing.T, u *url.URL) *stand {
	return newStand(t, func(s *stand) { s.server.Dial.Upstream = u })
}

// Tunnels chain through an upstream proxy, and what it says instead of a tunnel
// is told in words; the credentials are told to nobody else.
func TestConnectUpstream(t *testing.T) {
	t.Run("works", func(t *testing.T) {
		u, asked := upstream(t, func(c *net.TCPConn) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
			echo(c)
		})
		u.User = url.UserPassword("user", "s3cret")
		s := upstreamStand(t, u)
		c := s.tunnel("site.test:443")
		if got := <-asked; !strings.HasPrefix(got, "CONNECT site.test:443 HTTP/1.1\r\n") || !strings.Contains(got, "Proxy-Authorization: Basic dXNlcjpzM2NyZXQ=\r\n") {
			t.Errorf("the proxy heard %q", got)
		}
		tell(t, c, "word")
		hear(t, c, "word")
		c.Close()
		noCredentials(t, s.expect(inspect.FaultOK), u)
	})
	for _, tt := range []struct{ name, says, fault, why string }{
		{"forbidden", "HTTP/1.1 403 Not from here\r\n\r\n", "tcp-upstream-proxy-failed", "403 Not from here"},
		{"bad gateway", "HTTP/1.1 502 Bad Gateway\r\nProxy-Status: corp; error=dns_timeout\r\n\r\n", "tcp-upstream-proxy-failed", "dns_timeout"},
		{"credentials", "HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n", "http-upstream-proxy-auth", "407"},
		{"garbage", "SSH-2.0-x\r\n", "tcp-upstream-proxy-failed", "SSH-2.0-x"},
		{"nothing", "", "tcp-upstream-proxy-failed", "EOF"},
		{"credentials said back", "HTTP/1.1 403 dXNlcjpzM2NyZXQ=\r\n\r\n", "tcp-upstream-proxy-failed", "403 ***"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u, _ := upstream(t, says(tt.says))
			u.User = url.UserPassword("user", "s3cret")
			s := upstreamStand(t, u)
			kind := "destination_unavailable"
			if tt.fault == "http-upstream-proxy-auth" {
				kind = "http_request_denied"
			}
			a := s.ask("CONNECT site.test:443 HTTP/1.1\r\nHost: x\r\n\r\n")
			checkRefusal(t, a, 502, kind, tt.fault)
			r := s.expect(tt.fault)
			checkWhy(t, r, tt.why)
			noCredentials(t, r, u)
			noCredentials(t, a.body, u)
		})
	}
	t.Run("refused", func(t *testing.T) {
		u := &url.URL{Scheme: "http", Host: closed(t, "127.0.0.1:0").String()}
		s := upstreamStand(t, u)
		checkRefusal(t, s.ask("CONNECT site.test:443 HTTP/1.1\r\nHost: x\r\n\r\n"), 502, "destination_unavailable", "tcp-upstream-proxy-failed")
		checkWhy(t, s.expect("tcp-upstream-proxy-failed"), "refused")
	})
	t.Run("itself", func(t *testing.T) {
		u := &url.URL{Scheme: "http"}
		s := newStand(t, func(s *stand) {
			s.server.Dial.Upstream = u
			s.server.Dial.Route = func(_ string, a netip.AddrPort) netip.AddrPort {
				return s.server.self[0]
			}
		})
		for _, words := range []string{"CONNECT site.test:443 HTTP/1.1\r\nHost: x\r\n\r\n", "GET http://site.test/ HTTP/1.1\r\nHost: x\r\n\r\n"} {
			u.Host = s.addr
			checkRefusal(t, s.ask(words), 403, "proxy_loop_detected", "client-proxy-loop")
			s.expect("client-proxy-loop")
		}
	})
}

func noCredentials(t *testing.T, in any, u *url.URL) {
	t.Helper()
	b, err := json.Marshal(in)
	must(t, err)
	password, _ := u.User.Password()
	_, basic, _ := strings.Cut(credentials(u), " ")
	for _, secret := range []string{password, basic} {
		if secret != "" && strings.Contains(string(b), secret) {
			t.Errorf("%q is in %s", secret, b)
		}
	}
}
