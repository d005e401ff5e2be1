package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"faultline/inspect"
	"faultline/inspect/browser"
)

// serverDomain is below a name that nobody has (RFC 6761).
const serverDomain = "servers.test"

// A daemon is a real server for the tests, with one fault or none.
type daemon struct {
	name    string
	program string
	// run gives the arguments of the program; what is made for it is in d.
	run func(d *dish) []string
	// cert changes the good certificate.
	cert func(*x509.Certificate)
	rsa  bool // a key for RSA instead of ECDSA
	bare bool // without the intermediate certificate
	// client visits; nil: curl.
	client func(ctx context.Context, path, proxy, roots, host string) (string, error)
	// faults is what the client meets; empty for a healthy server. There are
	// several where another is as right, and then a comment says why.
	faults   []string
	chromium []string      // the codes of the faults, likewise
	blame    inspect.Blame // of the faults; "" is the server
	// browse: Chromium visits as well, and meets this.
	browse string
}

// A dish is what one daemon gets: its own address and name, and files.
type dish struct {
	t               *testing.T
	dir             string
	addr            netip.AddrPort
	cert, key, both string // the chain, the key, and both in one file
	authority       string
}

func (d *dish) file(name, text string) string {
	path := filepath.Join(d.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
	return path
}

func openssl(args ...string) func(*dish) []string {
	return func(d *dish) []string {
		return append([]string{"s_server", "-accept", d.addr.String(), "-cert", d.cert, "-cert_chain", d.cert, "-key", d.key, "-www", "-quiet"}, args...)
	}
}

func gnutls(priority string, args ...string) func(*dish) []string {
	return func(d *dish) []string {
		args := append([]string{"--http", "--quiet", "--priority", priority, "--port", fmt.Sprint(d.addr.Port()),
			"--x509certfile", d.cert, "--x509keyfile", d.key}, args...)
		if !slices.Contains(args, "--require-client-cert") {
			args = append(args, "--disable-client-cert")
		}
		return args
	}
}

func nginx(lines string) func(*dish) []string {
	return func(d *dish) []string {
		conf := fmt.Sprintf(`
error_log stderr crit;
pid %[1]s/pid;
events {}
http {
	access_log off;
	client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
	server {
		%[2]s
		location / { return 200 "hello\n"; }
	}
}
`, d.dir, strings.NewReplacer("ADDR", d.addr.String(), "CERT", d.cert, "KEY", d.key, "CA", d.authority).Replace(lines))
		return []string{"-p", d.dir, "-c", d.file("nginx.conf", conf), "-e", "stderr", "-g", "daemon off; master_process off;"}
	}
}

func haproxy(lines string) func(*dish) []string {
	return func(d *dish) []string {
		conf := "defaults\n\tmode http\n\ttimeout connect 2s\n\ttimeout client 20s\n\ttimeout server 20s\n" +
			strings.NewReplacer("ADDR", d.addr.String(), "CERT", d.both, "CA", d.authority, "DIR", d.dir).Replace(lines) + "\n"
		return []string{"-db", "-q", "-f", d.file("haproxy.cfg", conf)}
	}
}

func outOfDate(c *x509.Certificate) {
	c.NotBefore, c.NotAfter = c.NotBefore.Add(-100*24*time.Hour), c.NotBefore.Add(-10*24*time.Hour)
}

func otherName(c *x509.Certificate) {
	c.DNSNames = []string{"other." + serverDomain}
	c.Subject.CommonName = c.DNSNames[0]
}

const (
	tlsOn = "listen ADDR ssl; ssl_certificate CERT; ssl_certificate_key KEY;"
	page  = "\n\thttp-request return status 200 content-type text/plain string hello"
)

// tls11Faults: some builds of curl offer TLS 1.1 and then do not like what they
// get, others do not offer it.
var tls11Faults = []string{"tls-server-version-too-old", "tls-no-common-version"}

var daemons = []daemon{
	{name: "healthy", program: "openssl", run: openssl()},
	{name: "healthy-tls12", program: "openssl", run: openssl("-tls1_2"), rsa: true},
	{name: "tls11", program: "openssl", run: openssl("-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"), rsa: true, client: visitGo,
		faults: []string{"tls-no-common-version"}, chromium: []string{"ERR_SSL_VERSION_OR_CIPHER_MISMATCH"}, browse: "tls-no-common-version"},
	{name: "dhe-only", program: "openssl", run: openssl("-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256"), rsa: true, client: visitGo,
		faults: []string{"tls-no-common-cipher"}, chromium: []string{"ERR_SSL_VERSION_OR_CIPHER_MISMATCH"}, browse: "tls-no-common-cipher"},
	{name: "client-cert", program: "openssl", run: openssl("-tls1_3", "-Verify", "1", "-verify_return_error"),
		faults: []string{"tls-client-cert-required"}, chromium: []string{"ERR_BAD_SSL_CLIENT_AUTH_CERT"}},
	{name: "client-cert-tls12", program: "openssl", run: openssl("-tls1_2", "-Verify", "1", "-verify_return_error"),
		faults: []string{"tls-client-cert-required"}, chromium: []string{"ERR_BAD_SSL_CLIENT_AUTH_CERT"}},
	{name: "no-alpn", program: "openssl", run: openssl("-alpn", "imap"),
		faults: []string{"tls-alpn-no-overlap"}, chromium: []string{"ERR_SSL_PROTOCOL_ERROR"}},
	{name: "sni-fatal", program: "openssl", run: func(d *dish) []string {
		return openssl("-servername", "other."+serverDomain, "-servername_fatal", "-cert2", d.cert, "-key2", d.key)(d)
	}, faults: []string{"tls-sni-unrecognized"}, chromium: []string{"ERR_SSL_UNRECOGNIZED_NAME_ALERT"}},
	{name: "p521-group", program: "openssl", run: openssl("-groups", "P-521"), client: visitGo,
		browse: "tls-no-common-group"}, // Go can do it, Chromium cannot
	{name: "expired", program: "openssl", run: openssl(), cert: outOfDate,
		faults: []string{"cert-expired"}, chromium: []string{"ERR_CERT_DATE_INVALID"}},

	{name: "healthy", program: "gnutls-serv", run: gnutls("NORMAL")},
	{name: "healthy-tls12", program: "gnutls-serv", run: gnutls("NORMAL:-VERS-ALL:+VERS-TLS1.2")},
	{name: "tls11", program: "gnutls-serv", run: gnutls("NORMAL:-VERS-ALL:+VERS-TLS1.1"), rsa: true,
		faults: tls11Faults, chromium: []string{"ERR_SSL_VERSION_OR_CIPHER_MISMATCH"}},
	{name: "dhe-only", program: "gnutls-serv", run: gnutls("NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+DHE-RSA"), rsa: true, client: visitGo,
		faults: []string{"tls-no-common-cipher"}, chromium: []string{"ERR_SSL_VERSION_OR_CIPHER_MISMATCH"}},
	{name: "client-cert", program: "gnutls-serv", run: gnutls("NORMAL:-VERS-ALL:+VERS-TLS1.3", "--require-client-cert"),
		faults: []string{"tls-client-cert-required"}, chromium: []string{"ERR_BAD_SSL_CLIENT_AUTH_CERT"}},
	{name: "client-cert-tls12", program: "gnutls-serv", run: gnutls("NORMAL:-VERS-ALL:+VERS-TLS1.2", "--require-client-cert"),
		faults: []string{"tls-client-cert-required"}, chromium: []string{"ERR_BAD_SSL_CLIENT_AUTH_CERT"}},
	{name: "sni-fatal", program: "gnutls-serv", run: gnutls("NORMAL", "--sni-hostname", "other."+serverDomain, "--sni-hostname-fatal"),
		faults: []string{"tls-sni-unrecognized"}, chromium: []string{"ERR_SSL_UNRECOGNIZED_NAME_ALERT"}},
	{name: "no-alpn", program: "gnutls-serv", run: gnutls("NORMAL", "--alpn", "imap", "--alpn-fatal"),
		faults: []string{"tls-alpn-no-overlap"}, chromium: []string{"ERR_SSL_PROTOCOL_ERROR"}},
	{name: "expired", program: "gnutls-serv", run: gnutls("NORMAL"), cert: outOfDate,
		faults: []string{"cert-expired"}, chromium: []string{"ERR_CERT_DATE_INVALID"}},

	{name: "healthy", program: "nginx", run: nginx("listen ADDR ssl http2; ssl_certificate CERT; ssl_certificate_key KEY;")},
	{name: "plain-on-443", program: "nginx", run: nginx("listen ADDR;"),
		faults: []string{"tls-plaintext-http-on-443"}, chromium: []string{"ERR_SSL_PROTOCOL_ERROR"}, browse: "tls-plaintext-http-on-443"},
	{name: "reject-handshake", program: "nginx", run: nginx("listen ADDR ssl; ssl_reject_handshake on;"),
		faults: []string{"tls-sni-unrecognized"}, chromium: []string{"ERR_SSL_UNRECOGNIZED_NAME_ALERT"}, browse: "tls-sni-unrecognized"},
	{name: "default-vhost", program: "nginx", run: nginx(tlsOn + "server_name other." + serverDomain + ";"), cert: otherName,
		faults: []string{"cert-name-mismatch"}, chromium: []string{"ERR_CERT_COMMON_NAME_INVALID"}, browse: "cert-name-mismatch"},
	{name: "missing-intermediate", program: "nginx", run: nginx(tlsOn), bare: true,
		faults: []string{"cert-missing-intermediate"}, chromium: []string{"ERR_CERT_AUTHORITY_INVALID"}, browse: "cert-missing-intermediate"},
	{name: "expired", program: "nginx", run: nginx(tlsOn), cert: outOfDate,
		faults: []string{"cert-expired"}, chromium: []string{"ERR_CERT_DATE_INVALID"}, browse: "cert-expired"},
	{name: "expired-tls12", program: "nginx", run: nginx(tlsOn + "ssl_protocols TLSv1.2;"), cert: outOfDate,
		faults: []string{"cert-expired"}, chromium: []string{"ERR_CERT_DATE_INVALID"}, browse: "cert-expired"},
	{name: "tls11", program: "nginx", run: nginx(tlsOn + "ssl_protocols TLSv1.1; ssl_ciphers DEFAULT@SECLEVEL=0;"), rsa: true,
		faults: tls11Faults, chromium: []string{"ERR_SSL_VERSION_OR_CIPHER_MISMATCH"}},
	{name: "cbc-sha256-only", program: "nginx", run: nginx(tlsOn + "ssl_protocols TLSv1.2; ssl_ciphers AES128-SHA256;"), rsa: true, client: visitGo,
		faults: []string{"tls-no-common-cipher"}, chromium: []string{"ERR_SSL_VERSION_OR_CIPHER_MISMATCH"}},
	// nginx lets the handshake pass and says 400 inside, where only HTTP sees it.
	{name: "client-cert", program: "nginx", run: nginx(tlsOn + "ssl_client_certificate CA; ssl_verify_client on;")},
	// It takes the hello for a broken PROXY header.
	{name: "proxy-protocol", program: "nginx", run: nginx("listen ADDR ssl proxy_protocol; ssl_certificate CERT; ssl_certificate_key KEY;"),
		faults: []string{"tcp-closed-after-hello", "tcp-reset-after-hello"}, chromium: []string{"ERR_CONNECTION_CLOSED", "ERR_CONNECTION_RESET"}}, // it closes with the hello half read

	{name: "healthy", program: "haproxy", run: haproxy("frontend f\n\tbind ADDR ssl crt CERT" + page)},
	{name: "healthy-h2", program: "haproxy", run: haproxy("frontend f\n\tbind ADDR ssl crt CERT alpn h2,http/1.1" + page)},
	{name: "strict-sni", program: "haproxy", run: haproxy("frontend f\n\tbind ADDR ssl crt CERT strict-sni" + page), cert: otherName,
		faults: []string{"tls-sni-unrecognized"}, chromium: []string{"ERR_SSL_UNRECOGNIZED_NAME_ALERT"}, browse: "tls-sni-unrecognized"},
	{name: "plain-on-443", program: "haproxy", run: haproxy("frontend f\n\tbind ADDR" + page),
		faults: []string{"tls-plaintext-http-on-443"}, chromium: []string{"ERR_SSL_PROTOCOL_ERROR"}, browse: "tls-plaintext-http-on-443"},
	{name: "backend-down", program: "haproxy", run: haproxy("listen l\n\tmode tcp\n\tbind ADDR\n\tserver s 127.0.0.1:1"),
		faults: []string{"tcp-closed-after-hello", "tcp-reset-after-hello"}, chromium: []string{"ERR_CONNECTION_CLOSED", "ERR_CONNECTION_RESET"}}, // it closes without having read the hello
	{name: "rejects-address", program: "haproxy", run: haproxy("frontend f\n\tmode tcp\n\tbind ADDR\n\ttcp-request connection reject"),
		faults: []string{"tcp-dropped-on-accept", "tcp-closed-after-hello", "tcp-reset-after-hello"}, chromium: []string{"ERR_CONNECTION_RESET", "ERR_CONNECTION_CLOSED"}}, // the hello may be faster than the end
	{name: "rejects-name", program: "haproxy", run: haproxy("frontend f\n\tmode tcp\n\tbind ADDR\n\ttcp-request inspect-delay 2s\n" +
		"\ttcp-request content accept if { req.ssl_sni other." + serverDomain + " }\n\ttcp-request content reject\n\tdefault_backend b\nbackend b\n\tmode tcp\n\tserver s 127.0.0.1:1"),
		faults: []string{"tcp-closed-after-hello", "tcp-reset-after-hello"}, chromium: []string{"ERR_CONNECTION_CLOSED", "ERR_CONNECTION_RESET"}},
	// It sends the names it knows to a server, and hellos without a name too; those
	// with other names it closes. A filter on the way could do the same.
	{name: "routes-by-name", program: "haproxy", run: haproxy("frontend f\n\tmode tcp\n\tbind ADDR\n\ttcp-request inspect-delay 2s\n" +
		"\ttcp-request content reject if { req.ssl_sni -m found } !{ req.ssl_sni other." + serverDomain + " }\n\ttcp-request content accept if { req.ssl_hello_type 1 }\n" +
		"\tdefault_backend b\nbackend b\n\tmode tcp\n\tserver s unix@DIR/s\nfrontend t\n\tbind unix@DIR/s ssl crt CERT" + page),
		faults: []string{"tcp-sni-filtered"}, chromium: []string{"ERR_CONNECTION_CLOSED"}, blame: inspect.BlameUnknown},
	{name: "tls11", program: "haproxy", run: haproxy("frontend f\n\tbind ADDR ssl crt CERT ssl-min-ver TLSv1.0 ssl-max-ver TLSv1.1 ciphers DEFAULT@SECLEVEL=0" + page), rsa: true,
		faults: tls11Faults, chromium: []string{"ERR_SSL_VERSION_OR_CIPHER_MISMATCH"}},
	{name: "client-cert", program: "haproxy", run: haproxy("frontend f\n\tbind ADDR ssl crt CERT ca-file CA verify required" + page),
		faults: []string{"tls-client-cert-required"}, chromium: []string{"ERR_BAD_SSL_CLIENT_AUTH_CERT"}},
	{name: "client-cert-tls12", program: "haproxy", run: haproxy("frontend f\n\tbind ADDR ssl crt CERT ca-file CA verify required ssl-max-ver TLSv1.2" + page),
		faults: []string{"tls-client-cert-required"}, chromium: []string{"ERR_BAD_SSL_CLIENT_AUTH_CERT"}},
	{name: "expired", program: "haproxy", run: haproxy("frontend f\n\tbind ADDR ssl crt CERT" + page), cert: outOfDate,
		faults: []string{"cert-expired"}, chromium: []string{"ERR_CERT_DATE_INVALID"}},
}

// TestServers visits real servers through faultline, each with one fault that it
// has in the world, or none, with client programs and with Chromium.
func TestServers(t *testing.T) {
	inside(t)
	curl := need(t, "curl")
	ca := newAuthority(t)
	names := make(map[string]netip.Addr)
	for i, d := range daemons {
		names[d.program+"-"+d.name+"."+serverDomain] = netip.AddrFrom4([4]byte{198, 18, 200, byte(i + 1)})
	}
	f := start(t, "--roots", ca.roots, "--resolver", nameServer(t, names), "--quiet")
	place := func(i int, d daemon) (host string, addr netip.AddrPort) {
		host = d.program + "-" + d.name + "." + serverDomain
		if d.program == "gnutls-serv" { // it listens at every address
			return host, netip.AddrPortFrom(names[host], uint16(4430+i))
		}
		return host, netip.AddrPortFrom(names[host], 443)
	}
	for i, d := range daemons {
		t.Run(d.program+"/"+d.name, func(t *testing.T) {
			path := need(t, d.program)
			host, addr := place(i, d)
			runDaemon(t, path, d.run(ca.dish(t, d, host, addr)), addr)
			visit, target := d.client, host
			if visit == nil {
				visit = visitCurl
			}
			if addr.Port() != 443 {
				target = fmt.Sprintf("%s:%d", host, addr.Port())
			}
			begun := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), clientTime)
			defer cancel()
			said, err := visit(ctx, curl, f.addr, ca.roots, target)
			if err == nil != (len(d.faults) == 0) {
				t.Errorf("the client itself: got %v, want one of %q\n%s", err, d.faults, said)
			}
			r := f.final(t, host, begun)
			d.judge(t, r, d.faults)
			if len(d.faults) > 0 && !slices.Contains(d.chromium, r.Codes.Chromium) {
				t.Errorf("the code is %s, want one of %q", r.Codes.Chromium, d.chromium)
			}
		})
	}
	t.Run("chromium", func(t *testing.T) {
		browser.Need(t, browser.Chromium)
		b, err := browser.Start(t.Context(), browser.Chromium, browser.Options{Proxy: f.addr, Roots: [][]byte{ca.pem}, Headless: true, Quiet: true})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		for i, d := range daemons {
			if d.browse == "" {
				continue
			}
			t.Run(d.program+"/"+d.name, func(t *testing.T) {
				path := need(t, d.program)
				host, addr := place(i, d)
				runDaemon(t, path, d.run(ca.dish(t, d, host, addr)), addr)
				begun := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 2*clientTime)
				defer cancel()
				v, err := b.Visit(ctx, "https://"+host+"/")
				if err != nil {
					t.Fatal(err)
				}
				r := f.final(t, host, begun)
				d.judge(t, r, []string{d.browse})
				if v.Code == "" || r.Codes.ChromiumShown != v.Code || r.Codes.Chromium != v.Code {
					t.Errorf("predicted %s and %s, Chromium says %q", r.Codes.Chromium, r.Codes.ChromiumShown, v.Code)
				}
			})
		}
	})
}

