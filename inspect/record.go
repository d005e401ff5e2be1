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
