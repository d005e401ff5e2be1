package lab

import (
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ocsp"
	"golang.org/x/net/dns/dnsmessage"
)

// A Site is one server with one fault, or a healthy control.
type Site struct {
	Name  string   // what stands before Domain: "expired" -> expired.lab.faultline.internal
	Fault string   // catalogue id ("cert-expired"), "" for a healthy control
	Also  []string // further faults that are really there
	Title string   // one line for the index page: what is broken
	// Works: the page shows all the same, in every browser that trusts the lab.
	Works  bool
	Note   string // where it shows otherwise than one might think
	Scheme string // "https" or "http"
	Port   uint16 // the port in the URL: 443 or 80 usually
	// Needs is "", or what the site needs: "netns" when only a packet filter in a
	// network namespace can make it (see [Lab.Firewall]), "linux" when only that
	// system can.
	Needs string
	// Path is where the fault is, "" for the front page.
	Path string

	dns   *answer // what the name server says; nil: the site's address
	addrs int     // how many addresses the site has; 0 means 1
	serve behaviour
	full  bool   // the queue of connections for Port is full
	extra []door // further listeners
	rule  string // what the packet filter does to packets for the site
}

// A door is a listener of a site.
type door struct {
	addr  int // which of the site's addresses
	port  uint16
	serve behaviour
	full  bool
}

// Host is the site's name in full.
func (s Site) Host() string {
	if s.Name == "" {
		return Domain
	}
	return s.Name + "." + Domain
}

// URL is what to visit.
func (s Site) URL() string {
	host := s.Host()
	if s.Port != defaultPort[s.Scheme] {
		host += ":" + strconv.Itoa(int(s.Port))
	}
	return s.Scheme + "://" + host + "/" + s.Path
}

// Layer is where the fault is: "dns", "tcp", "tls", "certificate", "http",
// "content", or "none" for a healthy control.
func (s Site) Layer() string {
	layer, _, _ := strings.Cut(s.Fault, "-")
	switch layer {
	case "":
		return "none"
	case "cert":
		return "certificate"
	}
	return layer
}

var layerOrder = []string{"dns", "tcp", "tls", "certificate", "http", "content", "none"}

var defaultPort = map[string]uint16{"https": 443, "http": 80}

// doors are the site's listeners: the one of its URL, at the last address, and
// the further ones.
func (s *Site) doors() []door {
	ds := slices.Clone(s.extra)
	if s.serve != nil || s.full {
		ds = append(ds, door{addr: max(1, s.addrs) - 1, port: s.Port, serve: s.serve, full: s.full})
	}
	return ds
}

// Sites is the catalogue, in the order of a connection: names, addresses, TLS,
// certificates, HTTP, content, and then the healthy controls.
func Sites() []Site {
	var all []Site
	for _, part := range [][]Site{dnsSites(), tcpSites(), tlsSites(), alertSites(), certSites(), httpSites(), contentSites(), healthySites()} {
		all = append(all, part...)
	}
	for i := range all {
		s := &all[i]
		if s.Scheme == "" {
			s.Scheme = "https"
		}
		if s.Port == 0 {
			s.Port = defaultPort[s.Scheme]
		}
		if s.Fault == "" {
			s.Works = true
		}
		if s.rule != "" {
			s.Needs = "netns"
		}
		if needsQueue := s.full || slices.ContainsFunc(s.extra, func(d door) bool { return d.full }); needsQueue && !canFill {
			s.Needs = "linux"
		}
	}
	slices.SortStableFunc(all, func(a, b Site) int {
		return slices.Index(layerOrder, a.Layer()) - slices.Index(layerOrder, b.Layer())
	})
	return all
}

func ipv4(a, b, c, d byte) netip.Addr { return netip.AddrFrom4([4]byte{a, b, c, d}) }

func dnsSites() []Site {
	no := func(code dnsmessage.RCode, n uint16, text string) *answer {
		return &answer{code: code, extended: extended{n, text}}
	}
	return []Site{
		{Name: "nxdomain", Fault: "dns-nxdomain", Title: "The name does not exist",
			dns: no(dnsmessage.RCodeNameError, 0, "")},
		{Name: "nxdomain-alias", Fault: "dns-nxdomain", Title: "The name is an alias of one that does not exist",
			dns: &answer{code: dnsmessage.RCodeNameError, cname: "gone"}},
		{Name: "nodata", Fault: "dns-nodata", Title: "The name exists but has no address",
			dns: &answer{noAddr: true}},
		{Name: "servfail", Fault: "dns-servfail", Title: "The name server fails and does not say why",
			dns: no(dnsmessage.RCodeServerFailure, 0, "")},
		{Name: "servfail-delegation", Fault: "dns-servfail", Title: "None of the name servers of the domain answers",
			dns: no(dnsmessage.RCodeServerFailure, 22, "no reachable authority")},
		{Name: "dns-refused", Fault: "dns-refused", Title: "The name server refuses to answer",
			dns: no(dnsmessage.RCodeRefused, 0, "")},
		{Name: "dns-timeout", Fault: "dns-timeout", Title: "The name server never answers",
			dns: &answer{silent: true}},
		{Name: "dns-noise", Fault: "dns-malformed-response", Title: "The name server's answer is noise",
			dns: &answer{mangle: noise}},
		{Name: "dns-cut", Fault: "dns-malformed-response", Title: "The name server's answer is cut short",
			dns: &answer{mangle: cutShort}},
		{Name: "dns-wrong-id", Fault: "dns-malformed-response", Title: "The name server's answer belongs to another question",
			dns: &answer{mangle: wrongID}},
		{Name: "dns-wrong-name", Fault: "dns-malformed-response", Title: "The name server answers for another name",
			dns: &answer{mangle: wrongName}},
		{Name: "dns-formerr", Fault: "dns-malformed-response", Title: "The name server cannot read the question (FORMERR)",
			dns: no(dnsmessage.RCodeFormatError, 0, "")},
		{Name: "dns-notimp", Fault: "dns-malformed-response", Title: "The name server cannot answer such questions (NOTIMP)",
			dns: no(dnsmessage.RCodeNotImplemented, 0, "")},
		{Name: "dns-tcp-blocked", Fault: "dns-tcp-fallback-blocked", Title: "The answer is too large for UDP, and over TCP there is none",
			dns: &answer{truncated: true, noTCP: true}},
		{Name: "dnssec-bogus", Fault: "dns-dnssec-bogus", Title: "The domain's signatures are wrong",
			dns: &answer{code: dnsmessage.RCodeServerFailure, extended: extended{6, "DNSSEC bogus"}, checked: true}, serve: https{}},
		{Name: "dnssec-expired", Fault: "dns-dnssec-bogus", Title: "The domain's signatures have expired",
			dns: &answer{code: dnsmessage.RCodeServerFailure, extended: extended{7, "signature expired"}, checked: true}, serve: https{}},
		{Name: "dns-blocked", Fault: "dns-policy-block", Title: "The name server was told to block the name",
			dns: no(dnsmessage.RCodeNameError, 15, "blocked by the lab")},
		{Name: "dns-censored", Fault: "dns-policy-block", Title: "The name server was forced to block the name",
			dns: no(dnsmessage.RCodeNameError, 16, "censored by the lab")},
		{Name: "dns-filtered", Fault: "dns-policy-block", Title: "The name server filters the name as its user asked",
			dns: no(dnsmessage.RCodeNameError, 17, "filtered by the lab")},
		{Name: "dns-prohibited", Fault: "dns-policy-block", Title: "The name server does not serve this client",
			dns: no(dnsmessage.RCodeRefused, 18, "prohibited by the lab")},
		{Name: "bogus-address", Fault: "dns-bogus-address", Title: "The name has the address 0.0.0.0, as filters give to what they block",
			dns: &answer{addrs: []netip.Addr{ipv4(0, 0, 0, 0)}, only: true}},
		{Name: "name-collision", Fault: "dns-name-collision", Title: "The name has the address 127.0.53.53: an inner name that became a public one",
			dns: &answer{addrs: []netip.Addr{ipv4(127, 0, 53, 53)}, only: true}},
	}
}

