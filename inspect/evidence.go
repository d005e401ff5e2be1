package inspect

import (
	"time"

	"faultline/inspect/wire"
)

// Evidence is what is known about each step of a connection. A nil step was
// never reached, or could not be seen; methods on steps work on nil, so rules
// need no ladders of checks. The same type holds what was seen of the client's
// connection and what a connection of our own showed.
type Evidence struct {
	DNS     *DNSStep     `json:"dns,omitempty"`
	TCP     *TCPStep     `json:"tcp,omitempty"`
	Hello   *HelloStep   `json:"hello,omitempty"`
	TLS     *TLSStep     `json:"tls,omitempty"`
	Cert    *CertStep    `json:"cert,omitempty"`
	HTTP    *HTTPStep    `json:"http,omitempty"`
	Content *ContentStep `json:"content,omitempty"`
	End     *EndStep     `json:"end,omitempty"`
}

// Source says whose connection a step was learned from.
type Source string

const (
	SourceSeen   Source = "seen"   // the client's own
	SourceProbed Source = "probed" // one of ours
)

// Probe is one comparison: a connection of our own with one thing changed.
type Probe struct {
	// Change is what differs from the client's own connection, and Changed says
	// it in words.
	Change  Change `json:"change"`
	Changed string `json:"changed"`
	// Result says what came back, in words.
	Result string `json:"result"`
	// OK: the connection of our own got further than the client's.
	OK       bool     `json:"ok"`
	Ms       float64  `json:"ms"`
	Evidence Evidence `json:"evidence"`
}

// Change is the one thing that a comparison changes.
type Change string

const (
	// ChangeClient: an ordinary handshake of our own, with the same address, name
	// and ALPN. Its hello is as large as a browser's.
	ChangeClient Change = "client"
	// ChangeSize: the same with a hello that fits in one packet (no post-quantum
	// key share).
	ChangeSize Change = "size"
	// ChangeVersion: TLS 1.2 at most.
	ChangeVersion Change = "version"
	// ChangeName: no server name.
	ChangeName Change = "name"
	// ChangeSegments: the large hello in small TCP segments.
	ChangeSegments Change = "segments"
)

// DNSStep is how the name was turned into addresses.
type DNSStep struct {
	Source Source `json:"source,omitempty"`
	Name   string `json:"name"`
	// From is where the answer came from: "dns", "hosts" (the hosts file),
	// "literal" (the target was an address), "system" (the operating system's own
	// resolver, after ours found nothing), "localhost" (never asked, RFC 6761),
	// "lab", "upstream-proxy". Empty when nobody gave an answer.
	From string     `json:"from,omitempty"`
	A    *DNSAnswer `json:"a,omitempty"`
	AAAA *DNSAnswer `json:"aaaa,omitempty"`
	Ms   float64    `json:"ms"`
}

// DNSAnswer is the outcome for one record type.
type DNSAnswer struct {
	Addrs []string `json:"addrs,omitempty"`
	// Asked are the exchanges with name servers, in order: at most 16.
	Asked []DNSExchange `json:"asked,omitempty"`
	// Error is the resolver's own words.
	Error string `json:"error,omitempty"`
	// Timeout: the budget ended before an answer came.
	Timeout bool `json:"timeout,omitempty"`
	// Cancelled: the answer was no longer needed (an address of the other family
	// had connected, or the client went away).
	Cancelled bool `json:"cancelled,omitempty"`
	// Pending: the answer was still awaited when the facts were taken.
	Pending bool    `json:"pending,omitempty"`
	Ms      float64 `json:"ms"`
}

