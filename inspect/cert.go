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

	"faultline/inspect/wire"
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

func (c *CertStep) leaf() *CertInfo {
	if c == nil || len(c.Chain) == 0 {
		return nil
	}
	return &c.Chain[0]
}

// fault finds a fault of the chain by its ID.
func (c *CertStep) fault(id string) *CertFault {
	if c == nil {
		return nil
	}
	if i := slices.IndexFunc(c.Faults, func(f CertFault) bool { return f.Fault == id }); i >= 0 {
		return &c.Faults[i]
	}
	return nil
}

// cert is the chain the attempt met: the client's own, where it passed in clear,
// else the one a connection of our own was given.
func (a *Attempt) cert() (c *CertStep, probed bool) {
	if a.Seen.Cert.leaf() != nil {
		return a.Seen.Cert, false
	}
	return a.probedCert(), true
}

// probe is the comparison that made the change, nil when it was not made.
func (a *Attempt) probe(c Change) *Probe {
	if i := slices.IndexFunc(a.Probes, func(p Probe) bool { return p.Change == c }); i >= 0 {
		return &a.Probes[i]
	}
	return nil
}

func (a *Attempt) probedCert() *CertStep {
	if p := a.probe(ChangeClient); p != nil {
		return p.Evidence.Cert
	}
	return nil
}

func (a *Attempt) probedTLS() *TLSStep {
	if p := a.probe(ChangeClient); p != nil {
		return p.Evidence.TLS
	}
	return nil
}

// certFault matches a fault of the chain, when the client refused the handshake
// and this fault is one that its browser refuses for.
func certFault(id string) func(*Attempt) *Finding {
	return func(a *Attempt) *Finding {
		c, probed := a.cert()
		f := c.fault(id)
		if f == nil || !a.refused() || a.unknownAuthority() {
			return nil
		}
		if id != "cert-expires-soon" && id != "cert-chain-disorder" && !a.minds(*f) {
			return nil
		}
		certainty := Seen
		if probed {
			certainty = Shown
		}
		if r := a.Seen.TLS.Rejected; r == RejectClosed || r == RejectSilent {
			certainty = Inferred
		}
		return &Finding{Why: f.Why, Certainty: certainty, Chromium: chromiumCert(c), Firefox: firefoxCert(c)}
	}
}

// certKeyMismatch also knows the alert that a client sends in clear in TLS 1.2
// when the server's signature does not fit the certificate (RFC 5246 §7.2.2,
// decrypt_error).
func certKeyMismatch(a *Attempt) *Finding {
	if f := certFault("cert-key-mismatch")(a); f != nil {
		return f
	}
	t := a.Seen.TLS
	if t == nil || t.Answer == nil || t.Rejected != RejectHandshakeAlert {
		return nil
	}
	if al := t.alertFrom(wire.Client); al == nil || al.Number != 51 {
		return nil
	}
	return &Finding{Why: t.rejection() + ": the server's handshake signature does not fit the key in its certificate"}
}

// minds: the client, as far as it is known, refuses certificates for this fault.
func (a *Attempt) minds(f CertFault) bool {
	if f.Fault == "cert-expires-soon" || f.Fault == "cert-chain-disorder" {
		return false // advice; nobody refuses for it
	}
	switch a.Client.Family() {
	case "chromium":
		return chromiumCertCode(f) != ""
	case "firefox":
		return firefoxCertCode(f) != ""
	}
	return true
}

// refused: the client refused the handshake, or may have.
func (a *Attempt) refused() bool {
	return a.Seen.TLS != nil && a.Seen.TLS.Rejected != "" && !a.Seen.TLS.Used
}

// chromiumCert is the code Chromium shows for a chain: of all its faults the
// one that stands first in net/cert/cert_status_flags.cc, "" when it has none
// that Chromium minds.
func chromiumCert(c *CertStep) string {
	for _, code := range chromiumCertOrder {
		if slices.ContainsFunc(c.Faults, func(f CertFault) bool { return chromiumCertCode(f) == code }) {
			return code
		}
	}
	return ""
}

var chromiumCertOrder = []string{
	"ERR_SSL_PROTOCOL_ERROR", "ERR_CERT_INVALID", "ERR_CERT_REVOKED",
	"ERR_CERT_AUTHORITY_INVALID", "ERR_CERT_COMMON_NAME_INVALID", "ERR_CERT_DATE_INVALID", "ERR_SSL_KEY_USAGE_INCOMPATIBLE",
}

// chromiumCertCode is Chromium's code for one fault, "" where it does not mind
// (measured with 156 under a locally added root).
func chromiumCertCode(f CertFault) string {
	switch f.Fault {
	case "cert-expired", "cert-not-yet-valid", "cert-intermediate-expired":
		return "ERR_CERT_DATE_INVALID"
	case "cert-name-mismatch", "cert-name-no-san", "cert-name-wildcard-depth", "cert-name-ip-literal", "cert-default-vhost":
		return "ERR_CERT_COMMON_NAME_INVALID"
	case "cert-self-signed", "cert-untrusted-root", "cert-missing-intermediate", "cert-bad-signature", "cert-dev-ca",
		"cert-interception-antivirus", "cert-interception-corporate", "cert-interception-captive", "cert-root-distrusted",
		"cert-interception-blocked": // KNOWN_INTERCEPTION_BLOCKED only for the true root's key, which a name does not prove
		return "ERR_CERT_AUTHORITY_INVALID"
	case "cert-revoked":
		return "ERR_CERT_REVOKED"
	case "cert-weak-signature", "cert-eku-wrong", "cert-issuer-not-allowed", "cert-name-constraint":
		return "ERR_CERT_INVALID"
	case "cert-malformed":
		if f.Detail == detailDER && f.Depth == 0 {
			return "ERR_SSL_PROTOCOL_ERROR"
		}
		return "ERR_CERT_INVALID"
	case "cert-key-mismatch", "cert-unsupported-key":
		return "ERR_SSL_PROTOCOL_ERROR"
	case "cert-key-usage-wrong":
		if f.Detail != detailCA {
			return "ERR_SSL_KEY_USAGE_INCOMPATIBLE"
		}
	}
	return ""
}