func tcpSites() []Site {
	unreachable := "meta l4proto tcp reject with icmp type " // or the rule would swallow the ICMP message too
	return []Site{
		{Name: "refused", Fault: "tcp-refused", Title: "Nothing listens on port 443"},
		{Name: "refused-http", Fault: "tcp-refused", Title: "Nothing listens on port 80", Scheme: "http"},
		{Name: "timeout", Fault: "tcp-timeout", Title: "The server does not answer at all", full: true},
		{Name: "blackhole", Fault: "tcp-timeout", Title: "A firewall swallows every packet", serve: https{}, rule: "drop"},
		{Name: "unreachable", Fault: "tcp-unreachable", Title: "The machine cannot be reached (ICMP host unreachable)",
			serve: https{}, rule: unreachable + "host-unreachable"},
		{Name: "net-unreachable", Fault: "tcp-unreachable", Title: "There is no route to the network (ICMP net unreachable)",
			serve: https{}, rule: unreachable + "net-unreachable"},
		{Name: "prohibited", Fault: "tcp-admin-prohibited", Title: "A firewall rejects port 443 and says so (ICMP administratively prohibited)",
			serve: https{}, rule: "tcp dport 443 " + unreachable + "admin-prohibited",
			extra: []door{{port: 80, serve: plain{}}}},
		{Name: "only-80", Fault: "tcp-443-blocked", Title: "Port 443 never answers, port 80 does", full: true,
			extra: []door{{port: 80, serve: plain{}}}},
		{Name: "443-dropped", Fault: "tcp-443-blocked", Title: "A firewall swallows port 443 and lets port 80 pass", serve: https{},
			rule: "tcp dport 443 drop", extra: []door{{port: 80, serve: plain{}}}},
		{Name: "443-reset", Fault: "tcp-443-blocked", Title: "A firewall resets port 443 and lets port 80 pass", serve: https{},
			rule: "tcp dport 443 reject with tcp reset", extra: []door{{port: 80, serve: plain{}}}},
		{Name: "ipv6-broken", Fault: "tcp-ipv6-broken", Title: "The IPv6 address refuses, the IPv4 address works", Works: true,
			dns: &answer{addrs: []netip.Addr{netip.IPv6Loopback()}}, serve: https{}},
		{Name: "one-address-dead", Fault: "tcp-some-addresses-dead", Title: "One of two addresses refuses, the other works", Works: true,
			addrs: 2, serve: https{}},
		{Name: "one-address-silent", Fault: "tcp-some-addresses-dead", Title: "One of two addresses never answers, the other works", Works: true,
			addrs: 2, serve: https{}, extra: []door{{addr: 0, port: 443, full: true}}},
		{Name: "reset-on-accept", Fault: "tcp-dropped-on-accept", Title: "The server resets every connection at once", serve: script((*conn).reset)},
		{Name: "closed-on-accept", Fault: "tcp-dropped-on-accept", Title: "The server closes every connection at once", serve: script((*conn).drop)},
		{Name: "half-closed-on-accept", Fault: "tcp-dropped-on-accept", Title: "The server says goodbye at once and goes on listening", serve: script((*conn).halfClosed)},
		{Name: "reset-after-hello", Fault: "tcp-reset-after-hello", Title: "The server resets when it hears the TLS hello", serve: onHello((*conn).reset)},
		{Name: "closed-after-hello", Fault: "tcp-closed-after-hello", Title: "The server closes when it hears the TLS hello", serve: onHello((*conn).finish)},
		{Name: "sni-filtered", Fault: "tcp-sni-filtered", Title: "The connection is reset because of the name in the hello; other names pass",
			serve: https{before: ifHello(namesSite, (*conn).reset)}},
		{Name: "sni-swallowed", Fault: "tcp-sni-filtered", Title: "The connection falls silent because of the name in the hello; other names pass",
			serve: https{before: ifHello(namesSite, (*conn).hold)}},
		{Name: "hello-dropped", Fault: "tls-handshake-timeout", Title: "A firewall lets the connection be made and swallows what is said on it",
			serve: https{}, rule: "ip length > 100 drop"},
		{Name: "pmtu", Fault: "tcp-pmtu-blackhole", Title: "Packets above 1200 bytes vanish", serve: https{}, rule: "ip length > 1200 drop"},
		{Name: "reset-mid-transfer", Fault: "tcp-reset-mid-transfer", Title: "The server resets in the middle of the page",
			serve: raw{text: halfPage, then: (*conn).reset}},
		{Name: "reset-mid-transfer-http", Fault: "tcp-reset-mid-transfer", Title: "The server resets in the middle of the page, without TLS", Scheme: "http",
			serve: raw{text: halfPage, then: (*conn).reset}},
		{Name: "reset-after-request", Fault: "tcp-reset-mid-transfer", Title: "The handshake succeeds; the server resets when the request comes",
			serve: raw{then: (*conn).reset}},
	}
}

// halfPage is a response that announces twice what it holds.
func halfPage(s *Site) string {
	body := render(s, "")
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: %d\r\n\r\n%s", 2*len(body), body)
}

const httpBadRequest = "HTTP/1.1 400 Bad Request\r\nServer: lab\r\nContent-Type: text/html\r\nContent-Length: 26\r\nConnection: close\r\n\r\n<h1>400 Bad Request</h1>\r\n"

