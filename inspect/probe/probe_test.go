package probe

import (
	"context"
	"crypto/x509"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"faultline/inspect"
	"faultline/inspect/lab"
	"faultline/inspect/wire"
)

// rig is a lab and a prober that reaches it and counts its connections.
type rig struct {
	*Prober
	lab   *lab.Lab
	conns atomic.Int64
}

func newRig(t *testing.T) *rig {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t) })
	l, err := lab.Start(context.Background(), lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	pool := x509.NewCertPool()
	pool.AddCert(l.Root())
	roots := inspect.Roots{Pool: pool, Known: []*x509.Certificate{l.Root()}}
	r := &rig{lab: l}
	r.Prober = &Prober{
		Dial: func(ctx context.Context, a *inspect.Attempt, d *net.Dialer) (net.Conn, error) {
			r.conns.Add(1)
			return d.DialContext(ctx, "tcp", a.Seen.TCP.Addr)
		},
		Judge: func(chain [][]byte, staple []byte, host string, at time.Time) *inspect.CertStep {
			return inspect.JudgeChain(chain, staple, host, at, roots)
		},
	}
	return r
}

// attempt is a client's attempt at a site that ended as given.
func (r *rig) attempt(site string, rejected inspect.Rejection) *inspect.Attempt {
	host := site + "." + lab.Domain
	addr := r.lab.Route(host, netip.AddrPortFrom(r.lab.Addr(site).Addr(), 443))
	if got := r.lab.Addr(site); got.IsValid() {
		addr = got
	}
	return &inspect.Attempt{
		ID: "test", Start: time.Now(), Mode: inspect.Tunnel, Target: host + ":443", Host: host, Port: 443,
		Seen: inspect.Evidence{
			TCP:   &inspect.TCPStep{Addr: addr.String()},
			Hello: &inspect.HelloStep{Protocol: "tls", ClientHello: &wire.ClientHello{SNI: host, ALPN: []string{"h2", "http/1.1"}}},
			TLS:   &inspect.TLSStep{Protocol: "tls", Answer: &wire.ServerHello{Version: 0x0304}, Rejected: rejected},
			End:   &inspect.EndStep{First: "client"},
		},
	}
}

// TestCompare asks about sites that a client refused, and looks at what the
// comparison makes of them.
func TestCompare(t *testing.T) {
	r := newRig(t)
	for _, test := range []struct {
		site   string
		faults []string // of the certificate
		ok     bool
		words  string
	}{
		{"h2", nil, true, "nothing is wrong with the certificate"},
		{"expired", []string{"cert-expired"}, true, "cert-expired"},
		{"wrong-name", []string{"cert-name-mismatch"}, true, ""},
		{"self-signed", []string{"cert-self-signed"}, true, ""},
		{"untrusted-root", []string{"cert-untrusted-root"}, true, ""},
		{"missing-intermediate", []string{"cert-missing-intermediate"}, true, ""},
		{"expired-wrong-name", []string{"cert-expired", "cert-name-mismatch"}, true, ""},
		{"expired-intermediate", []string{"cert-intermediate-expired"}, true, ""},
		{"revoked", []string{"cert-revoked"}, true, ""},
		{"key-mismatch", []string{"cert-key-mismatch"}, false, "invalid signature"},
		{"not-der", []string{"cert-malformed"}, false, "handshake fails"},
		{"bad-signature", []string{"cert-bad-signature"}, true, ""},
		{"path-length", []string{"cert-issuer-not-allowed"}, true, ""},
		{"name-constraint", []string{"cert-name-constraint"}, true, ""},
		{"sha1", []string{"cert-weak-signature"}, true, ""},
		{"client-cert", nil, false, "asks for a client certificate"},
		{"damaged-record", nil, false, "bad record MAC"},
	} {
		t.Run(test.site, func(t *testing.T) {
			a := r.attempt(test.site, inspect.RejectShort)
			probes := r.Compare(t.Context(), a)
			if len(probes) != 1 || probes[0].Change != inspect.ChangeClient {
				t.Fatalf("got %+v", probes)
			}
			p := probes[0]
			var got []string
			if p.Evidence.Cert != nil {
				for _, f := range p.Evidence.Cert.Faults {
					got = append(got, f.Fault)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, test.faults) || p.OK != test.ok || !strings.Contains(p.Result, test.words) {
				t.Errorf("got %v ok=%v %q, want %v ok=%v %q", got, p.OK, p.Result, test.faults, test.ok, test.words)
			}
			a.Probes = probes
			if v := inspect.Diagnose(a); test.faults != nil && v.Layer != inspect.LayerCertificate {
				t.Errorf("the verdict is %s (%s): %s", v.Fault, v.Layer, v.Why)
			}
		})
	}
}

// TestOneAtATime: one navigation makes many connections, and one comparison.
func TestOneAtATime(t *testing.T) {
	r := newRig(t)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if p := r.Compare(t.Context(), r.attempt("expired", inspect.RejectShort)); len(p) != 1 || !p[0].OK {
				t.Errorf("got %+v", p)
			}
		})
	}
	wg.Wait()
	if n := r.conns.Load(); n != 1 {
		t.Errorf("%d connections for one target", n)
	}
}

