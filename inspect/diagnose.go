package inspect

import (
	"fmt"
	"time"
)

// Diagnose reads an attempt and says what is to be made of it. It is a pure
// function of the attempt: no clock, no network, no settings; "now" is the
// attempt's own start. So an old record gets its old verdict on any machine.
//
// The root is the first failure in the order of a connection; what else is found
// goes to Also. What cannot be explained is unexplained, with the raw words.
func Diagnose(a *Attempt) Verdict {
	root, also := search(a)
	v := a.verdict(root)
	for _, h := range also {
		v.Also = append(v.Also, Also{Fault: h.row.ID, Layer: h.row.Layer, Why: h.Why})
	}
	v.HTTPReached = a.httpReached(v.Outcome)
	v.Codes.Browser = a.BrowserCode
	return v
}

// A hit is a row that matched, and what it found.
type hit struct {
	row *Fault
	*Finding
}

// search matches the whole catalogue and picks the root: the first failure,
// else the first thing that is degraded, else what explains why the attempt came
// to nothing without a fault. Advice is never a root.
func search(a *Attempt) (root *hit, also []hit) {
	var hits []hit
	for i := range Faults {
		if f := &Faults[i]; f.match != nil {
			if found := f.match(a); found != nil {
				hits = append(hits, hit{f, found})
			}
		}
	}
	for _, kind := range []Kind{Failure, Degrading, NotAFault} {
		for i := range hits {
			if hits[i].row.Kind == kind {
				root = &hits[i]
				for j, h := range hits {
					if j != i && h.row.Kind != NotAFault {
						also = append(also, h)
					}
				}
				return root, also
			}
		}
	}
	return nil, hits
}

func (a *Attempt) verdict(h *hit) Verdict {
	if h == nil {
		return a.unmatched()
	}
	f := h.row
	v := Verdict{
		Outcome: Failed, Layer: f.Layer, Step: f.Step, Fault: f.ID, Blame: f.Blame, Certainty: Seen,
		Title: orElse(h.Title, f.Title), Why: h.Why,
		Fix: Fix{User: orElse(h.User, f.User), Server: f.Server},
	}
	switch f.Kind {
	case Degrading:
		v.Outcome = Degraded
	case NotAFault:
		v.Outcome, v.Layer = Abandoned, LayerNone
	}
	if h.Certainty != "" {
		v.Certainty = h.Certainty
	}
	if h.Blame != "" {
		v.Blame = h.Blame
	}
	if h.Step != "" {
		v.Step = h.Step
	}
	v.Codes = a.codes(h, v)
	return v
}

// unmatched is the verdict when no row fits: all went well, or nobody knows.
func (a *Attempt) unmatched() Verdict {
	v := Verdict{Outcome: OK, Layer: LayerNone, Step: StepEnd, Fault: FaultOK, Blame: BlameNone, Certainty: Seen, Title: "It works."}
	if a.worked() {
		return v
	}
	if a.Open {
		v.Outcome, v.Fault, v.Blame, v.Certainty = Failed, FaultUnexplained, BlameUnknown, Inferred
		v.Step, v.Title = a.Step, fmt.Sprintf("Still waiting: the %s step has not come to an end.", a.Step)
		v.Why = fmt.Sprintf("%s so far", seconds(ms(a.Elapsed)))
		return v
	}
	v.Outcome, v.Fault, v.Blame, v.Certainty = Failed, FaultUnexplained, BlameUnknown, Inferred
	v.Layer, v.Step = a.lastLayer(), a.Step
	v.Title = "It failed in a way faultline cannot explain yet."
	v.Why = a.rawWords()
	v.Fix.User = "Try once more; if it stays so, report it with this line of the log."
	return v
}

// worked: the attempt came to an end that is nobody's fault.
func (a *Attempt) worked() bool {
	if a.Mode == Plain {
		h := a.Seen.HTTP
		return h != nil && h.Status > 0 && h.Error == "" && h.BodyError == ""
	}
	if !a.Seen.TCP.connected() || a.Internal != "" {
		return false
	}
	t, e := a.Seen.TLS, a.Seen.End
	if a.SpokeTLS() {
		return t != nil && t.Complete && t.Rejected == ""
	}
	// Not TLS on either side: whatever it is, both sides spoke, or the client
	// never wanted an answer.
	return e == nil || e.Error == ""
}

// lastLayer is the layer of the last step that was reached.
func (a *Attempt) lastLayer() Layer {
	switch {
	case a.Seen.HTTP != nil:
		return LayerHTTP
	case a.Seen.TLS != nil:
		return LayerTLS
	case a.Seen.TCP != nil:
		return LayerTCP
	case a.Seen.DNS != nil:
		return LayerDNS
	}
	return LayerClient
}

