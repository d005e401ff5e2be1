package inspect

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// answers are the outcomes for A and AAAA that are known, A first.
func (d *DNSStep) answers() []*DNSAnswer {
	if d == nil {
		return nil
	}
	return slices.DeleteFunc([]*DNSAnswer{d.A, d.AAAA}, func(a *DNSAnswer) bool { return a == nil })
}

// addrs are all the addresses that were found.
func (d *DNSStep) addrs() (all []string) {
	for _, a := range d.answers() {
		all = append(all, a.Addrs...)
	}
	return all
}

// failed: the name was looked up, and no address was found.
func (d *DNSStep) failed() bool {
	pending := slices.ContainsFunc(d.answers(), func(a *DNSAnswer) bool { return a.Pending })
	return len(d.answers()) > 0 && len(d.addrs()) == 0 && !pending
}

// exchanges are the questions asked, A's first.
func (d *DNSStep) exchanges() (all []DNSExchange) {
	for _, a := range d.answers() {
		all = append(all, a.Asked...)
	}
	return all
}

// find returns the first exchange for which ok is true.
func (d *DNSStep) find(ok func(DNSExchange) bool) *DNSExchange {
	for _, x := range d.exchanges() {
		if ok(x) {
			return &x
		}
	}
	return nil
}

// rcode finds a reply with one of the codes, in an attempt that found no
// address. A name server that failed before another one answered is no fault
// of the attempt.
func (a *Attempt) rcode(codes ...string) *DNSExchange {
	if !a.Seen.DNS.failed() {
		return nil
	}
	return a.Seen.DNS.find(func(x DNSExchange) bool { return slices.Contains(codes, x.RCode) })
}

// said puts an exchange in words.
func (x *DNSExchange) said() string {
	var b strings.Builder
	fmt.Fprintf(&b, "name server %s", x.Server)
	switch {
	case x.Malformed != "":
		fmt.Fprintf(&b, " sent a reply that is not DNS (%s)", x.Malformed)
	case x.RCode != "":
		fmt.Fprintf(&b, " answered %s", x.RCode)
	case x.Errno != "":
		fmt.Fprintf(&b, " could not be asked (%s)", x.Errno)
	default:
		b.WriteString(" did not answer")
	}
	if x.Name != "" {
		fmt.Fprintf(&b, " for %s %s", strings.TrimSuffix(x.Name, "."), x.Type)
	}
	if x.Extended != nil {
		fmt.Fprintf(&b, ", extended error %d %s", x.Extended.Code, ExtendedErrorName(x.Extended.Code))
		if x.Extended.Text != "" {
			fmt.Fprintf(&b, " (%s)", x.Extended.Text)
		}
	}
	return b.String()
}

func dnsInvalidName(a *Attempt) *Finding {
	if a.Refused != RefusedName {
		return nil
	}
	return &Finding{Why: fmt.Sprintf("%q breaks the rules for host names (RFC 1123 §2.1: labels of 1 to 63 letters, digits and hyphens, 253 in all)", a.Host)}
}

func dnsDnssecBogus(a *Attempt) *Finding {
	if !a.Seen.DNS.failed() {
		return nil
	}
	x := a.Seen.DNS.find(func(x DNSExchange) bool { return x.Extended != nil && isDNSSEC(x.Extended.Code) })
	if x == nil {
		return nil
	}
	return &Finding{Why: x.said()}
}

// isDNSSEC: the extended errors that a failed DNSSEC validation carries
// (RFC 8914 §4).
func isDNSSEC(code uint16) bool {
	return code >= 5 && code <= 12 || code == 1 || code == 2 || code == 25 || code == 27
}

func dnsPolicyBlock(a *Attempt) *Finding {
	d := a.Seen.DNS
	x := d.find(func(x DNSExchange) bool { return x.Extended != nil && x.Extended.Code >= 15 && x.Extended.Code <= 18 })
	if x == nil {
		x = d.find(func(x DNSExchange) bool { return x.Extended != nil && x.Extended.Code == 4 })
	}
	if x == nil || !d.failed() && !a.Seen.TCP.failed() {
		return nil
	}
	return &Finding{Why: x.said()}
}

