package wire_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"flag"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"faultline/inspect/wire"
)

var capture = flag.String("capture", "", "record the transcripts in testdata anew whose names contain this, or all; needs Chromium, Firefox, curl, OpenSSL, GnuTLS and certutil")

// part is what one side said before the other spoke.
type part struct {
	side wire.Side
	data []byte
}

// maxTranscript is how much of each side is kept: all of the handshake and the
// beginning of what follows.
const maxTranscript = 8 << 10

// recorder is a TCP relay that writes down what it passes on.
type recorder struct {
	net.Listener
	mu    sync.Mutex
	conns [][]part
	wg    sync.WaitGroup
}

func (r *recorder) run(server string) {
	for {
		client, err := r.Accept()
		if err != nil {
			return
		}
		r.mu.Lock()
		n := len(r.conns)
		r.conns = append(r.conns, nil)
		r.mu.Unlock()
		up, err := net.Dial("tcp", server)
		if err != nil {
			client.Close()
			continue
		}
		r.wg.Go(func() { r.copy(n, wire.Client, up, client) })
		r.wg.Go(func() { r.copy(n, wire.Server, client, up) })
	}
}

func (r *recorder) copy(n int, side wire.Side, to, from net.Conn) {
	defer to.(*net.TCPConn).CloseWrite()
	buf := make([]byte, 32<<10)
	for {
		k, err := from.Read(buf)
		if k > 0 {
			r.mu.Lock()
			r.conns[n] = appendPart(r.conns[n], side, buf[:k])
			r.mu.Unlock()
			if _, err := to.Write(buf[:k]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func appendPart(parts []part, side wire.Side, b []byte) []part {
	have := 0
	for _, p := range parts {
		if p.side == side {
			have += len(p.data)
		}
	}
	b = b[:min(len(b), maxTranscript-have)]
	if len(b) == 0 {
		return parts
	}
	if n := len(parts); n > 0 && parts[n-1].side == side {
		parts[n-1].data = append(parts[n-1].data, b...)
		return parts
	}
	return append(parts, part{side, append([]byte(nil), b...)})
}

// longest is the connection with the most to tell: browsers open spare ones.
func (r *recorder) longest(skip int) []part {
	r.mu.Lock()
	defer r.mu.Unlock()
	var best []part
	most := -1
	for _, parts := range r.conns[skip:] {
		n := 0
		for _, p := range parts {
			n += len(p.data)
		}
		if n > most {
			best, most = parts, n
		}
	}
	return best
}

// writeTranscript writes parts as side ('c' or 's'), length and bytes.
func writeTranscript(t *testing.T, name string, parts []part) {
	t.Helper()
	var out []byte
	for _, p := range parts {
		out = append(out, p.side[0])
		out = binary.BigEndian.AppendUint16(out, uint16(len(p.data)))
		out = append(out, p.data...)
	}
	if err := os.WriteFile(filepath.Join("testdata", name+".bin"), out, 0o644); err != nil {
		t.Fatal(err)
	}
}

// identity is a CA and a leaf for localhost, made for this run.
type identity struct {
	dir    string
	ca     *x509.CertPool
	caFile string
	leaf   tls.Certificate
}

func newIdentity(t *testing.T) identity {
	t.Helper()
	id := identity{dir: t.TempDir(), ca: x509.NewCertPool()}
	id.caFile = filepath.Join(id.dir, "ca.pem")
	make509 := func(tpl, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if signer == nil {
			parent, signer = tpl, key
		}
		der, err := x509.CreateCertificate(rand.Reader, tpl, parent, &key.PublicKey, signer)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return cert, key
	}
	now := time.Now()
	ca, caKey := make509(&x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Capture CA"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(240 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil, nil)
	leaf, leafKey := make509(&x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, ca, caKey)
	id.ca.AddCert(ca)
	id.leaf = tls.Certificate{Certificate: [][]byte{leaf.Raw, ca.Raw}, PrivateKey: leafKey}
	out := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Raw})
	if err := os.WriteFile(id.caFile, out, 0o600); err != nil {
		t.Fatal(err)
	}
	return id
}

// client visits https://localhost:port/, trusting the CA or not.
type client func(t *testing.T, id identity, port string, trust bool)

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader("GET / HTTP/1.0\r\n\r\n")
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		t.Fatal(err)
	}
	t.Logf("%s: %v: %.300s", name, err, out)
}

var clients = map[string]client{
	"chromium": func(t *testing.T, id identity, port string, trust bool) {
		args := []string{
			"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
			"--disable-background-networking", "--user-data-dir=" + t.TempDir(), "--dump-dom",
		}
		if trust {
			args = append(args, "--ignore-certificate-errors")
		}
		command(t, "chromium", append(args, "https://localhost:"+port+"/")...)
	},
	"firefox": func(t *testing.T, id identity, port string, trust bool) {
		profile := t.TempDir()
		if trust {
			command(t, "certutil", "-N", "-d", "sql:"+profile, "--empty-password")
			command(t, "certutil", "-A", "-d", "sql:"+profile, "-n", "ca", "-t", "C,,", "-i", id.caFile)
		}
		command(t, "firefox-esr", "--headless", "--no-remote", "--profile", profile,
			"--screenshot", filepath.Join(profile, "shot.png"), "https://localhost:"+port+"/")
	},
	"curl": func(t *testing.T, id identity, port string, trust bool) {
		args := []string{"-sS", "--max-time", "10"}
		if trust {
			args = append(args, "--cacert", id.caFile)
		}
		command(t, "curl", append(args, "https://localhost:"+port+"/")...)
	},
	"openssl": func(t *testing.T, id identity, port string, trust bool) {
		args := []string{"s_client", "-connect", "localhost:" + port, "-verify_return_error", "-ign_eof"}
		if trust {
			args = append(args, "-CAfile", id.caFile)
		}
		command(t, "openssl", args...)
	},
	"gnutls": func(t *testing.T, id identity, port string, trust bool) {
		args := []string{"-p", port, "localhost"}
		if trust {
			args = append(args, "--x509cafile", id.caFile)
		}
		command(t, "gnutls-cli", args...)
	},
	"go": func(t *testing.T, id identity, port string, trust bool) {
		goGet(t, id, port, trust, nil, 1)
	},
	"go-resume": func(t *testing.T, id identity, port string, trust bool) {
		goGet(t, id, port, trust, tls.NewLRUClientSessionCache(1), 2)
	},
}

func goGet(t *testing.T, id identity, port string, trust bool, cache tls.ClientSessionCache, times int) {
	cfg := &tls.Config{ClientSessionCache: cache}
	if trust {
		cfg.RootCAs = id.ca
	}
	for range times {
		tr := &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true}
		res, err := (&http.Client{Transport: tr, Timeout: 10 * time.Second}).Get("https://localhost:" + port + "/")
		if err == nil {
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
		t.Logf("go: %v", err)
	}
}

// TestCapture records the transcripts that the other tests read. It runs only
// when asked to.
func TestCapture(t *testing.T) {
	if *capture == "" {
		t.Skip("-capture was not given")
	}
	id := newIdentity(t)
	tls12 := func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }
	tls13 := func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }
	retry := func(c *tls.Config) {
		c.MinVersion = tls.VersionTLS13
		c.CurvePreferences = []tls.CurveID{tls.CurveP384}
	}
	asks := func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12; c.ClientAuth = tls.RequireAnyClientCert }
	staple := func(c *tls.Config) {
		c.MaxVersion = tls.VersionTLS12
		c.Certificates[0].OCSPStaple = []byte("not really OCSP")
	}
	no12cipher := func(c *tls.Config) {
		c.MaxVersion = tls.VersionTLS12
		c.CipherSuites = []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}
	}
	type run struct {
		name   string
		client string
		trust  bool
		set    func(*tls.Config)
	}
	runs := []run{
		{"go-13-retry", "go", true, retry},
		{"chromium-13-retry", "chromium", true, retry},
		{"firefox-13-retry-reject", "firefox", false, retry},
		{"go-12-resumed", "go-resume", true, tls12},
		{"go-13-resumed", "go-resume", true, tls13},
		{"chromium-12-staple", "chromium", true, staple},
		{"curl-12-cert-wanted", "curl", true, asks},
		{"go-12-no-cipher", "go", true, no12cipher},
	}
	for _, c := range []string{"chromium", "firefox", "curl", "openssl", "gnutls", "go"} {
		runs = append(runs,
			run{c + "-13-accept", c, true, tls13}, run{c + "-13-reject", c, false, tls13},
			run{c + "-12-accept", c, true, tls12}, run{c + "-12-reject", c, false, tls12})
	}
	for _, r := range runs {
		if *capture != "all" && !strings.Contains(r.name, *capture) {
			continue
		}
		t.Run(r.name, func(t *testing.T) {
			cfg := &tls.Config{Certificates: []tls.Certificate{id.leaf}}
			r.set(cfg)
			srv := &http.Server{
				TLSConfig: cfg,
				ErrorLog:  log.New(io.Discard, "", 0),
				Handler:   http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<p>hello") }),
			}
			inner := listen(t)
			if cfg.CipherSuites != nil { // HTTP/2 insists on its own
				srv.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){}
			}
			go srv.ServeTLS(inner, "", "")
			defer srv.Close()
			rec := &recorder{Listener: listen(t)}
			go rec.run(inner.Addr().String())
			_, port, _ := net.SplitHostPort(rec.Addr().String())
			clients[r.client](t, id, port, r.trust)
			skip := 0
			if r.client == "go-resume" {
				skip = 1
			}
			rec.Close()
			srv.Close()
			rec.wg.Wait()
			writeTranscript(t, r.name, rec.longest(skip))
		})
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}
