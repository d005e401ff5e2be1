package proxy

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"faultline/inspect"
)

// A Resolver turns names into addresses and keeps what each name server said.
// The zero value asks the system's name servers.
//
// Behind a proxy a browser resolves nothing itself, so this resolver is the one
// under test: Go's, because its conversation with the name servers can be
// listened to. The library's own errors tell neither "no such name" from "no
// address", nor "failed" from "refused".
type Resolver struct {
	// Server is the address of the name server to ask for a host instead of the
	// system's; "" means the system's. A nil Server means so for every host.
	Server func(host string) string
}

var (
	// errInvalidName: the target is no host name, so nobody was asked.
	errInvalidName = errors.New("invalid host name")
	// errResolve: the name led to no address; the DNS step says why.
	errResolve = errors.New("name not resolved")

	errStopped = errors.New("the lookup is over")
	errEnough  = errors.New("too many questions for one name")
	errGoAsked = errors.New("already asked")
)

// The kinds of an answer.
const (
	kindA      = "A"
	kindAAAA   = "AAAA"
	kindSystem = "system" // from the operating system, both families together
	kindKnown  = "known"  // nobody had to be asked, both families together
)

// answer is a part of what a name led to.
type answer struct {
	kind  string
	addrs []netip.Addr
}

// lookup is one name on its way to its addresses.
type lookup struct {
	host   string
	server string // asked instead of the system's, "" for none
	lim    limits
	begin  time.Time

	// answers come in any order: A and AAAA always, the system's after them when
	// it was asked and knew more. It is closed when all is known, and has room
	// for all of them, so nobody has to listen.
	answers chan answer
	// changed is told, without waiting, that facts has more to say.
	changed chan struct{}

	mu   sync.Mutex // guards what follows
	step inspect.DNSStep
	done bool
}

// lookup begins to turn host into addresses and returns at once. The error is
// errInvalidName, or nil. When ctx is done the answers still missing come empty
// and soon: whoever has received the end of l.answers has left nothing behind.
func (r *Resolver) lookup(ctx context.Context, host string, lim limits) (*lookup, error) {
	l := &lookup{
		host:    host,
		lim:     lim,
		begin:   time.Now(),
		answers: make(chan answer, 3),
		changed: make(chan struct{}, 1),
		step:    inspect.DNSStep{Source: inspect.SourceSeen, Name: clip(host, 256)},
	}
	if addr, ok := literal(host); ok {
		l.known("literal", addr)
		return l, nil
	}
	if err := checkName(host); err != nil {
		l.known("")
		return l, err
	}
	if isLocalhost(host) {
		// RFC 6761, section 6.3: never asked of a name server. Browsers do not even
		// look into the hosts file.
		l.known("localhost", netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback())
		return l, nil
	}
	if r != nil && r.Server != nil {
		l.server = r.Server(host)
	}
	l.step.A = &inspect.DNSAnswer{Pending: true}
	l.step.AAAA = &inspect.DNSAnswer{Pending: true}
	go l.run(ctx)
	return l, nil
}

// run asks for both families at the same time, and the operating system when
// both were answered with "no such name".
func (l *lookup) run(ctx context.Context) {
	defer l.finish()
	ctx, cancel := context.WithTimeout(ctx, l.lim.resolve)
	defer cancel()

	var noA, noAAAA bool
	var wg sync.WaitGroup
	wg.Go(func() { noA = l.ask(ctx, kindA, l.step.A) })
	wg.Go(func() { noAAAA = l.ask(ctx, kindAAAA, l.step.AAAA) })
	wg.Wait()
	if noA && noAAAA && l.server == "" {
		l.askSystem(ctx)
	}
}

