package inspect

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ocsp"
)

// Roots are the authorities that certificates are judged by.
type Roots struct {
	// Pool holds all of them: the system's and any given besides.
	Pool *x509.CertPool
	// Known are those that can be listed (a system's pool cannot be); they tell a
	// forgotten intermediate from an unknown authority.
	Known []*x509.Certificate
	// Public are the roots of the public web, trusted here or not. Their owners
	// issue through intermediates, so a leaf of theirs without one is a forgotten
	// file and no stranger.
	Public []*x509.Certificate
}

// Bounds on what a server may make us look at.
const (
	maxChain = 16
	maxNames = 100
)

// Details of a certificate fault, where browsers tell kinds apart.
const (
	detailCA         = "ca-as-leaf"
	detailCritical   = "critical-extension"
	detailDER        = "not-der"
	detailNotCA      = "not-a-ca"
	detailPathLen    = "path-length"
	detailNotYet     = "not-yet-valid"
	detailMustStaple = "must-staple"
	detailOldStaple  = "old-staple"
	detailNewStaple  = "future-staple"
)

// JudgeChain looks for everything that is wrong with a chain at a moment, each
// thing by itself, because a verifier stops at the first: names, dates of every
// certificate, the way to a trusted root, usages, constraints, signatures,
// revocation by the stapled OCSP response. chain is in DER, leaf first.
func JudgeChain(chain [][]byte, staple []byte, host string, at time.Time, roots Roots) *CertStep {
	step := &CertStep{Staple: len(staple) > 0, Raw: chain}
	j := &judge{step: step, host: strings.TrimSuffix(host, "."), at: at, roots: roots}
	for i, der := range chain[:min(len(chain), maxChain)] {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			step.Chain = append(step.Chain, CertInfo{SHA256: fingerprint(der), Error: Printable([]byte(err.Error()))})
			j.add("cert-malformed", i, detailDER, fmt.Sprintf("certificate %d of the chain cannot be parsed: %v", i+1, err))
			c = nil
		} else {
			step.Chain = append(step.Chain, describe(c))
		}
		j.sent = append(j.sent, c)
	}
	if len(j.sent) == 0 || j.sent[0] == nil {
		return step
	}
	j.leaf(j.sent[0])
	path := j.path()
	j.issuers(path)
	j.staple(staple, path)
	return step
}

type judge struct {
	step  *CertStep
	host  string
	at    time.Time
	roots Roots
	sent  []*x509.Certificate // nil where one could not be parsed
}

func (j *judge) add(fault string, depth int, detail, why string) {
	j.step.Faults = append(j.step.Faults, CertFault{Fault: fault, Depth: depth, Detail: detail, Why: Printable([]byte(why))})
}

// leaf judges what concerns the server's own certificate alone.
func (j *judge) leaf(c *x509.Certificate) {
	switch {
	case j.at.After(c.NotAfter):
		j.add("cert-expired", 0, "", fmt.Sprintf("it expired on %s, %s before this attempt", day(c.NotAfter), span(j.at.Sub(c.NotAfter))))
	case j.at.Before(c.NotBefore):
		j.add("cert-not-yet-valid", 0, "", fmt.Sprintf("it becomes valid on %s, %s after this attempt", day(c.NotBefore), span(c.NotBefore.Sub(j.at))))
	case c.NotAfter.Sub(j.at) < min(c.NotAfter.Sub(c.NotBefore)/3, 7*24*time.Hour):
		j.add("cert-expires-soon", 0, "", fmt.Sprintf("it expires on %s, in %s", day(c.NotAfter), span(c.NotAfter.Sub(j.at))))
	}
	j.name(c)
	if weak(c.SignatureAlgorithm) && !bytes.Equal(c.RawIssuer, c.RawSubject) {
		j.add("cert-weak-signature", 0, "", fmt.Sprintf("it is signed with %s", c.SignatureAlgorithm))
	}
	if why := weakKey(c); why != "" {
		j.add("cert-weak-key", 0, "", why)
	}
	if k, ok := c.PublicKey.(*ecdsa.PublicKey); c.PublicKey == nil || ok && k.Curve.Params().BitSize < 256 {
		j.add("cert-unsupported-key", 0, "", fmt.Sprintf("its key is %s; browsers accept RSA, P-256 and P-384 (Firefox P-521 too)", keyName(c.PublicKey, c.PublicKeyAlgorithm)))
	}
	if len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) > 0 &&
		!slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth) && !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny) {
		j.add("cert-eku-wrong", 0, "", "its extended key usage does not allow it to stand for a web server (serverAuth)")
	}
	if c.IsCA {
		j.add("cert-key-usage-wrong", 0, detailCA, "it is the certificate of an authority, used as a server's own")
	} else if c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		j.add("cert-key-usage-wrong", 0, "", "its key usage does not allow signatures, which every modern handshake needs")
	}
	j.critical(c, 0)
	if mustStaple(c) && !j.step.Staple {
		j.add("cert-ocsp-staple-problem", 0, detailMustStaple, "it demands a stapled OCSP response (RFC 7633), and the server sends none")
	}
}