func dnsMalformedResponse(a *Attempt) *Finding {
	if x := a.rcode("FORMERR", "NOTIMP"); x != nil {
		return &Finding{Why: x.said()}
	}
	if !a.Seen.DNS.failed() || a.rcode("NXDOMAIN", "NOERROR", "SERVFAIL", "REFUSED") != nil {
		return nil
	}
	if x := a.Seen.DNS.find(func(x DNSExchange) bool { return x.Malformed != "" }); x != nil {
		return &Finding{Why: x.said()}
	}
	return nil
}

func dnsTcpFallbackBlocked(a *Attempt) *Finding {
	if !a.Seen.DNS.failed() {
		return nil
	}
	cut := a.Seen.DNS.find(func(x DNSExchange) bool { return x.Truncated && x.Network == "udp" })
	tcp := a.Seen.DNS.find(func(x DNSExchange) bool { return x.Network == "tcp" && x.RCode == "" })
	if cut == nil || tcp == nil {
		return nil
	}
	how := "did not answer"
	if tcp.Errno != "" {
		how = "failed with " + tcp.Errno
	}
	return &Finding{Why: fmt.Sprintf("name server %s cut its UDP answer short, and asking again over TCP %s", cut.Server, how)}
}

func dnsResolverUnreachable(a *Attempt) *Finding {
	d := a.Seen.DNS
	if !d.failed() || d.find(func(x DNSExchange) bool { return x.RCode != "" }) != nil {
		return nil
	}
	x := d.find(func(x DNSExchange) bool { return x.Errno != "" && x.Errno != "ETIMEDOUT" })
	if x == nil {
		return nil
	}
	return &Finding{Why: x.said()}
}

func dnsTimeout(a *Attempt) *Finding {
	d := a.Seen.DNS
	asked := d.exchanges()
	waiting := a.Open && a.Step == StepResolve && len(d.addrs()) == 0
	if !d.failed() && !waiting || slices.ContainsFunc(asked, func(x DNSExchange) bool { return x.RCode != "" }) {
		return nil
	}
	timeout := slices.ContainsFunc(d.answers(), func(x *DNSAnswer) bool { return x.Timeout })
	if !timeout && !a.Open {
		return nil
	}
	servers := make([]string, 0, 3)
	for _, x := range asked {
		if !slices.Contains(servers, x.Server) {
			servers = append(servers, x.Server)
		}
	}
	return &Finding{Why: fmt.Sprintf("no answer from %s within %s", orElse(strings.Join(servers, ", "), "the name server"), seconds(d.Ms))}
}

// refusedWith matches a lookup that ended with a reply of that code.
func refusedWith(rcode string) func(*Attempt) *Finding {
	return func(a *Attempt) *Finding {
		x := a.rcode(rcode)
		if x == nil {
			return nil
		}
		return &Finding{Why: x.said()}
	}
}

func dnsNodata(a *Attempt) *Finding {
	x := a.rcode("NOERROR")
	if x == nil {
		return nil
	}
	return &Finding{Why: x.said() + ", without any address"}
}

func dnsNameCollision(a *Attempt) *Finding {
	if !slices.Contains(a.Seen.DNS.addrs(), "127.0.53.53") {
		return nil
	}
	return &Finding{Why: "the name leads to 127.0.53.53, the address ICANN reserved to mark a name collision"}
}

func dnsBogusAddress(a *Attempt) *Finding {
	d := a.Seen.DNS
	if d == nil || d.From == "literal" || d.From == "hosts" || !a.Seen.TCP.failed() || isLocalName(a.Host) {
		return nil
	}
	for _, s := range d.addrs() {
		ip, err := netip.ParseAddr(s)
		if err != nil {
			continue
		}
		switch ip = ip.Unmap(); {
		case ip.IsUnspecified() || ip.Is4() && ip.As4()[0] == 0:
			return &Finding{Why: fmt.Sprintf("the name leads to %s, which is no address of any machine", ip)}
		case ip.IsLoopback() && d.From != "lab":
			return &Finding{Why: fmt.Sprintf("the name leads to %s, this very computer, where nothing answers", ip),
				Chromium: "ERR_CONNECTION_REFUSED", Firefox: "NS_ERROR_CONNECTION_REFUSED"}
		case ip.IsLinkLocalUnicast():
			return &Finding{Why: fmt.Sprintf("the name leads to %s, an address that is valid on one cable only", ip)}
		}
	}
	return nil
}

