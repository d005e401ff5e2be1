package inspect

import (
	"fmt"
	"slices"
	"strings"

	"faultline/inspect/wire"
)

// Family is the browser engine a client says it is: "chromium", "firefox",
// "safari", or "" when it is no browser we know.
func (c Client) Family() string {
	ua := c.UserAgent
	switch {
	case strings.Contains(ua, "Chrome/") || strings.Contains(ua, "Chromium/"):
		return "chromium"
	case strings.Contains(ua, "Firefox/"):
		return "firefox"
	case strings.Contains(ua, "Safari/") && strings.Contains(ua, "Version/"):
		return "safari"
	}
	return ""
}

// Puzzle is the kind of question that a connection of our own could answer.
type Puzzle string

const (
	// PuzzleNone: all is clear without one.
	PuzzleNone Puzzle = ""
	// PuzzleRefusal: the client refused the server's handshake, or left it: what
	// is wrong with the certificate, does the server ask for one?
	PuzzleRefusal Puzzle = "refusal"
	// PuzzleOffer: nothing in the client's offer suits the server: does ours?
	PuzzleOffer Puzzle = "offer"
	// PuzzleHello: the hello was not answered: is it its size, its version, or
	// the name in it?
	PuzzleHello Puzzle = "hello"
)

// Puzzle says what a comparison would help to find out. A handshake that a
// browser finished and then left unused is a spare connection, not a question.
func (a *Attempt) Puzzle() Puzzle {
	t := a.Seen.TLS
	if a.Mode == Plain || t == nil || !a.SpokeTLS() {
		return PuzzleNone
	}
	if a.Open {
		if a.unanswered() {
			return PuzzleHello
		}
		return PuzzleNone
	}
	switch t.Rejected {
	case RejectAlert, RejectShort, RejectPadded, RejectLate:
		if a.Seen.Cert.leaf() == nil { // else it passed in clear (TLS 1.2)
			return PuzzleRefusal
		}
	case RejectHandshakeAlert, RejectSilent:
		return PuzzleRefusal
	case RejectClosed:
		if a.Client.Family() == "" && a.Seen.Cert.leaf() == nil {
			return PuzzleRefusal
		}
	}
	if al, early := t.serverAlert(); al != nil && early && (al.Number == 40 || al.Number == 47 || al.Number == 50) {
		return PuzzleOffer
	}
	if a.unanswered() {
		return PuzzleHello
	}
	return PuzzleNone
}

// unanswered: the server, or something on the way, met the client's hello with a
// reset, a close or silence.
func (a *Attempt) unanswered() bool {
	if !a.SpokeTLS() || !a.Seen.TLS.silent() {
		return false
	}
	if a.Seen.End == nil {
		return a.Open && ms(a.Elapsed)-a.Seen.Hello.Ms >= stallAfter
	}
	if a.cut("reset") || a.cut("fin") {
		return !a.early()
	}
	return a.Seen.End.First != "server" && a.Seen.End.Ms-a.Seen.Hello.Ms >= stallAfter
}

func clientProxyMisconfigured(a *Attempt) *Finding {
	switch a.Refused {
	case RefusedProtocol:
		said := "something that is not HTTP"
		if h := a.Seen.Hello; h != nil {
			switch h.Protocol {
			case "tls":
				said = "TLS: its setting says that the proxy is an HTTPS proxy"
			case "socks4", "socks5", "socks":
				said = "SOCKS: its setting says that the proxy is a SOCKS proxy"
			default:
				said = fmt.Sprintf("\"%s\"", h.First)
			}
		}
		return &Finding{Why: "the client spoke " + said}
	case RefusedRequest:
		return &Finding{Title: "The client sent a request that no proxy can serve.", Why: orElse(a.Internal, "the request makes no sense"),
			User: "Check the address, and that the program's proxy setting says HTTP proxy."}
	}
	return nil
}

func clientProxyLoop(a *Attempt) *Finding {
	if a.Refused != RefusedLoop {
		return nil
	}
	return &Finding{Why: fmt.Sprintf("%s leads to faultline's own address", a.Target)}
}

