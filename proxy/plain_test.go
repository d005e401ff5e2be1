package proxy

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"faultline/inspect"
)

// get asks for a page the way a browser asks its proxy.
func get(url string, fields ...string) string {
	return strings.Join(append([]string{"GET " + url + " HTTP/1.1", "Host: x"}, fields...), "\r\n") + "\r\n\r\n"
}

// One connection of the client and one to the server carry many requests.
func TestPlainKeepAlive(t *testing.T) {
	var conns atomic.Int64
	web := serving(t, func(c *net.TCPConn) {
		conns.Add(1)
		for r := bufio.NewReader(c); ; {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: keep-alive, X-Mine\r\nKeep-Alive: timeout=5\r\nX-Mine: secret\r\n\r\nwell")
		}
	})
	s := newStand(t, nil)
	c := s.client()
	r := bufio.NewReader(c)
	for i := range 10 {
		method, body := "GET", ""
		if i%2 == 1 {
			method, body = "POST", "Content-Length: 2\r\n\r\nhi"
		} else {
			body = "Connection: keep-alive\r\n\r\n"
		}
		tell(t, c, method+" http://"+web+"/ HTTP/1.1\r\nHost: x\r\n"+body)
		a := s.readFrom(c, r, false)
		if a.StatusCode != 200 || a.body != "well" || a.Close {
			t.Errorf("%d: got %s %q, close %v", i, a.Status, a.body, a.Close)
		}
		for _, name := range []string{"Connection", "Keep-Alive", "X-Mine"} {
			if v := a.Header.Get(name); v != "" {
				t.Errorf("%s: %s is for the proxy, not for the client", name, v)
			}
		}
		rec := s.expect(inspect.FaultOK)
		if rec.TCP.Reused != (i > 0) || rec.TCP.Addr != web || (rec.DNS == nil) != (i > 0) || rec.HTTP.Method != method {
			t.Errorf("%d: recorded as %+v, %+v, %s", i, rec.TCP, rec.DNS, rec.HTTP.Method)
		}
		if *rec.HTTPReached != true || rec.Timing.FirstByte == nil || (rec.Timing.Connect == nil) != (i > 0) {
			t.Errorf("%d: reached %v, timing %+v", i, *rec.HTTPReached, rec.Timing)
		}
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections to the server", n)
	}
	c.Close()
	// A kept connection that is dead is replaced without a word.
	s.server.tr.CloseIdleConnections()
	if a := s.ask(get("http://" + web + "/")); a.StatusCode != 200 {
		t.Errorf("got %s", a.Status)
	}
	if rec := s.expect(inspect.FaultOK); rec.TCP.Reused {
		t.Error("a new connection is called reused")
	}
}

// What the client says arrives, but for what is between it and the proxy.
func TestPlainRequestFields(t *testing.T) {
	heardFields := make(chan http.Header, 1)
	web := website(t, func(w http.ResponseWriter, r *http.Request) { heardFields <- r.Header })
	s := newStand(t, nil)
	s.ask(get("http://"+web+"/",
		"Proxy-Authorization: Basic c2VjcmV0", "Proxy-Connection: keep-alive", "Connection: close, X-Private", "X-Private: 1", "Keep-Alive: 300",
		"TE: trailers, deflate", "Upgrade: h2c", "Accept-Encoding: br, gzip", "Cookie: a=b", "Authorization: Basic eA==", "X-Public: 1"))
	got := <-heardFields
	want := http.Header{"Accept-Encoding": {"br, gzip"}, "Cookie": {"a=b"}, "Authorization": {"Basic eA=="}, "X-Public": {"1"}, "Te": {"trailers"}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the server heard\n got %v\nwant %v", got, want)
	}
	s.expect(inspect.FaultOK)
}

