package lab

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// helloOf is a ClientHello as Go's client sends it: TLS 1.3 and 1.2, a
// post-quantum key share, larger than one packet.
func helloOf(t testing.TB, host string) []byte {
	t.Helper()
	return helloWith(t, &tls.Config{ServerName: host, NextProtos: []string{"h2", "http/1.1"}})
}

func helloWith(t testing.TB, config *tls.Config) []byte {
	t.Helper()
	client, server := net.Pipe()
	defer server.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		tls.Client(client, config).Handshake()
	}()
	defer func() { client.Close(); <-done }()
	header := make([]byte, 5)
	if _, err := io.ReadFull(server, header); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, int(header[3])<<8|int(header[4]))
	if _, err := io.ReadFull(server, body); err != nil {
		t.Fatal(err)
	}
	return append(header, body...)
}

func TestParseHello(t *testing.T) {
	whole := helloOf(t, "h2."+Domain)
	h, err := parseHello(whole[5:])
	if err != nil {
		t.Fatal(err)
	}
	if h.name != "h2."+Domain || !h.offers(tls.VersionTLS13) || h.offers(tls.VersionTLS11) || len(h.session) != 32 || h.length != len(whole)-5 {
		t.Errorf("got %+v", h)
	}
	if !isLarge(nil, h) {
		t.Errorf("a hello of %d bytes is not large", h.length)
	}
	for n := range whole[5:] {
		parseHello(whole[5 : 5+n]) // must not panic
	}
}

// TestHelloInPieces: a hello is understood however it is cut.
func TestHelloInPieces(t *testing.T) {
	l := start(t)
	s := rowOf(t, "alert-70")
	whole := helloOf(t, s.Host())
	// Two records, too.
	split := append(record(recordHandshake, tls.VersionTLS10, whole[5:300]), record(recordHandshake, tls.VersionTLS10, whole[300:])...)
	for name, hello := range map[string][]byte{"one record": whole, "two records": split} {
		c := l.dialSite(t, s)
		for i := 0; i < len(hello); i += 97 {
			if _, err := c.Write(hello[i:min(i+97, len(hello))]); err != nil {
				t.Fatal(err)
			}
		}
		if said, how := ending(c, 10*time.Second); how != "fin" || !bytes.Equal(said, alert(fatal, 70)) {
			t.Errorf("%s: got % x, %s", name, said, how)
		}
	}
}

// TestAlerts reads the alerts off the wire.
func TestAlerts(t *testing.T) {
	l := start(t)
	n := 0
	for _, s := range Sites() {
		var number int
		if _, err := fmt.Sscanf(s.Name, "alert-%d", &number); err != nil {
			continue
		}
		n++
		level := 2
		if number == 0 {
			level = 1
		}
		c := l.dialSite(t, s)
		c.Write(helloOf(t, s.Host()))
		want := []byte{21, 3, 3, 0, 2, byte(level), byte(number)}
		if said, how := ending(c, 10*time.Second); how != "fin" || !bytes.Equal(said, want) {
			t.Errorf("%s: got % x, %s", s.Name, said, how)
		}
	}
	if n < 30 {
		t.Errorf("%d alerts", n)
	}
}

// TestFirstBytes looks at what a server says to a hello, byte by byte.
func TestFirstBytes(t *testing.T) {
	l := start(t)
	alertBytes := func(n byte) string { return string([]byte{21, 3, 1, 0, 2, 2, n}) }
	serverHello := func(version byte) string { return "\x16\x03" + string(version) }
	for _, test := range []struct {
		name, want string
	}{
		{"http-on-443", "HTTP/1.1 400 Bad Request\r\n"},
		{"portal-on-443", "HTTP/1.1 302 Found\r\nLocation: "},
		{"html-on-443", "<html>"},
		{"ssh-on-443", "SSH-2.0-"},
		{"ssh-after-hello", "SSH-2.0-"},
		{"smtp-on-443", "220 "},
		{"garbage-on-443", "\xde\xad\xbe\xef"},
		{"echo-on-443", "\x16\x03\x01"},
		{"tls10-only", serverHello(1)},
		{"tls11-answer", serverHello(2)},
		{"ssl3-only", serverHello(0)},
		{"tls11-only", alertBytes(70)},
		{"rc4-only", alertBytes(40)},
		{"3des-only", alertBytes(40)},
		{"no-alpn", alertBytes(120)},
		{"no-certificate", alertBytes(80)},
		{"tls13-intolerant-alert", string(alert(fatal, 40))},
		{"sni-unknown", string(alert(fatal, 112))},
		{"warned", string(alert(warning, 112)) + "\x16\x03\x03"},
		{"oversized-record", "\x16\x03\x03\x4e\x20"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := rowOf(t, test.name)
			c := l.dialSite(t, s)
			c.Write(helloOf(t, s.Host()))
			c.SetReadDeadline(time.Now().Add(10 * time.Second))
			got := make([]byte, len(test.want))
			n, err := io.ReadFull(c, got)
			// crypto/tls gives its alerts the version it has got to, or 1.0.
			if n > 2 && got[0] == recordAlert && test.want[:2] == "\x15\x03" && len(test.want) == 7 {
				got[2] = test.want[2]
			}
			if err != nil || string(got) != test.want {
				t.Errorf("got %q, %v; want %q", got[:n], err, test.want)
			}
		})
	}
}