// DNSExchange is one question to one name server.
type DNSExchange struct {
	Server  string `json:"server"`
	Network string `json:"network"` // udp, tcp
	Name    string `json:"name,omitempty"`
	Type    string `json:"type,omitempty"`
	// RCode is the reply's code by its name (NOERROR, NXDOMAIN …), empty when no
	// reply came.
	RCode     string `json:"rcode,omitempty"`
	Answers   int    `json:"answers,omitempty"`
	Truncated bool   `json:"truncated,omitempty"`
	// Extended is the extended DNS error (RFC 8914), nil when there was none.
	Extended *ExtendedError `json:"extended,omitempty"`
	// Malformed says what was wrong with a reply that is not DNS, or not the
	// answer to this question. Empty when a proper reply followed.
	Malformed string `json:"malformed,omitempty"`
	// Strays counts such replies, also those that a proper one followed.
	Strays int `json:"strays,omitempty"`
	// Errno is set when the question could not be asked ("ECONNREFUSED").
	Errno string `json:"errno,omitempty"`
	// Pending: a reply was still awaited when the facts were taken.
	Pending bool    `json:"pending,omitempty"`
	Ms      float64 `json:"ms"`
}

// ExtendedError is an extended DNS error (RFC 8914).
type ExtendedError struct {
	Code uint16 `json:"code"`
	Text string `json:"text,omitempty"`
}

// TCPStep is how a connection was made.
type TCPStep struct {
	Source Source `json:"source,omitempty"`
	// Tries are the addresses tried, in the order in which they were started.
	Tries []Try `json:"tries,omitempty"`
	// Addr is the address that answered, empty when none did.
	Addr string `json:"addr,omitempty"`
	// Reused: the connection had been made for an earlier request.
	Reused bool `json:"reused,omitempty"`
	// Untried counts the addresses left out because there were too many.
	Untried int `json:"untried,omitempty"`
	// Proxy is what an upstream proxy said to our own CONNECT. The tries are then
	// those to the proxy, not to the target.
	Proxy *ProxyAnswer `json:"proxy,omitempty"`
	Ms    float64      `json:"ms"` // from the first try to the outcome
}

// Try is one attempt to connect to one address.
type Try struct {
	Addr string `json:"addr"`
	// Routed is where the connection really went when Addr is an address of the
	// lab, which no network knows.
	Routed  string  `json:"routed,omitempty"`
	StartMs float64 `json:"start_ms"` // since the first try
	Ms      float64 `json:"ms"`
	OK      bool    `json:"ok,omitempty"`
	// Errno is the error by its name: ECONNREFUSED, ETIMEDOUT (also when our own
	// budget ended it: see GaveUp), EHOSTUNREACH …
	Errno string `json:"errno,omitempty"`
	// GaveUp: our own deadline ended the try; nothing had answered.
	GaveUp bool `json:"gave_up,omitempty"`
	// Cancelled: another address won the race before this one was decided, or
	// the client went away.
	Cancelled bool `json:"cancelled,omitempty"`
	// Pending: the try was still under way when the facts were taken.
	Pending bool `json:"pending,omitempty"`
	// Error is the original words.
	Error string `json:"error,omitempty"`
	// ICMP is the message that ended the try and who sent it, where the system
	// tells (Linux).
	ICMP *ICMP `json:"icmp,omitempty"`
	// Retransmits counts the SYNs sent again without an answer, where the system
	// tells (Linux).
	Retransmits int `json:"retransmits,omitempty"`
}

// ICMP is an ICMP error that arrived for a connection.
type ICMP struct {
	Type uint8  `json:"type"`
	Code uint8  `json:"code"`
	From string `json:"from,omitempty"`
}

// ProxyAnswer is what an upstream proxy answered to CONNECT, or why there was
// no answer.
type ProxyAnswer struct {
	Addr string `json:"addr"` // host:port of the proxy, as configured
	// DNS is how the proxy's own name was turned into addresses.
	DNS *DNSStep `json:"dns,omitempty"`
	// Failure is why there is no usable answer: "resolve" (the proxy's name),
	// "connect" (to the proxy: see the tries), "timeout" (connected, no answer in
	// time), "closed" (without an answer), "broken" (the connection broke while
	// the answer was awaited), "not-http", "too-long". Empty when there is a
	// Status.
	Failure     string `json:"failure,omitempty"`
	Status      int    `json:"status,omitempty"`
	Reason      string `json:"reason,omitempty"`
	Via         string `json:"via,omitempty"`
	ProxyStatus string `json:"proxy_status,omitempty"`
	Challenge   string `json:"challenge,omitempty"` // the schemes of Proxy-Authenticate
	Error       string `json:"error,omitempty"`
	// Ms is from our CONNECT to the end of the answer's head.
	Ms float64 `json:"ms,omitempty"`
}