// firefoxCert is the code Firefox shows for a chain, in the order of mozpkix:
// faults of issuers, then trust, then the leaf's own, then the name; an expired
// leaf is checked for its name first (SSLServerCertVerification.cpp).
func firefoxCert(c *CertStep) string {
	for _, code := range firefoxCertOrder {
		for _, f := range c.Faults {
			if firefoxCertCode(f) == code {
				return code
			}
		}
	}
	return ""
}

var firefoxCertOrder = []string{
	"SEC_ERROR_INVALID_ARGS", "SSL_ERROR_WEAK_SERVER_CERT_KEY", "SEC_ERROR_BAD_SIGNATURE", "SEC_ERROR_UNTRUSTED_ISSUER",
	"MOZILLA_PKIX_ERROR_SELF_SIGNED_CERT", "SEC_ERROR_UNKNOWN_ISSUER",
	"SEC_ERROR_CERT_SIGNATURE_ALGORITHM_DISABLED", "SEC_ERROR_UNKNOWN_CRITICAL_EXTENSION",
	"SEC_ERROR_PATH_LEN_CONSTRAINT_INVALID", "SEC_ERROR_INADEQUATE_KEY_USAGE", "SEC_ERROR_CERT_NOT_IN_NAME_SPACE",
	"SEC_ERROR_EXPIRED_ISSUER_CERTIFICATE", "MOZILLA_PKIX_ERROR_NOT_YET_VALID_ISSUER_CERTIFICATE",
	"MOZILLA_PKIX_ERROR_CA_CERT_USED_AS_END_ENTITY", "SEC_ERROR_INADEQUATE_CERT_TYPE",
	"SEC_ERROR_REVOKED_CERTIFICATE", "SSL_ERROR_BAD_CERT_DOMAIN",
	"SEC_ERROR_EXPIRED_CERTIFICATE", "MOZILLA_PKIX_ERROR_NOT_YET_VALID_CERTIFICATE",
	"SEC_ERROR_OCSP_OLD_RESPONSE", "SEC_ERROR_OCSP_FUTURE_RESPONSE", "MOZILLA_PKIX_ERROR_REQUIRED_TLS_FEATURE_MISSING",
}

// firefoxCertCode is Firefox's code for one fault, "" where it does not mind
// (measured with 153 under a locally added root).
func firefoxCertCode(f CertFault) string {
	switch f.Fault {
	case "cert-expired":
		return "SEC_ERROR_EXPIRED_CERTIFICATE"
	case "cert-not-yet-valid":
		return "MOZILLA_PKIX_ERROR_NOT_YET_VALID_CERTIFICATE"
	case "cert-intermediate-expired":
		if f.Detail == detailNotYet {
			return "MOZILLA_PKIX_ERROR_NOT_YET_VALID_ISSUER_CERTIFICATE"
		}
		return "SEC_ERROR_EXPIRED_ISSUER_CERTIFICATE"
	case "cert-name-mismatch", "cert-name-no-san", "cert-name-wildcard-depth", "cert-name-ip-literal", "cert-default-vhost":
		return "SSL_ERROR_BAD_CERT_DOMAIN"
	case "cert-self-signed":
		return "MOZILLA_PKIX_ERROR_SELF_SIGNED_CERT"
	case "cert-untrusted-root", "cert-missing-intermediate", "cert-dev-ca", "cert-interception-antivirus",
		"cert-interception-corporate", "cert-interception-captive", "cert-interception-blocked":
		return "SEC_ERROR_UNKNOWN_ISSUER"
	case "cert-root-distrusted":
		return "SEC_ERROR_UNTRUSTED_ISSUER"
	case "cert-bad-signature", "cert-key-mismatch":
		return "SEC_ERROR_BAD_SIGNATURE"
	case "cert-revoked":
		return "SEC_ERROR_REVOKED_CERTIFICATE"
	case "cert-weak-signature":
		return "SEC_ERROR_CERT_SIGNATURE_ALGORITHM_DISABLED"
	case "cert-eku-wrong":
		return "SEC_ERROR_INADEQUATE_CERT_TYPE"
	case "cert-name-constraint":
		return "SEC_ERROR_CERT_NOT_IN_NAME_SPACE"
	case "cert-issuer-not-allowed":
		if f.Detail == detailPathLen {
			return "SEC_ERROR_PATH_LEN_CONSTRAINT_INVALID"
		}
		return "SEC_ERROR_INADEQUATE_KEY_USAGE"
	case "cert-malformed":
		if f.Detail == detailCritical {
			return "SEC_ERROR_UNKNOWN_CRITICAL_EXTENSION"
		}
		return "SEC_ERROR_INVALID_ARGS"
	case "cert-key-usage-wrong":
		if f.Detail == detailCA {
			return "MOZILLA_PKIX_ERROR_CA_CERT_USED_AS_END_ENTITY"
		}
	case "cert-ocsp-staple-problem":
		switch f.Detail {
		case detailMustStaple:
			return "MOZILLA_PKIX_ERROR_REQUIRED_TLS_FEATURE_MISSING"
		case detailOldStaple:
			return "SEC_ERROR_OCSP_OLD_RESPONSE"
		case detailNewStaple:
			return "SEC_ERROR_OCSP_FUTURE_RESPONSE"
		}
	case "cert-unsupported-key":
		return "SSL_ERROR_WEAK_SERVER_CERT_KEY"
	}
	return ""
}

