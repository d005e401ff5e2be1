package lab

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"
)

func writeFile(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// judge verifies a chain as a client does that trusts the lab.
func (l *Lab) judge(chain []*x509.Certificate, host string, now time.Time) error {
	inter := x509.NewCertPool()
	for _, c := range chain[1:] {
		inter.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{DNSName: host, Roots: l.roots(), Intermediates: inter, CurrentTime: now})
	return err
}

// wrong puts a verification error in a word.
func wrong(err error) string {
	var invalid x509.CertificateInvalidError
	var host x509.HostnameError
	var unknown x509.UnknownAuthorityError
	var critical x509.UnhandledCriticalExtension
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &critical):
		return "critical"
	case errors.As(err, &host):
		return "name"
	case errors.As(err, &unknown):
		if strings.Contains(err.Error(), "insecure algorithm") {
			return "algorithm"
		}
		if strings.Contains(err.Error(), "parent certificate cannot sign") {
			return "issuer"
		}
		if strings.Contains(err.Error(), "invalid signature") || strings.Contains(err.Error(), "verification failure") {
			return "signature"
		}
		return "unknown"
	case errors.As(err, &invalid):
		switch invalid.Reason {
		case x509.Expired:
			return "time"
		case x509.IncompatibleUsage:
			return "usage"
		case x509.TooManyIntermediates:
			return "path length"
		case x509.CANotAuthorizedForThisName:
			return "constraint"
		}
	}
	return err.Error()
}

