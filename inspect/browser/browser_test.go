package browser

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quietLog is for servers whose clients are meant to fail.
var quietLog = log.New(io.Discard, "", 0)

// issuer is a certificate authority of the test.
type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newIssuer(t testing.TB, name string) *issuer {
	t.Helper()
	ca := &issuer{key: newKey(t)}
	ca.cert = ca.sign(t, ca.key, &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             time.Now().Add(-48 * time.Hour),
		NotAfter:              time.Now().Add(48 * time.Hour),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	})
	return ca
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sign makes a certificate for key; the first an issuer signs is its own.
func (ca *issuer) sign(t testing.TB, key *ecdsa.PrivateKey, c *x509.Certificate) *x509.Certificate {
	t.Helper()
	c.SerialNumber, _ = rand.Int(rand.Reader, big.NewInt(1<<62))
	parent := ca.cert
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	c, err = x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// leaf makes a server's certificate for localhost and 127.0.0.1, which change
// may alter.
func (ca *issuer) leaf(t testing.TB, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	c := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "test"},
		DNSNames:    []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:   time.Now().Add(-24 * time.Hour),
		NotAfter:    time.Now().Add(24 * time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if change != nil {
		change(c)
	}
	key := newKey(t)
	return tls.Certificate{Certificate: [][]byte{ca.sign(t, key, c).Raw}, PrivateKey: key}
}

// site is a server with certificate c that speaks HTTPS.
func site(t testing.TB, c tls.Certificate, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{c}}
	s.Config.ErrorLog = quietLog
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// tcp is a server that does as it is told with each connection, after the
// client's first bytes.
func tcp(t testing.TB, serve func(net.Conn)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(10 * time.Second))
				if _, err := c.Read(make([]byte, 64<<10)); err == nil {
					serve(c)
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); open.Wait() })
	return l.Addr().String()
}

// proxy is the smallest forward proxy: CONNECT and plain GET, 502 when it
// cannot connect, and ends of connections passed on as they came.
func proxy(t testing.TB, route func(host string) string) (addr string, seen func() []string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var open sync.WaitGroup
	var mu sync.Mutex
	var asked []string
	open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer c.Close()
				defer context.AfterFunc(ctx, func() { c.Close() })()
				in := bufio.NewReader(c)
				r, err := http.ReadRequest(in)
				if err != nil {
					return
				}
				mu.Lock()
				asked = append(asked, r.Method+" "+r.Host)
				mu.Unlock()
				to := r.Host
				if route != nil {
					to = route(r.Host)
				}
				up, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", to)
				if err != nil {
					io.WriteString(c, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 6\r\nConnection: close\r\n\r\nfailed")
					return
				}
				defer up.Close()
				defer context.AfterFunc(ctx, func() { up.Close() })()
				if r.Method == http.MethodConnect {
					io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
				} else {
					r.Header.Set("Connection", "close")
					r.Write(up)
				}
				var both sync.WaitGroup
				both.Go(func() { io.Copy(up, in); up.(*net.TCPConn).CloseWrite() })
				if _, err := io.Copy(c, up); err != nil {
					c.(*net.TCPConn).SetLinger(0)
				}
				c.Close()
				both.Wait()
			})
		}
	})
	t.Cleanup(func() { cancel(); l.Close(); open.Wait() })
	return l.Addr().String(), func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string(nil), asked...)
	}
}