// A record tells where, not what was said there.
func TestPlainRedacted(t *testing.T) {
	web := website(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "http://user:s3cret@other.test/?token=s3cret&b#s3cret")
		w.Header().Set("Set-Cookie", "s3cret")
		w.WriteHeader(302)
		_, _ = io.WriteString(w, "s3cret")
	})
	s := newStand(t, nil)
	a := s.ask(get("http://user:s3cret@"+web+"/path?q=s3cret&r=s3cret", "Cookie: s3cret", "Authorization: s3cret"))
	if a.StatusCode != 302 || !strings.Contains(a.Header.Get("Location"), "token=s3cret") {
		t.Errorf("the redirect was not passed on: %s, %v", a.Status, a.Header)
	}
	r := s.expect(inspect.FaultOK)
	noCredentials(t, r, &url.URL{User: url.UserPassword("user", "s3cret")})
	if r.URL != "http://"+web+"/path?q=&r=" || r.HTTP.Location != "http://other.test/?token=&b=" {
		t.Errorf("recorded: %s, %s", r.URL, r.HTTP.Location)
	}
	bad := serving(t, answers("HTTP/1.1 302 Found\r\nLocation: http://other.test:x/?s3cret\r\nContent-Length: 0\r\n\r\n"))
	s.ask(get("http://" + bad + "/"))
	r = s.expect("http-redirect-invalid")
	noCredentials(t, r, &url.URL{User: url.UserPassword("user", "s3cret")})
}

// answers answers a request with words as they are, and hangs up.
func answers(words string) func(*net.TCPConn) {
	return func(c *net.TCPConn) {
		head(c)
		_, _ = io.WriteString(c, words)
		_ = c.CloseWrite()
		hold(c)
	}
}

// Responses come through as they are.
func TestPlainResponses(t *testing.T) {
	tests := []struct {
		name, says string
		head       bool
		check      func(t *testing.T, a *heard)
		fault      string
	}{
		{"lengthy", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell", false, nil, "ok"},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwell\r\n0\r\n\r\n", false, nil, "ok"},
		{"to the end", "HTTP/1.1 200 OK\r\n\r\nwell", false, nil, "ok"},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nwell", false, nil, "ok"},
		{"no type is guessed", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", false, func(t *testing.T, a *heard) {
			if v, ok := a.Header["Content-Type"]; ok || a.body != "<html>" {
				t.Errorf("got %q, type %q", a.body, v)
			}
		}, "ok"},
		{"compressed", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nxxxx", false, func(t *testing.T, a *heard) {
			if a.Header.Get("Content-Encoding") != "gzip" || a.body != "xxxx" {
				t.Errorf("got %q, %v", a.body, a.Header)
			}
		}, "ok"},
		{"trailers", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Sum\r\n\r\n4\r\nwell\r\n0\r\nSum: 42\r\n\r\n", false, func(t *testing.T, a *heard) {
			if a.Trailer.Get("Sum") != "42" {
				t.Errorf("trailers: %v", a.Trailer)
			}
		}, "ok"},
		{"head", "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n", true, func(t *testing.T, a *heard) {
			if a.ContentLength != 1234 || a.body != "" {
				t.Errorf("got length %d, %q", a.ContentLength, a.body)
			}
		}, "ok"},
		{"no content", "HTTP/1.1 204 No Content\r\n\r\n", false, func(t *testing.T, a *heard) {
			if a.StatusCode != 204 || a.body != "" || len(a.TransferEncoding) > 0 {
				t.Errorf("got %s, %q, %v", a.Status, a.body, a.TransferEncoding)
			}
		}, "ok"},
		{"not modified", "HTTP/1.1 304 Not Modified\r\nETag: x\r\nContent-Length: 7\r\n\r\n", false, func(t *testing.T, a *heard) {
			if a.StatusCode != 304 || a.Header.Get("ETag") != "x" || a.body != "" {
				t.Errorf("got %s, %q", a.Status, a.body)
			}
		}, "ok"},
		{"empty", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, func(t *testing.T, a *heard) {
			if a.ContentLength != 0 {
				t.Errorf("length %d", a.ContentLength)
			}
		}, "ok"},
		{"redirect", "HTTP/1.1 301 Moved\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n", false, func(t *testing.T, a *heard) {
			if a.StatusCode != 301 || a.Header.Get("Location") != "/there" {
				t.Errorf("got %s, %v", a.Status, a.Header)
			}
		}, "ok"},
	}
	for _, status := range []struct {
		code  int
		fault string
	}{
		{400, "http-4xx-other"}, {401, "http-401"}, {403, "http-403"}, {404, "http-404"}, {407, "http-4xx-other"}, {418, "http-4xx-other"},
		{421, "http-421"}, {429, "http-429"}, {431, "http-431"}, {443, "http-status-unregistered"}, {451, "http-4xx-other"}, {499, "http-status-unregistered"},
		{500, "http-500"}, {501, "http-5xx-other"}, {502, "http-502"}, {503, "http-503"}, {504, "http-504"}, {520, "http-status-unregistered"}, {999, "http-status-unregistered"},
	} {
		tests = append(tests, struct {
			name, says string
			head       bool
			check      func(t *testing.T, a *heard)
			fault      string
		}{fmt.Sprint("status ", status.code), fmt.Sprintf("HTTP/1.1 %d Reason\r\nContent-Length: 4\r\n\r\nbody", status.code), false, func(t *testing.T, a *heard) {
			if a.StatusCode != status.code || a.body != "body" {
				t.Errorf("got %s %q", a.Status, a.body)
			}
		}, status.fault})
	}
	s := newStand(t, nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			words := get("http://" + serving(t, answers(tt.says)) + "/")
			if tt.head {
				words = "HEAD" + strings.TrimPrefix(words, "GET")
			}
			a := s.ask(words)
			if a.err != nil {
				t.Errorf("the body ended with %v", a.err)
			}
			if tt.check != nil {
				tt.check(t, a)
			} else if a.body != "well" {
				t.Errorf("got %s %q", a.Status, a.body)
			}
			if r := s.expect(tt.fault); r.HTTP.Status != a.StatusCode || !*r.HTTPReached {
				t.Errorf("recorded: %d, reached %v", r.HTTP.Status, *r.HTTPReached)
			}
		})
	}
}

