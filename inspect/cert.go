package inspect

import (
	"slices"

	"faultline/inspect/wire"
)

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
	// It is self-signed as a rule; that is not what is to be mended.
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