// judge holds a verdict against the faults that may be named.
func (d *daemon) judge(t *testing.T, r inspect.Record, faults []string) {
	t.Helper()
	if len(faults) == 0 {
		if r.Outcome != inspect.OK {
			t.Errorf("got %s, %s (%s), want ok", r.Outcome, r.Fault, r.Why)
		}
		return
	}
	t.Logf("%s, %s, blame %s, %s: %s", r.Fault, r.Codes.Chromium, r.Blame, r.Certainty, r.Why)
	if r.Outcome != inspect.Failed || !slices.Contains(faults, r.Fault) {
		b, _ := json.Marshal(r)
		t.Errorf("got %s, %s (%s), want one of %q\n%s", r.Outcome, r.Fault, r.Why, faults, b)
		return
	}
	layer := inspect.LayerTLS
	switch {
	case strings.HasPrefix(r.Fault, "tcp-"):
		layer = inspect.LayerTCP
	case strings.HasPrefix(r.Fault, "cert-"):
		layer = inspect.LayerCertificate
	}
	if r.Layer != layer {
		t.Errorf("the layer is %s, want %s", r.Layer, layer)
	}
	blame := cmp.Or(d.blame, inspect.BlameServer)
	if r.Codes.Chromium == "ERR_CONNECTION_RESET" { // which may be anybody's
		blame = inspect.BlameUnknown
	}
	if r.Blame != blame {
		t.Errorf("blame %s, want %s", r.Blame, blame)
	}
}

