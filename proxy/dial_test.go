package proxy

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"

	"faultline/inspect"
)

// place is a small world for a dialer: names from a scripted name server, whose
// documentation addresses lead to sockets on loopback.
type place struct {
	*Dialer
	to map[string]netip.AddrPort // by address
}

func newPlace(t *testing.T, script map[string]say, to map[string]netip.AddrPort) *place {
	t.Helper()
	lim := quick()
	p := &place{to: to}
	p.Dialer = &Dialer{
		Resolver: serveNames(t, script).resolver(),
		limits:   &lim,
		Route: func(_ string, a netip.AddrPort) netip.AddrPort {
			if to, ok := p.to[a.Addr().String()]; ok {
				return to
			}
			return a
		},
	}
	return p
}

// listening is a server that accepts, and keeps what it has until the end.
func listening(t *testing.T, address string) netip.AddrPort {
	t.Helper()
	addr, stop := listen(t, address)
	t.Cleanup(stop)
	return addr
}

func listen(t *testing.T, address string) (addr netip.AddrPort, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		if strings.Contains(address, "::1") {
			skipf(t, "no IPv6 on loopback: %v", err)
		}
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort(), func() { l.Close(); <-done }
}

// closed is an address at which nothing listens: the client's end of a
// connection, since a port that is merely free may be taken by anybody.
func closed(t *testing.T, address string) netip.AddrPort {
	t.Helper()
	c, err := net.Dial("tcp", listening(t, address).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.LocalAddr().(*net.TCPAddr).AddrPort()
}

// outcomes are the tries in short: the address, and how it ended.
func outcomes(tcp *inspect.TCPStep) (all []string) {
	if tcp == nil {
		return nil
	}
	for _, y := range tcp.Tries {
		how := y.Errno
		switch {
		case y.OK && y.Errno == "" && !y.GaveUp && !y.Cancelled && !y.Pending:
			how = "ok"
		case y.Cancelled:
			how += "cancelled"
		case y.GaveUp:
			how += " gave up"
		case y.Pending:
			how += "pending"
		}
		all = append(all, y.Addr+" "+how)
	}
	return all
}

func checkOutcomes(t *testing.T, tcp *inspect.TCPStep, want ...string) {
	t.Helper()
	if got := outcomes(tcp); !slices.Equal(got, want) {
		t.Errorf("tries:\n got %q\nwant %q", got, want)
	}
}

func TestDialDualStack(t *testing.T) {
	up4, up6 := listening(t, "127.0.0.1:0"), listening(t, "[::1]:0")
	down4, down6 := closed(t, "127.0.0.1:0"), closed(t, "[::1]:0")
	const a4, b4, a6, b6 = "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"
	script := map[string]say{
		"both.test A": addresses(a4, b4), "both.test AAAA": addresses(a6, b6),
		"v4.test A": addresses(a4, b4), "v4.test AAAA": code(0),
		"v6.test A": code(0), "v6.test AAAA": addresses(a6, b6),
		"half.test A": addresses(a4, b4), "half.test AAAA": code(2),
		"one.test A": code(5), "one.test AAAA": addresses(a6),
		"none.test AAAA": code(dnsmessage.RCodeNameError),
	}
	tests := []struct {
		name string
		to   map[string]netip.AddrPort
		want []string
		err  error
	}{
		{"both.test", map[string]netip.AddrPort{a4: up4, b4: up4, a6: up6, b6: up6},
			[]string{"[2001:db8::1]:443 ok"}, nil},
		// A try that failed starts the next at once: the stagger is an hour here.
		{"both.test", map[string]netip.AddrPort{a4: up4, b4: up4, a6: down6, b6: down6},
			[]string{"[2001:db8::1]:443 ECONNREFUSED", "192.0.2.1:443 ok"}, nil},
		{"both.test", map[string]netip.AddrPort{a4: down4, b4: down4, a6: down6, b6: up6},
			[]string{"[2001:db8::1]:443 ECONNREFUSED", "192.0.2.1:443 ECONNREFUSED", "[2001:db8::2]:443 ok"}, nil},
		{"both.test", map[string]netip.AddrPort{a4: down4, b4: down4, a6: down6, b6: down6},
			[]string{"[2001:db8::1]:443 ECONNREFUSED", "192.0.2.1:443 ECONNREFUSED",
				"[2001:db8::2]:443 ECONNREFUSED", "192.0.2.2:443 ECONNREFUSED"}, errConnect},
		{"v4.test", map[string]netip.AddrPort{a4: down4, b4: up4},
			[]string{"192.0.2.1:443 ECONNREFUSED", "192.0.2.2:443 ok"}, nil},
		{"v6.test", map[string]netip.AddrPort{a6: down6, b6: up6},
			[]string{"[2001:db8::1]:443 ECONNREFUSED", "[2001:db8::2]:443 ok"}, nil},
		{"half.test", map[string]netip.AddrPort{a4: up4, b4: up4}, []string{"192.0.2.1:443 ok"}, nil},
		{"one.test", map[string]netip.AddrPort{a6: up6}, []string{"[2001:db8::1]:443 ok"}, nil},
		{"none.test", nil, nil, errResolve},
	}
	for _, tt := range tests {
		t.Run(tt.name+" "+strings.Join(tt.want, ", "), func(t *testing.T) {
			// AAAA comes when A is known: which comes first decides what is tried.
			known := make(chan struct{})
			script := maps.Clone(script)
			script[tt.name+" AAAA"] = after(known, script[tt.name+" AAAA"])
			p := newPlace(t, script, tt.to)
			tell := sync.OnceFunc(func() { close(known) })
			defer tell()
			conn, dns, tcp, err := p.dial(t.Context(), tt.name, 443, func(dns *inspect.DNSStep, _ *inspect.TCPStep) {
				if !dns.A.Pending {
					tell()
				}
			})
			if !errors.Is(err, tt.err) || (conn == nil) != (tt.err != nil) {
				t.Fatalf("got %v, %v, want %v", conn, err, tt.err)
			}
			if conn != nil {
				defer conn.Close()
				if last := tcp.Tries[len(tcp.Tries)-1]; tcp.Addr != last.Addr || last.Routed != conn.RemoteAddr().String() {
					t.Errorf("addr %q, last try %+v, connected to %v", tcp.Addr, last, conn.RemoteAddr())
				}
			}
			if dns == nil || dns.Name != tt.name || dns.Source != inspect.SourceSeen {
				t.Errorf("dns: got %+v", dns)
			}
			checkOutcomes(t, tcp, tt.want...)
		})
	}
}

// When AAAA came first it is used at once, whatever becomes of A.
func TestDialDoesNotWaitForA(t *testing.T) {
	p := newPlace(t, map[string]say{"x.test A": silence, "x.test AAAA": addresses("2001:db8::1")},
		map[string]netip.AddrPort{"2001:db8::1": listening(t, "[::1]:0")})
	conn, dns, tcp, err := p.dial(t.Context(), "x.test", 443, nil)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	checkOutcomes(t, tcp, "[2001:db8::1]:443 ok")
	if !dns.A.Cancelled || dns.A.Timeout {
		t.Errorf("A: got %+v, want cancelled", dns.A)
	}
}

// When A came first, AAAA has a little time (the grace) to overtake it.
func TestDialWaitsForAAAA(t *testing.T) {
	release := make(chan struct{})
	p := newPlace(t, map[string]say{
		"x.test A":    addresses("192.0.2.1"),
		"x.test AAAA": after(release, addresses("2001:db8::1")),
	}, map[string]netip.AddrPort{"192.0.2.1": listening(t, "127.0.0.1:0"), "2001:db8::1": listening(t, "[::1]:0")})
	tell := sync.OnceFunc(func() { close(release) })
	defer tell()
	watch := func(dns *inspect.DNSStep, tcp *inspect.TCPStep) {
		if tcp == nil && len(dns.A.Addrs) > 0 {
			tell()
		}
	}
	conn, _, tcp, err := p.dial(t.Context(), "x.test", 443, watch)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	checkOutcomes(t, tcp, "[2001:db8::1]:443 ok")
}

// … but only a little: a name server that is silent about AAAA costs no more.
func TestDialDoesNotWaitForever(t *testing.T) {
	p := newPlace(t, map[string]say{"x.test A": addresses("192.0.2.1"), "x.test AAAA": silence},
		map[string]netip.AddrPort{"192.0.2.1": listening(t, "127.0.0.1:0")})
	p.limits.grace = 20 * time.Millisecond
	conn, dns, tcp, err := p.dial(t.Context(), "x.test", 443, nil)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	checkOutcomes(t, tcp, "192.0.2.1:443 ok")
	if !dns.AAAA.Cancelled || dns.Ms < 20 {
		t.Errorf("got %+v after %v ms, want AAAA given up after the grace", dns.AAAA, dns.Ms)
	}
}

// Addresses that come late join the race.
func TestDialLateAnswer(t *testing.T) {
	release := make(chan struct{})
	p := newPlace(t, map[string]say{
		"x.test A":    addresses("192.0.2.1"),
		"x.test AAAA": after(release, addresses("2001:db8::1")),
	}, map[string]netip.AddrPort{"192.0.2.1": closed(t, "127.0.0.1:0"), "2001:db8::1": listening(t, "[::1]:0")})
	p.limits.grace = time.Millisecond
	tell := sync.OnceFunc(func() { close(release) })
	defer tell()
	watch := func(_ *inspect.DNSStep, tcp *inspect.TCPStep) {
		if tcp != nil && tcp.Tries[0].Errno != "" {
			tell() // only when A has failed
		}
	}
	conn, _, tcp, err := p.dial(t.Context(), "x.test", 443, watch)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	checkOutcomes(t, tcp, "192.0.2.1:443 ECONNREFUSED", "[2001:db8::1]:443 ok")
}

// A machine without IPv6 tries it last, and with luck never: a dead IPv6 is
// then no finding.
func TestDialWithoutRoute(t *testing.T) {
	// No machine has a route to an address of this zone.
	nowhere := netip.MustParseAddrPort("[fe80::1%nosuchlink]:443")
	script := map[string]say{"x.test A": addresses("192.0.2.1"), "x.test AAAA": addresses("2001:db8::1")}
	p := newPlace(t, script, map[string]netip.AddrPort{"192.0.2.1": listening(t, "127.0.0.1:0"), "2001:db8::1": nowhere})
	conn, _, tcp, err := p.dial(t.Context(), "x.test", 443, nil)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	checkOutcomes(t, tcp, "192.0.2.1:443 ok")

	p.to["192.0.2.1"] = closed(t, "127.0.0.1:0")
	_, _, tcp, err = p.dial(t.Context(), "x.test", 443, nil)
	if !errors.Is(err, errConnect) {
		t.Fatal(err)
	}
	if len(tcp.Tries) != 2 || tcp.Tries[0].Addr != "192.0.2.1:443" || tcp.Tries[1].OK {
		t.Errorf("got %+v, want both tried, IPv6 last", tcp.Tries)
	}
}

func TestDialTooManyAddresses(t *testing.T) {
	var many []string
	to := make(map[string]netip.AddrPort)
	down := closed(t, "127.0.0.1:0")
	for i := range maxTries + 4 {
		ip := netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)})
		many = append(many, ip.String())
		to[ip.String()] = down
	}
	p := newPlace(t, map[string]say{"x.test A": addresses(many...)}, to)
	_, dns, tcp, err := p.dial(t.Context(), "x.test", 443, nil)
	if !errors.Is(err, errConnect) || len(tcp.Tries) != maxTries || tcp.Untried != 4 {
		t.Errorf("got %v, %d tries, %d untried, want %d and 4", err, len(tcp.Tries), tcp.Untried, maxTries)
	}
	if len(dns.A.Addrs) != maxTries+4 {
		t.Errorf("got %d addresses", len(dns.A.Addrs))
	}
}