// What is wrong with an answer is told, and a broken one breaks off.
func TestPlainFaults(t *testing.T) {
	refused := closed(t, "127.0.0.1:0").String()
	s := newStand(t, nil)
	rst := func(words string) func(*net.TCPConn) {
		return func(c *net.TCPConn) {
			head(c)
			_, _ = io.WriteString(c, words)
			_ = awaitSent(c)
			_ = c.SetLinger(0)
		}
	}
	long := "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", maxResponseHead+64<<10) + "\r\n\r\n"
	t.Run("refusals", func(t *testing.T) {
		for _, tt := range []struct {
			name, url   string
			do          func(*net.TCPConn)
			status      int
			kind, fault string
		}{
			{"unknown name", "http://nothing.test/", nil, 404, "dns_error", "dns-nxdomain"},
			{"invalid name", "http://a_b..test/", nil, 404, "http_request_error", "dns-invalid-name"},
			{"refused", "http://" + refused + "/", nil, 502, "connection_refused", "tcp-refused"},
			{"self", "http://" + s.addr + "/", nil, 403, "proxy_loop_detected", "client-proxy-loop"},
			{"https without a tunnel", "https://site.test/", nil, 400, "http_request_error", "client-proxy-misconfigured"},
			{"another scheme", "ftp://site.test/", nil, 400, "http_request_error", "client-proxy-misconfigured"},
			{"no host", "http:///path", nil, 400, "http_request_error", "client-proxy-misconfigured"},
			{"port too large", "http://site.test:99999/", nil, 400, "http_request_error", "client-proxy-misconfigured"},
			{"no HTTP", "", answers("SSH-2.0-OpenSSH\r\n"), 502, "http_protocol_error", "http-malformed-response"},
			{"malformed status", "", answers("HTTP/1.1 abc OK\r\n\r\n"), 502, "http_protocol_error", "http-malformed-response"},
			{"status too small", "", answers("HTTP/1.1 099 OK\r\n\r\n"), 502, "http_protocol_error", "http-malformed-response"},
			{"two lengths", "", answers("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"), 502, "http_protocol_error", "http-malformed-response"},
			{"malformed field", "", answers("HTTP/1.1 200 OK\r\n: x\r\n\r\n"), 502, "http_protocol_error", "http-malformed-response"},
			{"head broken off", "", answers("HTTP/1.1 200 OK\r\nContent-"), 502, "http_protocol_error", "http-malformed-response"},
			{"nothing", "", answers(""), 502, "http_response_incomplete", "http-empty-response"},
			{"reset instead", "", rst(""), 502, "connection_terminated", "tcp-reset-mid-transfer"},
			{"huge head", "", answers(long), 502, "http_response_header_section_size", "http-header-too-large"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				if tt.do != nil {
					tt.url = "http://" + serving(t, tt.do) + "/"
				}
				checkRefusal(t, s.ask(get(tt.url)), tt.status, tt.kind, tt.fault)
				r := s.expect(tt.fault)
				if *r.HTTPReached || r.Codes.ChromiumShown != "" || r.URL == "" && tt.name != "no host" {
					t.Errorf("recorded: reached %v, shown %q, URL %q", *r.HTTPReached, r.Codes.ChromiumShown, r.URL)
				}
			})
		}
	})
	t.Run("broken off", func(t *testing.T) {
		for _, tt := range []struct {
			name  string
			do    func(*net.TCPConn)
			end   string
			fault string
		}{
			{"length", answers("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbeginning"), "eof", "http-body-truncated"},
			{"chunks", answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nbeginning\r\n"), "eof", "http-body-truncated"},
			{"in a chunk", answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20\r\nbeginning"), "eof", "http-body-truncated"},
			{"bad chunk", answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nbeginning\r\nxyz\r\n"), "eof", "http-chunked-invalid"},
			{"reset, length", rst("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbeginning"), "reset", "tcp-reset-mid-transfer"},
			{"reset, chunks", rst("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nbeginning\r\n"), "reset", "tcp-reset-mid-transfer"},
			{"reset, to the end", rst("HTTP/1.1 200 OK\r\n\r\nbeginning"), "reset", "tcp-reset-mid-transfer"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				a := s.ask(get("http://" + serving(t, tt.do) + "/"))
				if a.StatusCode != 200 || a.body != "beginning" {
					t.Errorf("got %s, %q", a.Status, a.body)
				}
				switch {
				case a.err == nil:
					t.Error("the client got a polite end")
				case isReset(a.err) != (tt.end == "reset"):
					t.Errorf("the client met %v, want %s", a.err, tt.end)
				}
				if r := s.expect(tt.fault); r.HTTP.Body != 9 {
					t.Errorf("%d bytes are recorded", r.HTTP.Body)
				}
			})
		}
	})
}

// What is said before the answer is passed on.
func TestPlainInformed(t *testing.T) {
	web := serving(t, answers("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </b.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell"))
	s := newStand(t, nil)
	var hints []string
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		hints = append(hints, fmt.Sprint(code, h["Link"]))
		return nil
	}})
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+web+"/", nil)
	must(t, err)
	resp, err := s.browser().Do(req)
	must(t, err)
	b, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if string(b) != "well" || resp.Header.Get("Link") != "" || !slices.Equal(hints, []string{"103 [</a.css>]", "103 [</b.css>]"}) {
		t.Errorf("got %q, %v, hints %q", b, resp.Header, hints)
	}
	s.expect(inspect.FaultOK)
}