func tlsSites() []Site {
	return []Site{
		// Not TLS at all.
		{Name: "http-on-443", Fault: "tls-plaintext-http-on-443", Title: "Port 443 speaks plain HTTP and answers 400",
			serve: onHello(say(httpBadRequest, (*conn).finish))},
		{Name: "portal-on-443", Fault: "tls-plaintext-http-on-443", Title: "Port 443 answers with a redirect to a sign-in page in plain HTTP",
			serve: onHello(say("HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", (*conn).finish))},
		{Name: "html-on-443", Fault: "tls-plaintext-http-on-443", Title: "Port 443 answers with bare HTML",
			serve: onHello(say("<html><head><title>400 Bad Request</title></head><body>The plain HTTP request was sent to HTTPS port</body></html>\r\n", (*conn).finish))},
		{Name: "ssh-on-443", Fault: "tls-other-protocol-on-port", Title: "Port 443 is an SSH server", serve: script(say("SSH-2.0-OpenSSH_9.9\r\n", (*conn).hold))},
		{Name: "ssh-after-hello", Fault: "tls-other-protocol-on-port", Title: "Port 443 is an SSH server that lets the client speak first",
			serve: onHello(say("SSH-2.0-OpenSSH_9.9\r\n", (*conn).finish))},
		{Name: "smtp-on-443", Fault: "tls-other-protocol-on-port", Title: "Port 443 is a mail server", serve: script(say("220 mail.lab.faultline.internal ESMTP\r\n", (*conn).hold))},
		{Name: "garbage-on-443", Fault: "tls-other-protocol-on-port", Title: "Port 443 answers with bytes that mean nothing",
			serve: onHello(say("\xde\xad\xbe\xef\x00\x01\x02\x03\xfe\xed\xfa\xce", (*conn).finish))},
		{Name: "echo-on-443", Fault: "tls-protocol-violation", Title: "Port 443 sends back what it hears", serve: script(echo)},

		// Silence.
		{Name: "silent", Fault: "tls-handshake-timeout", Title: "The server accepts and then says nothing", serve: script((*conn).hold)},
		{Name: "deaf", Fault: "tls-handshake-timeout", Title: "The server accepts and never reads", serve: script((*conn).deaf)},
		{Name: "stalled-flight", Fault: "tls-handshake-timeout", Title: "The server falls silent in the middle of its first words", serve: https{wire: half((*conn).hold)}},
		{Name: "closed-in-flight", Fault: "tls-handshake-truncated", Title: "The server closes in the middle of its first words", serve: https{wire: half((*conn).finish)}},
		{Name: "reset-in-flight", Fault: "tls-handshake-truncated", Title: "The server resets in the middle of its first words", serve: https{wire: half((*conn).reset)}},
		{Name: "closed-in-flight-tls12", Fault: "tls-handshake-truncated", Title: "The server (TLS 1.2) closes in the middle of its first words",
			serve: https{wire: half((*conn).finish), config: upTo(tls.VersionTLS12)}},

		// Versions.
		{Name: "tls11-only", Fault: "tls-no-common-version", Title: "The server speaks TLS 1.1 at most and says so (alert 70)", serve: https{config: upTo(tls.VersionTLS11)}},
		{Name: "tls10-only", Fault: "tls-server-version-too-old", Title: "The server answers with TLS 1.0",
			serve: answers{hello: serverHello{version: tls.VersionTLS10, suite: tls.TLS_RSA_WITH_AES_128_CBC_SHA}}},
		{Name: "tls11-answer", Fault: "tls-server-version-too-old", Title: "The server answers with TLS 1.1",
			serve: answers{hello: serverHello{version: tls.VersionTLS11, suite: tls.TLS_RSA_WITH_AES_128_CBC_SHA}}},
		{Name: "ssl3-only", Fault: "tls-server-version-too-old", Title: "The server answers with SSL 3.0",
			serve: answers{hello: serverHello{version: 0x0300, suite: tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA}}},
		{Name: "tls13-intolerant", Fault: "tls-version-intolerant", Title: "The server resets when it hears of TLS 1.3; TLS 1.2 works",
			serve: https{before: ifHello(offersTLS13, (*conn).reset), config: upTo(tls.VersionTLS12)}},
		{Name: "tls13-intolerant-alert", Fault: "tls-version-intolerant", Title: "The server sends alert 40 when it hears of TLS 1.3; TLS 1.2 works",
			serve: https{before: ifHello(offersTLS13, say(string(alert(fatal, 40)), (*conn).finish)), config: upTo(tls.VersionTLS12)}},
		{Name: "large-hello-reset", Fault: "tls-large-hello-intolerant", Title: "The server resets when the hello is larger than one packet",
			serve: https{before: ifHello(isLarge, (*conn).reset)}},
		{Name: "large-hello-silent", Fault: "tls-large-hello-intolerant", Title: "The server ignores a hello larger than one packet",
			serve: https{before: ifHello(isLarge, (*conn).hold)}},
		{Name: "downgraded", Fault: "tls-downgrade-detected", Title: "The server says it could speak TLS 1.3, in an answer with TLS 1.2: someone on the way changed the hello",
			serve: answers{hello: serverHello{version: tls.VersionTLS12, suite: tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, random: downgraded}}},

		// Nothing in common.
		{Name: "rc4-only", Fault: "tls-no-common-cipher", Title: "The server knows no cipher but RC4",
			serve: https{leaf: rsaLeaf, config: suites(tls.TLS_RSA_WITH_RC4_128_SHA, tls.TLS_ECDHE_RSA_WITH_RC4_128_SHA)}},
		{Name: "3des-only", Fault: "tls-no-common-cipher", Title: "The server knows no cipher but triple DES",
			serve: https{leaf: rsaLeaf, config: suites(tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA)}},
		{Name: "p521-group", Fault: "tls-no-common-group", Title: "The server exchanges keys over P-521 only", Note: "Firefox can do it, Chromium cannot.",
			serve: https{config: groups(tls.CurveP521)}},
		{Name: "x448-group", Fault: "tls-no-common-group", Title: "The server asks for a key over X448, which no browser offers",
			serve: answers{bare: true, hello: serverHello{version: tls.VersionTLS12, random: helloRetry, suite: tls.TLS_AES_128_GCM_SHA256,
				extensions: []extension{{extSupportedVersions, []byte{3, 4}}, {extKeyShare, []byte{0, 0x1e}}}}}},
		{Name: "ed25519", Fault: "tls-no-common-signature", Title: "The certificate has an Ed25519 key, which browsers cannot check", Also: []string{"cert-unsupported-key"},
			serve: https{leaf: func(o *order) { o.Key = newEd25519() }}},
		{Name: "p521-leaf", Fault: "tls-no-common-signature", Title: "The certificate has a P-521 key", Note: "Firefox can check it, Chromium cannot.",
			serve: https{leaf: func(o *order) { o.Key = newEC(elliptic.P521()) }}},
		{Name: "no-alpn", Fault: "tls-alpn-no-overlap", Title: "The server speaks no web protocol inside TLS (alert 120)",
			serve: https{config: func(c *tls.Config) { c.NextProtos = []string{"imap"} }}},
		{Name: "alpn-not-offered", Fault: "tls-alpn-no-overlap", Title: "The server chooses a protocol that was not offered",
			serve: answers{hello: serverHello{version: tls.VersionTLS12, suite: tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
				extensions: []extension{{extALPN, []byte("\x00\x07\x06spdy/1")}}}}},
		{Name: "sni-unknown", Fault: "tls-sni-unrecognized", Title: "The server does not know the name and says so (alert 112)",
			serve: https{before: ifHello(namesSite, say(string(alert(fatal, 112)), (*conn).finish))}},
		{Name: "no-certificate", Fault: "tls-internal-error", Title: "The server has no certificate for the name and breaks down (alert 80)",
			serve: https{config: func(c *tls.Config) {
				c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
					return nil, errors.New("no certificate for this name")
				}
			}}},
		{Name: "handshake-failure", Fault: "tls-handshake-failure", Title: "The server gives up after it has sent its certificate (alert 40)",
			serve: answers{hello: serverHello{version: tls.VersionTLS12, suite: tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256},
				then: say(string(alert(fatal, 40)), (*conn).finish)}},

		// Nonsense.
		{Name: "extension-not-offered", Fault: "tls-protocol-violation", Title: "The server answers with an extension nobody asked for",
			serve: answers{hello: serverHello{version: tls.VersionTLS12, suite: tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, extensions: []extension{{extMaxFragmentLength, []byte{1}}}}}},
		{Name: "cipher-not-offered", Fault: "tls-protocol-violation", Title: "The server chooses a cipher that was not offered",
			serve: answers{hello: serverHello{version: tls.VersionTLS12, suite: 0x0000}}},
		{Name: "bad-server-hello", Fault: "tls-protocol-violation", Title: "The server's hello cannot be read",
			serve: onHello(say(string(record(recordHandshake, tls.VersionTLS12, message(typeServerHello, []byte{3, 3, 1, 2, 3, 4}))), (*conn).hold))},
		{Name: "damaged-record", Fault: "tls-bad-record", Title: "A bit of the server's encrypted words is wrong", serve: https{wire: spoil(damaged)}},
		{Name: "oversized-record", Fault: "tls-bad-record", Title: "The server sends a record longer than any may be", serve: onHello(say(oversized, (*conn).hold))},

		{Name: "renegotiation", Fault: "tls-renegotiation", Title: "The server answers the request by asking for another handshake", serve: renegotiation{}},

		// Client certificates.
		{Name: "client-cert", Fault: "tls-client-cert-required", Title: "The server wants a client certificate (TLS 1.3)",
			serve: https{config: func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }}},
		{Name: "client-cert-tls12", Fault: "tls-client-cert-required", Title: "The server wants a client certificate (TLS 1.2)",
			serve: https{config: func(c *tls.Config) {
				c.ClientAuth = tls.RequireAnyClientCert
				c.MaxVersion = tls.VersionTLS12
			}}},

		// One thing this time, another the next.
		{Name: "every-other", Fault: "tls-premature-termination", Title: "Every second connection ends at a server that speaks plain HTTP",
			Note:  "Browsers try again by themselves, and then it works.",
			serve: turns{onHello(say(httpBadRequest, (*conn).finish)), https{}}},

		// It works, but.
		{Name: "cbc", Fault: "tls-legacy-crypto", Title: "TLS 1.2 with a CBC cipher", Works: true,
			serve: https{http1: true, config: suites(tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA), leaf: rsaLeaf}},
		{Name: "no-pfs", Fault: "tls-no-pfs", Title: "TLS 1.2 with a key exchange that lacks forward secrecy", Works: true,
			serve: https{http1: true, config: suites(tls.TLS_RSA_WITH_AES_128_GCM_SHA256), leaf: rsaLeaf}},
		{Name: "no-goodbye", Fault: "tls-missing-close-notify", Title: "The server closes without a close_notify", Works: true, serve: https{after: withoutGoodbye, config: upTo(tls.VersionTLS12)}},
	}
}