// handshake is a handshake with a site, without regard for its certificate.
func (l *Lab) handshake(ctx context.Context, s Site, config *tls.Config) (*tls.Conn, error) {
	c, err := l.dial(ctx, s.Host(), s.Port)
	if err != nil {
		return nil, err
	}
	config = config.Clone()
	config.ServerName, config.InsecureSkipVerify = s.Host(), true
	if config.NextProtos == nil {
		config.NextProtos = []string{"h2", "http/1.1"}
	}
	t := tls.Client(c, config)
	t.SetDeadline(time.Now().Add(10 * time.Second))
	if err := t.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return t, nil
}

// TestHandshakes: what Go's client makes of the sites, with this offer or that.
func TestHandshakes(t *testing.T) {
	l := start(t)
	browser := &tls.Config{CurvePreferences: []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256, tls.CurveP384}}
	tls12 := &tls.Config{MaxVersion: tls.VersionTLS12}
	small := &tls.Config{CurvePreferences: []tls.CurveID{tls.X25519}}
	for _, test := range []struct {
		name  string
		offer *tls.Config
		want  string // of the error; "" for success
	}{
		{"tls11-only", browser, "protocol version not supported"},
		{"tls11-only", &tls.Config{MinVersion: tls.VersionTLS10}, ""},
		{"tls10-only", browser, "unsupported protocol version 301"},
		{"tls11-answer", browser, "unsupported protocol version 302"},
		{"ssl3-only", browser, "unsupported protocol version 300"},
		{"tls13-intolerant", browser, "connection reset"},
		{"tls13-intolerant", tls12, ""},
		{"tls13-intolerant-alert", browser, "handshake failure"},
		{"tls13-intolerant-alert", tls12, ""},
		{"large-hello-reset", browser, "connection reset"},
		{"large-hello-reset", small, ""},
		{"large-hello-silent", small, ""},
		{"downgraded", browser, "downgrade attempt detected"},
		{"rc4-only", browser, "handshake failure"},
		{"rc4-only", &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_RC4_128_SHA}}, ""},
		{"3des-only", browser, "handshake failure"},
		{"3des-only", &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA}}, ""},
		{"p521-group", browser, "handshake failure"},
		{"p521-group", &tls.Config{}, ""},
		{"x448-group", browser, "unsupported group"},
		{"no-alpn", browser, "no application protocol"},
		{"alpn-not-offered", browser, "unadvertised ALPN protocol"},
		{"sni-unknown", browser, "unrecognized name"},
		{"no-certificate", browser, "internal error"},
		{"handshake-failure", browser, "handshake failure"},
		{"cipher-not-offered", browser, "unconfigured cipher suite"},
		{"bad-server-hello", browser, "error decoding message"},
		{"damaged-record", browser, "bad record MAC"},
		{"oversized-record", browser, "oversized record"},
		{"echo-on-443", browser, "unexpected handshake message"},
		{"client-cert-tls12", browser, "handshake failure"},
		{"warned", tls12, ""},
		{"hello-retry", browser, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, err := l.handshake(t.Context(), rowOf(t, test.name), test.offer)
			if err == nil {
				defer c.Close()
			}
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// TestSNI: the same address answers for another name.
func TestSNI(t *testing.T) {
	l := start(t)
	for _, name := range []string{"sni-filtered", "sni-swallowed", "sni-unknown"} {
		c := l.dialSite(t, rowOf(t, name))
		client := tls.Client(c, &tls.Config{ServerName: "other.example", InsecureSkipVerify: true})
		client.SetDeadline(time.Now().Add(10 * time.Second))
		if err := client.Handshake(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestClientCert: in TLS 1.3 the client hears of it with its first read.
func TestClientCert(t *testing.T) {
	l := start(t)
	c, err := l.handshake(t.Context(), rowOf(t, "client-cert"), &tls.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "certificate required") {
		t.Errorf("got %v", err)
	}
}

// TestNegotiated: the sites that differ in what is negotiated.
func TestNegotiated(t *testing.T) {
	l := start(t)
	for _, test := range []struct {
		name, want string
	}{
		{"h2", "TLS 1.3 h2"},
		{"http11", "TLS 1.3 http/1.1"},
		{"tls12", "TLS 1.2 h2 TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
		{"tls12-rsa", "TLS 1.2 h2 TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"},
		{"tls12-chacha", "TLS 1.2 h2 TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"},
		{"cbc", "TLS 1.2 http/1.1 TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"},
		{"no-pfs", "TLS 1.2 http/1.1 TLS_RSA_WITH_AES_128_GCM_SHA256"},
		{"hello-retry", "TLS 1.3 h2 retried"},
	} {
		t.Run(test.name, func(t *testing.T) {
			offer := &tls.Config{}
			if test.name == "no-pfs" { // Go's client does not offer it by itself
				offer.CipherSuites = []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}
			}
			c, err := l.handshake(t.Context(), rowOf(t, test.name), offer)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			state := c.ConnectionState()
			got := tls.VersionName(state.Version) + " " + state.NegotiatedProtocol
			if state.Version < tls.VersionTLS13 {
				got += " " + tls.CipherSuiteName(state.CipherSuite)
			}
			if state.HelloRetryRequest {
				got += " retried"
			}
			if got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// TestTickets: the second connection resumes the first one's session.
func TestTickets(t *testing.T) {
	l := start(t)
	s := rowOf(t, "tickets")
	cache := tls.NewLRUClientSessionCache(1)
	for i := range 2 {
		c, err := l.handshake(t.Context(), s, &tls.Config{ClientSessionCache: cache, NextProtos: []string{"http/1.1"}})
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: "+s.Host()+"\r\n\r\n")
		io.Copy(io.Discard, c) // to the end: tickets come after the handshake
		if resumed := c.ConnectionState().DidResume; resumed != (i == 1) {
			t.Errorf("connection %d: resumed %v", i, resumed)
		}
		c.Close()
	}
}

// TestGoodbye: whether a close_notify comes before the end. It is encrypted, so
// it shows by its length: 2 bytes, the type, and a tag of 16.
func TestGoodbye(t *testing.T) {
	l := start(t)
	for name, want := range map[string]bool{"no-goodbye": false, "tickets": true, "empty-https": true} {
		s := rowOf(t, name)
		tap := &tap{Conn: l.dialSite(t, s)}
		c := tls.Client(tap, &tls.Config{ServerName: s.Host(), RootCAs: l.roots()})
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if _, err := io.Copy(io.Discard, c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		length := 0
		for b := tap.said.Bytes(); len(b) >= 5; b = b[min(5+length, len(b)):] {
			length = int(b[3])<<8 | int(b[4])
		}
		if got := length == 19; got != want {
			t.Errorf("%s: the last record has %d bytes", name, length)
		}
	}
}

// tap keeps what is read through it.
type tap struct {
	net.Conn
	said bytes.Buffer
}

func (t *tap) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	t.said.Write(p[:n])
	return n, err
}

// TestRenegotiation: the server asks again, in a record that holds.
func TestRenegotiation(t *testing.T) {
	l := start(t)
	c, err := l.handshake(t.Context(), rowOf(t, "renegotiation"), &tls.Config{NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := c.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "no renegotiation") {
		t.Errorf("got %v", err)
	}
}

// TestOpenSSL asks a second opinion where Go offers more than browsers do, or
// overlooks something.
func TestOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		missing(t, "openssl is not installed")
	}
	l := start(t)
	schemes := "ECDSA+SHA256:ECDSA+SHA384:RSA-PSS+SHA256:RSA+SHA256" // Chromium's, more or less
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"ed25519", []string{"-sigalgs", schemes}, "handshake failure"},
		{"ed25519", nil, "Verification: OK"},
		{"p521-leaf", []string{"-sigalgs", schemes, "-tls1_3"}, "handshake failure"},
		{"p521-leaf", nil, "Verification: OK"},
		{"extension-not-offered", nil, "unsolicited extension"},
		{"ssl3-only", nil, "unsupported protocol"},
		{"downgraded", nil, "inappropriate fallback"},
		{"not-der", nil, "asn1"},
		{"key-mismatch", nil, "bad signature"},
		{"must-staple", []string{"-status"}, "no response sent"},
		{"stapled", []string{"-status"}, "Cert Status: good"},
		{"revoked", []string{"-status"}, "Cert Status: revoked"},
		{"expired", nil, "certificate has expired"},
		{"expired-intermediate", nil, "certificate has expired"},
		{"bad-signature", nil, "certificate signature failure"},
		{"path-length", nil, "path length constraint exceeded"},
		{"issuer-not-ca", nil, "invalid CA certificate"},
		{"name-constraint", nil, "permitted subtree violation"},
		{"client-eku", nil, "unsuitable certificate purpose"},
		{"critical-extension", nil, "unhandled critical extension"},
		{"sha1", nil, "CA signature digest algorithm too weak"},
		{"rsa1024", nil, "EE certificate key too weak"},
		{"p224", nil, "wrong curve"},
		{"chain-disorder", nil, "Verification: OK"},
		{"long-chain", nil, "Verification: OK"},
		{"h2", nil, "Verification: OK"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir() + "/root.pem"
			writeFile(t, root, l.RootPEM())
			s := rowOf(t, test.name)
			args := append([]string{"s_client", "-connect", l.Addr(s.Name).String(), "-servername", s.Host(),
				"-CAfile", root, "-no-CApath", "-auth_level", "2"}, test.args...)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, openssl, args...)
			cmd.Stdin = bufio.NewReader(strings.NewReader(""))
			out, _ := cmd.CombinedOutput()
			if !strings.Contains(string(out), test.want) {
				t.Errorf("%q is not in\n%s", test.want, out)
			}
		})
	}
}