// A body that waits for leave to be sent is sent when there is leave.
func TestPlainExpectContinue(t *testing.T) {
	s := newStand(t, nil)
	yes := website(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%d", len(b))
	})
	req, err := http.NewRequest("POST", "http://"+yes+"/", strings.NewReader("body"))
	must(t, err)
	req.Header.Set("Expect", "100-continue")
	resp, err := s.browser().Do(req)
	must(t, err)
	b, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if string(b) != "4" {
		t.Errorf("got %q", b)
	}
	s.expect(inspect.FaultOK)

	no := serving(t, func(c *net.TCPConn) {
		head(c)
		_, _ = io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		hold(c)
	})
	a := s.ask("POST http://" + no + "/ HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
	if a.StatusCode != 413 {
		t.Errorf("got %s", a.Status)
	}
	s.expect("http-4xx-other")
}

// The first event of a stream comes at once, and before it the head.
func TestPlainStreams(t *testing.T) {
	for _, kind := range []string{"text/event-stream", "text/plain", ""} {
		t.Run(kind, func(t *testing.T) {
			next := make(chan struct{})
			web := website(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", kind)
				flush := http.NewResponseController(w).Flush
				_ = flush()
				for range 3 {
					select {
					case <-next:
					case <-r.Context().Done():
						return
					}
					_, _ = io.WriteString(w, "event")
					_ = flush()
				}
			})
			s := newStand(t, nil)
			c := s.client()
			tell(t, c, get("http://"+web+"/"))
			r := bufio.NewReader(c)
			resp, err := http.ReadResponse(r, nil) // before there is an event
			must(t, err)
			for range 3 {
				next <- struct{}{}
				heardWords(t, resp.Body, "event")
			}
			if rest, err := io.ReadAll(resp.Body); len(rest) > 0 || err != nil {
				t.Errorf("at the end: %q, %v", rest, err)
			}
			s.expect(inspect.FaultOK)
		})
	}
}