func clientFaultlineInternal(a *Attempt) *Finding {
	if a.Refused == RefusedLimit {
		return &Finding{Why: orElse(a.Internal, "a limit of faultline was reached"), Title: "faultline is at its limit and refused this connection; the site was not tested."}
	}
	if a.Internal == "" || a.Refused != "" {
		return nil
	}
	return &Finding{Why: a.Internal}
}

func clientOffline(a *Attempt) *Finding {
	if a.Chain != "" {
		return nil
	}
	down := errno("ENETUNREACH", "ENETDOWN")
	if d := a.Seen.DNS; d.failed() && len(d.exchanges()) > 0 {
		for _, x := range d.exchanges() {
			if x.Errno != "ENETUNREACH" && x.Errno != "ENETDOWN" {
				return nil
			}
		}
		return &Finding{Why: d.exchanges()[0].said() + ": this computer has no way out", Certainty: Inferred}
	}
	if t := a.Seen.TCP; t.all(down) && a.Seen.DNS != nil && a.Seen.DNS.From == "literal" {
		return nil // one address without a route says nothing about the others
	}
	return nil
}

func clientTlsTooOld(a *Attempt) *Finding {
	al, early := a.Seen.TLS.serverAlert()
	if al == nil || !early || al.Number != 70 && al.Number != 40 {
		return nil
	}
	v := a.Seen.Hello.maxVersion()
	if v == 0 || v >= tls12 {
		return nil
	}
	f := a.serverAlerted(al, early)
	f.Why += fmt.Sprintf("; the client offers nothing newer than %s", wire.VersionName(v))
	return f
}

func clientNoSni(a *Attempt) *Finding {
	h := a.Seen.Hello
	if h == nil || h.ClientHello == nil || h.SNI != "" {
		return nil
	}
	al, early := a.Seen.TLS.serverAlert()
	if al == nil || !early || al.Number != 112 {
		return nil
	}
	f := a.serverAlerted(al, early)
	f.Why += "; the client had not said which site it wants (no SNI)"
	return f
}

func clientRejectedCert(a *Attempt) *Finding {
	t := a.Seen.TLS
	if t == nil || t.Used || httpH2ProtocolError(a) != nil {
		return nil
	}
	certainty := Seen
	switch t.Rejected {
	case RejectAlert, RejectShort, RejectPadded:
	case RejectLate:
		// Libraries end a connection they do not need in the same way.
		if a.Client.Family() != "firefox" {
			return nil
		}
	case RejectHandshakeAlert:
		if p := a.probedTLS(); p == nil || !p.Complete {
			return nil
		}
	default:
		return nil
	}
	if c, _ := a.cert(); c != nil && slices.ContainsFunc(c.Faults, a.minds) && !a.unknownAuthority() {
		return nil // that is the reason
	}
	f := &Finding{Why: t.rejection(), Certainty: certainty}
	if a.unknownAuthority() {
		f.Title = "The program that made this attempt does not know the authority behind the site's certificate."
		f.Blame = BlameClient
		f.Why += ", though the certificate leads to an authority trusted here"
		f.User = "If you know the authority, add it to the program's list; if not, do not go on."
		return f
	}
	// In TLS 1.2 the chain passed in clear, and there is nothing to compare.
	fine := ""
	switch c, probed := a.cert(); {
	case !probed && c.Anchor != "":
		fine = "; the certificate, which passed in clear, leads to an authority trusted here and has nothing else that it would mind"
	case a.probedTLS() != nil && a.probedTLS().Complete:
		fine = "; a connection of our own finds nothing wrong"
	}
	if fine != "" {
		f.Blame = BlameClient
		f.Why += fine + ", so the reason is on the client's side: its list of authorities, its clock, a pinned key"
	}
	return f
}

// unknownAuthority: the client said in clear that it does not know the authority
// (alert 48), and the chain leads to one that is trusted here. Then that is its
// reason, whatever else is wrong.
func (a *Attempt) unknownAuthority() bool {
	al := a.Seen.TLS.alertFrom(wire.Client)
	if a.Seen.TLS.Rejected != RejectAlert || al == nil || al.Number != 48 {
		return false
	}
	c, _ := a.cert()
	return c != nil && c.Anchor != ""
}

