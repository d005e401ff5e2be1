package inspect

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"faultline/inspect/wire"
)

const (
	tls10 = 0x0301
	tls12 = 0x0303
	tls13 = 0x0304
)

// FromWire turns what passed in clear, and how the connection ended, into the
// steps of the client's hello and of the server's answer. end is nil while the
// connection is open.
func FromWire(f wire.Facts, end *EndStep) (*HelloStep, *TLSStep) {
	var hello *HelloStep
	if f.Client.Bytes > 0 {
		hello = &HelloStep{Protocol: f.Client.Protocol, Ms: ms(f.Client.FirstAt), ClientHello: f.Hello}
		if f.Client.Protocol != "tls" {
			hello.First = opening(f.Client.First)
		}
	}
	if f.Client.Bytes == 0 && f.Server.Bytes == 0 {
		return hello, nil
	}
	t := &TLSStep{
		Source: SourceSeen, Protocol: f.Server.Protocol,
		Answer: f.Answer, Retry: f.Retry, Alerts: f.Alerts, Records: f.Records,
		ClientCertRequested: f.CertificateRequested, ServerDone: f.ServerDone, KeyExchange: f.KeyExchange,
		ClientFirst: f.ClientFirst, ClientNext: f.ClientNext, ClientCCS: f.ClientCCS,
		ClientData: f.ClientData, ServerData: f.ServerData, ServerAfter: f.ServerAfter,
		Renegotiate: f.Renegotiated, Cut: f.Server.Cut, Broken: f.Broken,
	}
	if f.Server.Bytes > 0 && f.Server.Protocol != "tls" {
		t.First = greeting(f.Server.Protocol, f.Server.First)
		if b := f.Server.First; len(b) >= 5 {
			t.Claimed = int(b[3])<<8 | int(b[4])
		}
	}
	if f.Server.Bytes > 0 && f.Client.Bytes > 0 {
		t.Ms = ms(max(0, f.Server.FirstAt-f.Client.FirstAt))
	}
	if f.Answer != nil {
		t.Version = wire.VersionName(f.Answer.Version)
		t.Cipher = wire.CipherName(f.Answer.Cipher)
		t.ALPN = f.Answer.ALPN
		if f.Answer.Group != 0 {
			t.Group = wire.GroupName(f.Answer.Group)
		}
		t.judgeClient(f, end)
	}
	return hello, t
}

// opening is as much of a client's first bytes as tells what it speaks. What
// follows may be a path, a cookie or a password, and none of that is kept.
func opening(b []byte) string {
	b = b[:min(len(b), 8)]
	if i := bytes.IndexByte(b, ' '); i >= 0 {
		b = b[:i]
	}
	return Printable(b)
}

// greeting is the first bytes of a server that does not speak TLS; of an HTTP
// response the first line, because a field may hold a cookie.
func greeting(protocol string, b []byte) string {
	if protocol == "http" {
		b, _, _ = bytes.Cut(b, []byte("\r\n"))
	}
	return Printable(b)
}

// judgeClient tells, from record types and lengths alone, whether the client
// accepted the server's handshake, refused it, or never got to it. All of it
// was measured with Chromium 156, Firefox 153, OpenSSL 3, GnuTLS 3.7, Go, Java
// 17, Node 20 and Python: a TLS 1.3 Finished is a record of 53 or 69 bytes, an
// alert one of 19 (11 with CCM-8; 35 where Java pads).
func (t *TLSStep) judgeClient(f wire.Facts, end *EndStep) {
	ended := end != nil
	byClient := ended && end.First == "client"
	if al := t.alertFrom(wire.Client); al != nil && !al.Encrypted && al.Number != 0 && al.Number != 90 && !t.finished() {
		if isCertAlert(al.Number) {
			t.Rejected = RejectAlert
		} else {
			t.Rejected = RejectHandshakeAlert
		}
		return
	}
	if f.Hello != nil && f.Hello.EarlyData && f.Answer.PSK {
		t.Complete, t.Used = t.ClientData > 0, t.ClientData > 0 // 0-RTT: lengths say nothing
		return
	}
	if f.Answer.Version < tls13 {
		t.judgeClient12(byClient)
		return
	}
	switch n := t.ClientFirst; {
	case n == 0:
		if byClient && t.ServerData > 0 {
			t.Rejected = RejectSilent
		}
	case n == 19 || n == 11:
		t.Rejected = RejectShort
	case n == 35 && t.ClientData == 1:
		if ended {
			t.Rejected = RejectPadded
		}
	default:
		// An empty client certificate is 25 bytes (Java: 41), or 61 together with
		// a Finished: the server asked for one.
		if n == 25 || n == 41 || n == 61 || n == 77 {
			t.ClientCertRequested = true
		}
		t.Complete = n >= 45
		t.Used = t.ClientData > 2 || t.ClientData == 2 && t.ClientNext != 19
		if n == 25 || n == 41 {
			t.Complete = t.ClientData >= 2
			t.Used = t.ClientData > 3 || t.ClientData == 3 && !t.has(wire.Client, 19)
		}
		if ended && !t.Used && (byClient || t.goodbye(end)) {
			t.Rejected = RejectClosed
		}
	}
}

// has: a side sent an encrypted record of a length, 19 being that of an alert,
// among the first records.
func (t *TLSStep) has(side wire.Side, n int) bool {
	return slices.ContainsFunc(t.Records, func(r wire.Record) bool { return r.Side == side && r.Type == 23 && r.Len == n })
}

// goodbye: the last that the client sent is as long as a close_notify, and the
// server had neither sent such a record nor closed before. Then it was the
// client that ended the connection, though the server, which answers by closing
// at once, may have been faster with its end.
func (t *TLSStep) goodbye(end *EndStep) bool {
	said := false
	for _, r := range t.Records {
		switch {
		case r.Type != 23 || r.Len != 19:
		case r.Side == wire.Server:
			return said
		case t.ClientData == 2 && t.ClientNext == 19:
			said = end.ServerMs == nil || r.Ms <= *end.ServerMs
		}
	}
	return said
}

// judgeClient12 is judgeClient for TLS 1.2 and older, where types stay visible.
func (t *TLSStep) judgeClient12(byClient bool) {
	t.Complete = t.finished()
	t.Used = t.ClientData > 0
	encrypted := slices.ContainsFunc(t.Alerts, func(al wire.Alert) bool { return al.Side == wire.Client && al.Encrypted })
	switch {
	case t.Used:
	case t.Complete && encrypted:
		t.Rejected = RejectLate
	case t.Complete && byClient:
		t.Rejected = RejectClosed
	case !t.Complete && byClient && t.ServerDone:
		t.Rejected = RejectSilent
	}
}

// finished: the client's Finished passed.
func (t *TLSStep) finished() bool { return t.ClientFirst > 0 && t.ClientCCS }

// silent: the server said nothing.
func (t *TLSStep) silent() bool { return t == nil || t.Protocol == "" }

// alertFrom is the first alert in clear from a side, close_notify included;
// else the first encrypted one.
func (t *TLSStep) alertFrom(side wire.Side) *wire.Alert {
	if t == nil {
		return nil
	}
	var sealed *wire.Alert
	for i := range t.Alerts {
		al := &t.Alerts[i]
		switch {
		case al.Side != side:
		case !al.Encrypted:
			// A warning is followed by the handshake going on; it is no end.
			if al.Level == 1 && al.Number != 0 && t.Answer != nil && side == wire.Server {
				continue
			}
			return al
		case sealed == nil:
			sealed = al
		}
	}
	return sealed
}

// serverAlert is the fatal alert the server sent in clear, nil for none. early
// says whether it came instead of a ServerHello.
func (t *TLSStep) serverAlert() (al *wire.Alert, early bool) {
	if al = t.alertFrom(wire.Server); al == nil || al.Encrypted {
		return nil, false
	}
	if al.Level == 1 && al.Number != 0 && al.Number != 90 {
		return nil, false
	}
	return al, t.Answer == nil
}

