package proxy

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"

	"faultline/inspect"
)

// nameServer is a name server on loopback that says what a test tells it to.
type nameServer struct {
	addr   string
	say    map[string]say // by name and type: "name A"
	udp    net.PacketConn
	tcp    net.Listener
	serves sync.WaitGroup
}

// say makes the reply to a query, nil for silence. It may block.
type say func(q query) []byte

type query struct {
	dnsmessage.Header
	dnsmessage.Question
	network string
}

// serveNames starts a name server. What it was told nothing about does not
// exist.
func serveNames(t *testing.T, script map[string]say) *nameServer {
	t.Helper()
	s := &nameServer{say: script}
	for range 20 { // until one number is free for both
		udp, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		tcp, err := net.Listen("tcp", udp.LocalAddr().String())
		if err != nil {
			udp.Close()
			continue
		}
		s.addr, s.udp, s.tcp = udp.LocalAddr().String(), udp, tcp
		break
	}
	if s.udp == nil {
		t.Fatal("no port is free for both UDP and TCP")
	}
	s.serves.Go(s.serveUDP)
	s.serves.Go(s.serveTCP)
	t.Cleanup(func() {
		s.udp.Close()
		s.tcp.Close()
		s.serves.Wait()
	})
	return s
}

func (s *nameServer) serveUDP() {
	for {
		b := make([]byte, 4096)
		n, from, err := s.udp.ReadFrom(b)
		if err != nil {
			return
		}
		s.serves.Go(func() {
			if reply := s.reply(b[:n], "udp"); reply != nil {
				s.udp.WriteTo(reply, from)
			}
		})
	}
}

func (s *nameServer) serveTCP() {
	for {
		c, err := s.tcp.Accept()
		if err != nil {
			return
		}
		s.serves.Go(func() {
			defer c.Close()
			var n uint16
			if binary.Read(c, binary.BigEndian, &n) != nil {
				return
			}
			b := make([]byte, n)
			if _, err := io.ReadFull(c, b); err != nil {
				return
			}
			if reply := s.reply(b, "tcp"); reply != nil {
				c.Write(binary.BigEndian.AppendUint16(nil, uint16(len(reply))))
				c.Write(reply)
			}
		})
	}
}

func (s *nameServer) reply(b []byte, network string) []byte {
	var p dnsmessage.Parser
	h, err := p.Start(b)
	if err != nil {
		return nil
	}
	question, err := p.Question()
	if err != nil {
		return nil
	}
	q := query{h, question, network}
	kind := strings.TrimPrefix(question.Type.String(), "Type")
	if say, ok := s.say[strings.TrimSuffix(question.Name.String(), ".")+" "+kind]; ok {
		return say(q)
	}
	return code(dnsmessage.RCodeNameError)(q)
}

// resolver asks this server for everything.
func (s *nameServer) resolver() *Resolver {
	return &Resolver{Server: func(string) string { return s.addr }}
}

// message builds a reply.
func (q query) message(rcode dnsmessage.RCode, ede []byte, addrs ...string) []byte {
	m := dnsmessage.Message{
		Header: dnsmessage.Header{
			ID: q.ID, Response: true, RCode: rcode, RecursionDesired: true, RecursionAvailable: true,
		},
		Questions: []dnsmessage.Question{q.Question},
	}
	for _, a := range addrs {
		ip := netip.MustParseAddr(a)
		var body dnsmessage.ResourceBody
		if ip.Is4() {
			body = &dnsmessage.AResource{A: ip.As4()}
		} else {
			body = &dnsmessage.AAAAResource{AAAA: ip.As16()}
		}
		m.Answers = append(m.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 60},
			Body:   body,
		})
	}
	if ede != nil {
		var h dnsmessage.ResourceHeader
		h.SetEDNS0(1232, rcode, false)
		m.Additionals = append(m.Additionals, dnsmessage.Resource{
			Header: h,
			Body:   &dnsmessage.OPTResource{Options: []dnsmessage.Option{{Code: 10, Data: []byte("cookie")}, {Code: 15, Data: ede}}},
		})
	}
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return b
}