// rejection puts in words how the client refused.
func (t *TLSStep) rejection() string {
	switch t.Rejected {
	case RejectAlert, RejectHandshakeAlert:
		if al := t.alertFrom(wire.Client); al != nil {
			return fmt.Sprintf("the client sent TLS alert %d (%s)", al.Number, wire.AlertName(al.Number))
		}
	case RejectShort, RejectPadded:
		return fmt.Sprintf("the client sent an encrypted record of %d bytes, an alert, where its Finished belongs", t.ClientFirst)
	case RejectLate:
		return "the client finished the handshake and then sent an encrypted alert before any data"
	case RejectSilent:
		return "the client left after the server's part of the handshake, without a word"
	case RejectClosed:
		return "the client finished the handshake and left without using the connection"
	}
	return "the client refused the handshake"
}

func clientHandshakeAbandoned(a *Attempt) *Finding {
	t := a.Seen.TLS
	if t == nil || t.Rejected != RejectSilent {
		return nil
	}
	f := &Finding{Why: t.rejection(), Certainty: Inferred}
	if p := a.probe(ChangeClient); p != nil {
		// A browser to which nothing is wrong left because somebody stopped it.
		// Other programs are hardly stopped at that very moment, but some refuse a
		// certificate so (Node, measured with 20).
		if !p.OK || a.Client.Family() != "" {
			return nil
		}
		f.Why += "; a connection of our own finds nothing wrong, so the reason is on the client's side, such as an authority it does not know"
	}
	return f
}

func clientPreconnectUnused(a *Attempt) *Finding {
	e, t := a.Seen.End, a.Seen.TLS
	if e == nil || a.Mode == Plain || !a.Seen.TCP.connected() {
		return nil
	}
	if a.Seen.Hello == nil && e.Down == 0 && e.First != "server" {
		return &Finding{Why: "the client opened the tunnel and sent nothing through it", Certainty: Inferred}
	}
	if a.SpokeTLS() && t != nil && t.Complete && !t.Used && (t.Rejected == RejectClosed || t.Rejected == RejectLate || t.Rejected == "") {
		f := &Finding{Why: "the handshake was finished and nothing was sent after it", Certainty: Inferred}
		if a.Client.Family() == "" && t.Rejected != "" {
			// wget and Node (TLS 1.2) do so when they do not know the authority; on
			// the wire it is the same.
			f.Title = "The program made a connection and did not use it; nothing was seen to be wrong."
			f.User = "If the program complains about the certificate, see whether it knows the authority that issued it."
			f.Why += "; some programs refuse a certificate in this way, others had no need of the connection"
		}
		return f
	}
	return nil
}

func clientAborted(a *Attempt) *Finding {
	e, t := a.Seen.End, a.Seen.TLS
	if e != nil && e.First == "faultline" && (a.Mode == Plain || !a.worked()) {
		return &Finding{Title: "faultline stopped before this attempt came to its end.", Why: fmt.Sprintf("faultline ended it after %s", seconds(e.Ms)),
			User: "Start faultline and reload the page."}
	}
	if e == nil || e.First != "client" {
		return nil
	}
	if a.Mode == Plain {
		return &Finding{Why: fmt.Sprintf("the client left after %s", seconds(e.Ms)), Certainty: Inferred}
	}
	if a.SpokeTLS() && (t == nil || !t.Complete) {
		return &Finding{Why: fmt.Sprintf("the client left %s after its hello, before the handshake was done", seconds(e.Ms-a.Seen.Hello.Ms)), Certainty: Inferred}
	}
	if t != nil && t.Used && !a.responded() {
		return &Finding{Why: "the client left before the answer came", Certainty: Inferred}
	}
	if !a.SpokeTLS() && e.Down == 0 {
		return &Finding{Why: "the client left before the server had said anything", Certainty: Inferred}
	}
	return nil
}

