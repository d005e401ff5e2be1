package lab

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// An answer is what the name server says of a name instead of the addresses of
// its site.
type answer struct {
	code dnsmessage.RCode
	// extended is the extended error (RFC 8914) that goes with code. It is sent
	// to those who ask with EDNS, as the RFC demands.
	extended extended
	addrs    []netip.Addr // besides those of the site
	only     bool         // addrs are instead of those of the site
	noAddr   bool         // the name exists, without any address
	cname    string       // the name is another name for this one
	// checked: only a validating resolver fails; with the CD bit (RFC 4035
	// §3.2.2) the addresses are handed out unchecked.
	checked bool
	silent  bool
	// slow is how long the answer takes.
	slow time.Duration
	// truncated: over UDP there is no answer but "ask over TCP".
	truncated bool
	noTCP     bool // … and there the connection is closed
	// mangle spoils the reply.
	mangle func(reply []byte) []byte
}

// says reports whether the name server gives addr for the place's name, apart
// from the addresses of its own.
func (p *place) says(addr netip.Addr) bool {
	return p.dns != nil && slices.Contains(p.dns.addrs, addr)
}

// extended is an extended DNS error.
type extended struct {
	code uint16
	text string
}

// optExtended is the EDNS option of an extended error (RFC 8914 §2).
const optExtended = 15

// soa goes with replies that say no (RFC 2308 §3).
var soa = dnsmessage.SOAResource{
	NS:     dnsmessage.MustNewName("ns." + Domain + "."),
	MBox:   dnsmessage.MustNewName("hostmaster." + Domain + "."),
	Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, MinTTL: ttl,
}

// ttl is short: a lab that is started anew has other addresses.
const ttl = 1

func (l *Lab) serveDNS() error {
	udp, tcp, err := l.listenDNS()
	if err != nil {
		return err
	}
	l.dns = addrPort(udp.LocalAddr())
	l.do(func() { l.answerUDP(udp) })
	l.do(func() {
		for {
			c, err := tcp.AcceptTCP()
			if err != nil {
				return
			}
			if l.keep(c) {
				l.do(func() { l.answerTCP(c) })
			}
		}
	})
	return nil
}

// listenDNS finds a port that is free for both TCP and UDP.
func (l *Lab) listenDNS() (*net.UDPConn, *net.TCPListener, error) {
	at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0)
	if l.base.IsValid() {
		at = netip.AddrPortFrom(l.base, 53)
	}
	var errs error
	for range 20 {
		tcp, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(at))
		if err != nil {
			return nil, nil, err
		}
		udp, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(addrPort(tcp.Addr())))
		if err == nil {
			l.keep(tcp)
			l.keep(udp)
			return udp, tcp, nil
		}
		tcp.Close()
		errs = err
	}
	return nil, nil, errs
}

func (l *Lab) answerUDP(udp *net.UDPConn) {
	buf := make([]byte, 4096)
	for {
		n, from, err := udp.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // an ICMP error for an earlier reply
			continue
		}
		query, err := parseQuery(buf[:n])
		if err != nil {
			continue
		}
		a := l.lookUp(query)
		reply := func() {
			if b := l.reply(query, a, true); b != nil {
				udp.WriteToUDPAddrPort(b, from)
			}
		}
		if a.slow == 0 {
			reply()
			continue
		}
		l.do(func() {
			if l.wait(l.ctx, a.slow) {
				reply()
			}
		})
	}
}

func (l *Lab) answerTCP(c *net.TCPConn) {
	defer l.forget(c)
	defer c.Close()
	for {
		c.SetDeadline(time.Now().Add(30 * time.Second)) // RFC 7766 §6.2.3 lets us choose
		var size [2]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		buf := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(c, buf); err != nil {
			return
		}
		query, err := parseQuery(buf)
		if err != nil {
			return
		}
		a := l.lookUp(query)
		if a.noTCP {
			c.SetLinger(0)
			return
		}
		if a.slow > 0 && !l.wait(l.ctx, a.slow) {
			return
		}
		b := l.reply(query, a, false)
		if b == nil { // silence, until the client has enough of it
			io.Copy(io.Discard, c)
			return
		}
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)); err != nil {
			return
		}
	}
}

type dnsQuery struct {
	dnsmessage.Header
	dnsmessage.Question
	edns bool
}

func parseQuery(b []byte) (q dnsQuery, err error) {
	var p dnsmessage.Parser
	if q.Header, err = p.Start(b); err != nil {
		return q, err
	}
	if q.Response {
		return q, errors.New("not a query")
	}
	if q.Question, err = p.Question(); err != nil {
		return q, err
	}
	if p.SkipAllQuestions() != nil || p.SkipAllAnswers() != nil || p.SkipAllAuthorities() != nil {
		return q, nil
	}
	for {
		h, err := p.AdditionalHeader()
		if err != nil {
			return q, nil
		}
		q.edns = q.edns || h.Type == dnsmessage.TypeOPT
		if p.SkipAdditional() != nil {
			return q, nil
		}
	}
}

