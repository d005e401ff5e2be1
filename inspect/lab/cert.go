package lab

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"sync"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/crypto/ocsp"
)

const day = 24 * time.Hour

// A forge makes certificates, good and bad.
type forge struct {
	now   time.Time
	mark  string // tells this lab's authorities from those of another run
	root  *authority
	inter *authority // signs every ordinary leaf

	rsa2048, rsa1024 func() crypto.Signer
}

// An authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
	// path is what a server sends of it: itself and those above it, but not the
	// root.
	path [][]byte
}

func newForge(now time.Time) (*forge, error) {
	mark := make([]byte, 2)
	rand.Read(mark)
	f := &forge{
		now:  now.Truncate(time.Second),
		mark: hex.EncodeToString(mark),
		// RSA keys take long to find, so they are made once, when needed.
		rsa2048: sync.OnceValue(func() crypto.Signer { return newRSA(2048) }),
		rsa1024: sync.OnceValue(func() crypto.Signer { return newRSA(1024) }),
	}
	var err error
	f.root, err = f.authority(nil, func(c *x509.Certificate) {
		c.Subject = pkix.Name{Organization: []string{"faultline lab"}, CommonName: "faultline lab root " + f.mark}
	})
	if err != nil {
		return nil, err
	}
	f.inter, err = f.authority(f.root, func(c *x509.Certificate) {
		c.Subject = pkix.Name{Organization: []string{"faultline lab"}, CommonName: "faultline lab intermediate " + f.mark}
	})
	return f, err
}

func newRSA(bits int) crypto.Signer {
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err) // the system has no randomness
	}
	return k
}

func newEC(c elliptic.Curve) crypto.Signer {
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
}

func newEd25519() crypto.Signer {
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
}

// authority makes one below parent, or a root when parent is nil.
func (f *forge) authority(parent *authority, change func(*x509.Certificate)) (*authority, error) {
	a := &authority{key: newEC(elliptic.P256())}
	c := &x509.Certificate{
		NotBefore:             f.now.Add(-day),
		NotAfter:              f.now.Add(364 * day),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
		SubjectKeyId:          keyID(a.key.Public()),
	}
	change(c)
	by := parent
	if by == nil {
		by = &authority{cert: c, key: a.key}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by.cert, a.key.Public(), by.key)
	if err != nil {
		return nil, fmt.Errorf("authority %v: %w", c.Subject, err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return nil, fmt.Errorf("authority %v: %w", c.Subject, err)
	}
	if parent != nil {
		a.path = append([][]byte{der}, parent.path...)
	}
	return a, nil
}

func keyID(pub crypto.PublicKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil
	}
	sum := sha256.Sum256(der)
	return sum[:20]
}

// An order says what a site's certificate is to be. It begins as an order for
// a good one, and the site's row changes it.
type order struct {
	*forge
	x509.Certificate
	Key crypto.Signer // of the certificate
	By  *authority
	// Send is what goes out after the leaf; nil: the issuer's path.
	Send [][]byte
	// Holds is the key that the server really has; nil: Key.
	Holds crypto.Signer
	// Alter changes the finished certificate.
	Alter func(der []byte) ([]byte, error)
	// Staple makes the OCSP response that is sent with it.
	Staple *ocsp.Response

	err error
}

// ca makes an authority for this order only.
func (o *order) ca(parent *authority, change func(*x509.Certificate)) *authority {
	a, err := o.authority(parent, change)
	if err != nil {
		o.err = errors.Join(o.err, err)
		return o.inter
	}
	return a
}

// named is a change of an authority's subject.
func named(org, cn string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: cn}
		if org != "" {
			c.Subject.Organization = []string{org}
		}
	}
}

// stranger makes an authority below a root that nobody trusts.
func (o *order) stranger(org, root, inter string) *authority {
	return o.ca(o.ca(nil, named(org, root)), named(org, inter))
}

// rsa is the lab's RSA key of that size. Sites share it: it takes long to make.
func (o *order) rsa(bits int) crypto.Signer {
	if bits == 1024 {
		return o.rsa1024()
	}
	return o.rsa2048()
}

// dates sets the validity, in days from now.
func (o *order) dates(from, to int) {
	o.NotBefore = o.now.Add(time.Duration(from) * day)
	o.NotAfter = o.now.Add(time.Duration(to) * day)
}

// selfSigned has the leaf sign itself.
func (o *order) selfSigned() {
	o.By = &authority{cert: &o.Certificate, key: o.Key}
	o.Send = [][]byte{}
}

// issue makes the certificate of a host.
func (f *forge) issue(host string, change func(*order)) (tls.Certificate, error) {
	o := &order{
		forge: f,
		Key:   newEC(elliptic.P256()),
		By:    f.inter,
		Certificate: x509.Certificate{
			Subject:               pkix.Name{CommonName: host},
			DNSNames:              []string{host},
			NotBefore:             f.now.Add(-day),
			NotAfter:              f.now.Add(89 * day),
			KeyUsage:              x509.KeyUsageDigitalSignature,
			ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
			BasicConstraintsValid: true,
		},
	}
	if change != nil {
		change(o)
	}
	if o.err != nil {
		return tls.Certificate{}, o.err
	}
	return o.sign()
}