func start(t testing.TB, k Kind, o Options) *Browser {
	t.Helper()
	o.Path, o.Headless, o.Quiet = Need(t, k), true, true
	begun := time.Now()
	b, err := Start(t.Context(), k, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("started in %v", time.Since(begun).Round(time.Millisecond))
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func visit(t testing.TB, b *Browser, url string) Visit {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	v, err := b.Visit(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func hello(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	io.WriteString(w, "<title>Greeting</title><p>Hello")
}

// TestCodes holds what the browsers say of each fault, directly and through a
// proxy.
func TestCodes(t *testing.T) {
	ca, other := newIssuer(t, "trusted root"), newIssuer(t, "other root")
	plain := httptest.NewServer(http.HandlerFunc(hello))
	t.Cleanup(plain.Close)
	closed := httptest.NewServer(nil)
	closed.Close()
	refused := closed.Listener.Addr().String()

	type said struct{ code, page, shown string }
	cases := []struct {
		name     string
		url      string
		status   int
		text     string // in what the browser shows; of Chromium for errors
		chromium said
		firefox  said
		// via is what changes behind a proxy.
		viaChromium, viaFirefox *said
	}{
		{
			name: "good", status: 200, text: "Hello",
			url: site(t, ca.leaf(t, nil), hello).URL,
		},
		{
			name: "404 with a body", status: 404, text: "nothing here",
			url: site(t, ca.leaf(t, nil), func(w http.ResponseWriter, r *http.Request) { http.Error(w, "nothing here", 404) }).URL,
		},
		{
			name: "expired", text: "ERR_CERT_DATE_INVALID",
			url:      site(t, ca.leaf(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) }), hello).URL,
			chromium: said{code: "ERR_CERT_DATE_INVALID"},
			firefox:  said{"SEC_ERROR_EXPIRED_CERTIFICATE", "nssBadCert", "SEC_ERROR_EXPIRED_CERTIFICATE"},
		},
		{
			name: "unknown issuer", text: "ERR_CERT_AUTHORITY_INVALID",
			url:      site(t, other.leaf(t, nil), hello).URL,
			chromium: said{code: "ERR_CERT_AUTHORITY_INVALID"},
			firefox:  said{"SEC_ERROR_UNKNOWN_ISSUER", "nssBadCert", "SEC_ERROR_UNKNOWN_ISSUER"},
		},
		{
			name: "wrong name", text: "ERR_CERT_COMMON_NAME_INVALID",
			url:      site(t, ca.leaf(t, func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = []string{"other.example"}, nil }), hello).URL,
			chromium: said{code: "ERR_CERT_COMMON_NAME_INVALID"},
			firefox:  said{"SSL_ERROR_BAD_CERT_DOMAIN", "nssBadCert", "SSL_ERROR_BAD_CERT_DOMAIN"},
		},
		{
			name: "refused", text: "ERR_",
			url:         "https://" + refused,
			chromium:    said{code: "ERR_CONNECTION_REFUSED"},
			firefox:     said{"NS_ERROR_CONNECTION_REFUSED", "connectionFailure", ""},
			viaChromium: &said{code: "ERR_TUNNEL_CONNECTION_FAILED"},
			viaFirefox:  &said{"NS_ERROR_PROXY_BAD_GATEWAY", "connectionFailure", ""},
		},
		{
			name: "reset after hello", text: "ERR_CONNECTION_RESET",
			url:      "https://" + tcp(t, func(c net.Conn) { c.(*net.TCPConn).SetLinger(0) }),
			chromium: said{code: "ERR_CONNECTION_RESET"},
			firefox:  said{"NS_ERROR_NET_RESET", "nssFailure2", "PR_CONNECT_RESET_ERROR"},
		},
		{
			name: "plaintext on the TLS port", text: "ERR_SSL_PROTOCOL_ERROR",
			url:      strings.Replace(plain.URL, "http:", "https:", 1),
			chromium: said{code: "ERR_SSL_PROTOCOL_ERROR"},
			firefox:  said{"SSL_ERROR_RX_RECORD_TOO_LONG", "nssFailure2", "SSL_ERROR_RX_RECORD_TOO_LONG"},
		},
		{
			name: "alert 40", text: "ERR_SSL_VERSION_OR_CIPHER_MISMATCH",
			url:      "https://" + tcp(t, func(c net.Conn) { c.Write([]byte{21, 3, 3, 0, 2, 2, 40}) }),
			chromium: said{code: "ERR_SSL_VERSION_OR_CIPHER_MISMATCH"},
			firefox:  said{"SSL_ERROR_NO_CYPHER_OVERLAP", "nssFailure2", "SSL_ERROR_NO_CYPHER_OVERLAP"},
		},
	}
	for _, k := range []Kind{Chromium, Firefox} {
		for _, way := range []string{"direct", "proxied"} {
			t.Run(fmt.Sprint(k, " ", way), func(t *testing.T) {
				o := Options{Roots: [][]byte{ca.cert.Raw}}
				asked := func() []string { return nil }
				if way == "proxied" {
					o.Proxy, asked = proxy(t, nil)
				}
				b := start(t, k, o)
				for _, c := range cases {
					t.Run(c.name, func(t *testing.T) {
						want := c.firefox
						if k == Chromium {
							want = c.chromium
						}
						if via := c.viaChromium; via != nil && k == Chromium && way == "proxied" {
							want = *via
						}
						if via := c.viaFirefox; via != nil && k == Firefox && way == "proxied" {
							want = *via
						}
						v := visit(t, b, c.url)
						t.Logf("%s after %v", v.Code, v.Took.Round(time.Millisecond))
						if got := (said{v.Code, v.Page, v.Shown}); got != want {
							t.Errorf("it said %q, want %q", got, want)
						}
						if v.Status != c.status {
							t.Errorf("status %d, want %d", v.Status, c.status)
						}
						if c.status == 200 && v.Title != "Greeting" {
							t.Errorf("title %q", v.Title)
						}
						if len(v.Requests) == 0 || !strings.HasPrefix(v.Requests[0].URL, c.url) || v.Requests[0].Code != v.Code || v.Requests[0].Status != v.Status {
							t.Errorf("requests: %+v", v.Requests)
						}
						text, err := b.Text(t.Context())
						if err != nil {
							t.Error(err)
						}
						if want := c.text; (k == Chromium || c.status != 0) && !strings.Contains(text, want) || text == "" {
							t.Errorf("shows %q, want it to contain %q", text, want)
						}
						png, err := b.Screenshot(t.Context())
						if err != nil || !bytes.HasPrefix(png, []byte("\x89PNG")) {
							t.Errorf("screenshot: %d bytes, %v", len(png), err)
						}
						if dir := os.Getenv("FAULTLINE_SCREENSHOTS"); dir != "" {
							os.WriteFile(filepath.Join(dir, strings.ReplaceAll(t.Name(), "/", "_")+".png"), png, 0o644)
						}
						t.Logf("shows %.300q", text)
					})
				}
				for _, a := range asked() {
					if !strings.Contains(a, "127.0.0.1") {
						t.Errorf("quiet, it asked for %s", a)
					}
				}
			})
		}
	}
}

// each runs a test with both kinds of browser.
func each(t *testing.T, test func(t *testing.T, k Kind)) {
	for _, k := range []Kind{Chromium, Firefox} {
		t.Run(string(k), func(t *testing.T) { test(t, k) })
	}
}

// TestVisitsShareNothing loads one site three times: each visit has to come
// over a connection of its own, without cookies, tickets or HSTS.
func TestVisitsShareNothing(t *testing.T) {
	ca := newIssuer(t, "trusted root")
	each(t, func(t *testing.T, k Kind) {
		conns := make(map[string]bool)
		var mu sync.Mutex
		secure := site(t, ca.leaf(t, func(c *x509.Certificate) { c.DNSNames = []string{"site.test"} }), func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if r.URL.Path != "/" {
				return // the icon
			}
			if conns[r.RemoteAddr] {
				t.Error("a connection was used for two visits")
			}
			conns[r.RemoteAddr] = true
			if r.TLS.DidResume {
				t.Error("a TLS session was resumed")
			}
			if c := r.Header.Get("Cookie"); c != "" {
				t.Errorf("cookie %q", c)
			}
			w.Header().Set("Strict-Transport-Security", "max-age=31536000")
			w.Header().Set("Cache-Control", "max-age=3600")
			http.SetCookie(w, &http.Cookie{Name: "a", Value: "b", MaxAge: 3600})
			hello(w, r)
		})
		plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "plain") }))
		defer plain.Close()
		addr, _ := proxy(t, func(host string) string {
			if host == "site.test:443" {
				return secure.Listener.Addr().String()
			}
			return plain.Listener.Addr().String()
		})
		b := start(t, k, Options{
			Proxy: addr,
			Roots: [][]byte{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw})},
			Prefs: map[string]any{"dom.security.https_first": false},
		})
		for range 3 {
			if v := visit(t, b, "https://site.test/"); v.Code != "" || v.Status != 200 {
				t.Errorf("visit: %+v", v)
			}
		}
		mu.Lock()
		if len(conns) != 3 {
			t.Errorf("%d connections, want 3", len(conns))
		}
		mu.Unlock()
		if v := visit(t, b, "http://site.test"); len(v.Requests) == 0 || v.Requests[0].URL != "http://site.test/" {
			t.Errorf("HSTS was remembered: %+v", v)
		}
	})
}