// HelloStep is the client's first words inside the tunnel.
type HelloStep struct {
	// Protocol the client spoke; empty when it said nothing.
	Protocol string  `json:"protocol,omitempty"`
	First    string  `json:"first,omitempty"` // of what was not TLS, escaped
	Ms       float64 `json:"ms"`              // from the tunnel's start to the first byte
	*wire.ClientHello
}

// TLSStep is what the server answered and how far the handshake came.
type TLSStep struct {
	Source Source `json:"source,omitempty"`
	// Protocol the server spoke; empty when it said nothing.
	Protocol string `json:"protocol,omitempty"`
	First    string `json:"first,omitempty"` // of what was not TLS, escaped
	// Claimed is the length of the first record, if what was not TLS is read as a
	// record: the browser that does so complains about it.
	Claimed int `json:"claimed,omitempty"`
	// Names of what was chosen; empty when not known.
	Version string `json:"version,omitempty"`
	Cipher  string `json:"cipher,omitempty"`
	Group   string `json:"group,omitempty"`
	ALPN    string `json:"alpn,omitempty"`

	Answer *wire.ServerHello `json:"answer,omitempty"`
	Retry  *wire.ServerHello `json:"retry,omitempty"`
	Alerts []wire.Alert      `json:"alerts,omitempty"`
	// Records is the time line of the first records of both sides.
	Records []wire.Record `json:"records,omitempty"`

	ClientCertRequested bool `json:"client_cert_requested,omitempty"`
	// Complete: both sides finished the handshake, as far as can be seen.
	Complete bool `json:"complete,omitempty"`
	// Rejected says how the client refused the handshake, empty when it did not:
	// see the Reject constants.
	Rejected Rejection `json:"rejected,omitempty"`
	// Used: the client sent something after its Finished, so it accepted.
	Used        bool   `json:"used,omitempty"`
	ServerDone  bool   `json:"server_done,omitempty"`
	KeyExchange bool   `json:"key_exchange,omitempty"`
	ClientFirst int    `json:"client_first,omitempty"`
	ClientNext  int    `json:"client_next,omitempty"`
	ClientCCS   bool   `json:"client_ccs,omitempty"`
	ClientData  int    `json:"client_data,omitempty"`
	ServerData  int    `json:"server_data,omitempty"`
	ServerAfter int    `json:"server_after,omitempty"`
	Renegotiate bool   `json:"renegotiate,omitempty"`
	Cut         int    `json:"cut,omitempty"` // bytes missing in the server's last record
	Broken      string `json:"broken,omitempty"`
	// Error is the words of our own TLS library (probe and intercept mode).
	Error string  `json:"error,omitempty"`
	Ms    float64 `json:"ms"` // from the client's first byte to the server's first
}

// CertStep is the server's certificate chain and what is wrong with it.
type CertStep struct {
	Source Source `json:"source,omitempty"`
	// Chain as the server sent it, leaf first.
	Chain []CertInfo `json:"chain,omitempty"`
	// Anchor is the subject of the root that the chain was traced to, empty when
	// no trusted root was reached.
	Anchor string `json:"anchor,omitempty"`
	// Faults are all that is wrong, in no order of importance.
	Faults []CertFault `json:"faults,omitempty"`
	Staple bool        `json:"staple,omitempty"` // an OCSP response was stapled
	// Raw is the chain in DER, for exports; not part of a record.
	Raw [][]byte `json:"-"`
}

// CertInfo is one certificate, in facts.
type CertInfo struct {
	Subject   string    `json:"subject"`
	Issuer    string    `json:"issuer"`
	Names     []string  `json:"names,omitempty"` // subject alternative names; at most 100
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	Key       string    `json:"key"`       // "RSA 2048", "ECDSA P-256" …
	Signature string    `json:"signature"` // "SHA256-RSA" …
	CA        bool      `json:"ca,omitempty"`
	SHA256    string    `json:"sha256"` // of the DER, hex
	Error     string    `json:"error,omitempty"`
}

