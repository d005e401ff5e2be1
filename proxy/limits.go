package proxy

import "time"

// limits are the deadlines of making a connection. They stand together because
// they depend on each other: a browser waits 30 s for the answer to its CONNECT
// and then gives up without saying why (measured: Chromium 156), so whatever
// happens here must be known, told and answered before that. Tests shorten them.
type limits struct {
	// dial is everything from the name to a usable connection, an upstream
	// proxy's answer included. Under 20 s, so that the answer reaches the browser
	// with 10 s to spare.
	dial time.Duration

	// resolve is how long a name may take. Go's resolver asks again after 5 s
	// (resolv.conf's default), so 8 s survive one lost packet and leave 10 s for
	// connecting. Browsers wait longer (Chromium 26 s, Firefox 20 s with one dead
	// server, measured), but nothing was ever seen to arrive that late.
	resolve time.Duration

	// system is how long the operating system's resolver may take after ours has
	// found nothing. A name known by mDNS or a local database answers within one
	// second; nss-mdns says "unknown" after five, which is not worth waiting for.
	system time.Duration

	// grace is how long an A answer waits for AAAA: the Resolution Delay of
	// RFC 8305, section 3.
	grace time.Duration

	// stagger is the time between two tries: the Connection Attempt Delay of
	// RFC 8305, section 5. Chromium waits 300 ms, Firefox 250 ms.
	stagger time.Duration

	// connect is how long one address may take. Linux sends a SYN again after 1,
	// 3 and 7 s, so within 10 s four are sent: an address that answered none of
	// them is dead for every purpose of a browser, although the kernel would go
	// on for 127 s. With resolve it fills dial.
	connect time.Duration

	// answer is how long an upstream proxy may take to answer our CONNECT. It
	// dials the target meanwhile, so this cannot be short; dial ends it earlier
	// when connecting to the proxy took long.
	answer time.Duration
}

var standard = limits{
	dial:    18 * time.Second,
	resolve: 8 * time.Second,
	system:  2 * time.Second,
	grace:   50 * time.Millisecond,
	stagger: 250 * time.Millisecond,
	connect: 10 * time.Second,
	answer:  15 * time.Second,
}

const (
	// maxTries is how many addresses are tried. At one per stagger the last
	// begins after 3.75 s and still has its whole connect time.
	maxTries = 16

	// maxExchanges is how many questions one lookup may ask. Go's resolver asks
	// each server twice for every domain of the search list, which multiplies.
	maxExchanges = 16

	// maxAddrs is how many addresses of one answer are kept in a record. More
	// than a few are rare; a reply over TCP could hold four thousand.
	maxAddrs = 64

	// maxExtendedText bounds the text of an extended DNS error, which a server
	// may fill as it likes (RFC 8914 only asks it to be short).
	maxExtendedText = 256

	// maxAnswerHead bounds the head of an upstream proxy's answer: four times
	// what common proxies send or accept.
	maxAnswerHead = 64 << 10

	// maxField bounds each field that is kept of an upstream proxy's answer.
	maxField = 512

	// keepAliveIdle is when a silent connection is asked for a sign of life, and
	// how often: what Chromium uses, so that a tunnel through us lives and dies
	// as a direct connection would.
	keepAliveIdle = 45 * time.Second
)