func rsaLeaf(o *order) { o.Key = o.rsa(2048) }

// alertSites has a site for every alert number, each in place of a ServerHello.
func alertSites() []Site {
	var all []Site
	for _, a := range []struct {
		number byte
		name   string
		fault  string
	}{
		{0, "close_notify", "tls-other-alert"},
		{10, "unexpected_message", "tls-protocol-violation"},
		{20, "bad_record_mac", "tls-bad-record"},
		{21, "decryption_failed", "tls-bad-record"},
		{22, "record_overflow", "tls-bad-record"},
		{30, "decompression_failure", "tls-bad-record"},
		{40, "handshake_failure", "tls-no-common-cipher"},
		{41, "no_certificate", "tls-other-alert"},
		{42, "bad_certificate", "tls-cert-alert-from-server"},
		{43, "unsupported_certificate", "tls-cert-alert-from-server"},
		{44, "certificate_revoked", "tls-cert-alert-from-server"},
		{45, "certificate_expired", "tls-cert-alert-from-server"},
		{46, "certificate_unknown", "tls-cert-alert-from-server"},
		{47, "illegal_parameter", "tls-protocol-violation"},
		{48, "unknown_ca", "tls-cert-alert-from-server"},
		{49, "access_denied", "tls-other-alert"},
		{50, "decode_error", "tls-protocol-violation"},
		{51, "decrypt_error", "tls-other-alert"},
		{60, "export_restriction", "tls-other-alert"},
		{70, "protocol_version", "tls-no-common-version"},
		{71, "insufficient_security", "tls-no-common-cipher"},
		{80, "internal_error", "tls-internal-error"},
		{86, "inappropriate_fallback", "tls-downgrade-detected"},
		{90, "user_canceled", "tls-other-alert"},
		{100, "no_renegotiation", "tls-other-alert"},
		{109, "missing_extension", "tls-protocol-violation"},
		{110, "unsupported_extension", "tls-protocol-violation"},
		{112, "unrecognized_name", "tls-sni-unrecognized"},
		{113, "bad_certificate_status_response", "tls-other-alert"},
		{115, "unknown_psk_identity", "tls-protocol-violation"},
		{116, "certificate_required", "tls-client-cert-required"},
		{117, "general_error", "tls-other-alert"},
		{120, "no_application_protocol", "tls-alpn-no-overlap"},
		{121, "ech_required", "tls-ech-rejected"},
	} {
		level := byte(fatal)
		if a.number == 0 {
			level = warning // RFC 8446 §6
		}
		all = append(all, Site{
			Name: fmt.Sprintf("alert-%d", a.number), Fault: a.fault,
			Title: fmt.Sprintf("The server answers the hello with alert %d (%s)", a.number, a.name),
			serve: alerts(level, a.number),
		})
	}
	return all
}