// name judges whether the certificate stands for the host (RFC 9525), and if
// not, in what way it misses.
func (j *judge) name(c *x509.Certificate) {
	if j.host == "" || c.VerifyHostname(j.host) == nil {
		return
	}
	covers := "it covers " + list(names(c), 4)
	cn := c.Subject.CommonName
	switch {
	case slices.ContainsFunc(placeholders, func(p string) bool {
		return strings.Contains(strings.ToLower(cn+" "+strings.Join(c.Issuer.Organization, " ")), p)
	}):
		j.add("cert-default-vhost", 0, "", fmt.Sprintf("the server shows its stock certificate %q instead of one for %s", cn, j.host))
	case isAddress(j.host):
		j.add("cert-name-ip-literal", 0, "", fmt.Sprintf("the address %s is not in it; %s", j.host, covers))
	case len(c.DNSNames)+len(c.IPAddresses)+len(c.EmailAddresses)+len(c.URIs) == 0:
		j.add("cert-name-no-san", 0, "", fmt.Sprintf("it has no subject alternative name, only the common name %q, which browsers ignore", cn))
	case slices.ContainsFunc(c.DNSNames, func(n string) bool { return missesWildcard(n, j.host) }):
		j.add("cert-name-wildcard-depth", 0, "", fmt.Sprintf("a wildcard stands for exactly one label; %s, not %s", covers, j.host))
	default:
		why := covers + ", not " + j.host
		if s := sibling(j.host); c.VerifyHostname(s) == nil {
			why += "; it would fit " + s
		}
		j.add("cert-name-mismatch", 0, "", why)
	}
}

func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// missesWildcard: host lies below the wildcard's domain, but not one label below.
func missesWildcard(pattern, host string) bool {
	parent, ok := strings.CutPrefix(strings.ToLower(pattern), "*.")
	host = strings.ToLower(host)
	return ok && (host == parent || strings.HasSuffix(host, "."+parent))
}

// sibling is the name with www added or taken away.
func sibling(host string) string {
	if s, ok := strings.CutPrefix(strings.ToLower(host), "www."); ok {
		return s
	}
	return "www." + host
}

// placeholders are certificates that software makes for itself, by their common
// names in lower case.
var placeholders = []string{
	"kubernetes ingress controller fake certificate", "traefik default cert", "snakeoil", "plesk", "parallels panel",
	"someorganization", "synology", "localhost.localdomain",
}

// path follows the issuers from the leaf up as far as the sent certificates and
// the roots lead, and judges how it ends.
func (j *judge) path() []*x509.Certificate {
	path := []*x509.Certificate{j.sent[0]}
	for len(path) <= maxChain {
		c := path[len(path)-1]
		if root := j.anchor(c); root != "" {
			j.step.Anchor = root
			return path
		}
		if bytes.Equal(c.RawIssuer, c.RawSubject) {
			j.untrustedEnd(c, path)
			return path
		}
		next, named := j.issuer(c, path)
		if next == nil {
			j.brokenEnd(c, named, path)
			return path
		}
		path = append(path, next)
	}
	j.add("cert-untrusted-root", 0, "", "the chain goes round in circles")
	return path
}