// clientFaults come before anything was sent.
var clientFaults = []Fault{
	{
		ID: "client-proxy-misconfigured", Layer: LayerClient, Step: StepConnect, Kind: Failure, Blame: BlameClient,
		Title:       "The browser's proxy setting does not match this proxy (wrong type or wrong port).",
		User:        "Set HTTP proxy (not HTTPS, not SOCKS) to the address faultline printed, for both http and https.",
		Server:      "No server action.",
		Chromium:    []string{"ERR_PROXY_CONNECTION_FAILED", "ERR_TUNNEL_CONNECTION_FAILED", "ERR_NO_SUPPORTED_PROXIES", "ERR_MANDATORY_PROXY_CONFIGURATION_FAILED", "ERR_PAC_SCRIPT_FAILED", "ERR_SOCKS_CONNECTION_FAILED"},
		Firefox:     []string{"NS_ERROR_PROXY_CONNECTION_REFUSED", "NS_ERROR_UNKNOWN_PROXY_HOST", "NS_ERROR_PROXY_BAD_REQUEST"},
		Safari:      []string{"NSURLErrorNetworkConnectionLost"},
		Curl:        "5 CURLE_COULDNT_RESOLVE_PROXY, 7 CURLE_COULDNT_CONNECT, 97 CURLE_PROXY",
		ProxyStatus: "http_request_error", Source: "judgement, Chromium",
		match: clientProxyMisconfigured,
	},
	{
		ID: "client-proxy-loop", Layer: LayerClient, Step: StepConnect, Kind: Failure, Blame: BlameClient,
		Title:       "The proxy was asked to fetch from itself, which would go round in circles.",
		User:        "Remove faultline's own address from the address bar or from the upstream proxy setting.",
		Server:      "No server action, unless a reverse proxy of yours points back at itself.",
		Chromium:    []string{"ERR_TUNNEL_CONNECTION_FAILED"},
		Firefox:     []string{"NS_ERROR_PROXY_BAD_GATEWAY"},
		Safari:      []string{"NSURLErrorCannotConnectToHost"},
		Curl:        "56 CURLE_RECV_ERROR, 7 CURLE_COULDNT_CONNECT",
		ProxyStatus: "proxy_loop_detected", Source: "RFC",
		match: clientProxyLoop,
	},
	{
		ID: "client-faultline-internal", Layer: LayerClient, Step: StepConnect, Kind: Failure, Blame: BlameClient,
		Title:       "The diagnostic proxy itself had a problem; the site was not tested.",
		User:        "Restart faultline and send its log if it happens again.",
		Server:      "No server action.",
		Chromium:    []string{"ERR_TUNNEL_CONNECTION_FAILED"},
		Firefox:     []string{"NS_ERROR_UNKNOWN_HOST"},
		Curl:        "56 CURLE_RECV_ERROR",
		ProxyStatus: "proxy_internal_error", Source: "RFC, measured",
		match: clientFaultlineInternal,
	},
	{
		ID: "client-offline", Layer: LayerClient, Step: StepResolve, Kind: Failure, Blame: BlameClient,
		Title:    "This device has no network connection right now (or it just changed networks).",
		User:     "Connect to Wi-Fi or cable, check airplane mode and VPN, then reload.",
		Server:   "No server action.",
		Chromium: []string{"ERR_INTERNET_DISCONNECTED", "ERR_NETWORK_CHANGED", "ERR_NETWORK_IO_SUSPENDED"},
		Firefox:  []string{"NS_ERROR_OFFLINE"},
		Safari:   []string{"NSURLErrorNotConnectedToInternet", "NSURLErrorDataNotAllowed"},
		Curl:     "6 CURLE_COULDNT_RESOLVE_HOST, 7 CURLE_COULDNT_CONNECT",
		NEL:      "dns.unreachable", ProxyStatus: "dns_error", Source: "Chromium, Firefox, measured",
		match: clientOffline,
	},
	{
		ID: "client-tls-too-old", Layer: LayerClient, Step: StepHello, Kind: Failure, Blame: BlameClient,
		Title:    "This browser or app is too old to speak the encryption the site requires.",
		User:     "Update the browser, app or operating system; there is no safe workaround.",
		Server:   "Decide whether such old clients matter; TLS 1.2 with ECDHE-GCM suites is the reasonable floor.",
		Chromium: []string{"ERR_SSL_VERSION_OR_CIPHER_MISMATCH"},
		Firefox:  []string{"SSL_ERROR_PROTOCOL_VERSION_ALERT", "SSL_ERROR_UNSUPPORTED_VERSION"},
		Safari:   []string{"NSURLErrorSecureConnectionFailed"},
		Curl:     "35 CURLE_SSL_CONNECT_ERROR",
		NEL:      "tls.version_or_cipher_mismatch", ProxyStatus: "tls_alert_received", Source: "RFC, measured",
		match: clientTlsTooOld,
	},
	{
		ID: "client-no-sni", Layer: LayerClient, Step: StepHello, Kind: Failure, Blame: BlameClient,
		Title:    "The program did not tell the server which site it wants, so the server answered for the wrong site or refused.",
		User:     "Use a current browser; open the site by name, not by IP address.",
		Server:   "Configure a default certificate for clients without SNI if you must serve them.",
		Chromium: []string{"ERR_SSL_PROTOCOL_ERROR"},
		Firefox:  []string{"SSL_ERROR_UNRECOGNIZED_NAME_ALERT"},
		Safari:   []string{"NSURLErrorSecureConnectionFailed"},
		Curl:     "35 CURLE_SSL_CONNECT_ERROR",
		NEL:      "tls.protocol.error", ProxyStatus: "tls_alert_received", Source: "RFC, judgement",
		match: clientNoSni,
	},
	{
		ID: "client-blocked-request", Layer: LayerClient, Step: StepRequest, Kind: Failure, Blame: BlameClient,
		Title:    "The browser itself (an extension, a policy or its safety list) refused to send the request.",
		User:     "Try a private window without extensions, or another browser; check policies on a managed device.",
		Server:   "Avoid unsafe ports and check that your domain is not on a block list.",
		Chromium: []string{"ERR_BLOCKED_BY_CLIENT", "ERR_BLOCKED_BY_ADMINISTRATOR", "ERR_BLOCKED_IN_INCOGNITO_BY_ADMINISTRATOR", "ERR_UNSAFE_PORT", "ERR_INVALID_URL", "ERR_UNKNOWN_URL_SCHEME", "ERR_DISALLOWED_URL_SCHEME", "ERR_BLOCKED_BY_FINGERPRINTING_PROTECTION", "ERR_NETWORK_ACCESS_REVOKED", "ERR_CLEARTEXT_NOT_PERMITTED"},
		Firefox:  []string{"NS_ERROR_PORT_ACCESS_NOT_ALLOWED", "NS_ERROR_BLOCKED_BY_POLICY", "NS_ERROR_CONTENT_BLOCKED", "NS_ERROR_TRACKING_URI", "NS_ERROR_MALWARE_URI", "NS_ERROR_PHISHING_URI", "NS_ERROR_MALFORMED_URI", "NS_ERROR_UNKNOWN_PROTOCOL", "NS_ERROR_BASIC_HTTP_AUTH_DISABLED"},
		Safari:   []string{"NSURLErrorAppTransportSecurityRequiresSecureConnection", "NSURLErrorBadURL", "NSURLErrorUnsupportedURL"},
		Curl:     "1 CURLE_UNSUPPORTED_PROTOCOL, 3 CURLE_URL_MALFORMAT",
		Source:   "Chromium, Firefox",
	},
	{
		ID: "client-hsts-no-bypass", Layer: LayerClient, Step: StepHandshake, Kind: Failure, Blame: BlameServer,
		Title:    "The site told browsers to accept nothing but a perfect certificate, so there is no 'continue anyway' button.",
		User:     "Wait for the owner to fix the certificate; do not hunt for a bypass.",
		Server:   "Fix the certificate first; removing HSTS does not help visitors who already stored it.",
		Chromium: []string{"ERR_CERT_AUTHORITY_INVALID", "ERR_CERT_COMMON_NAME_INVALID", "ERR_CERT_DATE_INVALID"},
		Firefox:  []string{"SEC_ERROR_UNKNOWN_ISSUER", "SSL_ERROR_BAD_CERT_DOMAIN"},
		Safari:   []string{"NSURLErrorServerCertificateUntrusted"},
		Source:   "RFC, RFC 6797, Firefox",
	},
	{
		ID: "client-https-upgrade-failed", Layer: LayerClient, Step: StepRequest, Kind: Failure, Blame: BlameServer,
		Title:    "The browser tried the secure address first, but this site only answers on the insecure one.",
		User:     "Continue only if you do not enter anything private; the address bar will say Not secure.",
		Server:   "Enable HTTPS on 443; browsers now try it first and warn on plain http.",
		Chromium: []string{"ERR_CONNECTION_REFUSED", "ERR_TUNNEL_CONNECTION_FAILED", "ERR_DNS_NAME_HTTPS_ONLY"},
		Firefox:  []string{"NS_ERROR_HTTPS_ONLY", "NS_ERROR_CONNECTION_REFUSED"},
		Safari:   []string{"NSURLErrorCannotConnectToHost"},
		Curl:     "7 CURLE_COULDNT_CONNECT",
		NEL:      "tcp.refused", ProxyStatus: "connection_refused", Source: "Firefox, judgement",
	},
	{
		ID: "client-local-network-blocked", Layer: LayerClient, Step: StepRequest, Kind: Failure, Blame: BlameClient,
		Title:    "The browser did not let a public page talk to a device on your home or office network.",
		User:     "Allow local network access for this site if you trust it.",
		Server:   "Ask for the permission from a secure page, or serve the local resource differently.",
		Chromium: []string{"ERR_BLOCKED_BY_LOCAL_NETWORK_ACCESS_CHECKS", "ERR_CACHED_IP_ADDRESS_SPACE_BLOCKED_BY_LOCAL_NETWORK_ACCESS_POLICY", "ERR_INCONSISTENT_IP_ADDRESS_SPACE", "ERR_LOCAL_NETWORK_PERMISSION_MISSING"},
		Firefox:  []string{"NS_ERROR_LOCAL_NETWORK_ACCESS_DENIED"},
		Source:   "Chromium, Firefox",
	},
}