func certSites() []Site {
	return []Site{
		// Dates.
		{Name: "expired", Fault: "cert-expired", Title: "The certificate has expired",
			serve: https{leaf: func(o *order) { o.dates(-100, -10) }}},
		{Name: "expired-tls12", Fault: "cert-expired", Title: "The certificate has expired (TLS 1.2)",
			serve: https{leaf: func(o *order) { o.dates(-100, -10) }, config: upTo(tls.VersionTLS12)}},
		{Name: "not-yet-valid", Fault: "cert-not-yet-valid", Title: "The certificate is not valid yet",
			serve: https{leaf: func(o *order) { o.dates(10, 100) }}},
		{Name: "expires-soon", Fault: "cert-expires-soon", Title: "The certificate expires in two days", Works: true,
			serve: https{leaf: func(o *order) { o.dates(-88, 2) }}},

		// Names.
		{Name: "wrong-name", Fault: "cert-name-mismatch", Title: "The certificate is for another name",
			serve: https{leaf: func(o *order) { o.rename("other." + Domain) }}},
		{Name: "wrong-name-tls12", Fault: "cert-name-mismatch", Title: "The certificate is for another name (TLS 1.2)",
			serve: https{leaf: func(o *order) { o.rename("other." + Domain) }, config: upTo(tls.VersionTLS12)}},
		{Name: "www.no-www", Fault: "cert-name-mismatch", Title: "The certificate is for the name without www",
			serve: https{leaf: func(o *order) { o.rename("no-www." + Domain) }}},
		{Name: "cn-only", Fault: "cert-name-no-san", Title: "The name is only in the common name, where nobody looks any more",
			serve: https{leaf: func(o *order) { o.DNSNames = nil }}},
		{Name: "v1", Fault: "cert-name-no-san", Title: "The certificate is of X.509 version 1, which cannot hold names for the web",
			serve: https{leaf: func(o *order) { o.Alter = o.version1 }}},
		{Name: "a.b.wildcard", Fault: "cert-name-wildcard-depth", Title: "The wildcard is one level too high",
			serve: https{leaf: func(o *order) { o.rename("*.wildcard." + Domain) }}},
		{Name: "bare-wildcard", Fault: "cert-name-wildcard-depth", Title: "The wildcard does not cover the bare name",
			serve: https{leaf: func(o *order) { o.rename("*.bare-wildcard." + Domain) }}},
		{Name: "kubernetes-default", Fault: "cert-default-vhost", Title: "The server shows the placeholder certificate of Kubernetes", Also: []string{"cert-self-signed", "cert-name-mismatch"},
			serve: https{leaf: func(o *order) {
				o.rename("ingress.local")
				o.Subject = pkix.Name{Organization: []string{"Acme Co"}, CommonName: "Kubernetes Ingress Controller Fake Certificate"}
				o.selfSigned()
			}}},
		{Name: "localhost-default", Fault: "cert-default-vhost", Title: "The server shows a certificate for localhost", Also: []string{"cert-self-signed", "cert-name-mismatch"},
			serve: https{leaf: func(o *order) { o.rename("localhost"); o.selfSigned() }}},

		// Trust.
		{Name: "self-signed", Fault: "cert-self-signed", Title: "The certificate signs itself",
			serve: https{leaf: (*order).selfSigned}},
		{Name: "untrusted-root", Fault: "cert-untrusted-root", Title: "The certificate leads to a root nobody trusts",
			serve: https{leaf: func(o *order) { o.By = o.stranger("Unknown Trust Ltd", "Unknown Root", "Unknown Intermediate") }}},
		{Name: "missing-intermediate", Fault: "cert-missing-intermediate", Title: "The server forgot the intermediate certificate",
			serve: https{leaf: func(o *order) { o.Send = [][]byte{} }}},
		{Name: "missing-intermediate-aia", Fault: "cert-missing-intermediate", Title: "The server forgot the intermediate certificate; the leaf says where it is",
			Note: "Chromium fetches it and shows the page, Firefox does not.",
			serve: https{leaf: func(o *order) {
				o.Send = [][]byte{}
				o.IssuingCertificateURL = []string{"http://" + Domain + "/intermediate.der"}
			}}},
		{Name: "chain-disorder", Fault: "cert-chain-disorder", Title: "The chain is in the wrong order, with strangers in it", Works: true,
			serve: https{leaf: func(o *order) {
				two := o.ca(o.inter, named("faultline lab", "faultline lab second intermediate"))
				o.By = two
				o.Send = [][]byte{o.root.cert.Raw, two.path[1], two.path[0]}
			}}},
		{Name: "expired-intermediate", Fault: "cert-intermediate-expired", Title: "The intermediate certificate has expired, the leaf has not",
			serve: https{leaf: func(o *order) { o.By = o.ca(o.root, expiredCA) }}},
		{Name: "bad-signature", Fault: "cert-bad-signature", Title: "The certificate's signature is wrong",
			serve: https{leaf: func(o *order) { o.Alter = resealed }}},
		{Name: "impostor-issuer", Fault: "cert-bad-signature", Title: "The issuer has the right name and another key",
			serve: https{leaf: func(o *order) {
				o.By = o.ca(nil, func(c *x509.Certificate) {
					c.Subject, c.SubjectKeyId = o.inter.cert.Subject, o.inter.cert.SubjectKeyId
				})
				o.Send = o.inter.path
			}}},
		{Name: "zscaler", Fault: "cert-interception-corporate", Title: "The issuer is the web gateway of a company",
			serve: https{leaf: func(o *order) {
				o.By = o.stranger("Zscaler Inc.", "Zscaler Root CA", "Zscaler Intermediate Root CA (zscalerthree.net) (t)")
				o.dates(-3, 11)
			}}},
		{Name: "fortigate", Fault: "cert-interception-corporate", Title: "The issuer is a firewall that inspects TLS",
			serve: https{leaf: func(o *order) { o.By = o.ca(nil, named("Fortinet", "FortiGate CA")) }}},
		{Name: "avast", Fault: "cert-interception-antivirus", Title: "The issuer is a virus scanner on this machine",
			serve: https{leaf: func(o *order) {
				o.By = o.ca(nil, named("Avast Software", "Avast Web/Mail Shield Root"))
			}}},
		{Name: "state-root", Fault: "cert-interception-blocked", Title: "The issuer is one that browsers have banned",
			serve: https{leaf: func(o *order) {
				o.By = o.ca(nil, named("ISCA", "Qaznet Trust Network"))
				o.Send = [][]byte{o.By.cert.Raw}
			}}},
		{Name: "mkcert", Fault: "cert-dev-ca", Title: "The certificate is from a developer's own authority",
			serve: https{leaf: func(o *order) {
				o.By = o.ca(nil, named("mkcert development CA", "mkcert dev@laptop"))
			}}},
		{Name: "staging", Fault: "cert-dev-ca", Title: "The certificate is a trial one from a staging authority",
			serve: https{leaf: func(o *order) {
				o.By = o.stranger("(STAGING) Let's Encrypt", "(STAGING) Pretend Pear X1", "(STAGING) Riddling Rhubarb R12")
			}}},

		// Revocation.
		{Name: "revoked", Fault: "cert-revoked", Title: "The certificate is revoked, says the proof stapled to it",
			serve: https{leaf: func(o *order) { o.Staple = o.stapled(ocsp.Revoked, 1) }}},
		{Name: "revoked-ocsp", Fault: "cert-revoked", Title: "The certificate is revoked, says its issuer when asked", Note: "Chromium does not ask.",
			serve: https{leaf: func(o *order) { o.OCSPServer = []string{"http://" + Domain + "/ocsp"} }}},
		{Name: "revocation-unknown", Fault: "cert-revocation-unknown", Title: "Whether the certificate is revoked cannot be found out", Works: true,
			serve: https{leaf: func(o *order) { o.OCSPServer = []string{"http://refused-http." + Domain + "/"} }}},
		{Name: "must-staple", Fault: "cert-ocsp-staple-problem", Title: "The certificate demands a stapled proof, and there is none", Note: "Chromium does not mind.",
			serve: https{leaf: func(o *order) { o.ExtraExtensions = []pkix.Extension{mustStaple} }}},
		{Name: "staple-expired", Fault: "cert-ocsp-staple-problem", Title: "The certificate demands a stapled proof, and it is out of date", Note: "Chromium does not mind.",
			serve: https{leaf: func(o *order) {
				o.ExtraExtensions = []pkix.Extension{mustStaple}
				o.Staple = o.stapled(ocsp.Good, 30)
			}}},

		// Algorithms.
		{Name: "sha1", Fault: "cert-weak-signature", Title: "The certificate is signed with SHA-1",
			serve: https{leaf: func(o *order) { o.SignatureAlgorithm = x509.ECDSAWithSHA1 }}},
		{Name: "sha1-intermediate", Fault: "cert-weak-signature", Title: "The intermediate certificate is signed with SHA-1",
			serve: https{leaf: func(o *order) {
				o.By = o.ca(o.root, func(c *x509.Certificate) {
					named("faultline lab", "faultline lab SHA-1 intermediate")(c)
					c.SignatureAlgorithm = x509.ECDSAWithSHA1
				})
			}}},
		{Name: "rsa1024", Fault: "cert-weak-key", Title: "The certificate's RSA key has 1024 bits", Works: true,
			Note:  "Browsers refuse it only below a public root.",
			serve: https{leaf: func(o *order) { o.Key = o.rsa(1024) }}},
		{Name: "p224", Fault: "cert-unsupported-key", Title: "The certificate has a P-224 key",
			serve: https{leaf: func(o *order) { o.Key = newEC(elliptic.P224()) }, config: upTo(tls.VersionTLS12)}},

		// Purposes and limits.
		{Name: "client-eku", Fault: "cert-eku-wrong", Title: "The certificate is for clients, not for servers",
			serve: https{leaf: func(o *order) { o.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }}},
		{Name: "key-usage", Fault: "cert-key-usage-wrong", Title: "The certificate's key must not sign", Note: "Firefox does not mind.",
			serve: https{leaf: func(o *order) { o.KeyUsage = x509.KeyUsageKeyAgreement }}},
		{Name: "ca-as-leaf", Fault: "cert-key-usage-wrong", Title: "The server's certificate is that of an authority", Note: "Chromium does not mind.",
			serve: https{leaf: func(o *order) {
				o.IsCA = true
				o.KeyUsage |= x509.KeyUsageCertSign
			}}},
		{Name: "issuer-not-ca", Fault: "cert-issuer-not-allowed", Title: "The issuer is a server's certificate, not an authority's",
			serve: https{leaf: func(o *order) {
				o.By = o.ca(o.inter, func(c *x509.Certificate) {
					named("faultline lab", "not-an-authority."+Domain)(c)
					c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature
				})
			}}},
		{Name: "path-length", Fault: "cert-issuer-not-allowed", Title: "The chain is longer than one of its authorities allows",
			serve: https{leaf: func(o *order) {
				short := o.ca(o.root, func(c *x509.Certificate) {
					named("faultline lab", "faultline lab short intermediate")(c)
					c.MaxPathLenZero = true
				})
				o.By = o.ca(short, named("faultline lab", "faultline lab intermediate too many"))
			}}},
		{Name: "name-constraint", Fault: "cert-name-constraint", Title: "The intermediate may only vouch for other names",
			serve: https{leaf: func(o *order) {
				o.By = o.ca(o.root, func(c *x509.Certificate) {
					named("faultline lab", "faultline lab constrained intermediate")(c)
					c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, []string{"example.com"}
				})
			}}},

		// The certificate itself.
		{Name: "not-der", Fault: "cert-malformed", Title: "The certificate is cut off in the middle",
			serve: https{leaf: func(o *order) { o.Alter = cutOff }}},
		{Name: "critical-extension", Fault: "cert-malformed", Title: "The certificate has an extension that must be understood and cannot be",
			serve: https{leaf: func(o *order) { o.ExtraExtensions = []pkix.Extension{unknownCritical} }}},
		{Name: "key-mismatch", Fault: "cert-key-mismatch", Title: "The server holds the key of another certificate (TLS 1.3)",
			serve: https{leaf: func(o *order) { o.Holds = newEC(elliptic.P256()) }}},
		{Name: "key-mismatch-tls12", Fault: "cert-key-mismatch", Title: "The server holds the key of another certificate (TLS 1.2)",
			serve: https{leaf: func(o *order) { o.Holds = newEC(elliptic.P256()) }, config: upTo(tls.VersionTLS12)}},
		{Name: "differs-by-address", Fault: "cert-differs-by-address", Title: "One of two addresses has an expired certificate",
			addrs: 2, serve: https{}, Note: "Which one a client gets is chance.",
			extra: []door{{addr: 0, port: 443, serve: https{leaf: func(o *order) { o.dates(-100, -10) }}}}},

		// Two at once.
		{Name: "expired-wrong-name", Fault: "cert-name-mismatch", Also: []string{"cert-expired"}, Title: "The certificate is for another name and has expired",
			serve: https{leaf: func(o *order) { o.rename("other." + Domain); o.dates(-100, -10) }}},
		{Name: "expired-untrusted", Fault: "cert-untrusted-root", Also: []string{"cert-expired"}, Title: "The certificate leads to a root nobody trusts and has expired",
			serve: https{leaf: func(o *order) {
				o.By = o.stranger("Unknown Trust Ltd", "Unknown Root", "Unknown Intermediate")
				o.dates(-100, -10)
			}}},
		{Name: "wrong-name-untrusted", Fault: "cert-untrusted-root", Also: []string{"cert-name-mismatch"}, Title: "The certificate leads to a root nobody trusts and is for another name",
			serve: https{leaf: func(o *order) {
				o.By = o.stranger("Unknown Trust Ltd", "Unknown Root", "Unknown Intermediate")
				o.rename("other." + Domain)
			}}},
		{Name: "expired-self-signed", Fault: "cert-self-signed", Also: []string{"cert-expired"}, Title: "The certificate signs itself and has expired",
			serve: https{leaf: func(o *order) { o.dates(-100, -10); o.selfSigned() }}},
		{Name: "expired-intermediate-wrong-name", Fault: "cert-name-mismatch", Also: []string{"cert-intermediate-expired"}, Title: "The intermediate certificate has expired and the leaf is for another name",
			serve: https{leaf: func(o *order) { o.By = o.ca(o.root, expiredCA); o.rename("other." + Domain) }}},
	}
}