func code(c dnsmessage.RCode) say { return func(q query) []byte { return q.message(c, nil) } }
func addresses(addrs ...string) say {
	return func(q query) []byte { return q.message(0, nil, addrs...) }
}
func silence(query) []byte { return nil }
func raw(b string) say     { return func(query) []byte { return []byte(b) } }
func after(c <-chan struct{}, s say) say {
	return func(q query) []byte { <-c; return s(q) }
}

// quick are limits for tests in which something is waited for in vain. What is
// not to happen at all takes an hour.
func quick() limits {
	return limits{
		dial: time.Minute, resolve: 10 * time.Second, system: time.Second,
		grace: time.Hour, stagger: time.Hour, connect: time.Hour, answer: time.Minute,
	}
}

// found is a lookup to its end.
func found(t *testing.T, ctx context.Context, r *Resolver, host string, lim limits) (*inspect.DNSStep, []string) {
	t.Helper()
	l, err := r.lookup(ctx, host, lim)
	if err != nil {
		t.Fatalf("lookup %s: %v", host, err)
	}
	var addrs []string
	for a := range l.answers {
		for _, ip := range a.addrs {
			addrs = append(addrs, ip.String())
		}
	}
	slices.Sort(addrs)
	return l.facts(), addrs
}

func TestResolveReplies(t *testing.T) {
	ede := append([]byte{0, 7}, "expired \x1b[31m"...)
	ns := serveNames(t, map[string]say{
		"both.test A":       addresses("192.0.2.1", "192.0.2.2"),
		"both.test AAAA":    addresses("2001:db8::1"),
		"v4.test A":         addresses("192.0.2.1"),
		"v4.test AAAA":      code(0),
		"v6.test A":         code(0),
		"v6.test AAAA":      addresses("2001:db8::1"),
		"nodata.test A":     code(0),
		"nodata.test AAAA":  code(0),
		"refused.test A":    code(dnsmessage.RCodeRefused),
		"refused.test AAAA": code(dnsmessage.RCodeRefused),
		"formerr.test A":    code(dnsmessage.RCodeFormatError),
		"odd.test A":        code(14),
		"bogus.test A":      func(q query) []byte { return q.message(dnsmessage.RCodeServerFailure, ede) },
		"bogus.test AAAA":   func(q query) []byte { return q.message(dnsmessage.RCodeServerFailure, ede) },
		"long.test A": func(q query) []byte {
			return q.message(dnsmessage.RCodeServerFailure, append([]byte{0, 22}, strings.Repeat("x", 900)...))
		},
		"cookie.test A": func(q query) []byte { return q.message(23, []byte{0, 0}) },
		"big.test A": func(q query) []byte {
			if q.network == "udp" {
				return cut(q)
			}
			return q.message(0, nil, "192.0.2.9")
		},
	})

	tests := []struct {
		name  string
		addrs []string
		a     inspect.DNSExchange // the last one asked for A
	}{
		{"both.test", []string{"192.0.2.1", "192.0.2.2", "2001:db8::1"}, inspect.DNSExchange{RCode: "NOERROR", Answers: 2}},
		{"v4.test", []string{"192.0.2.1"}, inspect.DNSExchange{RCode: "NOERROR", Answers: 1}},
		{"v6.test", []string{"2001:db8::1"}, inspect.DNSExchange{RCode: "NOERROR"}},
		{"nothing.test", nil, inspect.DNSExchange{RCode: "NXDOMAIN"}},
		{"nodata.test", nil, inspect.DNSExchange{RCode: "NOERROR"}},
		{"refused.test", nil, inspect.DNSExchange{RCode: "REFUSED"}},
		{"formerr.test", nil, inspect.DNSExchange{RCode: "FORMERR"}},
		{"odd.test", nil, inspect.DNSExchange{RCode: "RCODE14"}},
		{"bogus.test", nil, inspect.DNSExchange{RCode: "SERVFAIL",
			Extended: &inspect.ExtendedError{Code: 7, Text: "expired \x1b[31m"}}},
		{"long.test", nil, inspect.DNSExchange{RCode: "SERVFAIL",
			Extended: &inspect.ExtendedError{Code: 22, Text: strings.Repeat("x", maxExtendedText)}}},
		{"cookie.test", nil, inspect.DNSExchange{RCode: "BADCOOKIE", Extended: &inspect.ExtendedError{}}},
		{"big.test", []string{"192.0.2.9"}, inspect.DNSExchange{Network: "tcp", RCode: "NOERROR", Answers: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			step, addrs := found(t, t.Context(), ns.resolver(), tt.name, quick())
			if !slices.Equal(addrs, tt.addrs) {
				t.Errorf("addresses: got %v, want %v", addrs, tt.addrs)
			}
			if step.From != "dns" || step.A == nil || step.AAAA == nil {
				t.Fatalf("got %+v, want an answer for both families from dns", step)
			}
			if step.A.Pending || step.A.Timeout || step.A.Cancelled {
				t.Errorf("A: got %+v, want a decided answer", step.A)
			}
			got := step.A.Asked[len(step.A.Asked)-1]
			want := tt.a
			want.Server, want.Type, want.Name = ns.addr, "A", tt.name+"."
			if want.Network == "" {
				want.Network = "udp"
			}
			checkExchange(t, got, want)
			if failed := len(step.A.Addrs) == 0; failed != (step.A.Error != "") {
				t.Errorf("A: got error %q with addresses %v", step.A.Error, step.A.Addrs)
			}
		})
	}
}

