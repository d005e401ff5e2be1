package inspect

import "time"

// Record is one line of the log: an attempt and its verdict.
type Record struct {
	TS    time.Time `json:"ts"`
	Level string    `json:"level"` // info: ok; warn: failed
	Msg   string    `json:"msg"`   // always "attempt"
	ID    string    `json:"id"`
	// Final is false only for a provisional verdict; the final record replaces
	// it under the same ID.
	Final      bool   `json:"final"`
	Mode       Mode   `json:"mode"`
	Target     string `json:"target"`
	Host       string `json:"host,omitempty"`
	Port       uint16 `json:"port,omitempty"`
	URL        string `json:"url,omitempty"`
	Client     Client `json:"client,omitzero"`
	Visit      string `json:"visit,omitempty"`
	Background bool   `json:"background,omitempty"`
	RetryOf    string `json:"retry_of,omitempty"`
	Chain      string `json:"upstream_proxy,omitempty"`

	Verdict

	Timing Timing `json:"timing"`

	Evidence

	Probes []Probe `json:"probes,omitempty"`

	Internal string  `json:"internal,omitempty"`
	Refused  Refusal `json:"refused,omitempty"`
}

// Timing is how long each phase took, in milliseconds. Absent means not known
// or not reached.
type Timing struct {
	DNS       *float64 `json:"dns_ms,omitempty"`
	Connect   *float64 `json:"connect_ms,omitempty"`
	TLS       *float64 `json:"tls_ms,omitempty"`
	FirstByte *float64 `json:"first_byte_ms,omitempty"`
	Total     *float64 `json:"total_ms,omitempty"`
}

// Record puts an attempt and its verdict together.
func (a *Attempt) Record(v Verdict) *Record {
	r := &Record{
		TS: a.Start.UTC(), Level: "info", Msg: "attempt", ID: a.ID, Final: !a.Open,
		Mode: a.Mode, Target: a.Target, Host: a.Host, Port: a.Port, URL: a.URL,
		Client: a.Client, RetryOf: a.RetryOf, Chain: a.Chain,
		Verdict: v, Timing: a.timing(), Evidence: a.Seen, Probes: a.Probes,
		Internal: a.Internal, Refused: a.Refused,
		Background: IsBackground(a.Host),
	}
	if v.Outcome == Failed {
		r.Level = "warn"
	}
	if r.Cert.leaf() == nil {
		r.Cert = a.probedCert()
	}
	return r
}

// Attempt takes the facts out of a record again: what Diagnose makes of them is
// the verdict the record had.
func (r *Record) Attempt() *Attempt {
	a := &Attempt{
		ID: r.ID, Start: r.TS, Mode: r.Mode, Target: r.Target, Host: r.Host, Port: r.Port, URL: r.URL,
		Client: r.Client, RetryOf: r.RetryOf, Step: r.Step, Open: !r.Final,
		Seen: r.Evidence, Probes: r.Probes, Chain: r.Chain, Internal: r.Internal, Refused: r.Refused,
		BrowserCode: r.Codes.Browser,
	}
	if r.Timing.Total != nil {
		a.Elapsed = time.Duration(*r.Timing.Total * 1e6)
	}
	if a.Seen.Cert != nil && a.Seen.Cert.Source == SourceProbed {
		a.Seen.Cert = nil
	}
	return a
}

func (a *Attempt) timing() Timing {
	s := &a.Seen
	total := ms(a.Elapsed)
	t := Timing{Total: &total}
	if s.DNS != nil && s.DNS.From != "literal" && s.DNS.From != "upstream-proxy" {
		t.DNS = &s.DNS.Ms
	}
	if s.TCP != nil && !s.TCP.Reused {
		t.Connect = &s.TCP.Ms
	}
	if s.TLS != nil && s.TLS.Protocol != "" && s.Hello != nil {
		t.TLS = &s.TLS.Ms
	}
	if s.HTTP != nil {
		t.FirstByte = s.HTTP.FirstByteMs
	}
	return t
}