func (o *order) rename(name string) {
	o.Subject = pkix.Name{CommonName: name}
	o.DNSNames = []string{name}
}

func expiredCA(c *x509.Certificate) {
	named("faultline lab", "faultline lab expired intermediate")(c)
	c.NotBefore, c.NotAfter = c.NotBefore.Add(-400*day), c.NotBefore.Add(-10*day)
}

func httpSites() []Site {
	all := []Site{
		{Name: "empty", Fault: "http-empty-response", Title: "The server hears the request and closes", serve: raw{}},
		{Name: "empty-https", Fault: "http-empty-response", Title: "The server hears the request and closes (TLS)", Scheme: "https", serve: raw{}},
		{Name: "bad-status-line", Fault: "http-malformed-response", Title: "The answer's status is words, not a number", Note: "Chromium takes it for 200.",
			serve: raw{text: literally("HTTP/1.1 TWO HUNDRED OK\r\nContent-Length: 0\r\n\r\n")}},
		{Name: "not-http", Fault: "http-malformed-response", Title: "The answer is no HTTP at all",
			Note:  "Chromium takes it for HTTP/0.9 and shows it as text.",
			serve: raw{text: literally("220 mail.lab.faultline.internal ESMTP\r\n")}},
		{Name: "two-lengths", Fault: "http-malformed-response", Title: "The answer announces two different lengths",
			serve: raw{text: literally("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 9\r\n\r\nhello")}},
		{Name: "huge-header", Fault: "http-header-too-large", Title: "The answer has 2 MiB of header",
			serve: raw{text: func(s *Site) string { return rawPage(s, "X-Filler: "+strings.Repeat("x", 2<<20)+"\r\n") }}},
		{Name: "short-body", Fault: "http-body-truncated", Title: "The page ends before its announced length", serve: raw{text: halfPage}},
		{Name: "short-chunks", Fault: "http-body-truncated", Title: "The page ends without its last chunk",
			serve: raw{text: func(s *Site) string { return chunked(render(s, "")) }}},
		{Name: "bad-chunk", Fault: "http-chunked-invalid", Title: "The page's chunks have lengths that are no numbers",
			serve: raw{text: literally("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n")}},
		{Name: "bad-gzip", Fault: "http-content-decoding", Title: "The page says it is compressed and is not", serve: plain{undecodable}},
		{Name: "no-answer", Fault: "http-response-timeout", Title: "The server hears the request and never answers", serve: plain{never}},
		{Name: "no-answer-https", Fault: "http-response-timeout", Title: "The server hears the request and never answers (TLS)", Scheme: "https", serve: https{page: never}},
		{Name: "stalled-body", Fault: "http-body-stall", Title: "The page stops in the middle", serve: plain{stalls}},
		{Name: "redirect-loop", Fault: "http-redirect-loop", Title: "The page leads to itself for ever", serve: plain{redirect(302, "/")}},
		{Name: "scheme-loop", Fault: "http-redirect-scheme-loop", Title: "http leads to https, which leads to http", Scheme: "https",
			serve: https{page: redirect(301, "http://scheme-loop."+Domain+"/")},
			extra: []door{{port: 80, serve: plain{redirect(301, "https://scheme-loop."+Domain+"/")}}}},
		{Name: "redirect-downgrade", Fault: "http-redirect-downgrade", Title: "The secure page leads to an insecure one", Scheme: "https", Works: true,
			serve: https{page: redirect(302, "http://plain."+Domain+"/")}},
		{Name: "redirect-nowhere", Fault: "http-redirect-invalid", Title: "The page leads to an address that is none", serve: plain{redirect(302, "http://[not-an-address/")}},
		{Name: "h2-noise", Fault: "http-h2-protocol-error", Title: "The server agrees on HTTP/2 and then speaks something else", Scheme: "https",
			serve: https{config: func(c *tls.Config) { c.NextProtos = []string{"h2"} }, after: notHTTP2}},
		{Name: "h2-cbc", Fault: "http-h2-protocol-error", Title: "The server agrees on HTTP/2 with a cipher that HTTP/2 forbids", Scheme: "https",
			serve: https{config: suites(tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA), leaf: rsaLeaf}},
		{Name: "h2-reset", Fault: "http-h2-stream-reset", Title: "The server breaks off the request, not the connection", Scheme: "https", serve: https{page: abort}},
		{Name: "plain-to-tls", Fault: "http-plain-to-tls-port", Title: "Plain HTTP sent to a port that speaks TLS", Port: 443, serve: https{}},
		{Name: "plain-to-tls-alert", Fault: "http-plain-to-tls-port", Title: "Plain HTTP sent to a port that answers with an alert", Port: 443,
			serve: script(func(c *conn) {
				if readRequest(c) == nil {
					say(string(record(recordAlert, tls.VersionTLS10, []byte{fatal, 70})), (*conn).finish)(c)
				}
			})},
		{Name: "websocket-refused", Fault: "http-websocket-failed", Title: "The page's live connection is answered with a page", Scheme: "https", Works: true,
			serve: https{http1: true, page: noSocket}},
		{Name: "no-hsts", Fault: "http-hsts-missing", Title: "The secure page does not ask to stay secure", Scheme: "https", Works: true,
			serve: https{page: noHSTS}},
	}
	for _, st := range []struct {
		code    int
		fault   string
		headers []string
	}{
		{400, "http-4xx-other", nil},
		{401, "http-401", []string{"WWW-Authenticate", `Basic realm="lab"`}},
		{403, "http-403", nil},
		{404, "http-404", nil},
		{410, "http-404", nil},
		{421, "http-421", nil},
		{429, "http-429", []string{"Retry-After", "30"}},
		{431, "http-431", nil},
		{443, "http-status-unregistered", nil},
		{451, "http-4xx-other", nil},
		{500, "http-500", nil},
		{501, "http-5xx-other", nil},
		{502, "http-502", nil},
		{503, "http-503", []string{"Retry-After", "120"}},
		{504, "http-504", nil},
		{511, "http-captive-portal", nil},
		{520, "http-cdn-origin-error", []string{"Server", "cloudflare"}},
		{521, "http-cdn-origin-connect", []string{"Server", "cloudflare"}},
		{525, "http-cdn-origin-tls", []string{"Server", "cloudflare"}},
		{999, "http-status-unregistered", nil},
	} {
		name := strconv.Itoa(st.code)
		title := strings.TrimSuffix(fmt.Sprintf("The server answers with status %d %s", st.code, http.StatusText(st.code)), " ")
		if st.code == 443 {
			title += ", which is no status at all"
		}
		all = append(all, Site{Name: name, Fault: st.fault, Title: title, serve: plain{status(st.code, st.headers...)}})
	}
	for i := range all {
		if all[i].Scheme == "" {
			all[i].Scheme = "http"
		}
	}
	return all
}

