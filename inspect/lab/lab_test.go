package lab

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"faultline/inspect"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// soon is how long a test waits for something that never comes. On loopback
// whatever comes, comes within a millisecond, but the machine may be busy.
const soon = 300 * time.Millisecond

// start starts a lab for one test.
func start(t *testing.T) *Lab {
	t.Helper()
	l, err := Start(t.Context(), Options{Log: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// rowOf finds a row of the catalogue.
func rowOf(t *testing.T, name string) Site {
	t.Helper()
	for _, s := range Sites() {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no site %q", name)
	return Site{}
}

// here reports whether the site works in a lab of this kind, on this system.
func (l *Lab) here(s Site) bool {
	return s.Needs == "" || s.Needs == "netns" && l.base.IsValid()
}

// dial is how a proxy reaches a site: it asks the lab's name server and goes
// where the lab says, to one address after the other.
func (l *Lab) dial(ctx context.Context, host string, port uint16) (net.Conn, error) {
	addrs, err := l.addrs(ctx, host)
	if err != nil {
		return nil, err
	}
	errs := []error{fmt.Errorf("no way to %s", host)}
	for _, addr := range addrs {
		d := net.Dialer{Timeout: 4 * soon}
		c, err := d.DialContext(ctx, "tcp", l.Route(host, netip.AddrPortFrom(addr, port)).String())
		if err == nil {
			return c, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func (l *Lab) dialSite(t *testing.T, s Site) net.Conn {
	t.Helper()
	c, err := l.dial(t.Context(), s.Host(), s.Port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func (l *Lab) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(l.Root())
	return pool
}

// asBrowsers are the suites of Go's client and one more that browsers offer.
var asBrowsers = func() (ids []uint16) {
	for _, s := range tls.CipherSuites() {
		ids = append(ids, s.ID)
	}
	return append(ids, tls.TLS_RSA_WITH_AES_128_GCM_SHA256)
}()

// visitor is a web client that trusts the lab.
func (l *Lab) visitor() *http.Client {
	return &http.Client{
		Timeout: 20 * time.Second,
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
				host, port, err := net.SplitHostPort(addr)
				if err != nil {
					return nil, err
				}
				n, err := strconv.ParseUint(port, 10, 16)
				if err != nil {
					return nil, err
				}
				return l.dial(ctx, host, uint16(n))
			},
			TLSClientConfig:   &tls.Config{RootCAs: l.roots(), CipherSuites: asBrowsers},
			ForceAttemptHTTP2: true,
			DisableKeepAlives: true,
		},
	}
}

// get fetches a page as the visitor.
func (l *Lab) get(url string) (*http.Response, string, error) {
	resp, err := l.visitor().Get(url)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

func TestCatalogue(t *testing.T) {
	names := make(map[string]bool)
	faults := make(map[string]bool)
	var broken, healthy int
	order := -1
	for _, s := range Sites() {
		t.Run(s.Name, func(t *testing.T) {
			if names[s.Name] {
				t.Error("the name is taken")
			}
			names[s.Name] = true
			for _, id := range append([]string{s.Fault}, s.Also...) {
				if id == "" {
					continue
				}
				f, ok := inspect.Lookup(id)
				if !ok {
					t.Errorf("fault %q is not in the catalogue", id)
				} else if id == s.Fault && s.Layer() != string(f.Layer) {
					t.Errorf("layer %q, want %q", s.Layer(), f.Layer)
				}
			}
			if s.Fault == "" {
				healthy++
				if !s.Works {
					t.Error("a healthy site that does not work")
				}
			} else {
				broken++
				faults[s.Fault] = true
			}
			if s.Title == "" || strings.HasSuffix(s.Title, ".") {
				t.Errorf("title %q", s.Title)
			}
			if !serves(s.Host()) || s.Scheme != "http" && s.Scheme != "https" || s.Port == 0 {
				t.Errorf("url %s", s.URL())
			}
			for _, label := range strings.Split(s.Host(), ".") {
				if len(label) == 0 || len(label) > 63 {
					t.Errorf("host %s", s.Host())
				}
			}
			at := strings.Index("dns tcp tls certificate http content none", s.Layer())
			if at < order {
				t.Errorf("layer %q comes too late", s.Layer())
			}
			order = at
		})
	}
	if len(faults) < 60 || healthy < 12 {
		t.Errorf("%d faults, %d healthy sites; want at least 60 and 12", len(faults), healthy)
	}
	t.Logf("%d sites with %d faults, %d healthy sites", broken, len(faults), healthy)
}

func TestURL(t *testing.T) {
	for _, test := range []struct{ name, want string }{
		{"expired", "https://expired.lab.faultline.internal/"},
		{"plain", "http://plain.lab.faultline.internal/"},
		{"plain-to-tls", "http://plain-to-tls.lab.faultline.internal:443/"},
		{"large", "https://large.lab.faultline.internal/large.bin"},
	} {
		if got := rowOf(t, test.name).URL(); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

func TestServes(t *testing.T) {
	l := new(Lab)
	for host, want := range map[string]bool{
		"lab.faultline.internal":           true,
		"Expired.LAB.faultline.internal":   true,
		"a.b.lab.faultline.internal.":      true,
		"faultline.internal":               false,
		"notlab.faultline.internal":        false,
		"xlab.faultline.internal":          false,
		"lab.faultline.internal.example":   false,
		"":                                 false,
		"lab.faultline.internal:443":       false,
		"expired.lab.faultline.internal..": false,
	} {
		if got := l.Serves(host); got != want {
			t.Errorf("%q: got %v", host, got)
		}
	}
}

func TestRoute(t *testing.T) {
	l := start(t)
	parse := netip.MustParseAddrPort
	elsewhere := parse("192.0.2.1:443")
	if got := l.Route("example.com", elsewhere); got != elsewhere {
		t.Errorf("another name: got %v", got)
	}
	if got := l.Route("h2."+Domain, elsewhere); got != elsewhere {
		t.Errorf("another address: got %v", got)
	}
	h2 := l.hosts["h2."+Domain].addrs[0]
	got := l.Route("H2."+Domain+".", netip.AddrPortFrom(h2, 443))
	if got != l.Addr("h2") || got.Addr() != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("got %v, want %v", got, l.Addr("h2"))
	}
	if got := l.Route("example.com", netip.AddrPortFrom(h2, 443)); got.Addr() != h2 {
		t.Errorf("another name with the site's address: got %v", got)
	}
	for host, addr := range map[string]netip.AddrPort{
		"h2":             netip.AddrPortFrom(h2, 8443),
		"bogus-address":  parse("0.0.0.0:443"),
		"name-collision": parse("127.0.53.53:443"),
		"ipv6-broken":    parse("[::1]:443"),
	} {
		to := l.Route(host+"."+Domain, addr)
		if c, err := net.DialTimeout("tcp", to.String(), time.Second); err == nil {
			c.Close()
			t.Errorf("%s: something listens at %v, which %v leads to", host, to, addr)
		}
	}
	if l.Addr("no-such-site").IsValid() {
		t.Error("a site that is not there has an address")
	}
}

func TestRoot(t *testing.T) {
	l := start(t)
	block, rest := pem.Decode(l.RootPEM())
	if block == nil || len(rest) > 0 || string(block.Bytes) != string(l.Root().Raw) {
		t.Fatal("RootPEM is not Root")
	}
	if life := l.Root().NotAfter.Sub(l.Root().NotBefore); life > 366*day {
		t.Errorf("the root lives for %v", life)
	}
	if !l.Root().IsCA || l.Root().CheckSignatureFrom(l.Root()) != nil {
		t.Error("the root is no root")
	}
	other := start(t)
	if l.Root().Equal(other.Root()) {
		t.Error("two labs have one root")
	}
}

func TestIndex(t *testing.T) {
	l := start(t)
	for _, url := range []string{"http://" + Domain + "/", "https://" + Domain + "/"} {
		resp, body, err := l.get(url)
		if err != nil {
			t.Fatal(err)
		}
		body = html.UnescapeString(body)
		sum := sha256.Sum256(l.Root().Raw)
		if want := strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":"); !strings.Contains(body, want) {
			t.Error("no fingerprint")
		}
		for _, s := range Sites() {
			if link := `<a href="` + s.URL() + `">`; strings.Contains(body, link) != l.here(s) {
				t.Errorf("%s: a link, or none: want %v", s.Name, l.here(s))
			}
			if !strings.Contains(body, s.Title) || !strings.Contains(body, s.Fault) {
				t.Errorf("%s is not told of", s.Name)
			}
		}
		if csp := resp.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; ") || strings.Contains(body, "<script") {
			t.Errorf("policy %q", csp)
		}
	}
	_, body, err := l.get("http://" + Domain + "/root.pem")
	if err != nil || body != string(l.RootPEM()) {
		t.Errorf("root.pem: %v", err)
	}
}

// TestHealthy visits every site that is to work, faults or not.
func TestHealthy(t *testing.T) {
	l := start(t)
	for _, s := range Sites() {
		if !s.Works || !l.here(s) {
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			resp, body, err := l.get(strings.TrimSuffix(s.URL(), s.Path))
			if err != nil {
				t.Fatal(err)
			}
			name := s.Name
			switch name { // they lead elsewhere
			case "redirect-downgrade":
				name = "plain"
			case "alias":
				name = "h2"
			}
			if resp.StatusCode != 200 || !strings.Contains(body, "<title>"+name+"</title>") {
				t.Errorf("got %s\n%s", resp.Status, body)
			}
			if name != s.Name || s.Fault == "tls-missing-close-notify" {
				return
			}
			icon, _, err := l.get(strings.TrimSuffix(s.URL(), s.Path) + "favicon.ico")
			if err != nil || icon.StatusCode != http.StatusNoContent {
				t.Errorf("favicon: %v", err)
			}
		})
	}
}

// TestClose ends a lab in the middle of everything.
func TestClose(t *testing.T) {
	for _, how := range []string{"close", "cancel"} {
		t.Run(how, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			l, err := Start(ctx, Options{Log: t.Logf})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			var conns []net.Conn
			for _, s := range Sites() {
				if s.serve == nil || !l.here(s) {
					continue
				}
				c, err := net.Dial("tcp", l.Addr(s.Name).String())
				if errors.Is(err, syscall.ECONNRESET) {
					continue // reset-on-accept can be that fast
				}
				if err != nil {
					t.Fatalf("%s: %v", s.Name, err)
				}
				defer c.Close()
				conns = append(conns, c)
				// Half of a hello, or of a request, and for some a whole one.
				switch {
				case s.Scheme == "http":
					io.WriteString(c, "GET / HTTP/1.1\r\nHost: "+s.Host()+"\r\n\r\n")
				case len(conns)%2 == 0:
					c.Write(helloOf(t, s.Host()))
				default:
					c.Write(helloOf(t, s.Host())[:50])
				}
			}
			if how == "cancel" {
				cancel()
			}
			done := make(chan struct{})
			go func() {
				l.Close()
				close(done)
			}()
			select {
			case <-done:
			case <-time.After(10 * time.Second):
				t.Fatal("Close hangs")
			}
			for _, c := range conns {
				c.SetReadDeadline(time.Now().Add(10 * time.Second))
				if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error("a connection is still open")
				}
			}
		})
	}
}

// TestTwo: labs do not disturb each other.
func TestTwo(t *testing.T) {
	a, b := start(t), start(t)
	if a.DNS() == b.DNS() || a.Addr("h2") == b.Addr("h2") {
		t.Error("two labs share an address")
	}
	for _, l := range []*Lab{a, b} {
		if _, _, err := l.get("https://h2." + Domain + "/"); err != nil {
			t.Error(err)
		}
	}
}

func TestBadBase(t *testing.T) {
	for _, base := range []string{"::1", "203.0.113.7"} { // not IPv4; not of this machine
		if l, err := Start(t.Context(), Options{Base: netip.MustParseAddr(base)}); err == nil {
			l.Close()
			t.Errorf("%s: the lab started", base)
		}
	}
}