// isCertAlert: alerts that speak of the peer's certificate (RFC 8446 §6.2).
func isCertAlert(n uint8) bool { return n >= 42 && n <= 46 || n == 48 }

// offered puts the client's hello in words: "1,912 bytes (TLS 1.3 and 1.2)".
func (h *HelloStep) said() string {
	if h == nil || h.ClientHello == nil {
		return "the client"
	}
	return fmt.Sprintf("%d bytes", h.Bytes)
}

// maxVersion is the newest TLS version the client offered, GREASE aside.
func (h *HelloStep) maxVersion() uint16 {
	if h == nil || h.ClientHello == nil {
		return 0
	}
	v := min(h.Version, tls12)
	for _, x := range h.Versions {
		if x&0x0f0f != 0x0a0a && x > v {
			v = x
		}
	}
	return v
}

// alertRule matches an alert that the server sent in clear.
func alertRule(early bool, numbers ...uint8) func(*Attempt) *Finding {
	return func(a *Attempt) *Finding {
		al, first := a.Seen.TLS.serverAlert()
		if al == nil || !slices.Contains(numbers, al.Number) || early && !first {
			return nil
		}
		return a.serverAlerted(al, first)
	}
}

func (a *Attempt) serverAlerted(al *wire.Alert, first bool) *Finding {
	when := "in the middle of the handshake"
	if first {
		when = "instead of a ServerHello"
	}
	return &Finding{
		Why:      fmt.Sprintf("the server sent TLS alert %d (%s) %s", al.Number, wire.AlertName(al.Number), when),
		Chromium: chromiumAlert(al.Number), Firefox: firefoxAlert(al.Number),
	}
}

func tlsPlaintextHttpOn443(a *Attempt) *Finding {
	t := a.Seen.TLS
	if !a.SpokeTLS() || t == nil || t.Protocol != "http" && t.Protocol != "html" {
		return nil
	}
	return &Finding{Why: fmt.Sprintf("the server answered the TLS hello with plain text: \"%s\"", t.First)}
}

// SpokeTLS: the client began a TLS handshake.
func (a *Attempt) SpokeTLS() bool { return a.Seen.Hello != nil && a.Seen.Hello.Protocol == "tls" }

func tlsOtherProtocolOnPort(a *Attempt) *Finding {
	t := a.Seen.TLS
	if t.silent() || t.Protocol == "tls" || t.Protocol == "http" || t.Protocol == "html" {
		return nil
	}
	if a.Seen.Hello == nil && a.Port == 443 && a.Mode == Tunnel {
		// It spoke first, and the client left without a word.
		return &Finding{Why: fmt.Sprintf("the server spoke first, %s: \"%s\"", protocolName(t.Protocol), t.First), ChromiumShown: "ERR_TUNNEL_CONNECTION_FAILED"}
	}
	if !a.SpokeTLS() {
		return nil
	}
	f := &Finding{Why: fmt.Sprintf("the server answered the TLS hello with %s: \"%s\"", protocolName(t.Protocol), t.First)}
	if t.Claimed > maxCiphertext {
		f.Firefox = "SSL_ERROR_RX_RECORD_TOO_LONG"
	}
	return f
}

// maxCiphertext is the longest record TLS 1.3 allows (RFC 8446 §5.2).
const maxCiphertext = 1<<14 + 256

// protocolName is a protocol in words.
func protocolName(p string) string {
	switch p {
	case "garbage":
		return "bytes that are no protocol we know"
	case "text":
		return "a line of text"
	case "sslv2":
		return "SSL 2.0, forbidden since RFC 6176"
	}
	return strings.ToUpper(p)
}

func tlsServerVersionTooOld(a *Attempt) *Finding {
	t := a.Seen.TLS
	if t == nil || t.Answer == nil || t.Answer.Version >= tls12 {
		return nil
	}
	if t.Used { // the client does not mind
		return nil
	}
	return &Finding{Why: fmt.Sprintf("the server chose %s; browsers accept TLS 1.2 and 1.3 only (RFC 8996)", t.Version)}
}

func tlsDowngradeDetected(a *Attempt) *Finding {
	t := a.Seen.TLS
	if al, _ := t.serverAlert(); al != nil && al.Number == 86 {
		return a.serverAlerted(al, true)
	}
	if t == nil || t.Answer == nil || t.Answer.Downgrade == 0 || a.Seen.Hello.maxVersion() < tls13 || t.Answer.Version >= tls13 || t.Used {
		return nil
	}
	return &Finding{Why: "the ServerHello carries the mark of a server that would speak TLS 1.3 but was made to believe that the client cannot (RFC 8446 §4.1.3)"}
}

func tlsVersionIntolerant(a *Attempt) *Finding {
	why := a.cutWords()
	code := a.cutCode()
	if al, early := a.Seen.TLS.serverAlert(); al != nil && early && (al.Number == 40 || al.Number == 47 || al.Number == 50) {
		p := a.probe(ChangeVersion)
		if p == nil || !p.OK || a.probe(ChangeClient) == nil || a.probe(ChangeClient).OK {
			return nil
		}
		f := a.serverAlerted(al, early)
		f.Certainty = Shown
		f.Why += "; it answers a hello that offers TLS 1.2 only"
		return f
	}
	if !a.compared() || a.probe(ChangeSize).answered() || !a.probe(ChangeVersion).answered() {
		return nil
	}
	return &Finding{Certainty: Shown, Chromium: code, Why: why + "; a hello that offers TLS 1.2 only is answered"}
}

func tlsLargeHelloIntolerant(a *Attempt) *Finding {
	if !a.compared() || !a.probe(ChangeSize).answered() || tcpPmtuBlackhole(a) != nil {
		return nil
	}
	return &Finding{Certainty: Shown, Chromium: a.cutCode(),
		Why: a.cutWords() + "; a hello that fits in one packet, without the post-quantum key share, is answered"}
}

func tlsNoCommonVersion(a *Attempt) *Finding {
	f := alertRule(true, 70)(a)
	if f != nil {
		f.Why += fmt.Sprintf("; the client offered up to %s", wire.VersionName(a.Seen.Hello.maxVersion()))
	}
	return f
}

func tlsNoCommonGroup(a *Attempt) *Finding {
	t, h := a.Seen.TLS, a.Seen.Hello
	if t == nil || h == nil || h.ClientHello == nil {
		return nil
	}
	if t.Retry != nil && t.Answer == nil && t.Retry.Group != 0 && !slices.Contains(h.Groups, t.Retry.Group) {
		return &Finding{Why: fmt.Sprintf("the server asks for the key-exchange group %s, which the client did not offer", wire.GroupName(t.Retry.Group)),
			Chromium: "ERR_SSL_PROTOCOL_ERROR", Firefox: "SSL_ERROR_RX_MALFORMED_HELLO_RETRY_REQUEST"}
	}
	al, early := t.serverAlert()
	p := a.probedTLS()
	if al == nil || !early || al.Number != 40 || p == nil || p.Answer == nil {
		return nil
	}
	g := p.Answer.Group
	if g == 0 || slices.Contains(h.Groups, g) {
		return nil
	}
	f := a.serverAlerted(al, early)
	f.Certainty = Shown
	f.Why += fmt.Sprintf("; a connection of our own succeeded with the group %s, which the client did not offer", wire.GroupName(g))
	return f
}

