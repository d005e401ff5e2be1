package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"faultline/inspect"
)

// A Dialer makes the connection to the server that a client asked for, as a
// browser would have made it (Happy Eyeballs, RFC 8305), and keeps every
// address that was tried.
type Dialer struct {
	// Resolver turns names into addresses; nil asks the system's name servers.
	Resolver *Resolver
	// Route says where an address really is; nil: where it says. The lab, whose
	// addresses no network knows, uses it.
	Route func(host string, addr netip.AddrPort) netip.AddrPort
	// Forbidden refuses an address that a name led to, such as our own listener;
	// nil: none is refused. It sees IPv4 as such and, in place of the unspecified
	// address, the loopback address to which a connection would go.
	Forbidden func(netip.AddrPort) bool
	// Upstream is an HTTP proxy to go through; nil: none.
	Upstream *url.URL
	// Direct is true for hosts that are reached without Upstream; nil: none.
	Direct func(host string) bool

	limits *limits // nil: the standard ones
}

var (
	// ErrLoop: the target is an address the dialer was forbidden to use.
	ErrLoop = errors.New("the target is this proxy itself")
	// errConnect: no address answered; the tries of the TCP step say why.
	errConnect = errors.New("no connection")
)

// chains: host is reached through the upstream proxy.
func (d *Dialer) chains(host string) bool {
	return d.Upstream != nil && (d.Direct == nil || !d.Direct(host))
}

// dial connects to host and port. It returns the facts of both steps whether it
// succeeds or not; a step that was not reached is nil. The error is for control
// flow only, and wraps one of errInvalidName, errResolve, errConnect, ErrLoop,
// errProxy or, when the caller's context is done, its error.
//
// watch, if not nil, is called with the facts whenever they change, so that a
// stall can be told before it ends: from dial's own goroutine, never after dial
// has returned, with copies that the receiver may keep.
//
// When dial returns, nothing it started is left but the connection.
func (d *Dialer) dial(ctx context.Context, host string, port uint16,
	watch func(dns *inspect.DNSStep, tcp *inspect.TCPStep),
) (conn *net.TCPConn, dns *inspect.DNSStep, tcp *inspect.TCPStep, err error) {
	if watch == nil {
		watch = func(*inspect.DNSStep, *inspect.TCPStep) {}
	}
	lim := standard
	if d.limits != nil {
		lim = *d.limits
	}
	budget, cancel := context.WithTimeout(ctx, lim.dial)
	defer cancel()

	if d.chains(host) {
		conn, dns, tcp, err = d.chain(budget, host, port, lim, watch)
	} else {
		conn, dns, tcp, err = d.connect(budget, host, port, lim, watch)
	}
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, dns, tcp, fmt.Errorf("dial %s port %d: %w", clip(host, 256), port, err)
	}
	return conn, dns, tcp, nil
}

// connect resolves host and races its addresses.
func (d *Dialer) connect(ctx context.Context, host string, port uint16, lim limits,
	watch func(*inspect.DNSStep, *inspect.TCPStep),
) (*net.TCPConn, *inspect.DNSStep, *inspect.TCPStep, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	look, err := d.Resolver.lookup(ctx, host, lim)
	r := &race{
		d: d, host: host, port: port, lim: lim, look: look,
		// One result for each address that may be tried: nobody waits to send.
		results: make(chan outcome, maxTries),
		watch:   watch,
	}
	var conn *net.TCPConn
	if err == nil {
		conn, err = r.run(ctx)
	}
	cancel()
	r.settle()
	dns, tcp := r.facts()
	return conn, dns, tcp, err
}

// A race is one name's addresses, tried by turns until one answers. It belongs
// to one goroutine; the tries only send back what they found.
type race struct {
	d     *Dialer
	host  string
	port  uint16
	lim   limits
	look  *lookup
	watch func(*inspect.DNSStep, *inspect.TCPStep)

	v4, v6  []netip.AddrPort // not tried yet
	no6     bool             // no route to IPv6 from here
	hasA    bool             // the answers that came
	hasAAAA bool

	tries   []*try
	running int
	results chan outcome
	first   time.Time // when the first try began
	ended   time.Time // when the race was decided
	addr    string    // that answered
	untried int
}

// try is one connection attempt: a fact being made.
type try struct {
	fact  inspect.Try
	begin time.Time
	v6    bool
	to    netip.AddrPort // where it really goes
}

// outcome is how a try ended.
type outcome struct {
	try  *try
	fact inspect.Try
	conn *net.TCPConn
}