// Large bodies pass exactly, both ways, and are not kept.
func TestPlainLarge(t *testing.T) {
	const size = 64 << 20
	stream := func() io.Reader { return io.LimitReader(rand.NewChaCha8([32]byte{1}), size) }
	sum := sha256.New()
	_, _ = io.Copy(sum, stream())
	want := fmt.Sprintf("%x", sum.Sum(nil))
	web := website(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			h := sha256.New()
			_, _ = io.Copy(h, r.Body)
			fmt.Fprintf(w, "%x", h.Sum(nil))
			return
		}
		if r.URL.Path == "/length" {
			w.Header().Set("Content-Length", fmt.Sprint(size))
		}
		_, _ = io.Copy(w, stream())
	})
	s := newStand(t, nil)
	client := s.browser()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for _, path := range []string{"/length", "/chunked"} {
		resp, err := client.Get("http://" + web + path)
		must(t, err)
		h := sha256.New()
		_, err = io.Copy(h, resp.Body)
		resp.Body.Close()
		if got := fmt.Sprintf("%x", h.Sum(nil)); got != want || err != nil {
			t.Errorf("download %s: %s, %v", path, got, err)
		}
		if r := s.expect(inspect.FaultOK); r.HTTP.Body != size {
			t.Errorf("%d bytes are recorded", r.HTTP.Body)
		}
	}
	for _, length := range []int64{size, -1} {
		req, err := http.NewRequest("POST", "http://"+web+"/", io.NopCloser(stream()))
		must(t, err)
		req.ContentLength = length
		resp, err := client.Do(req)
		must(t, err)
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(got) != want || err != nil {
			t.Errorf("upload: %s, %v", got, err)
		}
		s.expect(inspect.FaultOK)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > size/2 {
		t.Errorf("%d MiB were allocated for %d MiB", used>>20, 4*size>>20)
	}
}

// A WebSocket works through the proxy itself too, frames that come together
// with the handshake included, and ends when either side ends it.
func TestPlainWebSocket(t *testing.T) {
	for _, end := range []string{"client", "server", "faultline"} {
		t.Run(end, func(t *testing.T) {
			leave := make(chan struct{})
			web := serving(t, func(c *net.TCPConn) {
				go func() { <-leave; _ = c.CloseRead() }()
				upgrading(c)
			})
			s := newStand(t, nil)
			c := s.client()
			tell(t, c, upgrade("http://"+web+"/", web)+"first")
			r := bufio.NewReader(c)
			resp, err := http.ReadResponse(r, nil)
			must(t, err)
			if resp.StatusCode != 101 || resp.Header.Get("Upgrade") != "websocket" || !strings.EqualFold(resp.Header.Get("Connection"), "upgrade") {
				t.Errorf("got %s, %v", resp.Status, resp.Header)
			}
			heardWords(t, r, "server")
			heardWords(t, r, "first")
			tell(t, c, "second")
			heardWords(t, r, "second")
			switch end {
			case "client":
				c.Close()
			case "server":
				close(leave)
			case "faultline":
				s.end()
			}
			if end != "client" {
				if _, err := io.Copy(io.Discard, r); err != nil && !isReset(err) {
					t.Errorf("the client waits on: %v", err)
				}
			}
			if end != "server" {
				close(leave)
			}
			if r := s.expect(inspect.FaultOK); r.HTTP.Status != 101 || r.HTTP.Upgrade != "websocket" {
				t.Errorf("recorded: %+v", r.HTTP)
			}
		})
	}
	t.Run("refused", func(t *testing.T) {
		s := newStand(t, nil)
		web := website(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(403) })
		if a := s.ask(upgrade("http://"+web+"/", web)); a.StatusCode != 403 {
			t.Errorf("got %s", a.Status)
		}
		s.expect("http-403")
	})
}