// TestOnlyWhereItWas: without an address that was reached nothing is compared.
func TestOnlyWhereItWas(t *testing.T) {
	r := newRig(t)
	a := r.attempt("expired", inspect.RejectShort)
	a.Seen.TCP.Addr = ""
	if p := r.Compare(t.Context(), a); p != nil || r.conns.Load() != 0 {
		t.Errorf("got %+v", p)
	}
}

// TestCancelled: who stops the program does not wait for a comparison.
func TestCancelled(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	a := r.attempt("silent", inspect.RejectShort)
	dialled := make(chan struct{})
	dial := r.Dial
	r.Dial = func(ctx context.Context, a *inspect.Attempt, d *net.Dialer) (net.Conn, error) {
		defer close(dialled)
		return dial(ctx, a, d)
	}
	go func() {
		<-dialled
		cancel()
	}()
	began := time.Now()
	p := r.Compare(ctx, a)
	if len(p) != 1 || p[0].OK {
		t.Errorf("got %+v", p)
	}
	if took := time.Since(began); took >= perHandshake {
		t.Errorf("it took %s", took)
	}
}

// TestVariants takes a hello that was not answered apart.
func TestVariants(t *testing.T) {
	r := newRig(t)
	for _, test := range []struct {
		site, ended, fault string
		layer              inspect.Layer
	}{
		{"large-hello-reset", "reset", "tls-large-hello-intolerant", inspect.LayerTLS},
		{"tls13-intolerant", "reset", "tls-version-intolerant", inspect.LayerTLS},
		{"sni-filtered", "reset", "tcp-sni-filtered", inspect.LayerTCP},
		{"reset-after-hello", "reset", "tcp-reset-after-hello", inspect.LayerTCP},
		{"closed-after-hello", "fin", "tcp-closed-after-hello", inspect.LayerTCP},
		{"silent", "", "tls-handshake-timeout", inspect.LayerTLS},
		{"sni-swallowed", "", "tcp-sni-filtered", inspect.LayerTCP},
		// A server that answers us is not accused: it may be a matter of luck.
		{"h2", "reset", "tcp-reset-after-hello", inspect.LayerTCP},
	} {
		t.Run(test.site, func(t *testing.T) {
			a := r.attempt(test.site, "")
			a.Seen.TLS = &inspect.TLSStep{}
			later := 50.0
			a.Seen.End = &inspect.EndStep{First: "server", Server: test.ended, ServerMs: &later, Ms: later}
			if test.ended == "" {
				a.Seen.End = &inspect.EndStep{First: "client", Client: "fin", Server: "ours", Ms: 30_000}
				a.Elapsed = 30 * time.Second
			}
			if a.Puzzle() != inspect.PuzzleHello {
				t.Fatalf("the puzzle is %q", a.Puzzle())
			}
			a.Probes = r.Compare(t.Context(), a)
			if v := inspect.Diagnose(a); v.Fault != test.fault || v.Layer != test.layer {
				t.Errorf("got %s (%s), want %s: %s", v.Fault, v.Layer, test.fault, v.Why)
				for _, p := range a.Probes {
					t.Logf("%s: %s", p.Change, p.Result)
				}
			}
		})
	}
}

// TestRemoteAlert: the number of an alert is found behind the library's private
// type.
func TestRemoteAlert(t *testing.T) {
	r := newRig(t)
	a := r.attempt("alert-112", inspect.RejectShort)
	p := r.Compare(t.Context(), a)
	if len(p) != 1 || p[0].Evidence.TLS == nil || !hasAlert(p[0].Evidence.TLS, 112) {
		t.Errorf("got %+v", p)
	}
	if len(alerts) < 30 {
		t.Errorf("only %d alerts are known by their words", len(alerts))
	}
}