// run is the race. A try begins when AAAA has come, or a little after A (RFC
// 8305, section 3); each next one when the last has failed, or after a while
// (section 5). The race is over when one has connected, or all are decided.
func (r *race) run(ctx context.Context) (*net.TCPConn, error) {
	grace, next := stoppedTimer(), stoppedTimer()
	defer grace.Stop()
	defer next.Stop()

	answers := r.look.answers
	begun, due := false, true // may the first, and the next, try start?
	r.watch(r.facts())
	for {
		select {
		case a, more := <-answers:
			if !more {
				answers = nil
				r.hasA, r.hasAAAA = true, true
			}
			if err := r.add(a); err != nil {
				return nil, err
			}
			if r.hasAAAA && (r.hasA || !r.no6) {
				begun = begun || len(r.v4)+len(r.v6) > 0
			} else if len(r.v4) > 0 && !begun {
				grace.Reset(r.lim.grace)
			}
		case <-r.look.changed:
		case <-grace.C:
			begun = true
		case <-next.C:
			due = true
		case o := <-r.results:
			r.running--
			o.try.fact = o.fact
			if o.conn != nil {
				r.addr = o.fact.Addr
				return o.conn, nil
			}
			due = true
		case <-ctx.Done():
			return nil, r.failure()
		}
		if begun && due && r.start(ctx) {
			due = false
			next.Reset(r.lim.stagger)
		}
		r.watch(r.facts())
		if answers == nil && r.running == 0 && len(r.v4)+len(r.v6) == 0 {
			return nil, r.failure()
		}
	}
}

func stoppedTimer() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

func (r *race) failure() error {
	if len(r.tries) == 0 {
		return errResolve
	}
	return errConnect
}

// add takes in an answer's addresses.
func (r *race) add(a answer) error {
	switch a.kind {
	case kindA:
		r.hasA = true
	case kindAAAA:
		r.hasAAAA = true
	}
	for _, ip := range a.addrs {
		addr := netip.AddrPortFrom(ip, r.port)
		to := r.d.route(r.host, addr)
		if r.d.forbids(to) {
			return ErrLoop
		}
		if ip.Is4() {
			r.v4 = append(r.v4, addr)
			continue
		}
		if len(r.v6) == 0 {
			r.no6 = !hasRoute(to)
		}
		r.v6 = append(r.v6, addr)
	}
	return nil
}

func (d *Dialer) route(host string, addr netip.AddrPort) netip.AddrPort {
	if d.Route == nil {
		return addr
	}
	return d.Route(host, addr)
}

func (d *Dialer) forbids(to netip.AddrPort) bool {
	ip := to.Addr().Unmap()
	switch {
	case d.Forbidden == nil:
		return false
	case ip == netip.IPv4Unspecified():
		ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case ip == netip.IPv6Unspecified():
		ip = netip.IPv6Loopback()
	}
	return d.Forbidden(netip.AddrPortFrom(ip, to.Port()))
}