// anchor names the trusted root that signed c, or that c is; "" for none. Time
// and usage are judged elsewhere, so they are taken out of the question.
func (j *judge) anchor(c *x509.Certificate) string {
	if j.roots.Pool == nil {
		return ""
	}
	for _, at := range []time.Time{j.at, c.NotBefore.Add(time.Second), c.NotAfter.Add(-time.Second)} {
		chains, err := unjudged(c).Verify(x509.VerifyOptions{Roots: j.roots.Pool, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
		if err == nil {
			top := chains[0][len(chains[0])-1]
			return orElse(top.Subject.String(), "a trusted root")
		}
	}
	for _, r := range j.roots.Known {
		if bytes.Equal(r.Raw, c.Raw) || bytes.Equal(r.RawSubject, c.RawIssuer) && signed(c, r) {
			return orElse(r.Subject.String(), "a trusted root")
		}
	}
	return ""
}

// unjudged is c without the things that stop Verify before the question of
// trust: unknown critical extensions and its own basic constraints.
func unjudged(c *x509.Certificate) *x509.Certificate {
	d := *c
	d.UnhandledCriticalExtensions = nil
	return &d
}

// issuer finds the sent certificate that signed c. named says that one of the
// right name was there, whatever its key.
func (j *judge) issuer(c *x509.Certificate, path []*x509.Certificate) (next *x509.Certificate, named bool) {
	for _, p := range j.sent {
		if p == nil || slices.Contains(path, p) || !bytes.Equal(p.RawSubject, c.RawIssuer) {
			continue
		}
		named = true
		if signed(c, p) {
			return p, true
		}
	}
	return nil, named
}

// signed: p's key made c's signature. A signature with a broken hash cannot be
// checked by the library; names have to do, and the hash is a fault of its own.
func signed(c, p *x509.Certificate) bool {
	if weak(c.SignatureAlgorithm) {
		return true
	}
	return p.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

// untrustedEnd judges a chain that ends in a certificate that signed itself.
func (j *judge) untrustedEnd(c *x509.Certificate, path []*x509.Certificate) {
	if j.madeBy(path, len(path)-1) {
		return
	}
	switch {
	case !signed(c, c):
		j.add("cert-bad-signature", len(path)-1, "", fmt.Sprintf("%s claims to have signed itself, but the signature is wrong", c.Subject))
	case len(path) == 1:
		j.add("cert-self-signed", 0, "", fmt.Sprintf("%s vouches for itself; no authority signed it", orElse(c.Subject.CommonName, "the certificate")))
	default:
		j.add("cert-untrusted-root", len(path)-1, "", fmt.Sprintf("the chain ends at %q, which is not among the trusted roots", c.Subject))
	}
}

// brokenEnd judges a chain whose last certificate's issuer is neither trusted
// nor sent.
func (j *judge) brokenEnd(c *x509.Certificate, named bool, path []*x509.Certificate) {
	depth := len(path) - 1
	if j.madeBy(path, depth) {
		return
	}
	known := slices.ContainsFunc(j.roots.Known, func(r *x509.Certificate) bool { return bytes.Equal(r.RawSubject, c.RawIssuer) })
	switch {
	case named || known:
		j.add("cert-bad-signature", depth, "", fmt.Sprintf("the key of %q did not make the signature on %q", c.Issuer, c.Subject))
	case len(c.IssuingCertificateURL) > 0:
		j.add("cert-missing-intermediate", depth, "aia", fmt.Sprintf("the certificate of its issuer %q was not sent; it can be had from %s", c.Issuer, c.IssuingCertificateURL[0]))
	case j.sameOrganization(c):
		j.add("cert-missing-intermediate", depth, "", fmt.Sprintf("the certificate of its issuer %q was not sent, and the organization has a trusted root", c.Issuer))
	default:
		j.add("cert-untrusted-root", depth, "", fmt.Sprintf("its issuer %q is not among the trusted roots, and no certificate of it was sent", c.Issuer))
	}
}

// sameOrganization: a trusted root belongs to the organization that issued c.
func (j *judge) sameOrganization(c *x509.Certificate) bool {
	same := func(r *x509.Certificate) bool {
		return len(c.Issuer.Organization) > 0 && slices.Equal(r.Subject.Organization, c.Issuer.Organization)
	}
	return slices.ContainsFunc(j.roots.Known, same) || slices.ContainsFunc(j.roots.Public, same)
}

// madeBy reports a chain that a known interception product or a development
// authority made, instead of an unknown root.
func (j *judge) madeBy(path []*x509.Certificate, depth int) bool {
	for _, c := range path {
		if m := middlebox(c); m != nil {
			j.add(m.fault, depth, "", fmt.Sprintf("the issuer %q is %s", c.Issuer, m.product))
			return true
		}
	}
	return false
}

// issuers judges the certificates above the leaf.
func (j *judge) issuers(path []*x509.Certificate) {
	below := 0 // non-self-issued intermediates under the one being judged
	for i, c := range path {
		if i == 0 {
			continue
		}
		switch {
		case j.at.After(c.NotAfter):
			j.add("cert-intermediate-expired", i, "", fmt.Sprintf("the issuing certificate %q expired on %s", c.Subject, day(c.NotAfter)))
		case j.at.Before(c.NotBefore):
			j.add("cert-intermediate-expired", i, detailNotYet, fmt.Sprintf("the issuing certificate %q becomes valid on %s", c.Subject, day(c.NotBefore)))
		}
		switch {
		case !c.BasicConstraintsValid || !c.IsCA:
			j.add("cert-issuer-not-allowed", i, detailNotCA, fmt.Sprintf("%q signed it, but is not the certificate of an authority", c.Subject))
		case c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0:
			j.add("cert-issuer-not-allowed", i, detailNotCA, fmt.Sprintf("%q signed it, but its key usage does not allow it to sign certificates", c.Subject))
		case (c.MaxPathLen > 0 || c.MaxPathLenZero) && below > c.MaxPathLen:
			j.add("cert-issuer-not-allowed", i, detailPathLen, fmt.Sprintf("%q may have %d authorities below it, and has %d", c.Subject, c.MaxPathLen, below))
		}
		if why := constrained(c, path[0]); why != "" {
			j.add("cert-name-constraint", i, "", why)
		}
		if weak(c.SignatureAlgorithm) && !bytes.Equal(c.RawIssuer, c.RawSubject) {
			j.add("cert-weak-signature", i, "", fmt.Sprintf("the issuing certificate %q is signed with %s", c.Subject, c.SignatureAlgorithm))
		}
		if why := weakKey(c); why != "" {
			j.add("cert-weak-key", i, "", why)
		}
		j.critical(c, i)
		if !bytes.Equal(c.RawIssuer, c.RawSubject) {
			below++
		}
	}
	if inOrder := len(path) <= len(j.sent) && slices.EqualFunc(path, j.sent[:len(path)], func(a, b *x509.Certificate) bool { return a == b }); !inOrder && j.step.Anchor != "" {
		j.add("cert-chain-disorder", 0, "", "the certificates were sent in another order than they belong")
	}
}

// constrained says how the leaf's names break an authority's name constraints
// (RFC 5280 §4.2.1.10), "" when they do not. Only DNS names are judged.
func constrained(ca, leaf *x509.Certificate) string {
	for _, n := range leaf.DNSNames {
		n = strings.ToLower(strings.TrimPrefix(n, "*."))
		for _, x := range ca.ExcludedDNSDomains {
			if within(n, x) {
				return fmt.Sprintf("%q may not speak for %s: its constraints exclude %s", ca.Subject, n, x)
			}
		}
		if len(ca.PermittedDNSDomains) > 0 && !slices.ContainsFunc(ca.PermittedDNSDomains, func(x string) bool { return within(n, x) }) {
			return fmt.Sprintf("%q may not speak for %s: its constraints permit %s", ca.Subject, n, list(ca.PermittedDNSDomains, 4))
		}
	}
	return ""
}

func within(name, domain string) bool {
	domain = strings.ToLower(strings.TrimPrefix(domain, "."))
	return domain == "" || name == domain || strings.HasSuffix(name, "."+domain)
}

func (j *judge) critical(c *x509.Certificate, depth int) {
	if len(c.UnhandledCriticalExtensions) > 0 {
		j.add("cert-malformed", depth, detailCritical, fmt.Sprintf("it has an unknown extension marked critical (%s)", c.UnhandledCriticalExtensions[0]))
	}
}

// staple judges the stapled OCSP response (RFC 6066 §8, RFC 6960).
func (j *judge) staple(der []byte, path []*x509.Certificate) {
	if len(der) == 0 {
		return
	}
	var issuer *x509.Certificate
	if len(path) > 1 {
		issuer = path[1]
	} else {
		for _, r := range j.roots.Known {
			if bytes.Equal(r.RawSubject, path[0].RawIssuer) {
				issuer = r
			}
		}
	}
	r, err := ocsp.ParseResponseForCert(der, path[0], issuer)
	switch {
	case err != nil:
		j.add("cert-ocsp-staple-problem", 0, "", fmt.Sprintf("the stapled OCSP response cannot be used: %v", err))
	case r.Status == ocsp.Revoked:
		j.add("cert-revoked", 0, "", fmt.Sprintf("its authority revoked it on %s, says the stapled OCSP response", day(r.RevokedAt)))
	case !r.NextUpdate.IsZero() && j.at.After(r.NextUpdate):
		j.add("cert-ocsp-staple-problem", 0, detailOldStaple, fmt.Sprintf("the stapled OCSP response expired on %s", day(r.NextUpdate)))
	case j.at.Before(r.ThisUpdate):
		j.add("cert-ocsp-staple-problem", 0, detailNewStaple, fmt.Sprintf("the stapled OCSP response becomes valid on %s", day(r.ThisUpdate)))
	}
}

var oidTLSFeature = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}

// mustStaple: the certificate carries the TLS feature extension with
// status_request (RFC 7633).
func mustStaple(c *x509.Certificate) bool {
	i := slices.IndexFunc(c.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(oidTLSFeature) })
	if i < 0 {
		return false
	}
	var features []int
	_, err := asn1.Unmarshal(c.Extensions[i].Value, &features)
	return err == nil && slices.Contains(features, 5)
}

func weak(a x509.SignatureAlgorithm) bool {
	switch a {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		return true
	}
	return false
}

func weakKey(c *x509.Certificate) string {
	if k, ok := c.PublicKey.(*rsa.PublicKey); ok && k.N.BitLen() < 2048 {
		return fmt.Sprintf("the key of %q is RSA with %d bits; public authorities must use 2048 or more", orElse(c.Subject.CommonName, c.Subject.String()), k.N.BitLen())
	}
	return ""
}

func describe(c *x509.Certificate) CertInfo {
	return CertInfo{
		Subject: Printable([]byte(c.Subject.String())), Issuer: Printable([]byte(c.Issuer.String())), Names: names(c),
		NotBefore: c.NotBefore.UTC(), NotAfter: c.NotAfter.UTC(),
		Key: keyName(c.PublicKey, c.PublicKeyAlgorithm), Signature: c.SignatureAlgorithm.String(),
		CA: c.IsCA, SHA256: fingerprint(c.Raw),
	}
}

func names(c *x509.Certificate) (all []string) {
	for _, n := range c.DNSNames {
		all = append(all, Printable([]byte(n)))
	}
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	return all[:min(len(all), maxNames)]
}

func keyName(key any, alg x509.PublicKeyAlgorithm) string {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return orElse(alg.String(), "unknown")
}

func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// list writes up to n items.
func list(items []string, n int) string {
	switch {
	case len(items) == 0:
		return "no name"
	case len(items) > n:
		return strings.Join(items[:n], ", ") + fmt.Sprintf(" and %d more", len(items)-n)
	}
	return strings.Join(items, ", ")
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

// span writes a duration in the unit a person would use.
func span(d time.Duration) string {
	switch {
	case d < 2*time.Hour:
		return fmt.Sprintf("%d minutes", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d hours", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