// ask asks for one family, fills its facts and reports whether it was told that
// there is no such name.
//
// The resolver is not given ctx: when its context is done it returns at once
// but leaves a goroutine reading from the name server for up to five seconds.
// Instead the tap closes the connections, and the resolver ends by itself.
//
// A resolver of our own for every question keeps the taps apart: one resolver
// answers two equal questions with one exchange.
func (l *lookup) ask(ctx context.Context, kind string, a *inspect.DNSAnswer) (notFound bool) {
	begin := time.Now()
	t := &tap{l: l, a: a, kind: kind, ctx: ctx}
	stop := context.AfterFunc(ctx, t.shut)
	defer stop()

	network := "ip4"
	if kind == kindAAAA {
		network = "ip6"
	}
	res := &net.Resolver{PreferGo: true, Dial: t.dial}
	addrs, err := res.LookupNetIP(context.WithoutCancel(ctx), network, l.question())

	l.mu.Lock()
	a.Pending = false
	a.Ms = ms(time.Since(begin))
	notFound = l.judge(ctx, a, err)
	addrs = unmapped(addrs)
	a.Addrs = texts(addrs)
	l.credit(a)
	l.answers <- answer{kind, addrs} // never before or after the facts say so
	l.mu.Unlock()
	l.tell()
	return notFound
}

// question is the name in the form in which it is asked. The search list of
// resolv.conf belongs to the system's servers, so a dedicated one is asked for
// the name alone, except for a name of one label, which means nothing without.
func (l *lookup) question() string {
	if l.server != "" && strings.Contains(l.host, ".") && !strings.HasSuffix(l.host, ".") {
		return l.host + "."
	}
	return l.host
}

// judge turns the resolver's error into facts. It needs l.mu.
func (l *lookup) judge(ctx context.Context, a *inspect.DNSAnswer, err error) (notFound bool) {
	var dns *net.DNSError
	switch {
	case err == nil:
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		a.Timeout = true
		a.Error = fmt.Sprintf("no answer within %v", l.lim.resolve)
	case ctx.Err() != nil:
		a.Cancelled = true
	case errors.As(err, &dns):
		// Not dns.Error(): that names the configured server, even when another one
		// was asked.
		a.Error = clip(dns.Err, maxField)
		a.Timeout = dns.IsTimeout
		return dns.IsNotFound
	default:
		a.Error = clip(err.Error(), maxField)
	}
	return false
}

// credit notes where an answer came from. It needs l.mu.
func (l *lookup) credit(a *inspect.DNSAnswer) {
	answered := func(x inspect.DNSExchange) bool { return x.RCode != "" && x.Answers > 0 }
	switch {
	case len(a.Addrs) > 0 && !slices.ContainsFunc(a.Asked, answered):
		l.step.From = "hosts" // no name server said so
	case l.step.From == "" && slices.ContainsFunc(a.Asked, func(x inspect.DNSExchange) bool { return x.RCode != "" }):
		l.step.From = "dns"
	}
}

// askSystem asks the operating system's resolver, which may know names that no
// name server does: mDNS, a directory, a VPN's split DNS. Where Go knows that
// the system would do no more than it just did (nsswitch.conf says "files dns",
// or there is no C library), it uses its own resolver, whose Dial then refuses
// to ask again.
//
// A C library that hangs cannot be interrupted: its thread stays until it comes
// back, whatever this function does. It is the one thing that can outlive a
// lookup.
func (l *lookup) askSystem(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, l.lim.system)
	defer cancel()
	res := &net.Resolver{Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errGoAsked }}
	addrs, err := res.LookupNetIP(ctx, "ip", l.host)
	if err != nil || len(addrs) == 0 {
		return
	}
	addrs = unmapped(addrs)

	l.mu.Lock()
	l.step.From = "system"
	l.share(addrs)
	l.answers <- answer{kindSystem, addrs}
	l.mu.Unlock()
	l.tell()
}

// known answers without asking anybody.
func (l *lookup) known(from string, addrs ...netip.Addr) {
	l.step.From = from
	l.share(addrs)
	l.answers <- answer{kindKnown, addrs}
	l.finish()
}

// share puts addresses into the answers of their families. It needs l.mu once
// the lookup runs.
func (l *lookup) share(addrs []netip.Addr) {
	put := func(a **inspect.DNSAnswer, addrs []netip.Addr) {
		if len(addrs) == 0 {
			return
		}
		if *a == nil {
			*a = new(inspect.DNSAnswer)
		}
		(*a).Addrs, (*a).Error = texts(addrs), ""
	}
	is6 := func(a netip.Addr) bool { return a.Is6() }
	is4 := func(a netip.Addr) bool { return a.Is4() }
	put(&l.step.A, slices.DeleteFunc(slices.Clone(addrs), is6))
	put(&l.step.AAAA, slices.DeleteFunc(slices.Clone(addrs), is4))
}

