package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"faultline/inspect"
	"faultline/inspect/wire"
)

// afterFinished is how long a server that asked for a client certificate is
// listened to after the handshake: in TLS 1.3 it refuses only then (RFC 8446
// §4.4.2.4, alert certificate_required).
const afterFinished = time.Second

// perHandshake is how long one handshake may take: a server that answers at all
// answers within a second or two, and the budget must hold several.
const perHandshake = 2500 * time.Millisecond

// changed says in words what each comparison changes.
var changed = map[inspect.Change]string{
	inspect.ChangeClient:   "the client: a TLS handshake of our own, with the same address, name and ALPN",
	inspect.ChangeSize:     "the size: a hello that fits in one packet, without the post-quantum key share",
	inspect.ChangeVersion:  "the version: a hello that offers TLS 1.2 only",
	inspect.ChangeName:     "the name: a hello without a server name",
	inspect.ChangeSegments: "the packets: a large hello in small TCP segments",
}

// handshake makes one ordinary TLS handshake, with the client's own SNI and
// ALPN, and judges the certificate apart from it: the library's own verdict
// stops at the first fault and is switched off.
func (p *Prober) handshake(ctx context.Context, a *inspect.Attempt, key target, change inspect.Change) inspect.Probe {
	ctx, cancel := context.WithTimeout(ctx, perHandshake)
	defer cancel()
	began := time.Now()
	probe := inspect.Probe{Change: change, Changed: changed[change]}
	var dialer net.Dialer
	if change == inspect.ChangeSegments {
		dialer.Control = smallSegments
	}
	conn, err := p.dial(ctx, a, &dialer)
	if err != nil {
		probe.Result = "no connection: " + inspect.Printable([]byte(err.Error()))
		probe.Evidence.TCP = &inspect.TCPStep{Source: inspect.SourceProbed, Tries: []inspect.Try{{Addr: key.addr, Error: err.Error(), Ms: ms(time.Since(began))}}}
		probe.Ms = ms(time.Since(began))
		return probe
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	probe.Evidence.TCP = &inspect.TCPStep{Source: inspect.SourceProbed, Addr: key.addr, Ms: ms(time.Since(began))}

	step := &inspect.TLSStep{Source: inspect.SourceProbed}
	var chain [][]byte
	var staple []byte
	tap := &tapped{Conn: conn, began: time.Now()}
	config := &tls.Config{
		ServerName:         key.sni,
		NextProtos:         split(key.alpn),
		InsecureSkipVerify: true, // every fault is judged apart, below
		MinVersion:         tls.VersionTLS12,
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			chain = raw
			return nil
		},
		VerifyConnection: func(s tls.ConnectionState) error {
			staple = s.OCSPResponse
			return nil
		},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			step.ClientCertRequested = true
			return new(tls.Certificate), nil
		},
	}
	switch change {
	case inspect.ChangeSize:
		config.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384}
	case inspect.ChangeVersion:
		config.MaxVersion = tls.VersionTLS12
	case inspect.ChangeName:
		config.ServerName = ""
	}
	c := tls.Client(tap, config)
	err = c.HandshakeContext(ctx)
	step.Complete = err == nil
	if err == nil && step.ClientCertRequested {
		_ = conn.SetReadDeadline(time.Now().Add(afterFinished))
		if _, err = c.Read(make([]byte, 1)); timedOut(err) {
			err = nil
		}
	}
	tap.facts(step, err)
	state := c.ConnectionState()
	if step.Complete {
		step.ALPN = state.NegotiatedProtocol
	}
	probe.Evidence.TLS = step
	host := key.sni
	if host == "" {
		host = a.Host
	}
	probe.Evidence.Cert = p.judge(chain, staple, host, a.Start, err)
	probe.OK = step.Complete && (err == nil)
	probe.Result = words(step, probe.Evidence.Cert)
	probe.Ms = ms(time.Since(began))
	return probe
}