var certFaults = []Fault{
	{
		ID: "cert-key-mismatch", Layer: LayerCertificate, Step: StepHandshake, Kind: Failure, Blame: BlameServer,
		Title:    "The server shows one certificate but holds the key of another.",
		User:     "Nothing to do on your side.",
		Server:   "Install the private key that belongs to the certificate on every node and reload.",
		Chromium: []string{"ERR_SSL_PROTOCOL_ERROR", "ERR_SSL_DECRYPT_ERROR_ALERT"},
		Firefox:  []string{"SEC_ERROR_BAD_SIGNATURE", "SSL_ERROR_DECRYPT_ERROR_ALERT"},
		Safari:   []string{"NSURLErrorSecureConnectionFailed"},
		Curl:     "35 CURLE_SSL_CONNECT_ERROR",
		NEL:      "tls.protocol.error", ProxyStatus: "tls_protocol_error", Source: "measured, RFC",
		match: certKeyMismatch,
	},
	{
		ID: "cert-malformed", Layer: LayerCertificate, Step: StepHandshake, Kind: Failure, Blame: BlameServer,
		Title:    "The certificate itself is broken or contains a rule browsers do not understand.",
		User:     "Nothing to do on your side.",
		Server:   "Reissue with standard tooling; remove unknown critical extensions.",
		Chromium: []string{"ERR_CERT_INVALID", "ERR_SSL_SERVER_CERT_BAD_FORMAT", "ERR_SSL_PROTOCOL_ERROR"},
		Firefox:  []string{"SEC_ERROR_BAD_DER", "SEC_ERROR_LIBRARY_FAILURE", "SEC_ERROR_UNKNOWN_CRITICAL_EXTENSION", "SEC_ERROR_EXTENSION_VALUE_INVALID", "MOZILLA_PKIX_ERROR_INVALID_INTEGER_ENCODING", "MOZILLA_PKIX_ERROR_EMPTY_ISSUER_NAME", "MOZILLA_PKIX_ERROR_SIGNATURE_ALGORITHM_MISMATCH"},
		Safari:   []string{"NSURLErrorServerCertificateUntrusted"},
		Curl:     "60 CURLE_PEER_FAILED_VERIFICATION, 35 CURLE_SSL_CONNECT_ERROR",
		NEL:      "tls.cert.invalid", ProxyStatus: "tls_certificate_error", Source: "measured, Firefox",
		match: certFault("cert-malformed"),
	},
	{
		ID: "cert-weak-signature", Layer: LayerCertificate, Step: StepHandshake, Kind: Failure, Blame: BlameServer,
		Title:    "The certificate is sealed with a method that can be forged today.",
		User:     "Do not continue on public sites.",
		Server:   "Reissue with SHA-256.",
		Chromium: []string{"ERR_CERT_INVALID", "ERR_CERT_WEAK_SIGNATURE_ALGORITHM"},
		Firefox:  []string{"SEC_ERROR_CERT_SIGNATURE_ALGORITHM_DISABLED"},
		Safari:   []string{"NSURLErrorServerCertificateUntrusted"},
		Curl:     "60 CURLE_PEER_FAILED_VERIFICATION",
		NEL:      "tls.cert.invalid", ProxyStatus: "tls_certificate_error", Source: "measured, CA/B BR",
		match: certFault("cert-weak-signature"),
	},
	{
		ID: "cert-eku-wrong", Layer: LayerCertificate, Step: StepHandshake, Kind: Failure, Blame: BlameServer,
		Title:    "The certificate was issued for another purpose, not for websites.",
		User:     "Nothing to do on your side.",
		Server:   "Use a server certificate (EKU serverAuth).",
		Chromium: []string{"ERR_CERT_INVALID"},
		Firefox:  []string{"SEC_ERROR_INADEQUATE_CERT_TYPE"},
		Safari:   []string{"NSURLErrorServerCertificateUntrusted"},
		Curl:     "60 CURLE_PEER_FAILED_VERIFICATION",
		NEL:      "tls.cert.invalid", ProxyStatus: "tls_certificate_error", Source: "measured, Firefox",
		match: certFault("cert-eku-wrong"),
	},
	{
		ID: "cert-issuer-not-allowed", Layer: LayerCertificate, Step: StepHandshake, Kind: Failure, Blame: BlameServer,
		Title:    "Someone issued this certificate who was not allowed to issue.",
		User:     "Do not continue.",
		Server:   "Reissue from a proper CA certificate.",
		Chromium: []string{"ERR_CERT_INVALID"},
		Firefox:  []string{"SEC_ERROR_CA_CERT_INVALID", "SEC_ERROR_INADEQUATE_KEY_USAGE", "SEC_ERROR_PATH_LEN_CONSTRAINT_INVALID", "MOZILLA_PKIX_ERROR_V1_CERT_USED_AS_CA"},
		Safari:   []string{"NSURLErrorServerCertificateUntrusted"},
		Curl:     "60 CURLE_PEER_FAILED_VERIFICATION",
		NEL:      "tls.cert.invalid", ProxyStatus: "tls_certificate_error", Source: "measured, Firefox",
		match: certFault("cert-issuer-not-allowed"),
	},
	{
		ID: "cert-name-constraint", Layer: LayerCertificate, Step: StepHandshake, Kind: Failure, Blame: BlameServer,
		Title:    "The issuing authority is only allowed to vouch for other names.",
		User:     "Do not continue.",
		Server:   "Issue from a CA permitted for this domain.",
		Chromium: []string{"ERR_CERT_INVALID", "ERR_CERT_NAME_CONSTRAINT_VIOLATION"},
		Firefox:  []string{"SEC_ERROR_CERT_NOT_IN_NAME_SPACE"},
		Safari:   []string{"NSURLErrorServerCertificateUntrusted"},
		Curl:     "60 CURLE_PEER_FAILED_VERIFICATION",
		NEL:      "tls.cert.invalid", ProxyStatus: "tls_certificate_error", Source: "measured",
		match: certFault("cert-name-constraint"),
	},
	{
		ID: "cert-unsupported-key", Layer: LayerCertificate, Step: StepHandshake, Kind: Failure, Blame: BlameServer,
		Title:    "The certificate uses an unusual kind of key.",
		User:     "Nothing to do on your side.",
		Server:   "Reissue with a common key type.",
		Chromium: []string{"ERR_CERT_INVALID", "ERR_SSL_VERSION_OR_CIPHER_MISMATCH"},
		Firefox:  []string{"SEC_ERROR_UNSUPPORTED_ELLIPTIC_CURVE", "SEC_ERROR_UNSUPPORTED_KEYALG", "SEC_ERROR_UNSUPPORTED_EC_POINT_FORM"},
		Safari:   []string{"NSURLErrorServerCertificateUntrusted"},
		Curl:     "60 CURLE_PEER_FAILED_VERIFICATION, 35 CURLE_SSL_CONNECT_ERROR",
		NEL:      "tls.cert.invalid", ProxyStatus: "tls_certificate_error", Source: "measured, Firefox",
		match: certFault("cert-unsupported-key"),
	},
	{
		ID: "cert-interception-blocked", Layer: LayerCertificate, Step: StepHandshake, Kind: Failure, Blame: BlamePath,
		Title:    "Someone on the way opens encrypted traffic with a certificate browsers have banned.",
		User:     "Remove that root from your device and use another network or VPN.",
		Server:   "No server action.",
		Chromium: []string{"ERR_CERT_KNOWN_INTERCEPTION_BLOCKED"},
		Firefox:  []string{"SEC_ERROR_UNTRUSTED_ISSUER", "SEC_ERROR_REVOKED_CERTIFICATE"},
		Curl:     "60 CURLE_PEER_FAILED_VERIFICATION",
		NEL:      "tls.cert.revoked", ProxyStatus: "tls_certificate_error", Source: "Chromium SSL assistant, Chromium",
		match: certFault("cert-interception-blocked"),
	},
	{
		ID: "cert-revoked", Layer: LayerCertificate, Step: StepHandshake, Kind: Failure, Blame: BlameServer,
		Title:    "The issuer cancelled this certificate, often because the key leaked.",
		User:     "Do not continue.",
		Server:   "Replace key and certificate now and find out why it was revoked.",
		Chromium: []string{"ERR_CERT_REVOKED"},
		Firefox:  []string{"SEC_ERROR_REVOKED_CERTIFICATE"},
		Safari:   []string{"NSURLErrorServerCertificateUntrusted"},
		Curl:     "60 CURLE_PEER_FAILED_VERIFICATION, 91 CURLE_SSL_INVALIDCERTSTATUS",
		NEL:      "tls.cert.revoked", ProxyStatus: "tls_certificate_error", Source: "measured, Firefox, Chromium",
		match: certFault("cert-revoked"),
	},
	{
		ID: "cert-interception-antivirus", Layer: LayerCertificate, Step: StepHandshake, Kind: Failure, Blame: BlameClient,
		Title:    "A security program on this computer opens and re-seals your encrypted traffic, and the browser does not accept its seal.",
		User:     "Turn off https/web scanning in that program, or reinstall its certificate.",
		Server:   "No server action.",
		Chromium: []string{"ERR_CERT_AUTHORITY_INVALID"},
		Firefox:  []string{"MOZILLA_PKIX_ERROR_MITM_DETECTED", "SEC_ERROR_UNKNOWN_ISSUER"},
		Safari:   []string{"NSURLErrorServerCertificateUntrusted"},
		Curl:     "60 CURLE_PEER_FAILED_VERIFICATION",
		NEL:      "tls.cert.authority_invalid", ProxyStatus: "tls_certificate_error", Source: "Chromium SSL assistant, Firefox, measured",
		match: certFault("cert-interception-antivirus"),
	},
	{
		ID: "cert-interception-corporate", Layer: LayerCertificate, Step: StepHandshake, Kind: Failure, Blame: BlameLocalNetwork,
		Title:    "Your company, school or provider inspects secure traffic with its own certificate, which this program does not trust.",
		User:     "Install the organisation's root certificate, or use a network without inspection.",
		Server:   "Roll the inspection root out to all stores (system, Firefox, Java, Node, Python).",
		Chromium: []string{"ERR_CERT_AUTHORITY_INVALID"},
		Firefox:  []string{"MOZILLA_PKIX_ERROR_MITM_DETECTED", "SEC_ERROR_UNKNOWN_ISSUER"},
		Safari:   []string{"NSURLErrorServerCertificateUntrusted"},
		Curl:     "60 CURLE_PEER_FAILED_VERIFICATION",
		NEL:      "tls.cert.authority_invalid", ProxyStatus: "tls_certificate_error", Source: "Chromium SSL assistant, measured",
		match: certFault("cert-interception-corporate"),
	},
	{
		ID: "cert-interception-captive", Layer: LayerCertificate, Step: StepHandshake, Kind: Failure, Blame: BlameLocalNetwork,
		Title:    "You are on a Wi-Fi that wants you to log in first and answers in the place of every site.",
		User:     "Open any http:// page, complete the login page, then reload.",
		Server:   "Portal operators: redirect only port 80 and offer the RFC 8910 portal option.",
		Chromium: []string{"ERR_CERT_COMMON_NAME_INVALID", "ERR_CERT_AUTHORITY_INVALID"},
		Firefox:  []string{"SSL_ERROR_BAD_CERT_DOMAIN", "SEC_ERROR_UNKNOWN_ISSUER"},
		Safari:   []string{"NSURLErrorServerCertificateUntrusted"},
		Curl:     "60 CURLE_PEER_FAILED_VERIFICATION",
		NEL:      "tls.cert.name_invalid", ProxyStatus: "tls_certificate_error", Source: "Chromium SSL assistant, measured, judgement",
	},
	{
		ID: "cert-dev-ca", Layer: LayerCertificate, Step: StepHandshake, Kind: Failure, Blame: BlameServer,
		Title:    "The site still uses a trial certificate meant for testing.",
		User:     "Tell the owner; do not add an exception.",
		Server:   "Switch the ACME client to production, or put the CDN that trusts the origin CA in front.",
		Chromium: []string{"ERR_CERT_AUTHORITY_INVALID"},
		Firefox:  []string{"SEC_ERROR_UNKNOWN_ISSUER"},
		Safari:   []string{"NSURLErrorServerCertificateUntrusted"},
		Curl:     "60 CURLE_PEER_FAILED_VERIFICATION",
		NEL:      "tls.cert.authority_invalid", ProxyStatus: "tls_certificate_error", Source: "Chromium SSL assistant, judgement",
		match: certFault("cert-dev-ca"),
	},
	{
		ID: "cert-bad-signature", Layer: LayerCertificate, Step: StepHandshake, Kind: Failure, Blame: BlameServer,
		Title:    "The seal on the certificate does not match its issuer; it is corrupt, mismatched or forged.",
		User:     "Do not continue.",
		Server:   "Install the intermediate that really signed this leaf.",
		Chromium: []string{"ERR_CERT_AUTHORITY_INVALID"},
		Firefox:  []string{"SEC_ERROR_BAD_SIGNATURE"},
		Safari:   []string{"NSURLErrorServerCertificateUntrusted"},
		Curl:     "35 CURLE_SSL_CONNECT_ERROR, 60 CURLE_PEER_FAILED_VERIFICATION",
		NEL:      "tls.cert.authority_invalid", ProxyStatus: "tls_certificate_error", Source: "measured",
		match: certFault("cert-bad-signature"),
	},
	{
		ID: "cert-self-signed", Layer: LayerCertificate, Step: StepHandshake, Kind: Failure, Blame: BlameServer,
		Title:    "The site wrote its own identity card instead of having one issued.",
		User:     "Accept only for your own device at home; never for a bank or shop.",
		Server:   "Use a certificate from a public authority (free ones exist), or distribute your private CA.",
		Chromium: []string{"ERR_CERT_AUTHORITY_INVALID", "ERR_CERT_SELF_SIGNED_LOCAL_NETWORK"},
		Firefox:  []string{"MOZILLA_PKIX_ERROR_SELF_SIGNED_CERT"},
		Safari:   []string{"NSURLErrorServerCertificateUntrusted"},
		Curl:     "60 CURLE_PEER_FAILED_VERIFICATION",
		NEL:      "tls.cert.authority_invalid", ProxyStatus: "tls_certificate_error", Source: "measured, Chromium, Firefox",
		match: certFault("cert-self-signed"),
	},
	{
		ID: "cert-missing-intermediate", Layer: LayerCertificate, Step: StepHandshake, Kind: Failure, Blame: BlameServer,
		Title:    "The site forgot to send the middle link of its trust chain.",
		User:     "Try again in a browser that fetches the missing link; tell the owner.",
		Server:   "Install the full chain file (leaf plus intermediates) and reload.",
		Chromium: []string{"ERR_CERT_AUTHORITY_INVALID"},
		Firefox:  []string{"SEC_ERROR_UNKNOWN_ISSUER"},
		Safari:   []string{"NSURLErrorServerCertificateUntrusted"},
		Curl:     "60 CURLE_PEER_FAILED_VERIFICATION",
		NEL:      "tls.cert.authority_invalid", ProxyStatus: "tls_certificate_error", Source: "measured, judgement",
		match: certFault("cert-missing-intermediate"),
	},
	{
		ID: "cert-untrusted-root", Layer: LayerCertificate, Step: StepHandshake, Kind: Failure, Blame: BlameServer,
		Title:    "The certificate was issued by an authority your device does not know.",
		User:     "For a company or school site, install its CA as instructed; for a public site, stay away.",
		Server:   "Use a publicly trusted CA for public names, or roll the private root out to clients.",
		Chromium: []string{"ERR_CERT_AUTHORITY_INVALID"},
		Firefox:  []string{"SEC_ERROR_UNKNOWN_ISSUER"},
		Safari:   []string{"NSURLErrorServerCertificateHasUnknownRoot", "NSURLErrorServerCertificateUntrusted"},
		Curl:     "60 CURLE_PEER_FAILED_VERIFICATION",
		NEL:      "tls.cert.authority_invalid", ProxyStatus: "tls_certificate_error", Source: "measured, Chromium, Firefox",
		match: certFault("cert-untrusted-root"),
	},
	{
		ID: "cert-root-distrusted", Layer: LayerCertificate, Step: StepHandshake, Kind: Failure, Blame: BlameServer,
		Title:    "Browsers decided not to trust this certificate company any more.",
		User:     "Nothing to do on your side.",
		Server:   "Move to another certificate authority.",
		Chromium: []string{"ERR_CERT_AUTHORITY_INVALID"},
		Firefox:  []string{"SEC_ERROR_UNTRUSTED_ISSUER", "SEC_ERROR_UNTRUSTED_CERT", "MOZILLA_PKIX_ERROR_ISSUER_NO_LONGER_TRUSTED", "MOZILLA_PKIX_ERROR_ADDITIONAL_POLICY_CONSTRAINT_FAILED"},
		Safari:   []string{"NSURLErrorServerCertificateUntrusted"},
		Curl:     "60 CURLE_PEER_FAILED_VERIFICATION",
		NEL:      "tls.cert.authority_invalid", ProxyStatus: "tls_certificate_error", Source: "Firefox, judgement",
	},
	{
		ID: "cert-default-vhost", Layer: LayerCertificate, Step: StepHandshake, Kind: Failure, Blame: BlameServer,
		Title:    "The server does not have this site set up and shows its placeholder certificate.",
		User:     "Check the address; otherwise tell the owner.",
		Server:   "Create the TLS entry for this host name, or fix the secret the ingress refers to.",
		Chromium: []string{"ERR_CERT_COMMON_NAME_INVALID", "ERR_CERT_AUTHORITY_INVALID"},
		Firefox:  []string{"SSL_ERROR_BAD_CERT_DOMAIN", "MOZILLA_PKIX_ERROR_SELF_SIGNED_CERT"},
		Safari:   []string{"NSURLErrorServerCertificateUntrusted"},
		Curl:     "60 CURLE_PEER_FAILED_VERIFICATION",
		NEL:      "tls.cert.name_invalid", ProxyStatus: "tls_certificate_error", Source: "judgement",
		match: certFault("cert-default-vhost"),
	},
	{
		ID: "cert-name-ip-literal", Layer: LayerCertificate, Step: StepHandshake, Kind: Failure, Blame: BlameClient,
		Title:    "You opened the site by number, but its certificate is made out to a name.",
		User:     "Open it by name.",
		Server:   "Issue a certificate with an IP SAN if numeric access is intended.",
		Chromium: []string{"ERR_CERT_COMMON_NAME_INVALID"},
		Firefox:  []string{"SSL_ERROR_BAD_CERT_DOMAIN"},
		Safari:   []string{"NSURLErrorServerCertificateUntrusted"},
		Curl:     "60 CURLE_PEER_FAILED_VERIFICATION",
		NEL:      "tls.cert.name_invalid", ProxyStatus: "tls_certificate_error", Source: "measured, RFC",
		match: certFault("cert-name-ip-literal"),
	},
	{
		ID: "cert-name-no-san", Layer: LayerCertificate, Step: StepHandshake, Kind: Failure, Blame: BlameServer,
		Title:    "The certificate writes the name in a place browsers no longer read.",
		User:     "Nothing to do on your side.",
		Server:   "Reissue with subjectAltName.",
		Chromium: []string{"ERR_CERT_COMMON_NAME_INVALID"},
		Firefox:  []string{"SSL_ERROR_BAD_CERT_DOMAIN"},
		Safari:   []string{"NSURLErrorServerCertificateUntrusted"},
		Curl:     "60 CURLE_PEER_FAILED_VERIFICATION",
		NEL:      "tls.cert.name_invalid", ProxyStatus: "tls_certificate_error", Source: "measured, Chromium",
		match: certFault("cert-name-no-san"),
	},
	{
		ID: "cert-name-wildcard-depth", Layer: LayerCertificate, Step: StepHandshake, Kind: Failure, Blame: BlameServer,
		Title:    "A star certificate covers exactly one level, and this address is one level deeper (or the bare domain).",
		User:     "Try the shorter address.",
		Server:   "Add the exact name or *.sub.parent to the certificate.",
		Chromium: []string{"ERR_CERT_COMMON_NAME_INVALID"},
		Firefox:  []string{"SSL_ERROR_BAD_CERT_DOMAIN"},
		Safari:   []string{"NSURLErrorServerCertificateUntrusted"},
		Curl:     "60 CURLE_PEER_FAILED_VERIFICATION",
		NEL:      "tls.cert.name_invalid", ProxyStatus: "tls_certificate_error", Source: "measured, RFC",
		match: certFault("cert-name-wildcard-depth"),
	},
	{
		ID: "cert-name-mismatch", Layer: LayerCertificate, Step: StepHandshake, Kind: Failure, Blame: BlameServer,
		Title:    "The certificate belongs to other names, not to the one you typed.",
		User:     "Check the spelling; try the www or non-www form; otherwise stay away from forms.",
		Server:   "Reissue with this name in the SAN list, or fix the vhost/SNI route so the right certificate is sent.",
		Chromium: []string{"ERR_CERT_COMMON_NAME_INVALID"},
		Firefox:  []string{"SSL_ERROR_BAD_CERT_DOMAIN"},
		Safari:   []string{"NSURLErrorServerCertificateUntrusted"},
		Curl:     "60 CURLE_PEER_FAILED_VERIFICATION",
		NEL:      "tls.cert.name_invalid", ProxyStatus: "tls_certificate_error", Source: "measured, Chromium, Firefox",
		match: certFault("cert-name-mismatch"),
	},
	{
		ID: "cert-ct-missing", Layer: LayerCertificate, Step: StepHandshake, Kind: Failure, Blame: BlameServer,
		Title:    "The certificate was not registered in the public logs that browsers require.",
		User:     "Nothing to do on your side.",
		Server:   "Get a reissued certificate with embedded SCTs from at least two log operators.",
		Chromium: []string{"ERR_CERTIFICATE_TRANSPARENCY_REQUIRED"},
		Firefox:  []string{"MOZILLA_PKIX_ERROR_INSUFFICIENT_CERTIFICATE_TRANSPARENCY"},
		Safari:   []string{"NSURLErrorServerCertificateUntrusted"},
		NEL:      "tls.cert.invalid", ProxyStatus: "tls_certificate_error", Source: "Chrome CT, Firefox, Chromium",
	},
	{
		ID: "cert-weak-key", Layer: LayerCertificate, Step: StepHandshake, Kind: Failure, Blame: BlameServer,
		Title:    "The site's key is too short to be safe.",
		User:     "Nothing to do on your side.",
		Server:   "Reissue with RSA-2048 or ECDSA P-256.",
		Chromium: []string{"ERR_CERT_WEAK_KEY"},
		Firefox:  []string{"MOZILLA_PKIX_ERROR_INADEQUATE_KEY_SIZE"},
		Safari:   []string{"NSURLErrorServerCertificateUntrusted"},
		Curl:     "60 CURLE_PEER_FAILED_VERIFICATION",
		NEL:      "tls.cert.invalid", ProxyStatus: "tls_certificate_error", Source: "measured, CA/B BR",
		match: certFault("cert-weak-key"),
	},
	{
		ID: "cert-intermediate-expired", Layer: LayerCertificate, Step: StepHandshake, Kind: Failure, Blame: BlameServer,
		Title:    "A middle link of the trust chain has run out although the site's own certificate has not.",
		User:     "Update browser and system, then reload.",
		Server:   "Replace the chain file with the CA's current intermediate (or alternate chain).",
		Chromium: []string{"ERR_CERT_DATE_INVALID"},
		Firefox:  []string{"SEC_ERROR_EXPIRED_ISSUER_CERTIFICATE", "MOZILLA_PKIX_ERROR_NOT_YET_VALID_ISSUER_CERTIFICATE"},
		Safari:   []string{"NSURLErrorServerCertificateHasBadDate", "NSURLErrorServerCertificateUntrusted"},
		Curl:     "60 CURLE_PEER_FAILED_VERIFICATION",
		NEL:      "tls.cert.date_invalid", ProxyStatus: "tls_certificate_error", Source: "measured, Firefox",
		match: certFault("cert-intermediate-expired"),
	},
	{
		ID: "cert-expired", Layer: LayerCertificate, Step: StepHandshake, Kind: Failure, Blame: BlameServer,
		Title:    "The site's certificate ran out on the date shown; nobody has renewed it.",
		User:     "Check your clock once; otherwise wait for the owner and do not enter passwords.",
		Server:   "Renew the certificate, reload every server and automate renewal (maximum life is 200 days since 2026-03-15, 100 from 2027, 47 from 2029).",
		Chromium: []string{"ERR_CERT_DATE_INVALID"},
		Firefox:  []string{"SEC_ERROR_EXPIRED_CERTIFICATE"},
		Safari:   []string{"NSURLErrorServerCertificateHasBadDate", "NSURLErrorServerCertificateUntrusted"},
		Curl:     "60 CURLE_PEER_FAILED_VERIFICATION",
		NEL:      "tls.cert.date_invalid", ProxyStatus: "tls_certificate_error", Source: "measured, CA/B BR, Firefox, Chromium",
		match: certFault("cert-expired"),
	},
	{
		ID: "cert-not-yet-valid", Layer: LayerCertificate, Step: StepHandshake, Kind: Failure, Blame: BlameServer,
		Title:    "The certificate starts to count only in the future.",
		User:     "Check date, time and time zone of your device.",
		Server:   "Check the clock of the machine that created the certificate; wait or reissue.",
		Chromium: []string{"ERR_CERT_DATE_INVALID"},
		Firefox:  []string{"MOZILLA_PKIX_ERROR_NOT_YET_VALID_CERTIFICATE"},
		Safari:   []string{"NSURLErrorServerCertificateNotYetValid"},
		Curl:     "60 CURLE_PEER_FAILED_VERIFICATION",
		NEL:      "tls.cert.date_invalid", ProxyStatus: "tls_certificate_error", Source: "measured, Firefox",
		match: certFault("cert-not-yet-valid"),
	},
	{
		ID: "cert-validity-too-long", Layer: LayerCertificate, Step: StepHandshake, Kind: Failure, Blame: BlameServer,
		Title:    "The certificate is valid for longer than the rules allow.",
		User:     "Nothing to do on your side.",
		Server:   "Reissue with a shorter life.",
		Chromium: []string{"ERR_CERT_VALIDITY_TOO_LONG"},
		Firefox:  []string{"MOZILLA_PKIX_ERROR_VALIDITY_TOO_LONG"},
		Safari:   []string{"NSURLErrorServerCertificateUntrusted"},
		NEL:      "tls.cert.invalid", ProxyStatus: "tls_certificate_error", Source: "CA/B BR, measured, Chromium",
	},
	{
		ID: "cert-key-usage-wrong", Layer: LayerCertificate, Step: StepHandshake, Kind: Failure, Blame: BlameServer,
		Title:    "The certificate's own fine print forbids this use.",
		User:     "Another browser may behave differently; tell the owner.",
		Server:   "Reissue with keyUsage digitalSignature and CA:FALSE.",
		Chromium: []string{"ERR_SSL_KEY_USAGE_INCOMPATIBLE"},
		Firefox:  []string{"SEC_ERROR_INADEQUATE_KEY_USAGE", "MOZILLA_PKIX_ERROR_CA_CERT_USED_AS_END_ENTITY"},
		Safari:   []string{"NSURLErrorServerCertificateUntrusted"},
		Curl:     "60 CURLE_PEER_FAILED_VERIFICATION",
		NEL:      "tls.cert.invalid", ProxyStatus: "tls_certificate_error", Source: "measured, Chromium, Firefox",
		match: certFault("cert-key-usage-wrong"),
	},
	{
		ID: "cert-ocsp-staple-problem", Layer: LayerCertificate, Step: StepHandshake, Kind: Failure, Blame: BlameServer,
		Title:   "The certificate promises a fresh proof of validity with every visit, and the server does not deliver it.",
		User:    "Another browser may work; tell the owner.",
		Server:  "Turn on OCSP stapling with working outbound access, or reissue without must-staple (many CAs ended OCSP).",
		Firefox: []string{"MOZILLA_PKIX_ERROR_REQUIRED_TLS_FEATURE_MISSING", "SEC_ERROR_OCSP_OLD_RESPONSE", "SEC_ERROR_OCSP_FUTURE_RESPONSE", "SEC_ERROR_OCSP_INVALID_SIGNING_CERT", "MOZILLA_PKIX_ERROR_OCSP_RESPONSE_FOR_CERT_MISSING"},
		Curl:    "91 CURLE_SSL_INVALIDCERTSTATUS",
		NEL:     "tls.cert.invalid", ProxyStatus: "tls_certificate_error", Source: "measured, Firefox",
		match: certFault("cert-ocsp-staple-problem"),
	},
	{
		ID: "cert-pin-mismatch", Layer: LayerCertificate, Step: StepHandshake, Kind: Failure, Blame: BlamePath,
		Title:    "The program insists on one specific key for this service and saw another.",
		User:     "Use faultline in tunnel mode for this app; if it fails there too, suspect interception or an outdated app.",
		Server:   "Publish backup pins and update the app before changing keys.",
		Chromium: []string{"ERR_SSL_PINNED_KEY_NOT_IN_CERT_CHAIN"},
		Firefox:  []string{"MOZILLA_PKIX_ERROR_KEY_PINNING_FAILURE"},
		Safari:   []string{"NSURLErrorCancelled"},
		Curl:     "90 CURLE_SSL_PINNEDPUBKEYNOTMATCH",
		NEL:      "tls.cert.pinned_key_not_in_cert_chain", ProxyStatus: "tls_certificate_error", Source: "Chromium, Firefox, judgement",
	},
	{
		ID: "cert-chain-disorder", Layer: LayerCertificate, Step: StepHandshake, Kind: Advisory, Blame: BlameServer,
		Title:  "The chain is sent untidily; current browsers cope, simple programs may not.",
		User:   "Nothing needed.",
		Server: "Serve leaf first, then each issuer in turn, without the root.",
		Source: "measured, RFC",
		match:  certFault("cert-chain-disorder"),
	},
	{
		ID: "cert-revocation-unknown", Layer: LayerCertificate, Step: StepHandshake, Kind: Advisory, Blame: BlameUnknown,
		Title:    "It could not be checked whether the certificate was cancelled; most browsers go on.",
		User:     "Nothing needed.",
		Server:   "Make sure CRL/OCSP hosts are reachable from clients if you run the CA.",
		Chromium: []string{"ERR_CERT_UNABLE_TO_CHECK_REVOCATION", "ERR_CERT_NO_REVOCATION_MECHANISM"},
		Firefox:  []string{"SEC_ERROR_OCSP_SERVER_ERROR", "SEC_ERROR_OCSP_TRY_SERVER_LATER", "SEC_ERROR_OCSP_UNKNOWN_CERT"},
		Curl:     "91 CURLE_SSL_INVALIDCERTSTATUS",
		Source:   "Firefox, judgement",
	},
	{
		ID: "cert-expires-soon", Layer: LayerCertificate, Step: StepHandshake, Kind: Advisory, Blame: BlameServer,
		Title:  "The certificate still works but will run out soon.",
		User:   "Nothing needed.",
		Server: "Check that automatic renewal runs; rule of thumb: renew at two thirds of the life.",
		Source: "CA/B BR, judgement",
		match:  certFault("cert-expires-soon"),
	},
	{
		ID: "cert-differs-by-address", Layer: LayerCertificate, Step: StepHandshake, Kind: Degrading, Blame: BlameServer,
		Title:    "Not all machines behind this name carry the same certificate.",
		User:     "Reload once; you may reach a good machine.",
		Server:   "Deploy the same current certificate to every node.",
		Chromium: []string{"ERR_CERT_COMMON_NAME_INVALID", "ERR_CERT_DATE_INVALID"},
		Firefox:  []string{"SSL_ERROR_BAD_CERT_DOMAIN", "SEC_ERROR_EXPIRED_CERTIFICATE"},
		Safari:   []string{"NSURLErrorServerCertificateUntrusted"},
		Curl:     "60 CURLE_PEER_FAILED_VERIFICATION",
		NEL:      "tls.cert.invalid", ProxyStatus: "tls_certificate_error", Source: "judgement",
	},
}