// clientRefusalFaults are what a client does with what it got; they explain an
// attempt only when nothing before them does.
var clientRefusalFaults = []Fault{
	{
		ID: "client-handshake-abandoned", Layer: LayerClient, Step: StepHandshake, Kind: Failure, Blame: BlameClient,
		Title:    "The program hung up in the middle of setting up the secure connection without saying why.",
		User:     "If a window asked for a certificate or smart card, answer it; otherwise see the probe's certificate result.",
		Server:   "If you did not intend to ask visitors for a certificate, turn off client-certificate requests.",
		Chromium: []string{"ERR_CONNECTION_CLOSED", "ERR_SOCKET_NOT_CONNECTED"},
		Firefox:  []string{"NS_ERROR_ABORT"},
		Safari:   []string{"NSURLErrorNetworkConnectionLost"},
		Curl:     "35 CURLE_SSL_CONNECT_ERROR",
		NEL:      "tls.failed", ProxyStatus: "connection_terminated", Source: "measured",
		match: clientHandshakeAbandoned,
	},
	{
		ID: "client-rejected-cert", Layer: LayerClient, Step: StepHandshake, Kind: Failure, Blame: BlameUnknown,
		Title:    "Your browser looked at the site's certificate and refused it.",
		User:     "Do not click through on a site where you log in; the evidence in the log says what the certificate holds.",
		Server:   "Fix what the comparison in the log lists (date, name, chain, trust); if it lists nothing, the reason is on the client's side.",
		Chromium: []string{"ERR_CERT_AUTHORITY_INVALID", "ERR_CERT_COMMON_NAME_INVALID", "ERR_CERT_DATE_INVALID", "ERR_CERT_INVALID"},
		Firefox:  []string{"SEC_ERROR_UNKNOWN_ISSUER", "SSL_ERROR_BAD_CERT_DOMAIN", "SEC_ERROR_EXPIRED_CERTIFICATE", "MOZILLA_PKIX_ERROR_SELF_SIGNED_CERT"},
		Safari:   []string{"NSURLErrorServerCertificateUntrusted"},
		Curl:     "60 CURLE_PEER_FAILED_VERIFICATION",
		NEL:      "tls.failed", ProxyStatus: "tls_alert_received", Source: "measured, RFC",
		match: clientRejectedCert,
	},
	{
		ID: "client-preconnect-unused", Layer: LayerClient, Step: StepConnect, Kind: NotAFault, Blame: BlameNone,
		Title:  "The browser opened a spare connection in advance and did not need it; this is normal.",
		User:   "Nothing to do.",
		Server: "Nothing to do.",
		Source: "measured",
		match:  clientPreconnectUnused,
	},
	{
		ID: "client-aborted", Layer: LayerClient, Step: StepEnd, Kind: NotAFault, Blame: BlameNone,
		Title:    "You (or the page) stopped loading before the answer arrived; nothing is broken on the network.",
		User:     "Reload the page; only worry if it happens without pressing stop or leaving the page.",
		Server:   "No server action needed; if many users abort at the same point, look at response time.",
		Chromium: []string{"ERR_ABORTED"},
		Firefox:  []string{"NS_BINDING_ABORTED", "NS_ERROR_ABORT"},
		Safari:   []string{"NSURLErrorCancelled"},
		Curl:     "42 CURLE_ABORTED_BY_CALLBACK",
		NEL:      "abandoned", Source: "Chromium, measured, W3C",
		match: clientAborted,
	},
	{
		ID: "client-rejected-intercept-ca", Layer: LayerClient, Step: StepHandshake, Kind: Failure, Blame: BlameClient,
		Title:    "This program's own certificate is not trusted by your browser yet, so it cannot look inside the encrypted connection.",
		User:     "Import faultline's CA certificate into this browser's trust store, or switch faultline to tunnel mode.",
		Server:   "No server action; this is a local setup step.",
		Chromium: []string{"ERR_CERT_AUTHORITY_INVALID"},
		Firefox:  []string{"SEC_ERROR_UNKNOWN_ISSUER", "MOZILLA_PKIX_ERROR_MITM_DETECTED"},
		Safari:   []string{"NSURLErrorServerCertificateUntrusted"},
		Curl:     "60 CURLE_PEER_FAILED_VERIFICATION",
		NEL:      "tls.cert.authority_invalid", ProxyStatus: "proxy_configuration_error", Source: "measured, Firefox",
	},
	{
		ID: "client-root-store-outdated", Layer: LayerClient, Step: StepHandshake, Kind: Failure, Blame: BlameClient,
		Title:    "The site's certificate is fine, but this device's list of trusted authorities is too old or incomplete to know it.",
		User:     "Update the operating system or browser, or use Firefox which carries its own current list.",
		Server:   "Serve a chain that also leads to an older, widely held root if you must support old devices.",
		Chromium: []string{"ERR_CERT_AUTHORITY_INVALID"},
		Firefox:  []string{"SEC_ERROR_UNKNOWN_ISSUER"},
		Safari:   []string{"NSURLErrorServerCertificateHasUnknownRoot"},
		Curl:     "60 CURLE_PEER_FAILED_VERIFICATION",
		NEL:      "tls.cert.authority_invalid", ProxyStatus: "tls_alert_received", Source: "judgement, measured",
	},
	{
		ID: "client-clock-wrong", Layer: LayerClient, Step: StepHandshake, Kind: Failure, Blame: BlameClient,
		Title:    "The clock of this computer is wrong, so certificates that are valid look expired or not yet valid.",
		User:     "Set date, time and time zone to automatic and reload.",
		Server:   "No server action; the certificate dates are correct.",
		Chromium: []string{"ERR_CERT_DATE_INVALID"},
		Firefox:  []string{"SEC_ERROR_EXPIRED_CERTIFICATE", "MOZILLA_PKIX_ERROR_NOT_YET_VALID_CERTIFICATE"},
		Safari:   []string{"NSURLErrorServerCertificateHasBadDate", "NSURLErrorServerCertificateNotYetValid"},
		Curl:     "60 CURLE_PEER_FAILED_VERIFICATION",
		NEL:      "tls.cert.date_invalid", ProxyStatus: "tls_alert_received", Source: "Firefox, Chromium, judgement",
	},
}