func TestDialForbidden(t *testing.T) {
	self := listening(t, "127.0.0.1:0")
	p := newPlace(t, map[string]say{
		"me.test A": addresses("127.0.0.1"), "any.test A": addresses("0.0.0.0"), "other.test A": addresses("192.0.2.1"),
	}, map[string]netip.AddrPort{"192.0.2.1": listening(t, "127.0.0.1:0")})
	p.Forbidden = func(a netip.AddrPort) bool { return a == self }
	for _, host := range []string{"me.test", "any.test", "127.0.0.1", "0.0.0.0", "::ffff:127.0.0.1", "localhost"} {
		conn, dns, tcp, err := p.dial(t.Context(), host, self.Port(), nil)
		if conn != nil || !errors.Is(err, ErrLoop) || dns == nil || tcp != nil {
			t.Errorf("%s: got %v, %v, %v, %v, want ErrLoop and no try", host, conn, dns, tcp, err)
		}
	}
	conn, _, _, err := p.dial(t.Context(), "other.test", self.Port(), nil)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func TestDialInvalidName(t *testing.T) {
	conn, dns, tcp, err := new(Dialer).dial(t.Context(), "a..b", 443, nil)
	if conn != nil || !errors.Is(err, errInvalidName) || tcp != nil || dns == nil || dns.Name != "a..b" || dns.A != nil {
		t.Errorf("got %v, %+v, %+v, %v", conn, dns, tcp, err)
	}
}

// A name server that says nothing ends the dial with its budget, and can be
// told of before.
func TestDialStallsInDNS(t *testing.T) {
	p := newPlace(t, map[string]say{"x.test A": silence, "x.test AAAA": silence}, nil)
	p.limits.resolve = 300 * time.Millisecond
	var seen bool
	_, dns, tcp, err := p.dial(t.Context(), "x.test", 443, func(dns *inspect.DNSStep, tcp *inspect.TCPStep) {
		seen = seen || dns.A.Pending && len(dns.A.Asked) == 1 && dns.A.Asked[0].Pending && tcp == nil
	})
	if !errors.Is(err, errResolve) || tcp != nil || !dns.A.Timeout || !dns.AAAA.Timeout {
		t.Errorf("got %+v, %+v, %v, want two timeouts", dns, tcp, err)
	}
	if !seen {
		t.Error("watch was not told of the question that nobody answered")
	}
}

// Whoever watches keeps what it was told: nothing changes under its hands, and
// the last word is the result.
func TestDialWatch(t *testing.T) {
	p := newPlace(t, map[string]say{"x.test A": addresses("192.0.2.1", "192.0.2.2"), "x.test AAAA": code(0)},
		map[string]netip.AddrPort{"192.0.2.1": closed(t, "127.0.0.1:0"), "192.0.2.2": closed(t, "127.0.0.1:0")})
	var story []string
	var kept []*inspect.TCPStep
	_, _, tcp, err := p.dial(t.Context(), "x.test", 443, func(dns *inspect.DNSStep, tcp *inspect.TCPStep) {
		if dns == nil {
			t.Error("no DNS step")
		}
		now := strings.Join(outcomes(tcp), ", ")
		if len(story) == 0 || story[len(story)-1] != now {
			story, kept = append(story, now), append(kept, tcp)
		}
	})
	if !errors.Is(err, errConnect) {
		t.Fatal(err)
	}
	want := []string{
		"",
		"192.0.2.1:443 pending",
		"192.0.2.1:443 ECONNREFUSED, 192.0.2.2:443 pending",
		"192.0.2.1:443 ECONNREFUSED, 192.0.2.2:443 ECONNREFUSED",
	}
	if !slices.Equal(story, want) {
		t.Errorf("told:\n got %q\nwant %q", story, want)
	}
	for i, tcp := range kept {
		if got := strings.Join(outcomes(tcp), ", "); got != story[i] {
			t.Errorf("changed afterwards: got %q, want %q", got, story[i])
		}
	}
	checkOutcomes(t, tcp, strings.Split(want[3], ", ")...)
}

func TestDialCancelled(t *testing.T) {
	p := newPlace(t, map[string]say{"x.test A": silence, "x.test AAAA": silence}, nil)
	ignore := goleak.IgnoreCurrent()
	ctx, cancel := context.WithCancel(t.Context())
	conn, dns, tcp, err := p.dial(ctx, "x.test", 443, func(dns *inspect.DNSStep, _ *inspect.TCPStep) {
		if len(dns.A.Asked) > 0 {
			cancel()
		}
	})
	if conn != nil || !errors.Is(err, context.Canceled) || tcp != nil || !dns.A.Cancelled || dns.A.Timeout {
		t.Errorf("got %+v, %+v, %v, want cancelled", dns, tcp, err)
	}
	goleak.VerifyNone(t, ignore)
}

func TestDialManyAtOnce(t *testing.T) {
	p := newPlace(t, map[string]say{"x.test A": addresses("192.0.2.1"), "x.test AAAA": addresses("2001:db8::1")},
		map[string]netip.AddrPort{"192.0.2.1": listening(t, "127.0.0.1:0"), "2001:db8::1": closed(t, "[::1]:0")})
	ignore := goleak.IgnoreCurrent()
	errs := make(chan error)
	for range 32 {
		go func() {
			conn, _, tcp, err := p.dial(t.Context(), "x.test", 443, func(*inspect.DNSStep, *inspect.TCPStep) {})
			if err == nil {
				conn.Close()
				if tcp.Addr != "192.0.2.1:443" {
					err = errors.New("connected to " + tcp.Addr)
				}
			}
			errs <- err
		}()
	}
	for range 32 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	goleak.VerifyNone(t, ignore)
}

func TestDialBudgetsFit(t *testing.T) {
	if standard.resolve+standard.connect > standard.dial {
		t.Error("a slow name server leaves no time to connect to one address")
	}
	if standard.dial >= 20*time.Second {
		t.Error("the answer may come too late for the browser")
	}
	if last := (maxTries - 1) * standard.stagger; last+standard.connect > standard.dial {
		t.Error("the last address has not its whole time")
	}
}

func TestDialErrnoName(t *testing.T) {
	tests := []struct {
		err  error
		want string
	}{
		{nil, ""},
		{context.Canceled, ""},
		{net.ErrClosed, ""},
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, "ECONNREFUSED"},
		{syscall.EHOSTUNREACH, "EHOSTUNREACH"},
		{syscall.Errno(10061), "ECONNREFUSED"},
		{syscall.Errno(7777), "errno 7777"},
	}
	for _, tt := range tests {
		if got := errnoName(tt.err); got != tt.want {
			t.Errorf("errnoName(%v): got %q, want %q", tt.err, got, tt.want)
		}
	}
}