// judge judges the chain, and adds what only the handshake tells of it.
func (p *Prober) judge(chain [][]byte, staple []byte, host string, at time.Time, err error) *inspect.CertStep {
	var step *inspect.CertStep
	switch {
	case len(chain) > 0:
		step = p.Judge(chain, staple, host, at)
	case err != nil && (strings.Contains(err.Error(), "failed to parse certificate") || strings.Contains(err.Error(), "x509:")):
		why := inspect.Printable([]byte(err.Error()))
		step = &inspect.CertStep{
			Chain:  []inspect.CertInfo{{Error: why}},
			Faults: []inspect.CertFault{{Fault: "cert-malformed", Detail: "not-der", Why: why}},
		}
	default:
		return nil
	}
	step.Source = inspect.SourceProbed
	// The library tells a signature that the certificate's key did not make by
	// these words only.
	if err != nil && strings.Contains(err.Error(), "invalid signature by the server certificate") {
		step.Faults = append(step.Faults, inspect.CertFault{Fault: "cert-key-mismatch",
			Why: "the server's handshake signature does not fit the key in its certificate"})
	}
	return step
}

// tapped lets the same parser that watches tunnels watch our own connection.
type tapped struct {
	net.Conn
	wire  wire.Conversation
	began time.Time
}

func (t *tapped) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	t.wire.Feed(wire.Server, b[:n], time.Since(t.began))
	return n, err
}

func (t *tapped) Write(b []byte) (int, error) {
	t.wire.Feed(wire.Client, b, time.Since(t.began))
	return t.Conn.Write(b)
}

// facts fills in what passed in clear, and what the library said.
func (t *tapped) facts(step *inspect.TLSStep, err error) {
	_, seen := inspect.FromWire(t.wire.Facts(), nil)
	if seen != nil {
		asked, complete := step.ClientCertRequested || seen.ClientCertRequested, step.Complete
		*step = *seen
		step.Source, step.ClientCertRequested, step.Complete, step.Rejected = inspect.SourceProbed, asked, complete, ""
		step.Records = nil
	}
	if err == nil {
		return
	}
	step.Error = inspect.Printable([]byte(err.Error()))
	if al, ok := remoteAlert(err); ok && !hasAlert(step, al) {
		step.Alerts = append(step.Alerts, wire.Alert{Side: wire.Server, Level: 2, Number: al, Name: wire.AlertName(al), Encrypted: false})
	}
}

func hasAlert(step *inspect.TLSStep, n uint8) bool {
	for _, al := range step.Alerts {
		if al.Side == wire.Server && al.Number == n {
			return true
		}
	}
	return false
}

// remoteAlert finds the number of an alert the server sent. crypto/tls reports
// it as a private type, so the text is the only way to it.
func remoteAlert(err error) (uint8, bool) {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" {
		return 0, false
	}
	n, ok := alerts[op.Err.Error()]
	return n, ok
}

var alerts = func() map[string]uint8 {
	m := make(map[string]uint8)
	for i := range 256 {
		m[tls.AlertError(i).Error()] = uint8(i)
	}
	return m
}()

// words says what came back.
func words(step *inspect.TLSStep, cert *inspect.CertStep) string {
	var b strings.Builder
	if step.Complete {
		fmt.Fprintf(&b, "the handshake succeeds (%s, %s)", step.Version, step.Cipher)
	} else {
		fmt.Fprintf(&b, "the handshake fails: %s", step.Error)
	}
	if step.ClientCertRequested {
		b.WriteString("; the server asks for a client certificate")
		if step.Complete && step.Error != "" {
			b.WriteString(", and refuses to go on without: " + step.Error)
		}
	}
	switch {
	case cert == nil:
	case len(cert.Faults) == 0:
		b.WriteString("; nothing is wrong with the certificate")
	default:
		b.WriteString("; the certificate:")
		for _, f := range cert.Faults {
			b.WriteString(" " + f.Fault)
		}
	}
	return b.String()
}

func timedOut(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

func split(alpn string) []string {
	if alpn == "" {
		return nil
	}
	return strings.Split(alpn, ",")
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