func (l *lookup) finish() {
	l.mu.Lock()
	l.done = true
	l.step.Ms = ms(time.Since(l.begin))
	l.mu.Unlock()
	close(l.answers)
}

// tell says that the facts have changed. A change not yet looked at stands for
// this one too.
func (l *lookup) tell() {
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// facts is what is known by now. The caller may keep it.
func (l *lookup) facts() *inspect.DNSStep {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := ms(time.Since(l.begin))
	step := l.step
	if !l.done {
		step.Ms = now
	}
	step.A, step.AAAA = copied(l.step.A, now), copied(l.step.AAAA, now)
	return &step
}

// copied is a copy of a as it stands now, in milliseconds since the lookup
// began. It shares only what is never written again.
func copied(a *inspect.DNSAnswer, now float64) *inspect.DNSAnswer {
	if a == nil {
		return nil
	}
	c := *a
	if c.Pending {
		c.Ms = now
	}
	c.Addrs, c.Asked = slices.Clone(a.Addrs), slices.Clone(a.Asked)
	for i := range c.Asked {
		if x := &c.Asked[i]; x.Pending {
			x.Ms = now - x.Ms
		}
	}
	return &c
}

// A tap listens to one family's conversation with the name servers, and ends it
// when ctx is done.
type tap struct {
	l    *lookup
	a    *inspect.DNSAnswer // guarded by l.mu
	kind string
	ctx  context.Context

	conns []net.Conn // open ones, guarded by l.mu
	shutt bool       // guarded by l.mu
}

// dial connects to a name server in the resolver's stead.
func (t *tap) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if t.l.server != "" {
		address = t.l.server
	}
	if t.ctx.Err() != nil {
		return nil, errStopped
	}
	c, ok := t.exchange(network, address)
	if !ok {
		return nil, errEnough
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(t.ctx, cancel)()

	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		c.end(err)
		return nil, err
	}
	c.Conn = conn
	if !t.keep(c) {
		c.Close()
		return nil, errStopped
	}
	if c.packet {
		return packets{c}, nil
	}
	return c, nil
}

// exchange adds a question to the facts, unless there are too many.
func (t *tap) exchange(network, server string) (c *tapped, ok bool) {
	network = strings.TrimRight(network, "46")
	t.l.mu.Lock()
	defer t.l.mu.Unlock()
	if len(t.a.Asked) >= maxExchanges {
		return nil, false
	}
	c = &tapped{t: t, i: len(t.a.Asked), packet: network == "udp", begin: time.Now()}
	t.a.Asked = append(t.a.Asked, inspect.DNSExchange{
		Server: server, Network: network, Name: t.l.question(), Type: t.kind,
		Pending: true, Ms: ms(c.begin.Sub(t.l.begin)), // its start, until decided
	})
	t.l.tell()
	return c, true
}

func (t *tap) keep(c net.Conn) bool {
	t.l.mu.Lock()
	defer t.l.mu.Unlock()
	if t.shutt {
		return false
	}
	t.conns = append(t.conns, c)
	return true
}

// shut ends the conversation: what is being read fails, and nothing new begins.
func (t *tap) shut() {
	t.l.mu.Lock()
	t.shutt = true
	conns := t.conns
	t.conns = nil
	t.l.mu.Unlock()
	for _, c := range conns {
		c.Close()
	}
}

// tapped is a connection to a name server: one question, and its reply.
type tapped struct {
	net.Conn
	t      *tap
	i      int // of the exchange in t.a.Asked
	packet bool
	begin  time.Time

	id     uint16 // of the question
	q      dnsmessage.Question
	stream []byte // of a reply over TCP, until it is whole
}

// packets is a tapped UDP connection. Go's resolver looks for the methods of a
// net.PacketConn, and frames its messages as on TCP where it does not find
// them; it calls neither.
type packets struct{ *tapped }

func (p packets) ReadFrom(b []byte) (int, net.Addr, error) {
	n, err := p.Read(b)
	return n, p.RemoteAddr(), err
}

func (p packets) WriteTo(b []byte, _ net.Addr) (int, error) { return p.Write(b) }

