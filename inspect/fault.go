package inspect

import "slices"

// A Fault is a row of the catalogue. Its ID is a promise: logs, tests and the
// page refer to it.
type Fault struct {
	ID    string
	Layer Layer
	Step  Step // where it shows, unless the finding says otherwise
	Kind  Kind
	Blame Blame // by default; a finding may say otherwise
	Title string
	// User and Server are the next steps.
	User, Server string
	// Chromium, Firefox and Safari are the codes of a direct visit, likeliest
	// first. A finding may pick another.
	Chromium, Firefox, Safari []string
	Curl                      string
	NEL                       string // W3C Network Error Logging type
	ProxyStatus               string // RFC 9209 §2.3 error type
	// Source says where the facts come from.
	Source string
	// match looks for the fault; nil while only a later stage can see it.
	match func(*Attempt) *Finding
}

// Finding is a fault that was found in an attempt. Empty fields mean: as the
// row says.
type Finding struct {
	Why       string
	Certainty Certainty // Seen when empty
	Step      Step
	Blame     Blame
	Title     string
	User      string
	// Chromium and Firefox are the codes of a direct visit; the …Shown ones of
	// the visit through this proxy, where they differ.
	Chromium, ChromiumShown string
	Firefox, FirefoxShown   string
}

// Faults is the catalogue, in the order of a connection: the first failure that
// matches an attempt is its root, the rest are consequences. Rows without a
// match are known by name (for explain, exports and imports); what they need is
// not visible in the facts gathered so far.
var Faults = slices.Concat(
	clientFaults, dnsFaults, tcpFaults, tlsFaults, certFaults,
	clientRefusalFaults, httpFaults, contentFaults,
)

// byID is filled once; the catalogue does not change.
var byID = func() map[string]*Fault {
	m := make(map[string]*Fault, len(Faults))
	for i := range Faults {
		m[Faults[i].ID] = &Faults[i]
	}
	return m
}()

// Lookup finds a row of the catalogue by its ID.
func Lookup(id string) (*Fault, bool) {
	f, ok := byID[id]
	return f, ok
}