func tlsNoCommonSignature(a *Attempt) *Finding {
	al, early := a.Seen.TLS.serverAlert()
	if al == nil || !early || al.Number != 40 && al.Number != 47 {
		return nil
	}
	c := a.probedCert()
	if c.leaf() == nil {
		return nil
	}
	key := c.leaf().Key
	if key != "Ed25519" && key != "ECDSA P-521" && key != "ECDSA P-224" {
		return nil
	}
	f := a.serverAlerted(al, early)
	f.Certainty = Shown
	f.Why += fmt.Sprintf("; the server's only certificate has an %s key, which this client does not accept", key)
	return f
}

func tlsNoCommonCipher(a *Attempt) *Finding {
	f := alertRule(true, 40, 71)(a)
	if f != nil {
		f.Certainty = Inferred
		f.Why += ": nothing the client offered suits it (cipher suites, most often; else groups or signatures)"
	}
	return f
}

func tlsSniUnrecognized(a *Attempt) *Finding {
	f := alertRule(true, 112)(a)
	if f != nil {
		f.Why += fmt.Sprintf("; the client had asked for %q", a.sni())
	}
	return f
}

func (a *Attempt) sni() string {
	if a.Seen.Hello == nil || a.Seen.Hello.ClientHello == nil {
		return ""
	}
	return a.Seen.Hello.SNI
}

func tlsEchRejected(a *Attempt) *Finding { return alertRule(false, 121)(a) }

func tlsAlpnNoOverlap(a *Attempt) *Finding {
	if f := alertRule(true, 120)(a); f != nil {
		return f
	}
	t, h := a.Seen.TLS, a.Seen.Hello
	if t == nil || t.Answer == nil || t.ALPN == "" || h == nil || h.ClientHello == nil || slices.Contains(h.ALPN, t.ALPN) || t.Used {
		return nil
	}
	return &Finding{Why: fmt.Sprintf("the server chose the protocol %q, which the client did not offer", t.ALPN),
		Firefox: "SSL_ERROR_NEXT_PROTOCOL_DATA_INVALID"}
}

func tlsClientCertRequired(a *Attempt) *Finding {
	t := a.Seen.TLS
	if t == nil {
		return nil
	}
	al, _ := t.serverAlert()
	e := a.Seen.End
	certainty := Seen
	if !t.ClientCertRequested && (al == nil || al.Number != 116) { // certificate_required says so itself
		p := a.probedTLS()
		if p == nil || !p.ClientCertRequested {
			return nil
		}
		certainty = Shown
	}
	switch {
	case al != nil && (al.Number >= 43 && al.Number <= 46 || al.Number == 48):
		return nil // it looked at one: tls-client-cert-rejected
	case al != nil && al.Number == 116:
	case t.Rejected == RejectSilent:
		// The browser stopped to ask the person for a certificate.
		f := &Finding{Why: "the server asks for a client certificate, and the client closed the connection to choose one", Certainty: certainty, Firefox: "SSL_ERROR_HANDSHAKE_FAILURE_ALERT"}
		if t.Answer != nil && t.Answer.Version >= tls13 {
			f.Firefox = "NS_ERROR_ABORT" // measured with 153: a blank page
		}
		return f
	case al != nil && (al.Number == 40 || al.Number == 42 || al.Number == 49):
	case al != nil && al.Number == 50 && t.ClientFirst > 0: // GnuTLS 3.7 takes the empty certificate for one that is broken
	case t.Complete && t.ClientFirst > 0 && e != nil && e.First == "server" && !a.responded() && t.atOnce(e):
	case t.Complete && e != nil && t.alertedAtOnce(): // and the client, when it had read the alert, was faster to close
	default:
		return nil
	}
	f := &Finding{Why: "the server asks for a client certificate, and ended the connection when it got none", Certainty: certainty}
	switch {
	case al != nil:
		f.Why += fmt.Sprintf(" (alert %d, %s)", al.Number, wire.AlertName(al.Number))
		if al.Number == 40 {
			f.Firefox = "SSL_ERROR_HANDSHAKE_FAILURE_ALERT"
		}
	case t.Answer != nil && t.Answer.Version >= tls13:
		f.Firefox = "NS_ERROR_ABORT" // measured with 153: a blank page
	}
	return f
}

// atOnce: the server ended the connection as an answer to what the client said
// last, and not because nothing more was said: servers wait 5 s and more for that.
func (t *TLSStep) atOnce(e *EndStep) bool {
	if e.ServerMs == nil {
		return false
	}
	for i := len(t.Records) - 1; i >= 0; i-- {
		if r := t.Records[i]; r.Side == wire.Client {
			return *e.ServerMs-r.Ms < 3000
		}
	}
	return false
}

// alertedAtOnce: TLS 1.3, all that the server said after the client's Finished is
// as long as an alert, and it said so as an answer to it, not to a close_notify.
func (t *TLSStep) alertedAtOnce() bool {
	if t.ServerAfter != 1 || !t.has(wire.Server, 19) || t.has(wire.Client, 19) {
		return false
	}
	last := 0.0
	for _, r := range t.Records {
		if r.Side == wire.Client {
			last = r.Ms
		} else if r.Type == 23 && r.Len == 19 {
			return r.Ms-last < 3000
		}
	}
	return false
}

// responded: the server sent something after the client's request that is more
// than an alert or a session ticket.
func (a *Attempt) responded() bool {
	t := a.Seen.TLS
	if t == nil {
		return false
	}
	return t.ServerAfter > 2 || a.Seen.End != nil && a.Seen.End.Down > 0 && a.largeAnswer()
}

// largeAnswer: among the server's records after the client's first encrypted
// one, some are neither alerts (≤ 26) nor a pair of session tickets (two equal
// ones at the same moment). Only the first records are kept, which is where the
// answer begins.
func (a *Attempt) largeAnswer() bool {
	t := a.Seen.TLS
	var after []wire.Record
	seen := false
	for _, r := range t.Records {
		if r.Side == wire.Client && r.Type == 23 {
			seen = true
		}
		if seen && r.Side == wire.Server && r.Type == 23 && r.Len > 26 {
			after = append(after, r)
		}
	}
	if t.Answer != nil && t.Answer.Version >= tls13 && len(after) == 2 && after[0].Len == after[1].Len && after[1].Ms-after[0].Ms < 1 {
		return false
	}
	return len(after) > 0
}

func tlsClientCertRejected(a *Attempt) *Finding {
	t := a.Seen.TLS
	al, early := t.serverAlert()
	if al == nil || early || !t.ClientCertRequested || al.Number < 42 || al.Number > 49 || al.Number == 47 || al.Number == 49 {
		return nil
	}
	return a.serverAlerted(al, early)
}

func tlsCertAlertFromServer(a *Attempt) *Finding {
	f := alertRule(false, 42, 43, 44, 45, 46, 48)(a)
	if f == nil || a.Seen.TLS.ClientCertRequested {
		return nil
	}
	f.Why += ", although no client certificate was asked for"
	return f
}

func tlsHandshakeFailure(a *Attempt) *Finding {
	al, early := a.Seen.TLS.serverAlert()
	if al == nil || early || al.Number != 40 && al.Number != 71 || a.Seen.TLS.Complete {
		return nil
	}
	f := a.serverAlerted(al, early)
	f.Chromium = "ERR_SSL_PROTOCOL_ERROR" // after a ServerHello it is no mismatch any more
	f.Firefox = "SSL_ERROR_HANDSHAKE_FAILURE_ALERT"
	return f
}

func tlsInternalError(a *Attempt) *Finding {
	return alertRule(false, 80)(a)
}

