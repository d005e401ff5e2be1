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
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
func proxy(t testing.TB) (addr string, seen func() []string) {
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
				up, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", r.Host)
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
					o.Proxy, asked = proxy(t)
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
						t.Logf("on its own: %s", a)
					}
				}
			})
		}
	}
}

var _ = pem.Encode
var _ = url.Parse
var _ = runtime.GOOS
var _ atomic.Int32