// hasRoute tells whether packets to an address have a way out of this machine.
// Connecting a UDP socket sends none. RFC 6724 (section 5, rule 1) sets such
// addresses last, as browsers do; so a machine without IPv6 shows no failed try
// for every site that has it.
func hasRoute(to netip.AddrPort) bool {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// pick takes the address to try next: by turns from both families, IPv6 first
// (RFC 8305, section 4).
func (r *race) pick() (addr netip.AddrPort, ok bool) {
	from := &r.v6
	switch n := len(r.tries); {
	case len(r.v6) == 0, len(r.v4) > 0 && (r.no6 || n > 0 && r.tries[n-1].v6):
		from = &r.v4
	}
	if len(*from) == 0 {
		return addr, false
	}
	addr, *from = (*from)[0], (*from)[1:]
	return addr, true
}

// start begins the next try, if there is an address left.
func (r *race) start(ctx context.Context) bool {
	if len(r.tries) == maxTries {
		r.untried += len(r.v4) + len(r.v6)
		r.v4, r.v6 = nil, nil
	}
	addr, ok := r.pick()
	if !ok {
		return false
	}
	t := &try{begin: time.Now(), v6: addr.Addr().Is6(), to: r.d.route(r.host, addr)}
	if len(r.tries) == 0 {
		r.first = t.begin
	}
	t.fact = inspect.Try{Addr: addr.String(), StartMs: ms(t.begin.Sub(r.first)), Pending: true}
	if t.to != addr {
		t.fact.Routed = t.to.String()
	}
	r.tries = append(r.tries, t)
	r.running++
	fact := t.fact
	go func() {
		conn := t.connect(ctx, r.lim, &fact)
		r.results <- outcome{t, fact, conn}
	}()
	return true
}

// connect makes one connection and fills its fact.
//
// Keep-alive is left off: the winner gets it, and the losers are spared four
// system calls each.
func (t *try) connect(ctx context.Context, lim limits, fact *inspect.Try) *net.TCPConn {
	ctx, cancel := context.WithTimeout(ctx, lim.connect)
	defer cancel()
	ev := newEvidence()
	defer ev.close()
	nd := net.Dialer{KeepAlive: -1, Control: ev.control}
	c, err := nd.DialContext(ctx, "tcp", t.to.String())
	fact.Pending = false
	fact.Ms = ms(time.Since(t.begin))
	if err == nil {
		fact.OK = true
		conn := c.(*net.TCPConn)
		ev.release(conn)
		return conn
	}
	fact.Error = clip(err.Error(), maxField)
	fact.Errno = errnoName(err)
	var timeout net.Error
	switch {
	case fact.Errno != "":
	case errors.As(err, &timeout) && timeout.Timeout():
		fact.Errno, fact.GaveUp = "ETIMEDOUT", true
	case errors.Is(err, context.Canceled):
		fact.Cancelled, fact.Error = true, ""
	}
	fact.ICMP, fact.Retransmits = ev.read()
	return nil
}

// settle waits for all that the race has started, after its context was
// cancelled, and closes the losers.
func (r *race) settle() {
	r.ended = time.Now()
	for range r.running {
		o := <-r.results
		if o.conn != nil {
			o.conn.Close()
			o.fact.OK, o.fact.Cancelled = false, true
		}
		o.try.fact = o.fact
	}
	r.running = 0
	for range r.look.answers {
		// To its end: then the lookup is over.
	}
	if r.addr == "" {
		r.untried += len(r.v4) + len(r.v6)
	}
}

// facts are the steps as they stand, for the receiver to keep.
func (r *race) facts() (*inspect.DNSStep, *inspect.TCPStep) {
	dns := r.look.facts()
	if len(r.tries) == 0 {
		return dns, nil
	}
	// The steps follow each other: resolving ends where connecting begins, even
	// when an answer came later or was never needed.
	dns.Ms = ms(r.first.Sub(r.look.begin))

	now := r.ended
	if now.IsZero() {
		now = time.Now()
	}
	tcp := &inspect.TCPStep{Source: inspect.SourceSeen, Addr: r.addr, Untried: r.untried, Ms: ms(now.Sub(r.first))}
	for _, t := range r.tries {
		fact := t.fact
		if fact.Routed != "" {
			dns.From = "lab"
		}
		if fact.Pending {
			fact.Ms = ms(now.Sub(t.begin))
		}
		tcp.Tries = append(tcp.Tries, fact)
	}
	return dns, tcp
}

// errnos are the names of the errors of connecting. Messages differ between
// systems and languages, names do not.
var errnos = map[syscall.Errno]string{
	syscall.EACCES:        "EACCES",
	syscall.EADDRINUSE:    "EADDRINUSE",
	syscall.EADDRNOTAVAIL: "EADDRNOTAVAIL",
	syscall.EAFNOSUPPORT:  "EAFNOSUPPORT",
	syscall.EBADF:         "EBADF",
	syscall.ECONNABORTED:  "ECONNABORTED",
	syscall.ECONNREFUSED:  "ECONNREFUSED",
	syscall.ECONNRESET:    "ECONNRESET",
	syscall.EHOSTDOWN:     "EHOSTDOWN",
	syscall.EHOSTUNREACH:  "EHOSTUNREACH",
	syscall.EINVAL:        "EINVAL",
	syscall.EIO:           "EIO",
	syscall.EMFILE:        "EMFILE",
	syscall.EMSGSIZE:      "EMSGSIZE",
	syscall.ENETDOWN:      "ENETDOWN",
	syscall.ENETRESET:     "ENETRESET",
	syscall.ENETUNREACH:   "ENETUNREACH",
	syscall.ENFILE:        "ENFILE",
	syscall.ENOBUFS:       "ENOBUFS",
	syscall.ENOMEM:        "ENOMEM",
	syscall.ENOPROTOOPT:   "ENOPROTOOPT",
	syscall.ENOTCONN:      "ENOTCONN",
	syscall.EPERM:         "EPERM",
	syscall.EPIPE:         "EPIPE",
	syscall.EPROTO:        "EPROTO",
	syscall.ETIMEDOUT:     "ETIMEDOUT",

	// Windows Sockets numbers, which Windows returns instead of the above.
	10013: "EACCES",
	10024: "EMFILE",
	10047: "EAFNOSUPPORT",
	10048: "EADDRINUSE",
	10049: "EADDRNOTAVAIL",
	10050: "ENETDOWN",
	10051: "ENETUNREACH",
	10052: "ENETRESET",
	10053: "ECONNABORTED",
	10054: "ECONNRESET",
	10055: "ENOBUFS",
	10057: "ENOTCONN",
	10060: "ETIMEDOUT",
	10061: "ECONNREFUSED",
	10064: "EHOSTDOWN",
	10065: "EHOSTUNREACH",
}

// errnoName is the name of the system's error in err, "" when there is none: a
// deadline or an end of our own making.
func errnoName(err error) string {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return ""
	}
	if s, ok := errnos[errno]; ok {
		return s
	}
	return fmt.Sprintf("errno %d", uintptr(errno))
}