// isLocalName: names that rightly lead to this computer (RFC 6761 §6.3).
func isLocalName(host string) bool {
	h := strings.ToLower(strings.TrimSuffix(host, "."))
	return h == "localhost" || strings.HasSuffix(h, ".localhost")
}

// ExtendedErrorName names an extended DNS error (RFC 8914 §4 and its registry).
func ExtendedErrorName(code uint16) string {
	if int(code) < len(extendedErrors) {
		return extendedErrors[code]
	}
	return "unassigned"
}

var extendedErrors = [...]string{
	"Other", "Unsupported DNSKEY Algorithm", "Unsupported DS Digest Type", "Stale Answer", "Forged Answer",
	"DNSSEC Indeterminate", "DNSSEC Bogus", "Signature Expired", "Signature Not Yet Valid", "DNSKEY Missing",
	"RRSIGs Missing", "No Zone Key Bit Set", "NSEC Missing", "Cached Error", "Not Ready", "Blocked", "Censored",
	"Filtered", "Prohibited", "Stale NXDOMAIN Answer", "Not Authoritative", "Not Supported", "No Reachable Authority",
	"Network Error", "Invalid Data", "Signature Expired before Valid", "Too Early", "Unsupported NSEC3 Iterations Value",
	"Unable to conform to policy", "Synthesized", "Invalid Query Type",
}

// orElse is s, or other when s is empty.
func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// seconds writes milliseconds for people.
func seconds(ms float64) string {
	switch {
	case ms < 10:
		return fmt.Sprintf("%.1f ms", ms)
	case ms < 1000:
		return fmt.Sprintf("%.0f ms", ms)
	default:
		return fmt.Sprintf("%.1f s", ms/1000)
	}
}