func tlsBadRecord(a *Attempt) *Finding {
	if f := alertRule(false, 20, 21, 22, 30)(a); f != nil {
		return f
	}
	t := a.Seen.TLS
	if t == nil || t.Protocol != "tls" {
		return nil
	}
	if al := t.alertFrom(wire.Client); al != nil && !al.Encrypted && (al.Number == 20 || al.Number == 22 || al.Number == 21) && t.Rejected == RejectHandshakeAlert {
		return &Finding{Why: fmt.Sprintf("the client could not read the server's records and sent alert %d (%s)", al.Number, wire.AlertName(al.Number)), Chromium: "ERR_SSL_PROTOCOL_ERROR"}
	}
	if t.Broken != "" && !t.Used && !strings.Contains(t.Broken, "handshake message") {
		return &Finding{Why: t.Broken, Chromium: "ERR_SSL_PROTOCOL_ERROR", Firefox: "SSL_ERROR_RX_RECORD_TOO_LONG"}
	}
	p := a.probedTLS()
	if t.Rejected != "" && p != nil && strings.Contains(p.Error, "bad record MAC") {
		return &Finding{Why: "the client broke off right after the server's flight, and a connection of our own could not decrypt it either: " + p.Error,
			Certainty: Shown, Chromium: "ERR_SSL_PROTOCOL_ERROR"}
	}
	return nil
}

func tlsProtocolViolation(a *Attempt) *Finding {
	if f := alertRule(false, 10, 47, 50, 109, 110, 115)(a); f != nil {
		return f
	}
	t := a.Seen.TLS
	if t == nil || t.Protocol != "tls" || !a.SpokeTLS() {
		return nil
	}
	c, _ := a.cert()
	if al := t.alertFrom(wire.Client); al != nil && !al.Encrypted && al.Number != 0 && !t.Complete &&
		c.fault("cert-unsupported-key") == nil && c.fault("cert-malformed") == nil {
		switch al.Number {
		case 10, 47, 50, 109, 110, 40, 80:
			return &Finding{Why: fmt.Sprintf("the client found the server's handshake messages wrong and sent alert %d (%s)", al.Number, wire.AlertName(al.Number)),
				Blame: BlameServer, Firefox: t.firefoxViolation(al.Number)}
		}
	}
	if t.Broken != "" && !t.Used {
		return &Finding{Why: t.Broken, Blame: BlameServer, Firefox: t.firefoxViolation(50)}
	}
	p := a.probedTLS()
	if t.Rejected != "" && t.Rejected != RejectClosed && t.Rejected != RejectSilent && p != nil && p.Error != "" && !p.Complete && a.probedCert().leaf() == nil {
		return &Finding{Why: "the client broke off the handshake, and so did a connection of our own: " + p.Error, Certainty: Shown, Blame: BlameServer}
	}
	return nil
}

// firefoxViolation is what Firefox calls a mistake in the server's first words,
// by the alert that it answers with (measured with 153).
func (t *TLSStep) firefoxViolation(alert uint8) string {
	switch alert {
	case 10:
		return "SSL_ERROR_RX_UNEXPECTED_CLIENT_HELLO"
	case 47:
		return "SSL_ERROR_NO_CYPHER_OVERLAP"
	case 50:
		return "SSL_ERROR_RX_MALFORMED_SERVER_HELLO"
	case 110:
		return "SSL_ERROR_RX_UNEXPECTED_EXTENSION"
	}
	return ""
}

func tlsRenegotiation(a *Attempt) *Finding {
	t := a.Seen.TLS
	if t == nil || !t.Renegotiate || !t.Used || t.ServerData > 0 || a.Seen.End == nil {
		return nil // what was answered all the same is no fault
	}
	f := &Finding{Why: "the server answered the request by asking for a second handshake, and the connection ended without an answer", Certainty: Inferred}
	if al := t.alertFrom(wire.Server); al != nil && al.Encrypted {
		// Browsers go along with it and fail on the server's refusal (measured).
		f.Why += ", after an alert from the server"
		f.Chromium, f.Firefox = chromiumAlert(40), firefoxAlert(40)
	}
	return f
}

func tlsOtherAlert(a *Attempt) *Finding {
	t := a.Seen.TLS
	al, early := t.serverAlert()
	if al == nil || !a.SpokeTLS() {
		return nil
	}
	switch al.Number { // those that have a row of their own
	case 10, 20, 21, 22, 30, 40, 42, 43, 44, 45, 46, 47, 48, 50, 70, 71, 80, 86, 109, 110, 112, 115, 116, 120, 121:
		if early || al.Number != 70 && al.Number != 112 && al.Number != 120 {
			return nil
		}
	case 0:
		if !early { // close_notify at the end is good manners
			return nil
		}
	}
	return a.serverAlerted(al, early)
}

func tlsHandshakeTruncated(a *Attempt) *Finding {
	t, e := a.Seen.TLS, a.Seen.End
	if e == nil || e.First != "server" || t == nil || t.Protocol != "tls" || t.ClientFirst > 0 || t.ClientData > 0 || t.Rejected != "" {
		return nil
	}
	if t.Answer == nil && t.Retry == nil && t.Cut == 0 && len(t.Records) == 0 {
		return nil
	}
	if al := t.alertFrom(wire.Server); al != nil && !al.Encrypted && al.Level != 1 {
		return nil
	}
	why := fmt.Sprintf("the server %s in the middle of the handshake, after %d bytes", map[string]string{"reset": "reset the connection"}[e.Server], e.Down)
	if e.Server != "reset" {
		why = fmt.Sprintf("the server closed the connection in the middle of the handshake, after %d bytes", e.Down)
	}
	if t.Cut > 0 {
		why += fmt.Sprintf(", with %d bytes missing in its last record", t.Cut)
	}
	f := &Finding{Why: why, Chromium: "ERR_CONNECTION_CLOSED"}
	if e.Server == "reset" {
		f.Chromium = "ERR_CONNECTION_RESET"
	}
	return f
}

// stallAfter is how long a server may be silent in a handshake before its
// silence is a fault although the client went away by itself: what is promised
// as a provisional verdict within 5 s must not be taken back because the person
// lost patience.
const stallAfter = 4500

func tlsHandshakeTimeout(a *Attempt) *Finding {
	t, e, h := a.Seen.TLS, a.Seen.End, a.Seen.Hello
	if tcpSniFiltered(a) != nil || tcpPmtuBlackhole(a) != nil || tlsLargeHelloIntolerant(a) != nil || tlsVersionIntolerant(a) != nil {
		return nil
	}
	if !a.SpokeTLS() || t == nil || t.Used || t.Complete || t.Rejected != "" && t.Rejected != RejectSilent {
		return nil
	}
	if h.ClientHello == nil {
		return nil // nobody owes an answer to half a hello
	}
	if al := t.alertFrom(wire.Server); al != nil {
		return nil
	}
	waited := ms(a.Elapsed) - h.Ms
	if e != nil {
		if e.First == "server" {
			return nil
		}
		waited = e.Ms - h.Ms
	}
	if !a.Open && waited < stallAfter {
		return nil
	}
	if t.Answer != nil && (t.ServerDone || t.ServerData >= 4) {
		return nil // its flight looks complete; it is the client that waits
	}
	why := fmt.Sprintf("no answer to the hello of %s for %s", h.said(), seconds(waited))
	if !t.silent() {
		why = fmt.Sprintf("the server began the handshake and then fell silent; %s since the hello", seconds(waited))
	}
	return &Finding{Why: why, Certainty: Inferred}
}

func tlsLegacyCrypto(a *Attempt) *Finding {
	t := a.Seen.TLS
	if t == nil || t.Answer == nil || !t.Complete || t.Answer.Version >= tls13 {
		return nil
	}
	if t.Answer.Version < tls12 || strings.Contains(t.Cipher, "_CBC_") || strings.Contains(t.Cipher, "3DES") || strings.Contains(t.Cipher, "RC4") {
		return &Finding{Why: fmt.Sprintf("the server chose %s with %s", t.Version, t.Cipher)}
	}
	return nil
}