// cut is a reply that has no room for its answers.
func cut(q query) []byte {
	b := q.message(0, nil)
	b[2] |= 2 // TC
	return b
}

func checkExchange(t *testing.T, got, want inspect.DNSExchange) {
	t.Helper()
	if g, w := got.Extended, want.Extended; (g == nil) != (w == nil) || g != nil && *g != *w {
		t.Errorf("extended error: got %+v, want %+v", g, w)
	}
	if got.Ms < 0 || got.Ms > 60_000 {
		t.Errorf("got %v ms", got.Ms)
	}
	got.Ms, got.Extended, want.Extended = 0, nil, nil
	if got != want {
		t.Errorf("exchange:\n got %+v\nwant %+v", got, want)
	}
}

func TestResolveNoReply(t *testing.T) {
	wrongID := func(q query) []byte { q.ID++; return q.message(0, nil, "192.0.2.66") }
	ns := serveNames(t, map[string]say{
		"silent.test A":   silence,
		"short.test A":    raw("short"),
		"garbage.test A":  raw(strings.Repeat("\xff", 40)),
		"forged.test A":   wrongID,
		"question.test A": func(q query) []byte { b := q.message(0, nil); b[2] &^= 0x80; return b },
		"other.test A": func(q query) []byte {
			q.Name = dnsmessage.MustNewName("elsewhere.test.")
			return q.message(0, nil, "192.0.2.66")
		},
	})
	tests := []struct{ name, malformed string }{
		{"silent.test", ""},
		{"short.test", "5 bytes, shorter than a header"},
		{"garbage.test", "wrong id"},
		{"forged.test", "wrong id"},
		{"question.test", "a question, not an answer"},
		{"other.test", "answers another question"},
	}
	lim := quick()
	lim.resolve = 200 * time.Millisecond
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			step, addrs := found(t, t.Context(), ns.resolver(), tt.name, lim)
			if len(addrs) > 0 || !step.A.Timeout || step.A.Cancelled || step.A.Pending {
				t.Fatalf("got %v, %+v, want a timeout", addrs, step.A)
			}
			x := step.A.Asked[0]
			if !strings.Contains(x.Malformed, tt.malformed) || (x.Malformed != "") != (tt.malformed != "") {
				t.Errorf("malformed: got %q, want %q", x.Malformed, tt.malformed)
			}
			if x.RCode != "" || x.Errno != "" || x.Pending || (x.Strays > 0) != (tt.malformed != "") {
				t.Errorf("exchange: got %+v, want no reply", x)
			}
			if rcode := step.AAAA.Asked[0].RCode; rcode != "NXDOMAIN" || step.AAAA.Timeout {
				t.Errorf("AAAA: got %+v, want its own outcome", step.AAAA)
			}
		})
	}
}