// lookUp is what there is to say about a name.
func (l *Lab) lookUp(q dnsQuery) answer {
	name := canonical(q.Name.String())
	if !serves(name) {
		// The lab may be the only resolver there is: let the browser's own
		// traffic fail fast.
		return answer{code: dnsmessage.RCodeRefused}
	}
	p := l.hosts[name]
	if p == nil {
		return answer{code: dnsmessage.RCodeNameError}
	}
	var a answer
	if p.dns != nil {
		a = *p.dns
	}
	if a.checked && q.CheckingDisabled {
		a = answer{}
	}
	if a.code == dnsmessage.RCodeSuccess && !a.only && !a.noAddr && a.cname == "" {
		a.addrs = append(slices.Clone(p.addrs), a.addrs...)
	}
	return a
}

// reply puts an answer into a message; nil means silence.
func (l *Lab) reply(q dnsQuery, a answer, udp bool) []byte {
	if a.silent {
		return nil
	}
	m := dnsmessage.Message{
		Header: dnsmessage.Header{
			ID: q.ID, Response: true, RCode: a.code,
			RecursionDesired: q.RecursionDesired, RecursionAvailable: true,
			CheckingDisabled: q.CheckingDisabled,
			Truncated:        a.truncated && udp,
		},
		Questions: []dnsmessage.Question{q.Question},
	}
	if !m.Truncated && (a.code == dnsmessage.RCodeSuccess || a.cname != "") {
		m.Answers = l.answers(q.Question, a)
	}
	if no := a.code == dnsmessage.RCodeSuccess || a.code == dnsmessage.RCodeNameError; no && len(m.Answers) == 0 && !m.Truncated {
		name := dnsmessage.MustNewName(Domain + ".")
		m.Authorities = []dnsmessage.Resource{{Header: header(name, dnsmessage.TypeSOA), Body: &soa}}
	}
	if q.edns {
		m.Additionals = []dnsmessage.Resource{opt(a.extended)}
	}
	b, err := m.Pack()
	if err != nil {
		l.logf("lab: reply for %v: %v", q.Name, err)
		return nil
	}
	if a.mangle != nil {
		b = a.mangle(b)
	}
	return b
}

func header(name dnsmessage.Name, t dnsmessage.Type) dnsmessage.ResourceHeader {
	return dnsmessage.ResourceHeader{Name: name, Type: t, Class: dnsmessage.ClassINET, TTL: ttl}
}

// answers are the records of the type asked for, after the aliases that lead
// there.
func (l *Lab) answers(q dnsmessage.Question, a answer) (rr []dnsmessage.Resource) {
	name := q.Name
	if a.cname != "" {
		to := dnsmessage.MustNewName(a.cname + "." + Domain + ".")
		rr = append(rr, dnsmessage.Resource{Header: header(name, dnsmessage.TypeCNAME), Body: &dnsmessage.CNAMEResource{CNAME: to}})
		name = to
		a = l.lookUp(dnsQuery{Question: dnsmessage.Question{Name: to, Type: q.Type, Class: q.Class}})
	}
	for _, addr := range a.addrs {
		switch {
		case addr.Is4() && q.Type == dnsmessage.TypeA:
			rr = append(rr, dnsmessage.Resource{Header: header(name, q.Type), Body: &dnsmessage.AResource{A: addr.As4()}})
		case addr.Is6() && q.Type == dnsmessage.TypeAAAA:
			rr = append(rr, dnsmessage.Resource{Header: header(name, q.Type), Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}})
		}
	}
	return rr
}

// opt is the EDNS record of a reply (RFC 6891 §6.1), with the extended error if
// there is one.
func opt(e extended) dnsmessage.Resource {
	var o dnsmessage.OPTResource
	if e.text != "" {
		data := binary.BigEndian.AppendUint16(nil, e.code)
		o.Options = []dnsmessage.Option{{Code: optExtended, Data: append(data, e.text...)}}
	}
	var h dnsmessage.ResourceHeader
	h.SetEDNS0(1232, dnsmessage.RCodeSuccess, false)
	return dnsmessage.Resource{Header: h, Body: &o}
}

// The ways to spoil a reply.

// wrongID: the reply belongs to another question.
func wrongID(b []byte) []byte {
	b[1] ^= 0x5a
	return b
}

// wrongName: the question in the reply is not the one that was asked.
func wrongName(b []byte) []byte {
	b[13] ^= 0x01 // the first letter of the name
	return b
}

// cutShort: the reply ends inside the question.
func cutShort(b []byte) []byte { return b[:15] }

// noise: a header of the right id, which promises records, and bytes that are none.
func noise(b []byte) []byte {
	out := append([]byte(nil), b[:12]...)
	binary.BigEndian.PutUint16(out[6:], 7)
	for i := range 40 {
		out = append(out, byte(0xc0+i*7))
	}
	return out
}