// runDaemon runs a server until the test ends, and waits until it accepts.
func runDaemon(t *testing.T, path string, args []string, addr netip.AddrPort) {
	t.Helper()
	cmd := exec.Command(path, args...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	in, err := cmd.StdinPipe() // some end with their input
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err = cmd.Wait()
	}()
	t.Cleanup(func() {
		in.Close()
		cmd.Process.Kill()
		<-ended
		if t.Failed() && said.Len() > 0 {
			t.Logf("the server said: %s", said.Bytes())
		}
	})
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(clientTime)
	defer limit.Stop()
	for {
		if c, err := net.Dial("tcp", addr.String()); err == nil {
			c.Close()
			return
		}
		select {
		case <-tick.C:
		case <-ended:
			t.Fatalf("%s %v ended: %v\n%s", path, args, err, said.Bytes())
		case <-limit.C:
			t.Fatalf("%s does not listen at %s", path, addr)
		}
	}
}

// An authority of the tests: a root, and an intermediate that signs.
type authority struct {
	roots           string // the file
	pem             []byte
	root, inter     *x509.Certificate
	rootKey, key    crypto.Signer
	ecLeaf, rsaLeaf crypto.Signer
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ca := &authority{rootKey: newKey(t), key: newKey(t), ecLeaf: newKey(t), rsaLeaf: rsaKey}
	ca.root = ca.sign(t, template("root", true), nil, ca.rootKey.Public(), ca.rootKey)
	ca.inter = ca.sign(t, template("intermediate", true), ca.root, ca.key.Public(), ca.rootKey)
	ca.pem = certPEM(ca.root)
	ca.roots = filepath.Join(t.TempDir(), "root.pem")
	if err := os.WriteFile(ca.roots, ca.pem, 0o644); err != nil {
		t.Fatal(err)
	}
	return ca
}