// A reply that anybody could have sent does not hide the proper one.
func TestResolveStrayThenProper(t *testing.T) {
	question := dnsmessage.Question{Name: dnsmessage.MustNewName("race.test."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}
	proper := query{dnsmessage.Header{ID: 7}, question, "udp"}
	forged := proper
	forged.ID++

	a := &inspect.DNSAnswer{Asked: []inspect.DNSExchange{{Pending: true}}}
	l := &lookup{changed: make(chan struct{}, 1)}
	c := tapped{t: &tap{l: l, a: a}, packet: true, begin: time.Now(), id: 7, q: question}
	c.reply(forged.message(0, nil, "192.0.2.66"))
	if x := a.Asked[0]; x.Malformed == "" || x.Strays != 1 || !x.Pending {
		t.Errorf("after the stray: got %+v", x)
	}
	c.reply(proper.message(0, nil, "192.0.2.1"))
	if x := a.Asked[0]; x.Malformed != "" || x.Strays != 1 || x.Pending || x.RCode != "NOERROR" {
		t.Errorf("after the reply: got %+v", x)
	}
}

func TestResolveServerUnreachable(t *testing.T) {
	// A socket that talks to somebody else refuses whoever else comes.
	busy, err := net.Dial("udp", "127.0.0.1:9")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	r := &Resolver{Server: func(string) string { return busy.LocalAddr().String() }}
	step, _ := found(t, t.Context(), r, "any.test", quick())
	if x := step.A.Asked[0]; x.Errno != "ECONNREFUSED" || x.RCode != "" || x.Malformed != "" {
		t.Errorf("got %+v, want ECONNREFUSED", x)
	}
	if step.A.Timeout || step.A.Error == "" || step.From != "" {
		t.Errorf("got %+v from %q, want an error from nobody", step.A, step.From)
	}
}

func TestResolveTruncatedWithoutTCP(t *testing.T) {
	ns := serveNames(t, map[string]say{"big.test A": cut})
	ns.tcp.Close()
	step, _ := found(t, t.Context(), ns.resolver(), "big.test", quick())
	if len(step.A.Asked) < 2 {
		t.Fatalf("got %+v, want a question over UDP and one over TCP", step.A.Asked)
	}
	if x := step.A.Asked[0]; !x.Truncated || x.Network != "udp" || x.RCode != "NOERROR" {
		t.Errorf("first: got %+v, want a truncated reply", x)
	}
	if x := step.A.Asked[1]; x.Network != "tcp" || x.Errno != "ECONNREFUSED" || x.RCode != "" {
		t.Errorf("second: got %+v, want TCP refused", x)
	}
}

func TestResolveTCPClosed(t *testing.T) {
	ns := serveNames(t, map[string]say{"big.test A": func(q query) []byte {
		if q.network == "udp" {
			return cut(q)
		}
		return nil
	}})
	step, _ := found(t, t.Context(), ns.resolver(), "big.test", quick())
	if x := step.A.Asked[1]; x.Network != "tcp" || !strings.Contains(x.Malformed, "closed after 0 bytes") {
		t.Errorf("got %+v, want a connection closed without a reply", x)
	}
}

func TestResolveWithoutAsking(t *testing.T) {
	asked := func(host string) string { t.Errorf("asked for %s", host); return "" }
	tests := []struct {
		host, from string
		addrs      []string
	}{
		{"192.0.2.7", "literal", []string{"192.0.2.7"}},
		{"2001:db8::7", "literal", []string{"2001:db8::7"}},
		{"[2001:db8::7]", "literal", []string{"2001:db8::7"}},
		{"fe80::1%lo", "literal", []string{"fe80::1%lo"}},
		{"::ffff:192.0.2.7", "literal", []string{"192.0.2.7"}},
		{"localhost", "localhost", []string{"127.0.0.1", "::1"}},
		{"App.LocalHost.", "localhost", []string{"127.0.0.1", "::1"}},
	}
	for _, tt := range tests {
		t.Run(tt.host, func(t *testing.T) {
			step, addrs := found(t, t.Context(), &Resolver{Server: asked}, tt.host, quick())
			if step.From != tt.from || !slices.Equal(addrs, tt.addrs) {
				t.Errorf("got %v from %q, want %v from %q", addrs, step.From, tt.addrs, tt.from)
			}
		})
	}
}

func TestResolveInvalidName(t *testing.T) {
	label := strings.Repeat("a", 63)
	tests := []struct {
		name, host string
		valid      bool
	}{
		{"plain", "example.com", true},
		{"rooted", "example.com.", true},
		{"one label", "intranet", true},
		{"underscore", "_dmarc.my_host.example", true},
		{"encoded", "xn--bcher-kva.example", true},
		{"hyphens", "-odd-.example", true},
		{"longest", strings.Join([]string{label, label, label, strings.Repeat("b", 61)}, "."), true},
		{"numbers", "1.2.3.example", true},
		{"empty", "", false},
		{"dot", ".", false},
		{"empty label", "a..b", false},
		{"leading dot", ".example.com", false},
		{"two dots", "example.com..", false},
		{"long label", label + "a.example", false},
		{"too long", strings.Join([]string{label, label, label, strings.Repeat("b", 62)}, "."), false},
		{"space", "a b.example", false},
		{"control", "a\x00b.example", false},
		{"line", "a\r\nb.example", false},
		{"slash", "a/b.example", false},
		{"not ASCII", "bücher.example", false},
		{"no address", "256.1.1.1", false},
		{"short address", "127.1", false},
		{"number", "443", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := checkName(tt.host)
			if (err == nil) != tt.valid {
				t.Errorf("checkName(%q): got %v, want valid %v", tt.host, err, tt.valid)
			}
			if err != nil && !errors.Is(err, errInvalidName) {
				t.Errorf("checkName(%q): got %v, want errInvalidName", tt.host, err)
			}
		})
	}
}