// TestCertificates: what is wrong with each chain, and that nothing else is.
func TestCertificates(t *testing.T) {
	l := start(t)
	now := time.Now()
	for _, test := range []struct {
		name string
		want string
		also func(t *testing.T, chain []*x509.Certificate)
	}{
		{"expired", "time", func(t *testing.T, chain []*x509.Certificate) {
			if !chain[0].NotAfter.Before(now) {
				t.Error("not expired")
			}
			l.fine(t, "expired", chain, now.AddDate(0, 0, -20))
		}},
		{"expired-tls12", "time", nil},
		{"not-yet-valid", "time", func(t *testing.T, chain []*x509.Certificate) {
			if !chain[0].NotBefore.After(now) {
				t.Error("already valid")
			}
			l.fine(t, "not-yet-valid", chain, now.AddDate(0, 0, 20))
		}},
		{"expires-soon", "ok", func(t *testing.T, chain []*x509.Certificate) {
			if left := chain[0].NotAfter.Sub(now); left > 7*day {
				t.Errorf("%v left", left)
			}
		}},
		{"wrong-name", "name", nil},
		{"wrong-name-tls12", "name", nil},
		{"www.no-www", "name", func(t *testing.T, chain []*x509.Certificate) {
			if chain[0].DNSNames[0] != "no-www."+Domain {
				t.Errorf("names %v", chain[0].DNSNames)
			}
		}},
		{"cn-only", "name", func(t *testing.T, chain []*x509.Certificate) {
			if chain[0].DNSNames != nil || chain[0].Subject.CommonName != "cn-only."+Domain {
				t.Errorf("names %v, %v", chain[0].DNSNames, chain[0].Subject)
			}
		}},
		{"v1", "name", func(t *testing.T, chain []*x509.Certificate) {
			if chain[0].Version != 1 || chain[0].Subject.CommonName != "v1."+Domain || chain[0].CheckSignatureFrom(chain[1]) != nil {
				t.Errorf("version %d of %v", chain[0].Version, chain[0].Subject)
			}
		}},
		{"a.b.wildcard", "name", nil},
		{"bare-wildcard", "name", nil},
		{"any.wildcard", "ok", nil},
		{"kubernetes-default", "name", onlySelf},
		{"localhost-default", "name", onlySelf},
		{"self-signed", "unknown", onlySelf},
		{"untrusted-root", "unknown", nil},
		{"missing-intermediate", "unknown", func(t *testing.T, chain []*x509.Certificate) {
			if len(chain) != 1 || chain[0].CheckSignatureFrom(l.forge.inter.cert) != nil || chain[0].IssuingCertificateURL != nil {
				t.Errorf("%d certificates", len(chain))
			}
		}},
		{"missing-intermediate-aia", "unknown", func(t *testing.T, chain []*x509.Certificate) {
			_, der, err := l.get(chain[0].IssuingCertificateURL[0])
			if err != nil {
				t.Fatal(err)
			}
			inter, err := x509.ParseCertificate([]byte(der))
			if err != nil {
				t.Fatal(err)
			}
			l.fine(t, "missing-intermediate-aia", append(chain, inter), now)
		}},
		{"chain-disorder", "ok", func(t *testing.T, chain []*x509.Certificate) {
			if len(chain) != 4 || !chain[1].Equal(l.Root()) || chain[0].CheckSignatureFrom(chain[1]) == nil {
				t.Errorf("%d certificates", len(chain))
			}
		}},
		{"long-chain", "ok", func(t *testing.T, chain []*x509.Certificate) {
			if len(chain) != 3 {
				t.Errorf("%d certificates", len(chain))
			}
		}},
		{"expired-intermediate", "time", func(t *testing.T, chain []*x509.Certificate) {
			if chain[0].NotAfter.Before(now) || !chain[1].NotAfter.Before(now) {
				t.Error("the wrong one has expired")
			}
		}},
		{"bad-signature", "signature", nil},
		{"impostor-issuer", "signature", func(t *testing.T, chain []*x509.Certificate) {
			if chain[0].Issuer.String() != chain[1].Subject.String() {
				t.Errorf("issuer %v, next %v", chain[0].Issuer, chain[1].Subject)
			}
		}},
		{"zscaler", "unknown", issuedBy("Zscaler Inc.", "Zscaler Intermediate Root CA (zscalerthree.net) (t)")},
		{"fortigate", "unknown", issuedBy("Fortinet", "FortiGate CA")},
		{"avast", "unknown", issuedBy("", "Avast Web/Mail Shield Root")},
		{"state-root", "unknown", issuedBy("ISCA", "Qaznet Trust Network")},
		{"mkcert", "unknown", issuedBy("mkcert development CA", "")},
		{"staging", "unknown", issuedBy("(STAGING) Let's Encrypt", "")},
		{"revoked", "ok", nil},      // see TestStaples
		{"revoked-ocsp", "ok", nil}, // see TestResponder
		{"revocation-unknown", "ok", func(t *testing.T, chain []*x509.Certificate) {
			if _, _, err := l.get(chain[0].OCSPServer[0]); err == nil {
				t.Error("there is a responder")
			}
		}},
		{"must-staple", "ok", demandsStaple},
		{"staple-expired", "ok", demandsStaple},
		{"stapled", "ok", demandsStaple},
		{"sha1", "algorithm", func(t *testing.T, chain []*x509.Certificate) {
			if chain[0].SignatureAlgorithm != x509.ECDSAWithSHA1 {
				t.Error(chain[0].SignatureAlgorithm)
			}
		}},
		{"sha1-intermediate", "algorithm", func(t *testing.T, chain []*x509.Certificate) {
			if chain[0].SignatureAlgorithm == x509.ECDSAWithSHA1 || chain[1].SignatureAlgorithm != x509.ECDSAWithSHA1 {
				t.Error(chain[1].SignatureAlgorithm)
			}
		}},
		{"rsa1024", "ok", keyOf("RSA 1024")},
		{"rsa", "ok", keyOf("RSA 2048")},
		{"p384", "ok", keyOf("ECDSA P-384")},
		{"p224", "ok", keyOf("ECDSA P-224")},
		{"p521-leaf", "ok", keyOf("ECDSA P-521")},
		{"ed25519", "ok", keyOf("Ed25519")},
		{"ten-years", "ok", func(t *testing.T, chain []*x509.Certificate) {
			if life := chain[0].NotAfter.Sub(chain[0].NotBefore); life < 3650*day {
				t.Errorf("%v", life)
			}
		}},
		{"client-eku", "usage", nil},
		{"key-usage", "ok", func(t *testing.T, chain []*x509.Certificate) {
			if chain[0].KeyUsage != x509.KeyUsageKeyAgreement {
				t.Errorf("usage %b", chain[0].KeyUsage)
			}
		}},
		{"ca-as-leaf", "ok", func(t *testing.T, chain []*x509.Certificate) {
			if !chain[0].IsCA {
				t.Error("not an authority")
			}
		}},
		{"issuer-not-ca", "issuer", nil},
		{"path-length", "path length", nil},
		{"name-constraint", "constraint", nil},
		{"critical-extension", "critical", nil},
		{"key-mismatch", "", nil}, // the handshake fails; see below
		{"key-mismatch-tls12", "", nil},
		{"not-der", "", nil},
		{"differs-by-address", "ok", nil}, // the address that works
		{"expired-wrong-name", "time", func(t *testing.T, chain []*x509.Certificate) {
			if got := wrong(l.judge(chain, "expired-wrong-name."+Domain, now.AddDate(0, 0, -20))); got != "name" {
				t.Errorf("earlier: %s", got)
			}
		}},
		{"expired-untrusted", "time", func(t *testing.T, chain []*x509.Certificate) {
			if got := wrong(l.earlier(chain, "expired-untrusted."+Domain, now.AddDate(0, 0, -20))); got != "unknown" {
				t.Errorf("earlier: %s", got)
			}
		}},
		{"wrong-name-untrusted", "name", func(t *testing.T, chain []*x509.Certificate) {
			if got := wrong(l.judge(chain, "other."+Domain, now)); got != "unknown" {
				t.Errorf("under its own name: %s", got)
			}
		}},
		{"expired-self-signed", "time", onlySelf},
		{"expired-intermediate-wrong-name", "name", func(t *testing.T, chain []*x509.Certificate) {
			if got := wrong(l.judge(chain, "other."+Domain, now)); got != "time" || chain[0].NotAfter.Before(now) {
				t.Errorf("under its own name: %s", got)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := rowOf(t, test.name)
			chain, err := l.chain(t, s)
			if test.want == "" {
				if err == nil {
					t.Error("the handshake succeeded")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := wrong(l.judge(chain, s.Host(), now)); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if test.also != nil {
				test.also(t, chain)
			}
		})
	}
}

// TestCertificatesAll: no certificate site is left out above.
func TestCertificatesAll(t *testing.T) {
	l := start(t)
	for _, s := range Sites() {
		h, ok := s.serve.(https)
		if !ok || h.leaf == nil {
			continue
		}
		if _, err := l.forge.issue(s.Host(), h.leaf); err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
	}
}

// chain is what the site at its last address sends.
func (l *Lab) chain(t *testing.T, s Site) ([]*x509.Certificate, error) {
	t.Helper()
	addrs := l.hosts[s.Host()].addrs
	if got := l.Route(s.Host(), netip.AddrPortFrom(addrs[len(addrs)-1], s.Port)); got != l.Addr(s.Name) {
		t.Fatalf("Addr is %v, Route says %v", l.Addr(s.Name), got)
	}
	c, err := tls.Dial("tcp", l.Addr(s.Name).String(), &tls.Config{ServerName: s.Host(), InsecureSkipVerify: true})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates, nil
}

// earlier judges a chain as of another day. The lab's authorities are as young
// as the lab, so they are made older.
func (l *Lab) earlier(chain []*x509.Certificate, host string, at time.Time) error {
	older := func(c *x509.Certificate) *x509.Certificate {
		old := *c
		old.NotBefore = at.Add(-day)
		return &old
	}
	roots, inter := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(older(l.Root()))
	for _, c := range chain[1:] {
		inter.AddCert(older(c))
	}
	_, err := chain[0].Verify(x509.VerifyOptions{DNSName: host, Roots: roots, Intermediates: inter, CurrentTime: at})
	return err
}

// fine: nothing is wrong with the chain at that time.
func (l *Lab) fine(t *testing.T, name string, chain []*x509.Certificate, at time.Time) {
	t.Helper()
	if err := l.earlier(chain, name+"."+Domain, at); err != nil {
		t.Errorf("at %v: %v", at, err)
	}
}

func onlySelf(t *testing.T, chain []*x509.Certificate) {
	if len(chain) != 1 || chain[0].CheckSignature(chain[0].SignatureAlgorithm, chain[0].RawTBSCertificate, chain[0].Signature) != nil {
		t.Errorf("%d certificates, the first by %v", len(chain), chain[0].Issuer)
	}
}

func issuedBy(org, cn string) func(*testing.T, []*x509.Certificate) {
	return func(t *testing.T, chain []*x509.Certificate) {
		issuer := chain[0].Issuer
		if org != "" && !slices.Contains(issuer.Organization, org) || cn != "" && issuer.CommonName != cn {
			t.Errorf("issuer %v", issuer)
		}
	}
}

func keyOf(want string) func(*testing.T, []*x509.Certificate) {
	return func(t *testing.T, chain []*x509.Certificate) {
		if got := keyName(chain[0]); got != want {
			t.Errorf("key %s, want %s", got, want)
		}
	}
}

func demandsStaple(t *testing.T, chain []*x509.Certificate) {
	for _, e := range chain[0].Extensions {
		if e.Id.Equal(mustStaple.Id) {
			return
		}
	}
	t.Error("no TLS feature extension")
}

func keyName(c *x509.Certificate) string {
	switch k := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return fmt.Sprintf("%T", c.PublicKey)
}

func TestStaples(t *testing.T) {
	l := start(t)
	now := time.Now()
	for name, want := range map[string]string{
		"revoked":        "revoked",
		"stapled":        "good",
		"staple-expired": "good, out of date",
		"must-staple":    "none",
		"h2":             "none",
	} {
		t.Run(name, func(t *testing.T) {
			c, err := l.handshake(t.Context(), rowOf(t, name), &tls.Config{})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			state := c.ConnectionState()
			got := "none"
			if state.OCSPResponse != nil {
				r, err := ocsp.ParseResponseForCert(state.OCSPResponse, state.PeerCertificates[0], state.PeerCertificates[1])
				if err != nil {
					t.Fatal(err)
				}
				got = map[int]string{ocsp.Good: "good", ocsp.Revoked: "revoked"}[r.Status]
				if r.NextUpdate.Before(now) {
					got += ", out of date"
				}
			}
			if got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

// TestResponder asks the issuer of revoked-ocsp, as Firefox does.
func TestResponder(t *testing.T) {
	l := start(t)
	chain, err := l.chain(t, rowOf(t, "revoked-ocsp"))
	if err != nil {
		t.Fatal(err)
	}
	q, err := ocsp.CreateRequest(chain[0], chain[1], nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := l.visitor().Post(chain[0].OCSPServer[0], "application/ocsp-request", bytes.NewReader(q))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var body bytes.Buffer
	body.ReadFrom(resp.Body)
	r, err := ocsp.ParseResponseForCert(body.Bytes(), chain[0], chain[1])
	if err != nil || r.Status != ocsp.Revoked {
		t.Errorf("got %+v, %v", r, err)
	}
	junk, err := l.visitor().Post(chain[0].OCSPServer[0], "application/ocsp-request", strings.NewReader("junk"))
	if err != nil {
		t.Fatal(err)
	}
	defer junk.Body.Close()
	if junk.StatusCode != http.StatusBadRequest {
		t.Errorf("junk: %s", junk.Status)
	}
}

// TestDiffers: the two addresses have different certificates, and one is bad.
func TestDiffers(t *testing.T) {
	l := start(t)
	s := rowOf(t, "differs-by-address")
	var got []string
	for _, addr := range l.hosts[s.Host()].addrs {
		c, err := tls.Dial("tcp", l.Route(s.Host(), netip.AddrPortFrom(addr, 443)).String(), &tls.Config{ServerName: s.Host(), InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		got = append(got, wrong(l.judge(c.ConnectionState().PeerCertificates, s.Host(), time.Now())))
	}
	if !slices.Equal(got, []string{"time", "ok"}) {
		t.Errorf("got %q", got)
	}
}