// Write notes what is asked: with a search list it is not always the host.
func (c *tapped) Write(b []byte) (int, error) {
	m := b
	if !c.packet && len(m) >= 2 {
		m = m[2:]
	}
	var p dnsmessage.Parser
	if h, err := p.Start(m); err == nil {
		c.id = h.ID
		if c.q, err = p.Question(); err == nil {
			c.note(func(x *inspect.DNSExchange) { x.Name = c.q.Name.String() })
		}
	}
	n, err := c.Conn.Write(b)
	if err != nil {
		c.end(err)
	}
	return n, err
}

func (c *tapped) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	switch {
	case c.packet && err == nil:
		c.reply(b[:n])
	case !c.packet && n > 0:
		c.piece(b[:n])
	}
	if err != nil {
		c.end(err)
	}
	return n, err
}

// piece collects a reply over TCP, which has its length in front (RFC 1035,
// section 4.2.2). What follows the first reply is not looked at.
func (c *tapped) piece(b []byte) {
	before := len(c.stream)
	c.stream = append(c.stream, b...)
	if len(c.stream) < 2 {
		return
	}
	whole := 2 + int(binary.BigEndian.Uint16(c.stream))
	if before < whole && len(c.stream) >= whole {
		c.reply(c.stream[2:whole])
	}
}

func (c *tapped) reply(b []byte) {
	r := readReply(c.id, c.q, b)
	c.note(func(x *inspect.DNSExchange) {
		if r.Malformed != "" {
			// The resolver goes on waiting, since anybody can send such a reply.
			x.Malformed = r.Malformed
			x.Strays++
			return
		}
		x.RCode, x.Answers, x.Truncated, x.Extended = r.RCode, r.Answers, r.Truncated, r.Extended
		x.Malformed = ""
		c.decided(x)
	})
}

// end notes an exchange that ended without a proper reply. What we closed
// ourselves, and what our own deadline ended, is no fact about the server.
func (c *tapped) end(err error) {
	c.note(func(x *inspect.DNSExchange) {
		x.Errno = errnoName(err)
		if errors.Is(err, io.EOF) && x.Malformed == "" {
			x.Malformed = fmt.Sprintf("connection closed after %d bytes of a reply", len(c.stream))
		}
		c.decided(x)
	})
}

// Close ends an exchange that nothing else has ended.
func (c *tapped) Close() error {
	c.note(c.decided)
	return c.Conn.Close()
}

// note changes the facts of an exchange that is not decided yet.
func (c *tapped) note(change func(x *inspect.DNSExchange)) {
	c.t.l.mu.Lock()
	if x := &c.t.a.Asked[c.i]; x.Pending {
		change(x)
	}
	c.t.l.mu.Unlock()
	c.t.l.tell()
}

func (c *tapped) decided(x *inspect.DNSExchange) {
	x.Pending = false
	x.Ms = ms(time.Since(c.begin))
}

// readReply reads a name server's reply to question q with the given id: its
// code, and what else it tells. What is no reply to it is malformed; the rules
// are the resolver's own.
func readReply(id uint16, q dnsmessage.Question, b []byte) (x inspect.DNSExchange) {
	if err := readSections(id, q, b, &x); err != nil {
		return inspect.DNSExchange{Malformed: clip(err.Error(), maxField)}
	}
	return x
}

func readSections(id uint16, q dnsmessage.Question, b []byte, x *inspect.DNSExchange) error {
	if len(b) < 12 { // RFC 1035, section 4.1.1
		return fmt.Errorf("%d bytes, shorter than a header", len(b))
	}
	var p dnsmessage.Parser
	h, err := p.Start(b)
	if err != nil {
		return fmt.Errorf("header: %w", err)
	}
	rq, err := p.Question()
	switch {
	case h.ID != id:
		return errors.New("wrong id")
	case !h.Response:
		return errors.New("a question, not an answer")
	case err != nil:
		return fmt.Errorf("question: %w", err)
	case rq.Type != q.Type || rq.Class != q.Class || !strings.EqualFold(rq.Name.String(), q.Name.String()):
		return errors.New("answers another question")
	}
	x.Truncated = h.Truncated
	x.RCode = rcodeName(h.RCode)
	if h.Truncated {
		return nil // and cut anywhere
	}
	if err := p.SkipAllQuestions(); err != nil {
		return fmt.Errorf("questions: %w", err)
	}
	for {
		err := p.SkipAnswer()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			break
		}
		if err != nil {
			return fmt.Errorf("answers: %w", err)
		}
		x.Answers++
	}
	if err := p.SkipAllAuthorities(); err != nil {
		return fmt.Errorf("authorities: %w", err)
	}
	for {
		r, err := p.AdditionalHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("additionals: %w", err)
		}
		if r.Type != dnsmessage.TypeOPT {
			if err := p.SkipAdditional(); err != nil {
				return fmt.Errorf("additionals: %w", err)
			}
			continue
		}
		opt, err := p.OPTResource()
		if err != nil {
			return fmt.Errorf("options: %w", err)
		}
		x.RCode = rcodeName(r.ExtendedRCode(h.RCode))
		if e := extendedError(opt.Options); e != nil && x.Extended == nil {
			x.Extended = e
		}
	}
}