func tlsNoPfs(a *Attempt) *Finding {
	t := a.Seen.TLS
	if t == nil || t.Answer == nil || !t.Complete || t.Answer.Version >= tls13 || t.Answer.Resumed || !strings.HasPrefix(t.Cipher, "TLS_RSA_") {
		return nil
	}
	return &Finding{Why: fmt.Sprintf("%s: whoever gets the server's key later can read what is recorded today", t.Cipher)}
}

func tlsMissingCloseNotify(a *Attempt) *Finding {
	t, e := a.Seen.TLS, a.Seen.End
	if t == nil || e == nil || !t.Used || e.First != "server" || e.Server != "fin" || t.Answer == nil || t.Answer.Version >= tls13 {
		return nil // in TLS 1.3 an alert looks like data
	}
	if slices.ContainsFunc(t.Alerts, func(al wire.Alert) bool { return al.Side == wire.Server }) {
		return nil
	}
	return &Finding{Why: "the server closed the connection without the closing alert"}
}

// chromiumAlert is what Chromium makes of a fatal alert from the server,
// measured with 156 for every number.
func chromiumAlert(n uint8) string {
	switch n {
	case 20:
		return "ERR_SSL_BAD_RECORD_MAC_ALERT"
	case 30:
		return "ERR_SSL_DECOMPRESSION_FAILURE_ALERT"
	case 40, 70, 71:
		return "ERR_SSL_VERSION_OR_CIPHER_MISMATCH"
	case 42, 43, 44, 45, 46, 48, 116:
		return "ERR_BAD_SSL_CLIENT_AUTH_CERT"
	case 51:
		return "ERR_SSL_DECRYPT_ERROR_ALERT"
	case 112:
		return "ERR_SSL_UNRECOGNIZED_NAME_ALERT"
	}
	return "ERR_SSL_PROTOCOL_ERROR"
}

// firefoxAlert is what Firefox makes of it, measured with 153.
func firefoxAlert(n uint8) string {
	if s, ok := firefoxAlerts[n]; ok {
		return s
	}
	return "SSL_ERROR_RX_UNKNOWN_ALERT"
}