// rawWords are the original words of whatever went wrong.
func (a *Attempt) rawWords() string {
	s := &a.Seen
	var words []string
	add := func(w string) {
		if w != "" {
			words = append(words, w)
		}
	}
	if s.DNS.failed() {
		for _, x := range s.DNS.answers() {
			add(x.Error)
		}
	}
	if s.TCP.failed() {
		add(s.TCP.said())
	}
	if s.TLS != nil {
		if s.TLS.Rejected != "" {
			add(s.TLS.rejection())
		}
		add(s.TLS.Broken)
		add(s.TLS.Error)
	}
	if s.HTTP != nil {
		add(s.HTTP.Error)
		add(s.HTTP.BodyError)
	}
	if e := s.End; e != nil && e.First != "" {
		add(fmt.Sprintf("the %s ended it (%s) after %s, %d bytes up, %d down", e.First, orElse(map[string]string{"client": e.Client, "server": e.Server}[e.First], "unknown"), seconds(e.Ms), e.Up, e.Down))
		add(e.Error)
	}
	return list(words, 6)
}

// httpReached says whether any HTTP response existed; nil where that cannot be
// seen.
func (a *Attempt) httpReached(o Outcome) *bool {
	reached := false
	switch h := a.Seen.HTTP; {
	case h != nil && h.Status > 0:
		reached = true
	case h != nil || a.Mode == Plain:
	case a.Seen.TLS != nil && a.Seen.TLS.Used:
		return nil
	case !a.SpokeTLS() && a.Seen.TLS != nil:
		return nil
	}
	return &reached
}

// codes are the names others give to the verdict.
func (a *Attempt) codes(h *hit, v Verdict) Codes {
	f := h.row
	c := Codes{Curl: f.Curl, NEL: f.NEL, ProxyStatus: f.ProxyStatus}
	if f.Kind == NotAFault || f.Kind == Advisory {
		return c
	}
	c.Chromium = pick(h.Chromium, f.Chromium)
	c.Firefox = pick(h.Firefox, f.Firefox)
	c.ChromiumShown, c.FirefoxShown = c.Chromium, c.Firefox
	if h.ChromiumShown != "" {
		c.ChromiumShown = pick(h.ChromiumShown, nil)
	}
	if h.FirefoxShown != "" {
		c.FirefoxShown = pick(h.FirefoxShown, nil)
	}
	if v.Outcome != Failed {
		return c
	}
	switch status := ConnectStatus(f); {
	case a.Mode == Plain && a.Seen.HTTP != nil && a.Seen.HTTP.Status == 0, a.Mode == Plain && status != 200:
		c.ChromiumShown, c.FirefoxShown = "", "" // our own page explains it
	case a.Mode == Tunnel && !a.tunnelled() && status != 200:
		c.ChromiumShown = "ERR_TUNNEL_CONNECTION_FAILED"
		c.FirefoxShown = firefoxConnect[status]
	}
	return c
}

// tunnelled: CONNECT was answered with 200.
func (a *Attempt) tunnelled() bool {
	return a.Seen.End != nil || a.Seen.Hello != nil || a.Seen.TLS != nil
}

// firefoxConnect is what Firefox makes of a refused CONNECT with a body,
// measured with 153. The page it shows is its own for the cause.
var firefoxConnect = map[int]string{
	403: "NS_ERROR_PROXY_FORBIDDEN",
	404: "NS_ERROR_UNKNOWN_HOST",
	500: "NS_ERROR_UNKNOWN_HOST",
	502: "NS_ERROR_PROXY_BAD_GATEWAY",
	504: "NS_ERROR_PROXY_GATEWAY_TIMEOUT",
}

// ConnectStatus is the status that answers a CONNECT which a fault ended: the
// one for which Firefox shows its own page for the cause (measured with 153;
// Chromium shows the same code for all). 200 means that the fault shows only
// inside the tunnel.
func ConnectStatus(f *Fault) int {
	switch f.ID {
	case "dns-bogus-address", "dns-resolvers-disagree", "dns-address-changed", "dns-hosts-override":
		return 502
	case "tcp-timeout", "tcp-443-blocked":
		return 504
	case "tcp-refused", "tcp-unreachable", "tcp-admin-prohibited", "tcp-local-denied", "tcp-upstream-proxy-failed",
		"http-upstream-proxy-auth", "client-offline":
		return 502
	case "client-proxy-loop", "client-proxy-misconfigured":
		return 403
	case "client-faultline-internal", "tcp-local-resources":
		return 500
	}
	if f.Layer == LayerDNS {
		return 404
	}
	return 200
}

// pick is the finding's choice, else the row's first.
func pick(choice string, row []string) string {
	switch {
	case choice == none:
		return ""
	case choice != "":
		return choice
	case len(row) > 0:
		return row[0]
	}
	return ""
}

func ms(d time.Duration) float64 { return float64(d.Round(time.Microsecond)) / 1e6 }