// extendedError finds the extended error (RFC 8914, section 2) among the
// options of a reply, nil when there is none. Its text is kept as it came.
func extendedError(options []dnsmessage.Option) *inspect.ExtendedError {
	for _, o := range options {
		if o.Code == 15 && len(o.Data) >= 2 {
			return &inspect.ExtendedError{
				Code: binary.BigEndian.Uint16(o.Data),
				Text: clip(string(o.Data[2:]), maxExtendedText),
			}
		}
	}
	return nil
}

// rcodes are the names of the reply codes in IANA's registry that a resolver
// may meet.
var rcodes = map[dnsmessage.RCode]string{
	0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED",
	6: "YXDOMAIN", 7: "YXRRSET", 8: "NXRRSET", 9: "NOTAUTH", 10: "NOTZONE", 11: "DSOTYPENI",
	16: "BADVERS", 17: "BADKEY", 18: "BADTIME", 19: "BADMODE", 20: "BADNAME", 21: "BADALG",
	22: "BADTRUNC", 23: "BADCOOKIE",
}

func rcodeName(c dnsmessage.RCode) string {
	if s, ok := rcodes[c]; ok {
		return s
	}
	return fmt.Sprintf("RCODE%d", c)
}

// literal reads an address written as one, with or without brackets and zone.
func literal(host string) (netip.Addr, bool) {
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
	}
	addr, err := netip.ParseAddr(host)
	return addr.Unmap(), err == nil
}

// checkName holds a host name against RFC 1123, section 2.1, and RFC 1035,
// section 2.3.4. It lets underscores pass, which names in use have and browsers
// accept. Names beyond ASCII come encoded (RFC 5891).
func checkName(host string) error {
	name := strings.TrimSuffix(host, ".")
	switch {
	case name == "":
		return fmt.Errorf("%w: empty", errInvalidName)
	case len(name) > 253:
		return fmt.Errorf("%w: %d characters, more than 253", errInvalidName, len(name))
	}
	labels := strings.Split(name, ".")
	for _, label := range labels {
		switch {
		case label == "":
			return fmt.Errorf("%w: an empty label", errInvalidName)
		case len(label) > 63:
			return fmt.Errorf("%w: a label of %d characters, more than 63", errInvalidName, len(label))
		}
		for i := range len(label) {
			if !isNameByte(label[i]) {
				return fmt.Errorf("%w: character %q", errInvalidName, label[i])
			}
		}
	}
	// No top-level domain is a number (RFC 3696, section 2): this is an address
	// that is none, such as 256.1.1.1. Browsers say so too (WHATWG URL, 3.5).
	if last := labels[len(labels)-1]; strings.Trim(last, "0123456789") == "" {
		return fmt.Errorf("%w: an address that is none", errInvalidName)
	}
	return nil
}

func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

func isLocalhost(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// unmapped are the addresses with IPv4 as such, each once.
func unmapped(addrs []netip.Addr) []netip.Addr {
	var all []netip.Addr
	for _, a := range addrs {
		if a = a.Unmap(); !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	return all
}

// texts are the addresses as a record keeps them.
func texts(addrs []netip.Addr) []string {
	var s []string
	for _, a := range addrs[:min(len(addrs), maxAddrs)] {
		s = append(s, a.String())
	}
	return s
}

// clip cuts a text from outside to at most n bytes.
func clip(s string, n int) string {
	return s[:min(len(s), n)]
}

func ms(d time.Duration) float64 {
	return float64(d.Microseconds()) / 1000
}