// A cancelled lookup ends at once, and leaves neither goroutine nor socket.
func TestResolveCancel(t *testing.T) {
	ns := serveNames(t, map[string]say{"silent.test A": silence, "silent.test AAAA": silence})
	ignore := goleak.IgnoreCurrent()
	ctx, cancel := context.WithCancel(t.Context())
	l, err := ns.resolver().lookup(ctx, "silent.test", quick())
	if err != nil {
		t.Fatal(err)
	}
	for len(asked(l)) < 2 { // both questions are on their way
		<-l.changed
	}
	if f := l.facts(); !f.A.Pending || !f.A.Asked[0].Pending || f.A.Asked[0].Server != ns.addr {
		t.Errorf("meanwhile: got %+v, want a pending question to %s", f.A, ns.addr)
	}
	cancel()
	for range l.answers {
	}
	f := l.facts()
	for _, a := range []*inspect.DNSAnswer{f.A, f.AAAA} {
		if !a.Cancelled || a.Timeout || a.Pending || a.Error != "" || a.Asked[0].Errno != "" {
			t.Errorf("got %+v, want cancelled", a)
		}
	}
	goleak.VerifyNone(t, ignore)
}

func asked(l *lookup) []inspect.DNSExchange {
	f := l.facts()
	return append(f.A.Asked, f.AAAA.Asked...)
}