// Behind an upstream proxy a plain request is sent to it as it is, with our
// credentials and never the client's.
func TestPlainUpstream(t *testing.T) {
	requests := make(chan *http.Request, 8)
	proxy := website(t, func(w http.ResponseWriter, r *http.Request) {
		requests <- r
		switch r.URL.Path {
		case "/auth":
			w.Header().Set("Proxy-Authenticate", `Basic realm="s3cret"`)
			w.WriteHeader(407)
		case "/forbidden":
			w.WriteHeader(403)
		}
		fmt.Fprint(w, "well")
	})
	u := &url.URL{Scheme: "http", Host: proxy, User: url.UserPassword("user", "s3cret")}
	s := upstreamStand(t, u)
	for i, path := range []string{"/", "/again", "/forbidden"} {
		a := s.ask(get("http://site.test"+path, "Proxy-Authorization: Basic b3RoZXI="))
		r := <-requests
		if r.Method != "GET" || r.RequestURI != "http://site.test"+path || r.Host != "site.test" || r.Header.Get("Proxy-Authorization") != "Basic dXNlcjpzM2NyZXQ=" {
			t.Errorf("the proxy heard %s %s, %v", r.Method, r.RequestURI, r.Header)
		}
		if a.body != "well" {
			t.Errorf("got %s %q", a.Status, a.body)
		}
		rec := s.expect([]string{"ok", "ok", "http-403"}[i])
		if rec.Chain != proxy || rec.TCP.Reused != (i > 0) {
			t.Errorf("recorded: %s, %+v", rec.Chain, rec.TCP)
		}
		noCredentials(t, rec, u)
	}
	a := s.ask(get("http://site.test/auth"))
	checkRefusal(t, a, 502, "http_request_denied", "http-upstream-proxy-auth")
	if a.Header.Get("Proxy-Authenticate") != "" {
		t.Error("the client is asked for credentials it cannot give")
	}
	rec := s.expect("http-upstream-proxy-auth")
	checkWhy(t, rec, "407")
	noCredentials(t, rec, u)
	<-requests
	for _, host := range []string{s.addr, "[::ffff:" + strings.Replace(s.addr, ":", "]:", 1)} { // it would send that back to us
		checkRefusal(t, s.ask(get("http://"+host+"/")), 403, "proxy_loop_detected", "client-proxy-loop")
		s.expect("client-proxy-loop")
	}
}

func TestPlainUpstreamBroken(t *testing.T) {
	for _, tt := range []struct {
		name, fault, why string
		host             string
	}{
		{"refused", "tcp-upstream-proxy-failed", "refused", closed(t, "127.0.0.1:0").String()},
		{"garbage", "tcp-upstream-proxy-failed", "SSH-2.0", serving(t, answers("SSH-2.0-x\r\n"))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u := &url.URL{Scheme: "http", Host: tt.host, User: url.UserPassword("user", "s3cret")}
			s := upstreamStand(t, u)
			if a := s.ask(get("http://site.test/")); a.StatusCode != 502 {
				t.Errorf("got %s", a.Status)
			}
			r := s.expect(tt.fault)
			checkWhy(t, r, tt.why)
			noCredentials(t, r, u)
		})
	}
}

// A client that sends its body wrongly is told so, and the site is not blamed.
func TestPlainBadUpload(t *testing.T) {
	web := website(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	s := newStand(t, nil)
	a := s.ask("POST http://" + web + "/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n")
	checkRefusal(t, a, 400, "http_request_error", "client-proxy-misconfigured")
	s.expect("client-proxy-misconfigured")
}

// A request for which another's connection became free shows that connection,
// and not the one that was dialled for it in vain.
func TestPlainOtherConnection(t *testing.T) {
	first, answer := make(chan struct{}, 8), make(chan struct{})
	free := make(chan struct{})
	web := website(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/first" {
			first <- struct{}{}
			<-free
		}
	})
	var asked atomic.Int64
	s := newStand(t, func(s *stand) {
		s.name("site.test", "192.0.2.1", web)
		for _, kind := range []string{"site.test A", "site.test AAAA"} {
			then := s.names[kind]
			s.names[kind] = func(q query) []byte {
				if asked.Add(1) > 2 { // the second lookup
					first <- struct{}{}
					<-answer
					return code(3)(q)
				}
				return then(q)
			}
		}
	})
	one, two := s.client(), s.client()
	tell(t, one, get("http://site.test/first"))
	<-first
	tell(t, two, get("http://site.test/second"))
	<-first // its own connection is being dialled, and will fail
	close(free)
	s.read(one, false)
	if a := s.read(two, false); a.StatusCode != 200 {
		t.Errorf("got %s", a.Status)
	}
	close(answer)
	for range 2 {
		if r := s.expect(inspect.FaultOK); r.TCP == nil || r.TCP.Reused != strings.HasSuffix(r.URL, "second") {
			t.Errorf("%s: recorded as %+v", r.URL, r.TCP)
		}
	}
}

func TestPlainRedact(t *testing.T) {
	for in, want := range map[string]string{
		"http://a/":                             "http://a/",
		"http://user:pass@a/p?x=1&y=2&z#frag":   "http://a/p?x=&y=&z=",
		"http://a/?" + strings.Repeat("x&", 30): "http://a/?" + strings.TrimSuffix(strings.Repeat("x=&", 20), "&"),
		"http://a/?a=b=c;d":                     "http://a/?a=",
	} {
		u, err := url.Parse(in)
		must(t, err)
		if got := redact(u); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}