// TestUpgradeFallsBack: Chromium tries https first for http addresses of the
// public web, and shows the page over http where that fails. The failure is no
// answer. Firefox does so only for addresses without a scheme, and for links.
func TestUpgradeFallsBack(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(hello))
	defer plain.Close()
	each(t, func(t *testing.T, k Kind) {
		addr, asked := proxy(t, func(host string) string {
			if host == "site.example.com" {
				return plain.Listener.Addr().String()
			}
			return "127.0.0.1:1"
		})
		b := start(t, k, Options{Proxy: addr})
		v := visit(t, b, "http://site.example.com/")
		if v.Code != "" || v.Status != 200 || v.Title != "Greeting" {
			t.Errorf("got %+v", v)
		}
		t.Logf("%+v; the proxy was asked for %q", v, asked())
	})
}

// TestIntermediateIsForgotten: a chain that lacks its intermediate must not
// pass because an earlier visit has shown it.
func TestIntermediateIsForgotten(t *testing.T) {
	root, inter := newIssuer(t, "root"), &issuer{key: newKey(t)}
	inter.cert = root.sign(t, inter.key, &x509.Certificate{
		Subject:               pkix.Name{CommonName: "intermediate"},
		NotBefore:             time.Now().Add(-24 * time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	})
	whole, lacking := inter.leaf(t, nil), inter.leaf(t, nil)
	whole.Certificate = append(whole.Certificate, inter.cert.Raw)
	each(t, func(t *testing.T, k Kind) {
		b := start(t, k, Options{Roots: [][]byte{root.cert.Raw}})
		good, bad := site(t, whole, hello), site(t, lacking, hello)
		for range 3 {
			if v := visit(t, b, good.URL); v.Code != "" {
				t.Errorf("whole chain: %q", v.Code)
			}
			v := visit(t, b, bad.URL)
			if v.Code != "ERR_CERT_AUTHORITY_INVALID" && v.Code != "SEC_ERROR_UNKNOWN_ISSUER" {
				t.Errorf("without the intermediate: %q", v.Code)
			}
		}
	})
}

// TestContents holds what is said of loads that get an answer.
func TestContents(t *testing.T) {
	h := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/redirect":
			http.Redirect(w, r, "/target", http.StatusFound)
		case "/parts":
			io.WriteString(w, `<title>Parts</title><script>alert("hello")</script><img src="/missing"><script src="http://127.0.0.1:1/"></script>`)
		case "/missing":
			http.NotFound(w, r)
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/empty":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/download":
			w.Header().Set("Content-Type", "application/octet-stream")
			w.Write(make([]byte, 100))
		case "/short":
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, "<p>not all")
		default:
			hello(w, r)
		}
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(h))
	s.Config.ErrorLog = quietLog
	s.Start()
	defer s.Close()
	each(t, func(t *testing.T, k Kind) {
		b := start(t, k, Options{})
		for _, c := range []struct {
			path              string
			chromium, firefox string
			status, requests  int
		}{
			{"/redirect", "", "", 200, 2},
			{"/parts", "", "", 200, 3},
			{"/none", "ERR_ABORTED", "NS_BINDING_ABORTED", 204, 1},
			{"/empty", "ERR_HTTP_RESPONSE_CODE_FAILURE", "NS_ERROR_NET_ERROR_RESPONSE", 503, 1},
			{"/download", "ERR_ABORTED", "", 200, 1},
			{"/short", "ERR_CONTENT_LENGTH_MISMATCH", "NS_ERROR_NET_PARTIAL_TRANSFER", 200, 1},
		} {
			t.Run(c.path, func(t *testing.T) {
				v := visit(t, b, s.URL+c.path)
				t.Logf("%+v", v)
				want := map[Kind]string{Chromium: c.chromium, Firefox: c.firefox}[k]
				if v.Code != want || v.Status != c.status || len(v.Requests) < c.requests {
					t.Errorf("code %q, status %d, %d requests; want %q, %d, %d", v.Code, v.Status, len(v.Requests), want, c.status, c.requests)
				}
			})
		}
	})
}