// What a lookup has told is its receiver's: it does not change afterwards.
func TestResolveFactsAreCopies(t *testing.T) {
	release := make(chan struct{})
	ns := serveNames(t, map[string]say{"slow.test A": after(release, addresses("192.0.2.1"))})
	l, err := ns.resolver().lookup(t.Context(), "slow.test", quick())
	if err != nil {
		t.Fatal(err)
	}
	for len(l.facts().A.Asked) == 0 {
		<-l.changed
	}
	before := l.facts()
	close(release)
	for range l.answers {
	}
	if before.A.Asked[0].RCode != "" || !before.A.Pending || len(before.A.Addrs) > 0 {
		t.Errorf("the facts changed: %+v", before.A)
	}
	if now := l.facts(); now.A.Asked[0].RCode != "NOERROR" || now.A.Pending {
		t.Errorf("got %+v, want an answer", now.A)
	}
}

func TestResolveAsksWithBounds(t *testing.T) {
	l := &lookup{host: "any.test", server: "127.0.0.1:9", begin: time.Now(), changed: make(chan struct{}, 1)}
	tp := &tap{l: l, a: new(inspect.DNSAnswer), kind: kindA, ctx: t.Context()}
	for i := range maxExchanges + 3 {
		c, err := tp.dial(t.Context(), "udp", "192.0.2.53:53")
		if (err == nil) != (i < maxExchanges) {
			t.Fatalf("question %d: got error %v", i, err)
		}
		if err == nil {
			c.Close()
		}
	}
	if n := len(tp.a.Asked); n != maxExchanges {
		t.Errorf("got %d exchanges, want %d", n, maxExchanges)
	}
}

// skipf skips a test that this machine cannot run. Where every test must run,
// FAULTLINE_NO_SKIP=1 makes that a failure, so that no test rests unnoticed.
func skipf(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("FAULTLINE_NO_SKIP") == "1" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

func FuzzDNSReply(f *testing.F) {
	question := dnsmessage.Question{Name: dnsmessage.MustNewName("a.test."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}
	q := query{dnsmessage.Header{ID: 7}, question, "udp"}
	seeds := [][]byte{
		nil,
		q.message(0, nil, "192.0.2.1", "192.0.2.2"),
		q.message(dnsmessage.RCodeNameError, nil),
		q.message(dnsmessage.RCodeServerFailure, append([]byte{0, 6}, "bogus"...)),
		q.message(23, []byte{0, 1}),
		cut(q),
	}
	for _, b := range seeds {
		f.Add(b, 3)
		f.Add(b, len(b)-1)
	}
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		if len(b) > 65535 {
			return
		}
		x := readReply(7, question, b)
		if (x.Malformed == "") != (x.RCode != "") {
			t.Errorf("got both or neither of a code and a complaint: %+v", x)
		}
		if x.Malformed != "" && (x.Answers > 0 || x.Truncated || x.Extended != nil) {
			t.Errorf("facts from a malformed reply: %+v", x)
		}
		if x.Extended != nil && len(x.Extended.Text) > maxExtendedText || len(x.Malformed) > maxField || x.Answers > len(b) {
			t.Errorf("unbounded: %+v", x)
		}

		// Over TCP, cut anywhere, it reads the same.
		stream := append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
		cut = min(max(cut, 0), len(stream))
		a := &inspect.DNSAnswer{Asked: []inspect.DNSExchange{{Pending: true}}}
		c := tapped{t: &tap{l: &lookup{changed: make(chan struct{}, 1)}, a: a}, id: 7, q: question, begin: time.Now()}
		c.piece(stream[:cut])
		c.piece(stream[cut:])
		got := a.Asked[0]
		if got.RCode != x.RCode || got.Malformed != x.Malformed || got.Answers != x.Answers {
			t.Errorf("cut at %d:\n got %+v\nwant %+v", cut, got, x)
		}
	})
}
