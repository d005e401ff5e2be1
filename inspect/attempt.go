package inspect

import "time"

// Attempt is one try to reach one origin: a CONNECT tunnel, a plain-HTTP
// request, or one request inside an intercepted tunnel. It holds facts only;
// [Diagnose] turns it into a [Verdict], and both together make a [Record].
type Attempt struct {
	// ID sorts by time.
	ID string
	// Start is "now" in every rule: an old record gets its old verdict.
	Start time.Time
	Mode  Mode
	// Target is what the client asked for, as "host:port".
	Target string
	Host   string
	Port   uint16
	// URL is known where HTTP is visible; query values are dropped.
	URL    string
	Client Client
	// RetryOf is the ID of the first of the attempts that this one repeats.
	RetryOf string
	// Step is how far the attempt has come, or where it ended.
	Step Step
	// Elapsed is the time from Start to the moment the facts were taken.
	Elapsed time.Duration
	// Open: the attempt was still under way when the facts were taken, so its
	// verdict is provisional.
	Open bool
	// Seen is what the client's own connection showed.
	Seen Evidence
	// Probes are the comparisons made with connections of our own.
	Probes []Probe
	// Chain is the upstream proxy the attempt went through, "" for none.
	Chain string
	// Internal is set when faultline itself failed: its own words.
	Internal string
	// Refused is set when faultline refused to make the attempt at all.
	Refused Refusal
	// BrowserCode is the browser's own error code, when the browser told us.
	BrowserCode string
}

// Mode is how an attempt was observed.
type Mode string

const (
	Tunnel    Mode = "tunnel"    // a CONNECT, whose bytes pass as they are
	Intercept Mode = "intercept" // a request inside TLS that is ended here
	Plain     Mode = "plain"     // a request over http://
	Check     Mode = "check"     // an attempt of our own, without a client
)

// Refusal is why faultline did not even try.
type Refusal string

const (
	RefusedLoop     Refusal = "loop"         // the target is faultline itself
	RefusedName     Refusal = "invalid-name" // the target cannot exist
	RefusedProtocol Refusal = "protocol"     // the client did not speak HTTP to the proxy
	RefusedRequest  Refusal = "bad-request"  // an HTTP request no proxy can serve
	RefusedLimit    Refusal = "limit"        // a limit of faultline's own was reached
)

// Client is who asked.
type Client struct {
	Addr      string `json:"addr,omitempty"`
	UserAgent string `json:"user_agent,omitempty"`
	Process   string `json:"process,omitempty"`
	PID       int    `json:"pid,omitempty"`
}

// Step is when in the life of a connection something happened.
type Step string

const (
	StepResolve   Step = "resolve"   // the name is turned into addresses
	StepConnect   Step = "connect"   // a connection is made to one of them
	StepHello     Step = "hello"     // the client's first words
	StepHandshake Step = "handshake" // from the server's answer to the end of the TLS handshake
	StepRequest   Step = "request"   // a request is sent
	StepResponse  Step = "response"  // its answer is awaited or under way
	StepEnd       Step = "end"       // the attempt came to its end
)

// Layer is where a fault is. A reset during the handshake step is a fault of
// the tcp layer.
type Layer string

const (
	LayerNone        Layer = "none"        // nothing is wrong
	LayerClient      Layer = "client"      // the program, its settings, its computer
	LayerDNS         Layer = "dns"         // names
	LayerTCP         Layer = "tcp"         // connections
	LayerTLS         Layer = "tls"         // the secure handshake
	LayerCertificate Layer = "certificate" // who the server proves to be
	LayerHTTP        Layer = "http"        // requests and responses
	LayerContent     Layer = "content"     // what is in a page
)

// Blame is the party that can mend a fault.
type Blame string

const (
	BlameServer       Blame = "server"        // whoever runs the site
	BlameLocalNetwork Blame = "local-network" // the network of the client: its router, name server, firewall, proxy
	BlamePath         Blame = "path"          // somebody between that network and the server
	BlameClient       Blame = "client"        // the person, the program or its computer
	BlameNone         Blame = "none"          // nothing is to be mended
	BlameUnknown      Blame = "unknown"       // the facts do not tell
)

// Certainty is how a verdict is known.
type Certainty string

const (
	Seen     Certainty = "seen"     // on the wire of this attempt
	Shown    Certainty = "shown"    // by a comparison
	Inferred Certainty = "inferred" // from timing or absence
)

// Outcome is what became of an attempt.
type Outcome string

const (
	OK        Outcome = "ok"        // it works
	Failed    Outcome = "failed"    // it does not
	Degraded  Outcome = "degraded"  // it works, but …
	Abandoned Outcome = "abandoned" // the client went away; nobody's fault
)

// Kind is what sort of thing a fault is.
type Kind string

const (
	Failure   Kind = "failure"     // the attempt fails
	Degrading Kind = "degraded"    // it works, but not as it should
	Advisory  Kind = "advisory"    // it works; something could be better
	NotAFault Kind = "not-a-fault" // the attempt came to nothing, and nothing is wrong
)