// chunked is a response whose last chunk is missing.
func chunked(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(body), body)
}

func noHSTS(w http.ResponseWriter, r *http.Request) {
	withBody(connOf(r).site, "", map[string]string{"Strict-Transport-Security": ""})(w, r)
}

func noSocket(w http.ResponseWriter, r *http.Request) {
	withBody(connOf(r).site, `<script>new WebSocket("wss://"+location.host+"/socket")</script>`, nil)(w, r)
}

func contentSites() []Site {
	page := func(body template.HTML, headers map[string]string) https {
		return https{page: func(w http.ResponseWriter, r *http.Request) {
			inside := body
			if r.URL.Path == "/framed" {
				w.Header().Set("X-Frame-Options", "DENY")
				inside = ""
			}
			withBody(connOf(r).site, inside, headers)(w, r)
		}}
	}
	site := func(name string) template.HTML { return template.HTML("//" + name + "." + Domain) }
	return []Site{
		{Name: "mixed-script", Fault: "content-mixed-blockable", Title: "The secure page asks for an insecure script", Works: true,
			serve: page(`<script src="http:`+site("plain")+`/script.js"></script>`, nil)},
		{Name: "mixed-image", Fault: "content-mixed-passive-upgraded", Title: "The secure page asks for an insecure picture that has no secure address", Works: true,
			serve: page(`<img src="http:`+site("plain")+`/picture.png" alt="A grey square">`, nil)},
		{Name: "mixed-form", Fault: "content-mixed-form-or-download", Title: "The secure page has a form that sends insecurely", Works: true,
			serve: page(`<form action="http:`+site("plain")+`/" method="post"><label>Word <input name="word"></label> <button>Send</button></form>`, nil)},
		{Name: "csp", Fault: "content-csp-blocked", Title: "The page's own policy forbids its script", Works: true,
			serve: page(`<script src="https:`+site("h2")+`/script.js"></script>`, map[string]string{"Content-Security-Policy": "default-src 'self'; style-src 'unsafe-inline'"})},
		{Name: "frame", Fault: "content-frame-blocked", Title: "The page holds another page that refuses to be held", Works: true,
			serve: page(`<iframe src="/framed" title="A page that refuses"></iframe>`, nil)},
		{Name: "cors", Fault: "content-cors-blocked", Title: "The page asks another site for data it may not read", Works: true,
			serve: page(`<script>fetch("https:`+site("h2")+`/data.json")</script>`, nil)},
		{Name: "isolation", Fault: "content-isolation-blocked", Title: "The page demands isolation and its picture does not agree", Works: true,
			serve: page(`<img src="https:`+site("h2")+`/picture.png" alt="A grey square">`, map[string]string{"Cross-Origin-Embedder-Policy": "require-corp"})},
		{Name: "sri", Fault: "content-sri-mismatch", Title: "The page's script is not the one it expects", Works: true,
			serve: page(`<script src="/script.js" integrity="sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="></script>`, nil)},
		{Name: "mime", Fault: "content-mime-blocked", Title: "The page's script comes as a page", Works: true,
			serve: page(`<script src="/missing.js"></script>`, nil)},
		{Name: "subresource", Fault: "content-subresource-failed", Title: "The page is fine; its picture is on a site with an expired certificate", Works: true,
			serve: page(`<img src="https:`+site("expired")+`/picture.png" alt="A grey square">`, nil)},
	}
}