// TestVisitEndsWithContext: a server that never answers holds a visit up to
// the end of its context and the browser stays usable.
func TestVisitEndsWithContext(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hang" {
			<-r.Context().Done()
			return
		}
		hello(w, r)
	}))
	defer s.Close()
	each(t, func(t *testing.T, k Kind) {
		b := start(t, k, Options{})
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		v, err := b.Visit(ctx, s.URL+"/hang")
		if !errors.Is(err, context.DeadlineExceeded) || len(v.Requests) != 1 {
			t.Errorf("got %+v, %v", v, err)
		}
		if v := visit(t, b, s.URL); v.Title != "Greeting" {
			t.Errorf("afterwards: %+v", v)
		}
	})
}

// TestCloseLeavesNothing: no process with our home in its environment, and no
// home. The same when the context ends first.
func TestCloseLeavesNothing(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(hello))
	defer s.Close()
	each(t, func(t *testing.T, k Kind) {
		for _, way := range []string{"close", "context"} {
			t.Run(way, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				b, err := Start(ctx, k, Options{Path: Need(t, k), Headless: true, Quiet: true})
				if err != nil {
					t.Fatal(err)
				}
				defer b.Close()
				visit(t, b, s.URL)
				home := b.proc.home
				if runtime.GOOS == "linux" && len(living(t, home)) < 3 {
					t.Errorf("too few processes to make a test: %v", living(t, home))
				}
				if way == "context" {
					cancel()
					<-b.Done()
				}
				begun := time.Now()
				if err := b.Close(); err != nil {
					t.Error(err)
				}
				t.Logf("closed in %v", time.Since(begun).Round(time.Millisecond))
				if _, err := os.Stat(home); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("the home is still there: %v", err)
				}
				if left := living(t, home); len(left) > 0 {
					t.Errorf("still running: %v", left)
				}
				if _, err := b.Visit(t.Context(), s.URL); err == nil {
					t.Error("a visit after Close succeeded")
				}
			})
		}
	})
}