var dnsFaults = []Fault{
	{
		ID: "dns-invalid-name", Layer: LayerDNS, Step: StepResolve, Kind: Failure, Blame: BlameClient,
		Title:    "The address contains a name that cannot exist.",
		User:     "Correct the typing error in the address.",
		Server:   "Fix the broken link that produced the address.",
		Chromium: []string{"ERR_NAME_NOT_RESOLVED", "ERR_INVALID_URL"},
		Firefox:  []string{"NS_ERROR_UNKNOWN_HOST", "NS_ERROR_MALFORMED_URI"},
		Safari:   []string{"NSURLErrorBadURL"},
		Curl:     "3 CURLE_URL_MALFORMAT, 6 CURLE_COULDNT_RESOLVE_HOST",
		NEL:      "dns.failed", ProxyStatus: "http_request_error", Source: "RFC",
		match: dnsInvalidName,
	},
	{
		ID: "dns-dnssec-bogus", Layer: LayerDNS, Step: StepResolve, Kind: Failure, Blame: BlameServer,
		Title:    "The site's address record carries a broken security signature, so careful name servers discard it.",
		User:     "You can only wait; a resolver that does not check signatures would hide a possible forgery.",
		Server:   "Fix DS/DNSKEY mismatch or renew expired RRSIGs.",
		Chromium: []string{"ERR_NAME_NOT_RESOLVED"},
		Firefox:  []string{"NS_ERROR_UNKNOWN_HOST"},
		Safari:   []string{"NSURLErrorCannotFindHost"},
		Curl:     "6 CURLE_COULDNT_RESOLVE_HOST",
		NEL:      "dns.failed", ProxyStatus: "dns_error", Source: "RFC 8914, RFC",
		match: dnsDnssecBogus,
	},
	{
		ID: "dns-policy-block", Layer: LayerDNS, Step: StepResolve, Kind: Failure, Blame: BlameLocalNetwork,
		Title:    "The name server on this network blocks that site on purpose.",
		User:     "Ask whoever runs the network or the filter (parental control, company, provider).",
		Server:   "If your site is listed by mistake, ask the filter operator for removal.",
		Chromium: []string{"ERR_NAME_NOT_RESOLVED"},
		Firefox:  []string{"NS_ERROR_UNKNOWN_HOST"},
		Safari:   []string{"NSURLErrorCannotFindHost"},
		Curl:     "6 CURLE_COULDNT_RESOLVE_HOST",
		NEL:      "dns.name_not_resolved", ProxyStatus: "dns_error", Source: "RFC 8914, judgement",
		match: dnsPolicyBlock,
	},
	{
		ID: "dns-malformed-response", Layer: LayerDNS, Step: StepResolve, Kind: Failure, Blame: BlameLocalNetwork,
		Title:    "The name server answered with something that is not a valid answer.",
		User:     "Bypass the router's DNS by setting a known public DNS server.",
		Server:   "Update old middlebox or DNS software that mishandles EDNS or HTTPS records.",
		Chromium: []string{"ERR_NAME_NOT_RESOLVED", "ERR_DNS_MALFORMED_RESPONSE", "ERR_DNS_FORMAT_ERROR", "ERR_DNS_NOT_IMPLEMENTED", "ERR_DNS_OTHER_FAILURE"},
		Firefox:  []string{"NS_ERROR_UNKNOWN_HOST"},
		Safari:   []string{"NSURLErrorDNSLookupFailed"},
		Curl:     "6 CURLE_COULDNT_RESOLVE_HOST",
		NEL:      "dns.failed", ProxyStatus: "dns_error", Source: "RFC, measured",
		match: dnsMalformedResponse,
	},
	{
		ID: "dns-tcp-fallback-blocked", Layer: LayerDNS, Step: StepResolve, Kind: Failure, Blame: BlameLocalNetwork,
		Title:    "The answer was too big for the first try and the network blocks the second way of asking.",
		User:     "Use another DNS server, or ask the network owner to allow TCP port 53.",
		Server:   "Keep answers small and allow TCP 53 to your name servers.",
		Chromium: []string{"ERR_NAME_NOT_RESOLVED", "ERR_DNS_SERVER_REQUIRES_TCP"},
		Firefox:  []string{"NS_ERROR_UNKNOWN_HOST"},
		Safari:   []string{"NSURLErrorDNSLookupFailed"},
		Curl:     "6 CURLE_COULDNT_RESOLVE_HOST",
		NEL:      "dns.failed", ProxyStatus: "dns_timeout", Source: "RFC, judgement",
		match: dnsTcpFallbackBlocked,
	},
	{
		ID: "dns-resolver-unreachable", Layer: LayerDNS, Step: StepResolve, Kind: Failure, Blame: BlameLocalNetwork,
		Title:    "Your device's name server cannot be reached at all.",
		User:     "Check the DNS setting (a stopped local DNS program, VPN or ad blocker is common) and renew the lease.",
		Server:   "No server action.",
		Chromium: []string{"ERR_NAME_NOT_RESOLVED"},
		Firefox:  []string{"NS_ERROR_UNKNOWN_HOST"},
		Safari:   []string{"NSURLErrorCannotFindHost"},
		Curl:     "6 CURLE_COULDNT_RESOLVE_HOST",
		NEL:      "dns.unreachable", ProxyStatus: "dns_error", Source: "judgement, measured",
		match: dnsResolverUnreachable,
	},
	{
		ID: "dns-timeout", Layer: LayerDNS, Step: StepResolve, Kind: Failure, Blame: BlameLocalNetwork,
		Title:    "The name server did not answer in time, so the address could not be looked up.",
		User:     "Reconnect to the network or restart the router; try another DNS server.",
		Server:   "If only your domain is slow, check your authoritative servers from outside.",
		Chromium: []string{"ERR_NAME_NOT_RESOLVED", "ERR_DNS_TIMED_OUT"},
		Firefox:  []string{"NS_ERROR_UNKNOWN_HOST"},
		Safari:   []string{"NSURLErrorTimedOut", "NSURLErrorCannotFindHost"},
		Curl:     "6 CURLE_COULDNT_RESOLVE_HOST, 28 CURLE_OPERATION_TIMEDOUT",
		NEL:      "dns.unreachable", ProxyStatus: "dns_timeout", Source: "RFC, measured",
		match: dnsTimeout,
	},
	{
		ID: "dns-servfail", Layer: LayerDNS, Step: StepResolve, Kind: Failure, Blame: BlameServer,
		Title:    "The name servers responsible for this site are not answering properly.",
		User:     "Try again in a few minutes or from another network.",
		Server:   "Check that all name servers of the zone answer and that glue and DNSSEC data match the registry.",
		Chromium: []string{"ERR_NAME_NOT_RESOLVED", "ERR_NAME_RESOLUTION_FAILED", "ERR_DNS_SERVER_FAILURE"},
		Firefox:  []string{"NS_ERROR_UNKNOWN_HOST"},
		Safari:   []string{"NSURLErrorCannotFindHost", "NSURLErrorDNSLookupFailed"},
		Curl:     "6 CURLE_COULDNT_RESOLVE_HOST",
		NEL:      "dns.failed", ProxyStatus: "dns_error", Source: "RFC, RFC 8914, measured",
		match: refusedWith("SERVFAIL"),
	},
	{
		ID: "dns-refused", Layer: LayerDNS, Step: StepResolve, Kind: Failure, Blame: BlameLocalNetwork,
		Title:    "The name server your device uses refused to answer.",
		User:     "Switch the network's DNS to automatic, or leave a VPN whose DNS is not meant for you.",
		Server:   "If your own authoritative server refuses its zone, load the zone on it.",
		Chromium: []string{"ERR_NAME_NOT_RESOLVED", "ERR_DNS_REFUSED"},
		Firefox:  []string{"NS_ERROR_UNKNOWN_HOST"},
		Safari:   []string{"NSURLErrorCannotFindHost"},
		Curl:     "6 CURLE_COULDNT_RESOLVE_HOST",
		NEL:      "dns.failed", ProxyStatus: "dns_error", Source: "RFC, measured",
		match: refusedWith("REFUSED"),
	},
	{
		ID: "dns-nxdomain", Layer: LayerDNS, Step: StepResolve, Kind: Failure, Blame: BlameClient,
		Title:    "No site with that name exists in the phone book of the internet.",
		User:     "Check the spelling of the address; if it is right, the domain may have lapsed.",
		Server:   "Check that the zone has the record and that the domain registration has not expired.",
		Chromium: []string{"ERR_NAME_NOT_RESOLVED"},
		Firefox:  []string{"NS_ERROR_UNKNOWN_HOST"},
		Safari:   []string{"NSURLErrorCannotFindHost"},
		Curl:     "6 CURLE_COULDNT_RESOLVE_HOST",
		NEL:      "dns.name_not_resolved", ProxyStatus: "dns_error", Source: "RFC, Chromium, measured",
		match: refusedWith("NXDOMAIN"),
	},
	{
		ID: "dns-nodata", Layer: LayerDNS, Step: StepResolve, Kind: Failure, Blame: BlameServer,
		Title:    "The name exists, but no address is attached to it for web traffic.",
		User:     "Try with or without www; otherwise tell the owner.",
		Server:   "Add an A or AAAA record (or repair the CNAME target).",
		Chromium: []string{"ERR_NAME_NOT_RESOLVED"},
		Firefox:  []string{"NS_ERROR_UNKNOWN_HOST"},
		Safari:   []string{"NSURLErrorCannotFindHost"},
		Curl:     "6 CURLE_COULDNT_RESOLVE_HOST",
		NEL:      "dns.name_not_resolved", ProxyStatus: "dns_error", Source: "RFC, measured",
		match: dnsNodata,
	},
	{
		ID: "dns-name-collision", Layer: LayerDNS, Step: StepResolve, Kind: Failure, Blame: BlameServer,
		Title:    "An internal company name clashes with a name on the public internet.",
		User:     "Use the full internal name or connect to the company VPN first.",
		Server:   "Rename internal zones to a suffix you own.",
		Chromium: []string{"ERR_NAME_NOT_RESOLVED", "ERR_ICANN_NAME_COLLISION"},
		Firefox:  []string{"NS_ERROR_UNKNOWN_HOST"},
		Safari:   []string{"NSURLErrorCannotFindHost"},
		Curl:     "7 CURLE_COULDNT_CONNECT",
		NEL:      "dns.failed", ProxyStatus: "dns_error", Source: "Chromium, measured",
		match: dnsNameCollision,
	},
	{
		ID: "dns-bogus-address", Layer: LayerDNS, Step: StepResolve, Kind: Failure, Blame: BlameLocalNetwork,
		Title:    "The site's name leads to an address that is not on the internet, usually because a blocker or a mistake points it there.",
		User:     "Check ad blockers, the hosts file and the DNS filter of this network.",
		Server:   "Publish public addresses in the public zone.",
		Chromium: []string{"ERR_CONNECTION_REFUSED", "ERR_ADDRESS_INVALID"},
		Firefox:  []string{"NS_ERROR_CONNECTION_REFUSED"},
		Safari:   []string{"NSURLErrorCannotConnectToHost"},
		Curl:     "7 CURLE_COULDNT_CONNECT",
		NEL:      "tcp.address_invalid", ProxyStatus: "destination_ip_prohibited", Source: "measured, judgement",
		match: dnsBogusAddress,
	},
	{
		ID: "dns-resolvers-disagree", Layer: LayerDNS, Step: StepResolve, Kind: Degrading, Blame: BlamePath,
		Title:    "Two phone books give different addresses for this site, so you may be talking to the wrong machine.",
		User:     "Try another network or DNS server before entering passwords.",
		Server:   "If you just moved the site, wait for the old record's TTL; otherwise suspect hijacking.",
		Chromium: []string{"ERR_CERT_COMMON_NAME_INVALID", "ERR_CONNECTION_TIMED_OUT"},
		Firefox:  []string{"SSL_ERROR_BAD_CERT_DOMAIN"},
		Safari:   []string{"NSURLErrorServerCertificateUntrusted"},
		Curl:     "60 CURLE_PEER_FAILED_VERIFICATION, 7 CURLE_COULDNT_CONNECT",
		NEL:      "dns.address_changed", Source: "judgement",
	},
	{
		ID: "dns-address-changed", Layer: LayerDNS, Step: StepResolve, Kind: Degrading, Blame: BlameServer,
		Title:    "The site moved to a new address and one of the two places is not ready.",
		User:     "Restart the browser to drop the old address; try again later.",
		Server:   "Keep the old server running until the TTL has passed and check the new one's certificate.",
		Chromium: []string{"ERR_CERT_COMMON_NAME_INVALID", "ERR_CONNECTION_REFUSED"},
		Firefox:  []string{"SSL_ERROR_BAD_CERT_DOMAIN", "NS_ERROR_CONNECTION_REFUSED"},
		Safari:   []string{"NSURLErrorCannotConnectToHost"},
		Curl:     "7 CURLE_COULDNT_CONNECT, 60 CURLE_PEER_FAILED_VERIFICATION",
		NEL:      "dns.address_changed", Source: "W3C, judgement",
	},
	{
		ID: "dns-hosts-override", Layer: LayerDNS, Step: StepResolve, Kind: Degrading, Blame: BlameClient,
		Title:    "This computer has a private note that sends the name to a fixed address.",
		User:     "Remove the line from the hosts file if you did not want it.",
		Server:   "No server action.",
		Chromium: []string{"ERR_CONNECTION_REFUSED", "ERR_CERT_COMMON_NAME_INVALID"},
		Firefox:  []string{"NS_ERROR_CONNECTION_REFUSED"},
		Safari:   []string{"NSURLErrorCannotConnectToHost"},
		Curl:     "7 CURLE_COULDNT_CONNECT, 60 CURLE_PEER_FAILED_VERIFICATION",
		NEL:      "dns.address_changed", Source: "judgement",
	},
	{
		ID: "dns-https-record-mismatch", Layer: LayerDNS, Step: StepResolve, Kind: Failure, Blame: BlameServer,
		Title:    "The site's advanced address record promises something the server does not do.",
		User:     "Try another browser or turn off secure DNS to work around it.",
		Server:   "Correct or remove the HTTPS record.",
		Chromium: []string{"ERR_DNS_NO_MATCHING_SUPPORTED_ALPN", "ERR_DNS_NAME_HTTPS_ONLY", "ERR_INVALID_ECH_CONFIG_LIST"},
		Curl:     "101 CURLE_ECH_REQUIRED",
		NEL:      "dns.failed", ProxyStatus: "dns_error", Source: "Chromium",
	},
}