func (o *order) sign() (tls.Certificate, error) {
	if _, ok := o.Key.(*rsa.PrivateKey); ok && o.KeyUsage == x509.KeyUsageDigitalSignature {
		o.KeyUsage |= x509.KeyUsageKeyEncipherment
	}
	der, err := x509.CreateCertificate(rand.Reader, &o.Certificate, o.By.cert, o.Key.Public(), o.By.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate for %v: %w", o.Subject, err)
	}
	cert := tls.Certificate{PrivateKey: o.Key}
	if o.Staple != nil {
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			return tls.Certificate{}, err
		}
		o.Staple.SerialNumber = leaf.SerialNumber
		if cert.OCSPStaple, err = ocsp.CreateResponse(o.By.cert, o.By.cert, *o.Staple, o.By.key); err != nil {
			return tls.Certificate{}, fmt.Errorf("staple: %w", err)
		}
	}
	if o.Alter != nil {
		if der, err = o.Alter(der); err != nil {
			return tls.Certificate{}, fmt.Errorf("alter: %w", err)
		}
	}
	cert.Certificate = append(cert.Certificate, der)
	if o.Send == nil {
		o.Send = o.By.path
	}
	cert.Certificate = append(cert.Certificate, o.Send...)
	if o.Holds != nil {
		cert.PrivateKey = o.Holds
	}
	return cert, nil
}

// Alterations: what x509.CreateCertificate will not do.

// cutOff leaves only the first half, which is no longer DER.
func cutOff(der []byte) ([]byte, error) { return der[:len(der)/2], nil }

// resealed flips a bit of the signature. The last byte is inside the number s,
// so the structure stays whole.
func resealed(der []byte) ([]byte, error) {
	der = append([]byte(nil), der...)
	der[len(der)-1] ^= 1
	return der, nil
}

var errShape = errors.New("not a certificate")

// version1 makes a certificate of X.509 version 1 out of one of version 3: no
// version, no extensions. Only the names in the subject are left (RFC 5280
// §4.1.2.1).
func (o *order) version1(der []byte) ([]byte, error) {
	return o.resign(der, func(tbs cryptobyte.String, b *cryptobyte.Builder) error {
		var ext cryptobyte.String
		if !tbs.SkipASN1(cbasn1.Tag(0).ContextSpecific().Constructed()) {
			return errShape
		}
		for range 6 { // serial, signature, issuer, validity, subject, key
			var part cryptobyte.String
			var tag cbasn1.Tag
			if !tbs.ReadAnyASN1Element(&part, &tag) {
				return errShape
			}
			b.AddBytes(part)
		}
		if !tbs.ReadASN1(&ext, cbasn1.Tag(3).ContextSpecific().Constructed()) {
			return errShape
		}
		return nil
	})
}

// resign changes the signed part of a certificate and has the issuer sign it
// again.
func (o *order) resign(der []byte, change func(tbs cryptobyte.String, b *cryptobyte.Builder) error) ([]byte, error) {
	outer := cryptobyte.String(der)
	var whole, tbs, algorithm cryptobyte.String
	if !outer.ReadASN1(&whole, cbasn1.SEQUENCE) || !whole.ReadASN1(&tbs, cbasn1.SEQUENCE) ||
		!whole.ReadASN1Element(&algorithm, cbasn1.SEQUENCE) {
		return nil, errShape
	}
	var b cryptobyte.Builder
	var err error
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { err = change(tbs, b) })
	if err != nil {
		return nil, err
	}
	signed, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(signed)
	sig, err := o.By.key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	var out cryptobyte.Builder
	out.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(signed)
		b.AddBytes(algorithm)
		b.AddASN1BitString(sig)
	})
	return out.Bytes()
}

// unknownCritical is an extension that no client knows and that must not be
// ignored (RFC 5280 §4.2). The OID is one of the "example" arc.
var unknownCritical = pkix.Extension{
	Id:       asn1.ObjectIdentifier{2, 999, 443},
	Critical: true,
	Value:    []byte{0x05, 0x00},
}

// mustStaple is the TLS feature extension that asks for status_request (RFC 7633).
var mustStaple = pkix.Extension{
	Id:    asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24},
	Value: []byte{0x30, 0x03, 0x02, 0x01, 0x05},
}

// stapled is a status from some days ago that holds for a week.
func (o *order) stapled(status int, daysAgo int) *ocsp.Response {
	from := o.now.Add(-time.Duration(daysAgo)*day - time.Hour)
	r := &ocsp.Response{Status: status, ThisUpdate: from, NextUpdate: from.Add(7 * day)}
	if status == ocsp.Revoked {
		r.RevokedAt = o.now.Add(-2 * day)
		r.RevocationReason = ocsp.KeyCompromise
	}
	return r
}

// responder answers OCSP requests for certificates of the lab's intermediate:
// all are revoked. It is served by the index page.
func (f *forge) responder(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<14))
	if err != nil {
		return
	}
	q, err := ocsp.ParseRequest(body)
	if err != nil {
		http.Error(w, "not an OCSP request", http.StatusBadRequest)
		return
	}
	answer, err := ocsp.CreateResponse(f.inter.cert, f.inter.cert, ocsp.Response{
		Status:           ocsp.Revoked,
		SerialNumber:     new(big.Int).Set(q.SerialNumber),
		ThisUpdate:       f.now.Add(-time.Hour),
		NextUpdate:       f.now.Add(day),
		RevokedAt:        f.now.Add(-2 * day),
		RevocationReason: ocsp.KeyCompromise,
	}, f.inter.key)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/ocsp-response")
	w.Write(answer)
}

func pemCert(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