// living are the processes that have home in their environment.
func living(t *testing.T, home string) (left []string) {
	t.Helper()
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range files {
		if env, err := os.ReadFile(file); err == nil && bytes.Contains(env, []byte(home)) {
			cmdline, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
			left = append(left, fmt.Sprintf("%s %.100q", filepath.Dir(file), cmdline))
		}
	}
	return left
}

// TestManyVisits makes many visits in one browser. FAULTLINE_VISITS sets how
// many.
func TestManyVisits(t *testing.T) {
	n := 12
	fmt.Sscan(os.Getenv("FAULTLINE_VISITS"), &n)
	ca := newIssuer(t, "not trusted")
	bad := site(t, ca.leaf(t, nil), hello)
	reset := "https://" + tcp(t, func(c net.Conn) { c.(*net.TCPConn).SetLinger(0) })
	good := httptest.NewServer(http.HandlerFunc(hello))
	defer good.Close()
	each(t, func(t *testing.T, k Kind) {
		b := start(t, k, Options{})
		var took []time.Duration
		for i := range n {
			url := []string{bad.URL, reset, good.URL}[i%3]
			v := visit(t, b, url)
			if (v.Code == "") != (url == good.URL) {
				t.Errorf("visit %d of %s: %+v", i, url, v)
			}
			took = append(took, v.Took)
		}
		slices.Sort(took)
		t.Logf("%d visits: median %v, slowest %v", n, took[n/2].Round(time.Millisecond), took[n-1].Round(time.Millisecond))
	})
}