// CertFault is one thing that is wrong with a chain.
type CertFault struct {
	Fault string `json:"fault"` // a row of the catalogue: "cert-expired" …
	Depth int    `json:"depth"` // 0 is the leaf
	// Detail tells kinds of one fault apart where browsers do.
	Detail string `json:"detail,omitempty"`
	Why    string `json:"why"`
}

// HTTPStep is a request and its response, where they can be seen.
type HTTPStep struct {
	Method string `json:"method,omitempty"`
	Proto  string `json:"proto,omitempty"`
	Status int    `json:"status,omitempty"`
	Reason string `json:"reason,omitempty"`
	Server string `json:"server,omitempty"`
	Type   string `json:"type,omitempty"`
	// Location is where a redirect leads, query values dropped.
	Location string `json:"location,omitempty"`
	Length   int64  `json:"length,omitempty"` // as announced; -1 when not
	Body     int64  `json:"body,omitempty"`   // bytes passed on
	Upgrade  string `json:"upgrade,omitempty"`
	// Error is the words of our HTTP library; BodyError those for the body.
	Error     string `json:"error,omitempty"`
	BodyError string `json:"body_error,omitempty"`
	// ProxyStatus is the Proxy-Status field as received.
	ProxyStatus string   `json:"proxy_status,omitempty"`
	FirstByteMs *float64 `json:"first_byte_ms,omitempty"`
	// StalledMs is how long the body has stood still, when it has.
	StalledMs float64 `json:"stalled_ms,omitempty"`
	// BadLocation says why a redirect leads nowhere.
	BadLocation string `json:"bad_location,omitempty"`
}

// ContentStep is what was found inside a page. Only intercept mode fills it.
type ContentStep struct {
	Findings []string `json:"findings,omitempty"`
}

// EndStep is how the connection ended.
type EndStep struct {
	// First is the side that ended it: "client", "server", or "faultline" when
	// we did (shutdown, limit).
	First string `json:"first,omitempty"`
	// Client and Server are how each side ended: "fin", "reset", "timeout",
	// "error", "ours"; empty when that side was still open.
	Client string `json:"client,omitempty"`
	Server string `json:"server,omitempty"`
	// ClientMs and ServerMs are when, since the tunnel began.
	ClientMs *float64 `json:"client_ms,omitempty"`
	ServerMs *float64 `json:"server_ms,omitempty"`
	Up       int64    `json:"up"`   // bytes from client to server
	Down     int64    `json:"down"` // bytes from server to client
	// Error is the original words of the error that ended it.
	Error string  `json:"error,omitempty"`
	Ms    float64 `json:"ms"` // the tunnel's life
}

// Rejection is how a client refused a handshake.
type Rejection string

const (
	// RejectAlert: a fatal certificate alert in clear (42–46, 48).
	RejectAlert Rejection = "clear-alert"
	// RejectHandshakeAlert: another fatal alert in clear.
	RejectHandshakeAlert Rejection = "clear-handshake-alert"
	// RejectShort: TLS 1.3, an alert-sized record where a Finished belongs.
	RejectShort Rejection = "alert-instead-of-finished"
	// RejectPadded: the same, padded as Java pads.
	RejectPadded Rejection = "padded-alert-instead-of-finished"
	// RejectLate: TLS ≤ 1.2, an encrypted alert right after the client's Finished
	// and before any data (Firefox).
	RejectLate Rejection = "encrypted-alert-after-finished"
	// RejectClosed: the handshake was finished, nothing was sent but perhaps a
	// close_notify, and the connection closed. A hint: it may have been spare.
	RejectClosed Rejection = "closed-unused"
	// RejectSilent: the client closed after the server's flight without a word.
	// A hint: a question for a client certificate, an abort, or Node.
	RejectSilent Rejection = "closed-after-server-flight"
)