func healthySites() []Site {
	return []Site{
		{Name: "h2", Title: "TLS 1.3 and HTTP/2",
			serve: https{leaf: func(o *order) { o.DNSNames = append(o.DNSNames, "alias."+Domain) }}},
		{Name: "http11", Title: "TLS 1.3 and HTTP/1.1 only", serve: https{http1: true}},
		{Name: "tls12", Title: "TLS 1.2 with an ECDSA certificate", serve: https{config: upTo(tls.VersionTLS12)}},
		{Name: "tls12-rsa", Title: "TLS 1.2 with an RSA certificate", serve: https{config: suites(tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256), leaf: rsaLeaf}},
		{Name: "tls12-chacha", Title: "TLS 1.2 with ChaCha20", serve: https{config: suites(tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256), leaf: rsaLeaf}},
		{Name: "rsa", Title: "An RSA certificate", serve: https{leaf: rsaLeaf}},
		{Name: "p384", Title: "A P-384 certificate", serve: https{leaf: func(o *order) { o.Key = newEC(elliptic.P384()) }}},
		{Name: "long-chain", Title: "Two intermediate certificates", serve: https{leaf: func(o *order) {
			o.By = o.ca(o.inter, named("faultline lab", "faultline lab second intermediate"))
		}}},
		{Name: "any.wildcard", Title: "A wildcard certificate at the right level", serve: https{leaf: func(o *order) { o.rename("*.wildcard." + Domain) }}},
		{Name: "ten-years", Title: "A certificate for ten years, which local authorities may issue", serve: https{leaf: func(o *order) { o.dates(-1, 3650) }}},
		{Name: "stapled", Title: "A certificate with a stapled proof that it is good", serve: https{leaf: func(o *order) {
			o.ExtraExtensions = []pkix.Extension{mustStaple}
			o.Staple = o.stapled(ocsp.Good, 1)
		}}},
		{Name: "hello-retry", Title: "The server wants another group and asks again", serve: https{config: groups(tls.CurveP384)}},
		{Name: "warned", Title: "The server warns that it does not know the name (alert 112) and goes on", serve: https{before: warned(112), config: upTo(tls.VersionTLS12)}},
		{Name: "tickets", Title: "Sessions are resumed; every connection is closed after one page", serve: https{http1: true, page: once}},
		{Name: "slow", Title: "The answer takes a second", serve: https{page: slowly(time.Second)}},
		{Name: "slow-dns", Title: "The name server takes half a second", dns: &answer{slow: 500 * time.Millisecond}, serve: https{}},
		{Name: "dns-tcp", Title: "The name server's answer comes over TCP", dns: &answer{truncated: true}, serve: https{}},
		{Name: "alias", Title: "The name is an alias of another", dns: &answer{cname: "h2"}, serve: https{},
			Note: "It leads to the address of h2, where the certificate is for both."},
		{Name: "to-https", Scheme: "http", Title: "http leads to https", serve: plain{redirect(301, "https://to-https."+Domain+"/")},
			extra: []door{{port: 443, serve: https{}}}},
		{Name: "plain", Scheme: "http", Title: "Plain HTTP", serve: plain{}},
		{Name: "pictures", Title: "A page with pictures from five other sites", serve: https{page: pictures}},
		{Name: "large", Title: "A download of 64 MiB", Path: "large.bin", serve: https{page: large}},
		{Name: "websocket", Title: "A page with a WebSocket", serve: https{http1: true, page: sockets}},
	}
}

func once(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Connection", "close")
	welcome(connOf(r).site)(w, r)
}

func sockets(w http.ResponseWriter, r *http.Request) { echoes(connOf(r).site)(w, r) }

func pictures(w http.ResponseWriter, r *http.Request) {
	var b strings.Builder
	for _, name := range []string{"h2", "http11", "tls12", "rsa", "p384"} {
		fmt.Fprintf(&b, "<img src=\"https://%s.%s/picture.png\" width=\"48\" height=\"48\" alt=\"A grey square from %s\">\n", name, Domain, name)
	}
	withBody(connOf(r).site, template.HTML(b.String()), nil)(w, r)
}