// TestOverWebSocket starts Chromium as on systems that hand down no pipes.
func TestOverWebSocket(t *testing.T) {
	overPipe = false
	defer func() { overPipe = runtime.GOOS != "windows" }()
	b := start(t, Chromium, Options{})
	if v := visit(t, b, "http://127.0.0.1:1"); v.Code != "ERR_UNSAFE_PORT" {
		t.Errorf("got %+v", v)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

func TestStartFails(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("SKIPPED: no shell here")
	}
	script := filepath.Join(t.TempDir(), "browser")
	if err := os.WriteFile(script, []byte("#!"+sh+"\necho cannot open display >&2\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	each(t, func(t *testing.T, k Kind) {
		_, err := Start(t.Context(), k, Options{Path: script})
		if err == nil || !strings.Contains(err.Error(), "cannot open display") {
			t.Errorf("got %v, want the browser's own words", err)
		}
		_, err = Start(t.Context(), k, Options{Path: script, Roots: [][]byte{[]byte("junk")}})
		if err == nil || !strings.Contains(err.Error(), "a root to trust") {
			t.Errorf("got %v for a root that is none", err)
		}
		if left, _ := os.ReadDir(temp); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

// tester notes what Need does to a test.
type tester struct{ skipped, failed bool }

func (*tester) Helper()                 {}
func (t *tester) Skipf(string, ...any)  { t.skipped = true }
func (t *tester) Fatalf(string, ...any) { t.failed = true }

func TestNeed(t *testing.T) {
	t.Setenv("FAULTLINE_NO_SKIP", "")
	var got tester
	if Need(&got, "netscape"); !got.skipped || got.failed {
		t.Errorf("got %+v, want a skipped test", got)
	}
	t.Setenv("FAULTLINE_NO_SKIP", "1")
	got = tester{}
	if Need(&got, "netscape"); got.skipped || !got.failed {
		t.Errorf("got %+v, want a failed test", got)
	}
}

func TestCodeIn(t *testing.T) {
	for words, want := range map[string]string{
		"NS_ERROR_NET_RESET": "NS_ERROR_NET_RESET",
		"NS_ERROR_GENERATE_FAILURE(NS_ERROR_MODULE_SECURITY, SEC_ERROR_UNKNOWN_ISSUER)": "SEC_ERROR_UNKNOWN_ISSUER",
		"": "",
	} {
		if got := codeIn(words); got != want {
			t.Errorf("%q: got %q, want %q", words, got, want)
		}
	}
	if got := pageIn("about:neterror?e=dnsNotFound&u=http%3A//nope.invalid/"); got != "dnsNotFound" {
		t.Errorf("got %q", got)
	}
	if got := pageIn("https://example.com/?e=dnsNotFound"); got != "" {
		t.Errorf("got %q for a page of the web", got)
	}
}