var firefoxAlerts = map[uint8]string{
	0: "NS_ERROR_NET_RESET", 10: "SSL_ERROR_HANDSHAKE_UNEXPECTED_ALERT", 20: "SSL_ERROR_BAD_MAC_ALERT",
	21: "SSL_ERROR_DECRYPTION_FAILED_ALERT", 22: "SSL_ERROR_RECORD_OVERFLOW_ALERT",
	30: "SSL_ERROR_DECOMPRESSION_FAILURE_ALERT", 40: "SSL_ERROR_NO_CYPHER_OVERLAP",
	41: "SSL_ERROR_NO_CERTIFICATE", 42: "SSL_ERROR_BAD_CERT_ALERT", 43: "SSL_ERROR_UNSUPPORTED_CERT_ALERT", 44: "SSL_ERROR_REVOKED_CERT_ALERT",
	45: "SSL_ERROR_EXPIRED_CERT_ALERT", 46: "SSL_ERROR_CERTIFICATE_UNKNOWN_ALERT", 47: "SSL_ERROR_ILLEGAL_PARAMETER_ALERT",
	48: "SSL_ERROR_UNKNOWN_CA_ALERT", 49: "SSL_ERROR_ACCESS_DENIED_ALERT", 50: "SSL_ERROR_DECODE_ERROR_ALERT",
	51: "SSL_ERROR_DECRYPT_ERROR_ALERT", 60: "SSL_ERROR_EXPORT_RESTRICTION_ALERT", 70: "SSL_ERROR_PROTOCOL_VERSION_ALERT",
	71: "SSL_ERROR_INSUFFICIENT_SECURITY_ALERT", 80: "SSL_ERROR_INTERNAL_ERROR_ALERT",
	86: "SSL_ERROR_INAPPROPRIATE_FALLBACK_ALERT", 90: "SSL_ERROR_USER_CANCELED_ALERT", 100: "SSL_ERROR_NO_RENEGOTIATION_ALERT",
	109: "SSL_ERROR_MISSING_EXTENSION_ALERT", 110: "SSL_ERROR_UNSUPPORTED_EXTENSION_ALERT",
	112: "SSL_ERROR_UNRECOGNIZED_NAME_ALERT", 113: "SSL_ERROR_BAD_CERT_STATUS_RESPONSE_ALERT",
	116: "SSL_ERROR_RX_CERTIFICATE_REQUIRED_ALERT", 120: "SSL_ERROR_NEXT_PROTOCOL_NO_PROTOCOL",
	121: "SSL_ERROR_ECH_REQUIRED_ALERT",
}
var tlsFaults = []Fault{
	{
		ID: "tls-plaintext-http-on-443", Layer: LayerTLS, Step: StepHandshake, Kind: Failure, Blame: BlameServer,
		Title:    "The server speaks the insecure protocol on the door reserved for the secure one.",
		User:     "Nothing you can fix; try the http:// address only for reading.",
		Server:   "Turn TLS on for this listener ('listen 443 ssl', certificate attached, balancer listener type HTTPS).",
		Chromium: []string{"ERR_SSL_PROTOCOL_ERROR"},
		Firefox:  []string{"SSL_ERROR_RX_RECORD_TOO_LONG"},
		Safari:   []string{"NSURLErrorSecureConnectionFailed"},
		Curl:     "35 CURLE_SSL_CONNECT_ERROR",
		NEL:      "tls.protocol.error", ProxyStatus: "tls_protocol_error", Source: "measured, Chromium",
		match: tlsPlaintextHttpOn443,
	},
	{
		ID: "tls-other-protocol-on-port", Layer: LayerTLS, Step: StepHandshake, Kind: Failure, Blame: BlameServer,
		Title:    "A different kind of service answers on this port, not a website.",
		User:     "Check the port number in the address.",
		Server:   "Free port 443 for the web server or move the other service (SSH, VPN, mail) away.",
		Chromium: []string{"ERR_SSL_PROTOCOL_ERROR"},
		Firefox:  []string{"NS_ERROR_NET_RESET", "SSL_ERROR_RX_UNKNOWN_RECORD_TYPE"},
		Safari:   []string{"NSURLErrorSecureConnectionFailed"},
		Curl:     "35 CURLE_SSL_CONNECT_ERROR",
		NEL:      "tls.protocol.error", ProxyStatus: "tls_protocol_error", Source: "measured",
		match: tlsOtherProtocolOnPort,
	},
	{
		ID: "tls-server-version-too-old", Layer: LayerTLS, Step: StepHandshake, Kind: Failure, Blame: BlameServer,
		Title:    "The server insists on an encryption version that browsers retired in 2020.",
		User:     "Tell the owner; old industrial devices may need a dedicated old browser on an isolated network.",
		Server:   "Upgrade the TLS stack to 1.2 or 1.3.",
		Chromium: []string{"ERR_SSL_VERSION_OR_CIPHER_MISMATCH"},
		Firefox:  []string{"SSL_ERROR_UNSUPPORTED_VERSION"},
		Safari:   []string{"NSURLErrorSecureConnectionFailed"},
		Curl:     "35 CURLE_SSL_CONNECT_ERROR",
		NEL:      "tls.version_or_cipher_mismatch", ProxyStatus: "tls_protocol_error", Source: "measured, RFC",
		match: tlsServerVersionTooOld,
	},
	{
		ID: "tls-downgrade-detected", Layer: LayerTLS, Step: StepHandshake, Kind: Failure, Blame: BlamePath,
		Title:    "Something between you and the site lowered the encryption level, which browsers treat as tampering.",
		User:     "Turn off web scanning or leave this network before entering data.",
		Server:   "Update the TLS-inspecting proxy; it forwards the server's random while negotiating a lower version.",
		Chromium: []string{"ERR_TLS13_DOWNGRADE_DETECTED", "ERR_SSL_PROTOCOL_ERROR"},
		Firefox:  []string{"SSL_ERROR_RX_MALFORMED_SERVER_HELLO", "SSL_ERROR_INAPPROPRIATE_FALLBACK_ALERT"},
		Safari:   []string{"NSURLErrorSecureConnectionFailed"},
		Curl:     "35 CURLE_SSL_CONNECT_ERROR",
		NEL:      "tls.protocol.error", ProxyStatus: "tls_protocol_error", Source: "measured, RFC",
		match: tlsDowngradeDetected,
	},
	{
		ID: "tls-no-common-version", Layer: LayerTLS, Step: StepHandshake, Kind: Failure, Blame: BlameServer,
		Title:    "The server only speaks an outdated version of the encryption language (or none the browser allows).",
		User:     "You cannot fix this safely; tell the owner.",
		Server:   "Enable TLS 1.2 and 1.3.",
		Chromium: []string{"ERR_SSL_VERSION_OR_CIPHER_MISMATCH"},
		Firefox:  []string{"SSL_ERROR_PROTOCOL_VERSION_ALERT"},
		Safari:   []string{"NSURLErrorSecureConnectionFailed"},
		Curl:     "35 CURLE_SSL_CONNECT_ERROR",
		NEL:      "tls.version_or_cipher_mismatch", ProxyStatus: "tls_alert_received", Source: "measured, RFC, Chromium",
		match: tlsNoCommonVersion,
	},
	{
		ID: "tls-no-common-group", Layer: LayerTLS, Step: StepHandshake, Kind: Failure, Blame: BlameServer,
		Title:    "The server uses a mathematical curve the browser does not support.",
		User:     "Use another browser for now (measured: Firefox accepts P-521, Chromium does not).",
		Server:   "Add X25519 or P-256 to the server's groups.",
		Chromium: []string{"ERR_SSL_VERSION_OR_CIPHER_MISMATCH"},
		Firefox:  []string{"SSL_ERROR_NO_CYPHER_OVERLAP"},
		Safari:   []string{"NSURLErrorSecureConnectionFailed"},
		Curl:     "35 CURLE_SSL_CONNECT_ERROR",
		NEL:      "tls.version_or_cipher_mismatch", ProxyStatus: "tls_alert_received", Source: "measured",
		match: tlsNoCommonGroup,
	},
	{
		ID: "tls-no-common-signature", Layer: LayerTLS, Step: StepHandshake, Kind: Failure, Blame: BlameServer,
		Title:    "The site's key is of a kind browsers do not accept.",
		User:     "Nothing to do on your side.",
		Server:   "Reissue with RSA-2048 or ECDSA P-256 and allow SHA-256 signatures.",
		Chromium: []string{"ERR_SSL_VERSION_OR_CIPHER_MISMATCH"},
		Firefox:  []string{"SSL_ERROR_NO_CYPHER_OVERLAP", "SSL_ERROR_UNSUPPORTED_SIGNATURE_ALGORITHM"},
		Safari:   []string{"NSURLErrorSecureConnectionFailed"},
		Curl:     "35 CURLE_SSL_CONNECT_ERROR",
		NEL:      "tls.version_or_cipher_mismatch", ProxyStatus: "tls_alert_received", Source: "measured",
		match: tlsNoCommonSignature,
	},
	{
		ID: "tls-no-common-cipher", Layer: LayerTLS, Step: StepHandshake, Kind: Failure, Blame: BlameServer,
		Title:    "Browser and server have no encryption method in common.",
		User:     "Update the browser; if it is current, tell the owner.",
		Server:   "Enable ECDHE with AES-GCM or ChaCha20 suites and match them to the key type of the certificate.",
		Chromium: []string{"ERR_SSL_VERSION_OR_CIPHER_MISMATCH"},
		Firefox:  []string{"SSL_ERROR_NO_CYPHER_OVERLAP", "SSL_ERROR_INSUFFICIENT_SECURITY_ALERT"},
		Safari:   []string{"NSURLErrorSecureConnectionFailed"},
		Curl:     "35 CURLE_SSL_CONNECT_ERROR",
		NEL:      "tls.version_or_cipher_mismatch", ProxyStatus: "tls_alert_received", Source: "measured, RFC, Chromium",
		match: tlsNoCommonCipher,
	},
	{
		ID: "tls-sni-unrecognized", Layer: LayerTLS, Step: StepHello, Kind: Failure, Blame: BlameServer,
		Title:    "The server does not know a site by that name.",
		User:     "Check the address (with and without www); the domain may point at the wrong server.",
		Server:   "Add the host name to the TLS configuration (server_name, SNI route, CDN hostname).",
		Chromium: []string{"ERR_SSL_UNRECOGNIZED_NAME_ALERT"},
		Firefox:  []string{"SSL_ERROR_UNRECOGNIZED_NAME_ALERT"},
		Safari:   []string{"NSURLErrorSecureConnectionFailed"},
		Curl:     "35 CURLE_SSL_CONNECT_ERROR",
		NEL:      "tls.protocol.error", ProxyStatus: "tls_alert_received", Source: "measured, RFC, Chromium",
		match: tlsSniUnrecognized,
	},
	{
		ID: "tls-alpn-no-overlap", Layer: LayerTLS, Step: StepHandshake, Kind: Failure, Blame: BlameServer,
		Title:    "Server and browser agree on encryption but not on the web protocol inside.",
		User:     "Nothing to do on your side.",
		Server:   "Offer h2 and http/1.1 on this listener; a gRPC-only or mail listener on 443 is a typical cause.",
		Chromium: []string{"ERR_SSL_PROTOCOL_ERROR", "ERR_ALPN_NEGOTIATION_FAILED"},
		Firefox:  []string{"SSL_ERROR_NEXT_PROTOCOL_NO_PROTOCOL"},
		Safari:   []string{"NSURLErrorSecureConnectionFailed"},
		Curl:     "35 CURLE_SSL_CONNECT_ERROR",
		NEL:      "tls.protocol.error", ProxyStatus: "tls_alert_received", Source: "measured, RFC",
		match: tlsAlpnNoOverlap,
	},
	{
		ID: "tls-client-cert-required", Layer: LayerTLS, Step: StepHandshake, Kind: Failure, Blame: BlameServer,
		Title:    "The site only lets in visitors who hold a personal certificate or smart card.",
		User:     "Insert the card or import the certificate you were given; without it you cannot enter.",
		Server:   "If visitors should not need one, set client certificate mode to off or optional.",
		Chromium: []string{"ERR_BAD_SSL_CLIENT_AUTH_CERT", "ERR_SSL_CLIENT_AUTH_CERT_NEEDED"},
		Firefox:  []string{"SSL_ERROR_RX_CERTIFICATE_REQUIRED_ALERT", "SSL_ERROR_HANDSHAKE_FAILURE_ALERT"},
		Safari:   []string{"NSURLErrorClientCertificateRequired"},
		Curl:     "56 CURLE_RECV_ERROR, 35 CURLE_SSL_CONNECT_ERROR, 98 CURLE_SSL_CLIENTCERT",
		NEL:      "tls.bad_client_auth_cert", ProxyStatus: "tls_alert_received", Source: "measured, RFC",
		match: tlsClientCertRequired,
	},
	{
		ID: "tls-client-cert-rejected", Layer: LayerTLS, Step: StepHandshake, Kind: Failure, Blame: BlameClient,
		Title:    "The site looked at your personal certificate and refused it.",
		User:     "Check that your certificate is current and is the one meant for this site.",
		Server:   "Check the trusted client CA list, CRL and validity on the server.",
		Chromium: []string{"ERR_BAD_SSL_CLIENT_AUTH_CERT"},
		Firefox:  []string{"SSL_ERROR_BAD_CERT_ALERT", "SSL_ERROR_UNKNOWN_CA_ALERT", "SSL_ERROR_EXPIRED_CERT_ALERT", "SSL_ERROR_REVOKED_CERT_ALERT", "SSL_ERROR_CERTIFICATE_UNKNOWN_ALERT"},
		Safari:   []string{"NSURLErrorClientCertificateRejected"},
		Curl:     "56 CURLE_RECV_ERROR, 58 CURLE_SSL_CERTPROBLEM",
		NEL:      "tls.bad_client_auth_cert", ProxyStatus: "tls_alert_received", Source: "measured, RFC",
		match: tlsClientCertRejected,
	},
	{
		ID: "tls-cert-alert-from-server", Layer: LayerTLS, Step: StepHello, Kind: Failure, Blame: BlameServer,
		Title:    "The server complained about a certificate although you sent none; a device in front of the real server probably distrusts its backend.",
		User:     "Nothing to do on your side.",
		Server:   "Check the certificate between the balancer or inspection device and the backend.",
		Chromium: []string{"ERR_BAD_SSL_CLIENT_AUTH_CERT"},
		Firefox:  []string{"SSL_ERROR_BAD_CERT_ALERT", "SSL_ERROR_CERTIFICATE_UNKNOWN_ALERT", "SSL_ERROR_UNKNOWN_CA_ALERT"},
		Safari:   []string{"NSURLErrorSecureConnectionFailed"},
		Curl:     "35 CURLE_SSL_CONNECT_ERROR",
		NEL:      "tls.bad_client_auth_cert", ProxyStatus: "tls_alert_received", Source: "measured, judgement",
		match: tlsCertAlertFromServer,
	},
	{
		ID: "tls-handshake-failure", Layer: LayerTLS, Step: StepHandshake, Kind: Failure, Blame: BlameServer,
		Title:    "The server refused the secure connection without giving a usable reason.",
		User:     "Try another browser once; report the time to the owner.",
		Server:   "Read the TLS error log of the terminating server at that second.",
		Chromium: []string{"ERR_SSL_PROTOCOL_ERROR", "ERR_SSL_VERSION_OR_CIPHER_MISMATCH"},
		Firefox:  []string{"SSL_ERROR_HANDSHAKE_FAILURE_ALERT"},
		Safari:   []string{"NSURLErrorSecureConnectionFailed"},
		Curl:     "35 CURLE_SSL_CONNECT_ERROR",
		NEL:      "tls.failed", ProxyStatus: "tls_alert_received", Source: "measured, RFC",
		match: tlsHandshakeFailure,
	},
	{
		ID: "tls-internal-error", Layer: LayerTLS, Step: StepHandshake, Kind: Failure, Blame: BlameServer,
		Title:    "The server broke while setting up the secure connection.",
		User:     "Try later.",
		Server:   "Check that the certificate and key files load for this name and that the auto-issuer has a certificate.",
		Chromium: []string{"ERR_SSL_PROTOCOL_ERROR"},
		Firefox:  []string{"SSL_ERROR_INTERNAL_ERROR_ALERT"},
		Safari:   []string{"NSURLErrorSecureConnectionFailed"},
		Curl:     "35 CURLE_SSL_CONNECT_ERROR",
		NEL:      "tls.protocol.error", ProxyStatus: "tls_alert_received", Source: "measured",
		match: tlsInternalError,
	},
	{
		ID: "tls-bad-record", Layer: LayerTLS, Step: StepHandshake, Kind: Failure, Blame: BlamePath,
		Title:    "Encrypted data arrived damaged or altered.",
		User:     "Restart the router, try a cable or another network; disable web scanning as a test.",
		Server:   "Look for broken offload, faulty memory or an inspection device rewriting data.",
		Chromium: []string{"ERR_SSL_BAD_RECORD_MAC_ALERT", "ERR_SSL_PROTOCOL_ERROR", "ERR_SSL_DECOMPRESSION_FAILURE_ALERT"},
		Firefox:  []string{"SSL_ERROR_BAD_MAC_READ", "SSL_ERROR_BAD_MAC_ALERT", "SSL_ERROR_RECORD_OVERFLOW_ALERT", "SSL_ERROR_DECRYPTION_FAILED_ALERT"},
		Safari:   []string{"NSURLErrorSecureConnectionFailed"},
		Curl:     "35 CURLE_SSL_CONNECT_ERROR, 56 CURLE_RECV_ERROR",
		NEL:      "tls.protocol.error", ProxyStatus: "tls_alert_received", Source: "measured, RFC",
		match: tlsBadRecord,
	},
	{
		ID: "tls-protocol-violation", Layer: LayerTLS, Step: StepHandshake, Kind: Failure, Blame: BlameUnknown,
		Title:    "One side sent something the other could not make sense of while setting up encryption.",
		User:     "Turn off antivirus web scanning or VPN as a test; try another browser.",
		Server:   "Update the TLS library; check anything that rewrites TLS in front of the server.",
		Chromium: []string{"ERR_SSL_PROTOCOL_ERROR"},
		Firefox:  []string{"SSL_ERROR_ILLEGAL_PARAMETER_ALERT", "SSL_ERROR_DECODE_ERROR_ALERT", "SSL_ERROR_HANDSHAKE_UNEXPECTED_ALERT", "SSL_ERROR_MISSING_EXTENSION_ALERT", "SSL_ERROR_UNSUPPORTED_EXTENSION_ALERT", "SSL_ERROR_RX_UNKNOWN_ALERT"},
		Safari:   []string{"NSURLErrorSecureConnectionFailed"},
		Curl:     "35 CURLE_SSL_CONNECT_ERROR",
		NEL:      "tls.protocol.error", ProxyStatus: "tls_alert_received", Source: "measured, RFC",
		match: tlsProtocolViolation,
	},
	{
		ID: "tls-renegotiation", Layer: LayerTLS, Step: StepRequest, Kind: Failure, Blame: BlameServer,
		Title:    "The server tries to restart the encryption in mid-talk, which browsers no longer allow.",
		User:     "Nothing to do on your side.",
		Server:   "Ask for client certificates at connection start (TLS 1.3 or a separate host name) instead of per path.",
		Chromium: []string{"ERR_SSL_RENEGOTIATION_REQUESTED", "ERR_SSL_NO_RENEGOTIATION", "ERR_SSL_SERVER_CERT_CHANGED"},
		Firefox:  []string{"SSL_ERROR_RENEGOTIATION_NOT_ALLOWED", "SSL_ERROR_UNSAFE_NEGOTIATION", "SSL_ERROR_NO_RENEGOTIATION_ALERT"},
		Safari:   []string{"NSURLErrorSecureConnectionFailed"},
		Curl:     "35 CURLE_SSL_CONNECT_ERROR, 56 CURLE_RECV_ERROR",
		NEL:      "tls.protocol.error", ProxyStatus: "tls_protocol_error", Source: "Chromium, Firefox",
		match: tlsRenegotiation,
	},
	{
		ID: "tls-other-alert", Layer: LayerTLS, Step: StepHandshake, Kind: Failure, Blame: BlameServer,
		Title:    "The server ended the secure setup with a rarely used reason code.",
		User:     "Note the number in the report and contact the owner.",
		Server:   "Look up the alert number in the server log.",
		Chromium: []string{"ERR_SSL_PROTOCOL_ERROR"},
		Firefox:  []string{"SSL_ERROR_ACCESS_DENIED_ALERT", "SSL_ERROR_USER_CANCELED_ALERT", "SSL_ERROR_RX_UNKNOWN_ALERT"},
		Safari:   []string{"NSURLErrorSecureConnectionFailed"},
		Curl:     "35 CURLE_SSL_CONNECT_ERROR",
		NEL:      "tls.failed", ProxyStatus: "tls_alert_received", Source: "measured, RFC",
		match: tlsOtherAlert,
	},
	{
		ID: "tls-handshake-truncated", Layer: LayerTLS, Step: StepHandshake, Kind: Failure, Blame: BlameUnknown,
		Title:    "The connection broke off in the middle of the secure setup.",
		User:     "Reload; try another network if it repeats.",
		Server:   "Look for crashes, health-check flapping or a filter reacting to the certificate.",
		Chromium: []string{"ERR_CONNECTION_CLOSED", "ERR_CONNECTION_RESET"},
		Firefox:  []string{"NS_ERROR_NET_RESET"},
		Safari:   []string{"NSURLErrorNetworkConnectionLost"},
		Curl:     "35 CURLE_SSL_CONNECT_ERROR",
		NEL:      "tcp.closed", ProxyStatus: "connection_terminated", Source: "measured, Chromium",
		match: tlsHandshakeTruncated,
	},
	{
		ID: "tls-handshake-timeout", Layer: LayerTLS, Step: StepHandshake, Kind: Failure, Blame: BlameUnknown,
		Title:    "The server accepted the call but never answered the secure greeting.",
		User:     "Try again later or from another network.",
		Server:   "Check for an overloaded or hung TLS terminator, or a listener waiting for a PROXY header.",
		Chromium: []string{"ERR_TIMED_OUT"},
		Firefox:  []string{"NS_ERROR_NET_TIMEOUT"},
		Safari:   []string{"NSURLErrorTimedOut"},
		Curl:     "28 CURLE_OPERATION_TIMEDOUT",
		NEL:      "tcp.timed_out", ProxyStatus: "connection_read_timeout", Source: "measured, Firefox",
		match: tlsHandshakeTimeout,
	},
	{
		ID: "tls-version-intolerant", match: tlsVersionIntolerant, Layer: LayerTLS, Step: StepHandshake, Kind: Failure, Blame: BlamePath,
		Title:    "The server or a box on the way stumbles over the newest encryption version.",
		User:     "Try another network; if it then works, the box is on your side.",
		Server:   "Update the load balancer or inspection device; it must ignore versions it does not know.",
		Chromium: []string{"ERR_SSL_PROTOCOL_ERROR", "ERR_CONNECTION_RESET", "ERR_CONNECTION_CLOSED", "ERR_SSL_VERSION_OR_CIPHER_MISMATCH"},
		Firefox:  []string{"NS_ERROR_NET_RESET", "SSL_ERROR_HANDSHAKE_FAILURE_ALERT"},
		Safari:   []string{"NSURLErrorSecureConnectionFailed"},
		Curl:     "35 CURLE_SSL_CONNECT_ERROR",
		NEL:      "tls.protocol.error", ProxyStatus: "tls_protocol_error", Source: "Chromium, judgement",
	},
	{
		ID: "tls-large-hello-intolerant", match: tlsLargeHelloIntolerant, Layer: LayerTLS, Step: StepHello, Kind: Failure, Blame: BlamePath,
		Title:    "The secure greeting is larger than it used to be and something on the way cannot read it in two pieces.",
		User:     "Try another network; turn off web scanning in the antivirus as a test.",
		Server:   "Update the firewall, balancer or server so it reassembles a hello that spans packets.",
		Chromium: []string{"ERR_CONNECTION_RESET", "ERR_TIMED_OUT", "ERR_CONNECTION_CLOSED", "ERR_SSL_PROTOCOL_ERROR"},
		Firefox:  []string{"NS_ERROR_NET_RESET"},
		Safari:   []string{"NSURLErrorNetworkConnectionLost"},
		Curl:     "35 CURLE_SSL_CONNECT_ERROR",
		NEL:      "tcp.reset", ProxyStatus: "connection_terminated", Source: "measured, judgement",
	},
	{
		ID: "tls-legacy-crypto", Layer: LayerTLS, Step: StepHandshake, Kind: Advisory, Blame: BlameServer,
		Title:    "The connection works, but the server still accepts old, weaker encryption.",
		User:     "Nothing needed now.",
		Server:   "Keep TLS 1.2 (ECDHE-GCM, ChaCha20) and 1.3 only; drop CBC, 3DES, RC4 and old versions.",
		Chromium: []string{"ERR_SSL_OBSOLETE_CIPHER"},
		Firefox:  []string{"SSL_ERROR_WEAK_SERVER_EPHEMERAL_DH_KEY", "SSL_ERROR_UNSAFE_NEGOTIATION"},
		Source:   "measured, RFC",
		match:    tlsLegacyCrypto,
	},
	{
		ID: "tls-no-pfs", Layer: LayerTLS, Step: StepHandshake, Kind: Advisory, Blame: BlameServer,
		Title:  "Recorded traffic could be decrypted later if the server's key ever leaks (no forward secrecy).",
		User:   "Nothing needed now.",
		Server: "Prefer ECDHE suites or TLS 1.3; remove TLS_RSA_* suites.",
		Source: "measured, RFC",
		match:  tlsNoPfs,
	},
	{
		ID: "tls-premature-termination", Layer: LayerTLS, Step: StepHandshake, Kind: Failure, Blame: BlameServer,
		Title:    "A load balancer in front of the site handles the encryption wrongly, at least part of the time.",
		User:     "Reload once or twice; then report the exact time to the owner.",
		Server:   "Check listener type, certificate on every node, target group protocol and health of each balancer node.",
		Chromium: []string{"ERR_CONNECTION_CLOSED", "ERR_SSL_PROTOCOL_ERROR", "ERR_SSL_UNRECOGNIZED_NAME_ALERT"},
		Firefox:  []string{"NS_ERROR_NET_RESET", "SSL_ERROR_INTERNAL_ERROR_ALERT"},
		Safari:   []string{"NSURLErrorNetworkConnectionLost"},
		Curl:     "35 CURLE_SSL_CONNECT_ERROR",
		NEL:      "tls.failed", ProxyStatus: "connection_terminated", Source: "judgement, measured",
	},
	{
		ID: "tls-missing-close-notify", Layer: LayerTLS, Step: StepResponse, Kind: Advisory, Blame: BlameServer,
		Title:       "The server hung up without saying goodbye; usually harmless, but the page might be cut short.",
		User:        "Reload if the page looks incomplete.",
		Server:      "Let the server send close_notify; check for killed workers.",
		Firefox:     []string{"NS_ERROR_NET_PARTIAL_TRANSFER"},
		Curl:        "56 CURLE_RECV_ERROR",
		ProxyStatus: "http_response_incomplete", Source: "measured, RFC",
		match: tlsMissingCloseNotify,
	},
	{
		ID: "tls-ech-rejected", match: tlsEchRejected, Layer: LayerTLS, Step: StepHello, Kind: Failure, Blame: BlameServer,
		Title:    "The privacy feature that hides the site's name did not work with this server.",
		User:     "Turn off secure DNS for a test; the site should load without the feature.",
		Server:   "Publish ECH keys in the HTTPS record only while every server holds them.",
		Chromium: []string{"ERR_ECH_NOT_NEGOTIATED", "ERR_ECH_FALLBACK_CERTIFICATE_INVALID", "ERR_STRICT_ECH_REQUIRED", "ERR_INVALID_ECH_CONFIG_LIST"},
		Firefox:  []string{"SSL_ERROR_ECH_REQUIRED_ALERT", "SSL_ERROR_ECH_RETRY_WITH_ECH", "SSL_ERROR_ECH_RETRY_WITHOUT_ECH", "SSL_ERROR_ECH_FAILED"},
		Curl:     "101 CURLE_ECH_REQUIRED",
		NEL:      "tls.failed", ProxyStatus: "tls_alert_received", Source: "Chromium, Firefox, RFC",
	},
}
