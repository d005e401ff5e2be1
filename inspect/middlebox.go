package inspect

import (
	"crypto/x509"
	"regexp"
	"strings"
)

// A maker is a product that puts its own certificates in the place of the
// server's, recognized by the issuer it writes. Patterns are matched against
// the issuer's common name and organizations.
type maker struct {
	product string
	fault   string
	pattern *regexp.Regexp
}

// middlebox recognizes the product that issued a certificate, nil for none.
func middlebox(c *x509.Certificate) *maker {
	issuer := c.Issuer.CommonName + "\n" + strings.Join(c.Issuer.Organization, "\n")
	for i := range makers {
		if makers[i].pattern.MatchString(issuer) {
			return &makers[i]
		}
	}
	return nil
}

func made(product, fault, pattern string) maker {
	return maker{product, fault, regexp.MustCompile(`(?m)` + pattern)}
}

// makers is taken from the list Chromium ships (SSL error assistant) and from
// the products' own sources.
var makers = []maker{
	made("Avast, an antivirus program", "cert-interception-antivirus", `(?i)^avast!? Web/Mail Shield`),
	made("AVG, an antivirus program", "cert-interception-antivirus", `^AVG Web/Mail Shield`),
	made("Norton, an antivirus program", "cert-interception-antivirus", `^Norton Web/Mail Shield`),
	made("Bitdefender, an antivirus program", "cert-interception-antivirus", `^Bitdefender( Personal CA|$)`),
	made("Kaspersky, an antivirus program", "cert-interception-antivirus", `^Kaspersky Anti-Virus Personal Root`),
	made("ESET, an antivirus program", "cert-interception-antivirus", `^ESET SSL Filter CA|^ESET, spol\. s r\. o\.`),
	made("Adguard, an ad blocker", "cert-interception-antivirus", `^Adguard Personal CA`),

	made("Cisco Umbrella", "cert-interception-corporate", `^Cisco Umbrella `),
	made("Zscaler", "cert-interception-corporate", `^Zscaler `),
	made("Netskope", "cert-interception-corporate", `\.goskope\.com$`),
	made("Cloudflare Gateway", "cert-interception-corporate", `^Gateway CA - Cloudflare Managed`),
	made("Fortinet FortiGate", "cert-interception-corporate", `^FortiGate CA|^Fortinet( Ltd\.)?$`),
	made("Blue Coat", "cert-interception-corporate", `^Blue Coat`),
	made("Forcepoint", "cert-interception-corporate", `^Forcepoint `),
	made("Sophos", "cert-interception-corporate", `^Sophos[ _]SSL[ _]CA_|^Sophos_CA_|^sophosutm Proxy CA|^Sophos Web Appliance|^Sophos Plc$`),
	made("SonicWall", "cert-interception-corporate", `^HTTPS Management Certificate for SonicWALL`),
	made("WatchGuard", "cert-interception-corporate", `^Fireware HTTPS Proxy`),
	made("Cyberoam", "cert-interception-corporate", `^Cyberoam Certificate Authority`),
	made("ContentKeeper", "cert-interception-corporate", `^ContentKeeper `),
	made("McAfee Web Gateway", "cert-interception-corporate", `^McAfee Web Gateway`),
	made("Smoothwall", "cert-interception-corporate", `^Smoothwall-default-root`),
	made("Trend Micro IWSS", "cert-interception-corporate", `^IWSS\.TREND`),
	made("NetSpark", "cert-interception-corporate", `^(www\.)?[Nn]et[Ss]park(\.com)?$`),

	made("a state's interception root that browsers block", "cert-interception-blocked", `^Qaznet Trust Network|^ISCA$`),
	made("Superfish, adware that browsers block", "cert-interception-blocked", `^Superfish, Inc\.`),

	made("mkcert, a developer's own authority", "cert-dev-ca", `^mkcert `),
	made("Caddy's own authority", "cert-dev-ca", `^Caddy Local Authority`),
	made("Fiddler, a debugging proxy", "cert-dev-ca", `^DO_NOT_TRUST_FiddlerRoot`),
	made("Charles, a debugging proxy", "cert-dev-ca", `^Charles Proxy CA|^XK72 Ltd`),
	made("Burp, a testing proxy", "cert-dev-ca", `^PortSwigger`),
	made("OWASP ZAP, a testing proxy", "cert-dev-ca", `^OWASP Zed Attack Proxy`),
	made("mitmproxy, a debugging proxy", "cert-dev-ca", `^mitmproxy$`),
	made("AnyProxy, a debugging proxy", "cert-dev-ca", `^AnyProxy`),
	made("goproxy's built-in authority, whose key is public", "cert-dev-ca", `^goproxy\.github\.io|^GoProxy`),
	made("Hetty, a testing proxy", "cert-dev-ca", `^Hetty$`),
	made("Martian, a testing proxy", "cert-dev-ca", `^Martian Proxy|^martian\.proxy`),
	made("the staging service of a public authority, which nobody trusts", "cert-dev-ca", `^\(STAGING\)`),
}