func newKey(t *testing.T) crypto.Signer {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func template(name string, ca bool) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{Organization: []string{"faultline tests"}, CommonName: name},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(60 * 24 * time.Hour),
		BasicConstraintsValid: true, IsCA: ca, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if ca {
		c.KeyUsage |= x509.KeyUsageCertSign
	}
	return c
}

func (ca *authority) sign(t *testing.T, c, by *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	t.Helper()
	if by == nil {
		by = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by, pub, key)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// dish makes what a daemon needs.
func (ca *authority) dish(t *testing.T, d daemon, host string, addr netip.AddrPort) *dish {
	t.Helper()
	c := template(host, false)
	c.DNSNames = []string{host}
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	key := ca.ecLeaf
	if d.rsa {
		key = ca.rsaLeaf
		c.KeyUsage |= x509.KeyUsageKeyEncipherment
	}
	if d.cert != nil {
		d.cert(c)
	}
	leaf := ca.sign(t, c, ca.inter, key.Public(), ca.key)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	chain := certPEM(leaf)
	if !d.bare {
		chain = append(chain, certPEM(ca.inter)...)
	}
	s := &dish{t: t, dir: t.TempDir(), addr: addr, authority: ca.roots}
	s.cert = s.file("chain.pem", string(chain))
	s.key = s.file("key.pem", string(keyPEM))
	s.both = s.file("both.pem", string(chain)+string(keyPEM))
	return s
}

func certPEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// nameServer answers for names until the test ends, and gives its address.
func nameServer(t *testing.T, names map[string]netip.Addr) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		b := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			if reply := nameReply(b[:n], names); reply != nil {
				conn.WriteTo(reply, from)
			}
		}
	})
	t.Cleanup(func() {
		conn.Close()
		wg.Wait()
	})
	return conn.LocalAddr().String()
}

func nameReply(question []byte, names map[string]netip.Addr) []byte {
	var p dnsmessage.Parser
	head, err := p.Start(question)
	if err != nil {
		return nil
	}
	q, err := p.Question()
	if err != nil {
		return nil
	}
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: head.ID, Response: true, RecursionDesired: head.RecursionDesired, RecursionAvailable: true},
		Questions: []dnsmessage.Question{q}}
	addr, ok := names[strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))]
	switch {
	case !ok:
		m.RCode = dnsmessage.RCodeNameError
	case q.Type == dnsmessage.TypeA:
		m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 60}, Body: &dnsmessage.AResource{A: addr.As4()}}}
	}
	b, err := m.Pack()
	if err != nil {
		return nil
	}
	return b
}
