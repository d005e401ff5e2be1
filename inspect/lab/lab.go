// Package lab breaks things on purpose: it is a set of servers with one fault
// each, for tests and for showing what a diagnosis looks like.
//
// Every site has a name below [Domain], and everything needed to reach it is
// made here when the lab starts: a name server that knows the names and also
// answers wrongly where the fault is in the name, the listeners, and a root
// certificate of the lab's own from which the servers' certificates are forged
// when they are first asked for. Nothing is written to disk and nothing leaves
// the machine. The catalogue of sites is in sites.go, a row each; what the rows
// are made of is told in the order of a connection: dns.go, tcp.go, tls.go,
// cert.go, http.go.
//
// The lab runs in one of two ways. On loopback, which needs no rights, names
// resolve to addresses that nobody else uses and [Lab.Route] says at which
// port of 127.0.0.1 they really are. In a network namespace of its own
// ([Options.Base]) every site has its own address and its real port, and
// [Lab.Firewall] gives the rules for the faults that only a packet filter can
// make.
//
// A site's certificate is good only for those who trust [Lab.Root]. A client
// that does not will find that fault, and no other, with every https site.
package lab

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// Domain is the name of the lab's index page; the sites are below it. RFC 9476
// and ICANN keep "internal" out of the public tree, so no name of the lab can
// exist elsewhere.
const Domain = "lab.faultline.internal"

// Options say how to run the lab. The zero value runs it on loopback.
type Options struct {
	// Base, when valid, is the first address to bind: every site gets its own
	// address from there on and its real ports (443, 80). That needs a network
	// namespace in which those addresses exist ("ip addr add 10.83.0.1/16 dev lo"
	// makes them all). It must be IPv4, and not 127.0.0.1: sites need that
	// address to be empty. Zero: loopback and ephemeral ports, see [Lab.Route].
	Base netip.Addr
	// Log is told what goes wrong with the lab itself; nil: nobody is.
	Log func(format string, args ...any)
}

const (
	// patience is how long a connection may be held open by a server that says
	// nothing. Browsers give up after 30 s to 300 s, so the client always ends it.
	patience = 6 * time.Minute
	// drainTime is how long a server that has said goodbye waits for the
	// client's goodbye, so that its own last bytes are not lost to a reset.
	drainTime = 5 * time.Second
)

// loopbackBase is the first address that names resolve to on loopback. Nothing
// listens there: the addresses only tell the sites apart.
var loopbackBase = netip.AddrFrom4([4]byte{127, 83, 0, 1})

// A Lab is a running set of sites.
type Lab struct {
	ctx  context.Context
	stop context.CancelFunc
	logf func(format string, args ...any)

	base   netip.Addr // invalid on loopback
	places []*place
	hosts  map[string]*place                 // by lower-case host name, no dot at the end
	real   map[netip.AddrPort]netip.AddrPort // where a site's address really listens
	owned  map[netip.Addr]bool               // addresses that stand for a site
	// closed4 and closed6 are addresses at which connections are refused.
	closed4, closed6 netip.AddrPort

	forge *forge
	dns   netip.AddrPort
	web   *web

	mu    sync.Mutex
	ended bool
	open  map[io.Closer]struct{} // to be closed at the end
	wg    sync.WaitGroup
}

// A place is a site in a running lab: its addresses.
type place struct {
	Site
	addrs []netip.Addr
}

// Start starts the lab. It runs until ctx is done or Close is called; either
// way Close must be called to wait for it.
func Start(ctx context.Context, o Options) (*Lab, error) {
	if o.Base.IsValid() && !o.Base.Is4() {
		return nil, fmt.Errorf("start lab: base %v is not an IPv4 address", o.Base)
	}
	l := &Lab{
		logf:  o.Log,
		base:  o.Base,
		hosts: make(map[string]*place),
		real:  make(map[netip.AddrPort]netip.AddrPort),
		owned: make(map[netip.Addr]bool),
		open:  make(map[io.Closer]struct{}),
	}
	if l.logf == nil {
		l.logf = func(string, ...any) {}
	}
	l.ctx, l.stop = context.WithCancel(ctx)
	context.AfterFunc(l.ctx, l.end)
	if err := l.start(); err != nil {
		l.Close()
		return nil, fmt.Errorf("start lab: %w", err)
	}
	return l, nil
}

func (l *Lab) start() (err error) {
	if l.forge, err = newForge(time.Now()); err != nil {
		return err
	}
	l.web = l.serveWeb()
	if err := l.reserve(); err != nil {
		return err
	}
	l.place()
	for _, p := range l.places {
		if err := l.listen(p); err != nil {
			return fmt.Errorf("site %s: %w", p.Host(), err)
		}
	}
	return l.serveDNS()
}

// place gives every site its addresses.
func (l *Lab) place() {
	next := loopbackBase
	if l.base.IsValid() {
		next = l.base
	}
	for _, s := range append([]Site{index}, Sites()...) {
		p := &place{Site: s}
		for range max(1, s.addrs) {
			p.addrs = append(p.addrs, next)
			l.owned[next] = true
			next = next.Next()
		}
		l.places = append(l.places, p)
		l.hosts[s.Host()] = p
	}
}

// listen starts the listeners of a site.
func (l *Lab) listen(p *place) error {
	if p.Needs == "netns" && !l.base.IsValid() || p.Needs == "linux" && !canFill {
		return nil // better nothing there than another fault, or none
	}
	for _, d := range p.doors() {
		at := netip.AddrPortFrom(p.addrs[d.addr], d.port)
		bind := at
		if !l.base.IsValid() {
			bind = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0)
		}
		ln, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(bind))
		if err != nil {
			return err
		}
		if !l.keep(ln) {
			return net.ErrClosed
		}
		l.real[at] = addrPort(ln.Addr())
		if d.full {
			if err := l.fill(ln); err != nil {
				return fmt.Errorf("fill the queue: %w", err)
			}
			continue
		}
		handle := d.serve.open(l, &p.Site)
		l.do(func() { l.accept(ln, p, handle) })
	}
	return nil
}

// accept serves the connections of one listener until it is closed.
func (l *Lab) accept(ln *net.TCPListener, p *place, handle func(*conn)) {
	for {
		tcp, err := ln.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of files, most likely; the queue keeps the others waiting
			l.logf("lab: %s: accept: %v", p.Host(), err)
			select {
			case <-time.After(100 * time.Millisecond):
				continue
			case <-l.ctx.Done():
				return
			}
		}
		c := &conn{Conn: tcp, tcp: tcp, lab: l, site: &p.Site}
		if !l.keep(c) {
			return
		}
		c.SetDeadline(time.Now().Add(patience))
		l.do(func() {
			handle(c)
			if !c.given {
				c.Close()
			}
		})
	}
}

// Close ends the lab and waits for every goroutine of it.
func (l *Lab) Close() error {
	l.stop()
	l.end()
	l.wg.Wait()
	return nil
}

// end closes whatever is open.
func (l *Lab) end() {
	l.mu.Lock()
	l.ended = true
	open := l.open
	l.open = nil
	l.mu.Unlock()
	for c := range open {
		c.Close()
	}
}

// keep has c closed when the lab ends. If that is over already it closes c at
// once and reports false.
func (l *Lab) keep(c io.Closer) bool {
	l.mu.Lock()
	ended := l.ended
	if !ended {
		l.open[c] = struct{}{}
	}
	l.mu.Unlock()
	if ended {
		c.Close()
	}
	return !ended
}

func (l *Lab) forget(c io.Closer) {
	l.mu.Lock()
	delete(l.open, c)
	l.mu.Unlock()
}

// do runs f in a goroutine that Close waits for, unless the lab has ended.
func (l *Lab) do(f func()) {
	if l.enter() {
		go func() {
			defer l.wg.Done()
			f()
		}()
	}
}

// enter counts a goroutine that Close must wait for; the caller ends it with
// l.wg.Done. It reports false, and counts nothing, when the lab has ended.
func (l *Lab) enter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return false
	}
	l.wg.Add(1)
	return true
}

// wait waits for d and reports false when the lab ended, or ctx did, before.
func (l *Lab) wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
	case <-l.ctx.Done():
	}
	return false
}

// Root is the certificate that the lab's certificates are traced to.
func (l *Lab) Root() *x509.Certificate { return l.forge.root.cert }

// RootPEM is Root in the form in which it is imported.
func (l *Lab) RootPEM() []byte { return pemCert(l.forge.root.cert.Raw) }

// DNS is the address, "host:port", of the lab's own name server, for UDP and
// TCP. It refuses to answer for names that are not the lab's.
func (l *Lab) DNS() string { return l.dns.String() }

// Serves reports whether host is a name of the lab's: [Domain] or below.
func (l *Lab) Serves(host string) bool { return serves(host) }

func serves(host string) bool {
	host = canonical(host)
	return host == Domain || strings.HasSuffix(host, "."+Domain)
}

// canonical is a host name as the lab's tables have it.
func canonical(host string) string {
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// Route is where an address that host resolved to is really to be reached. On
// loopback that is an ephemeral port of 127.0.0.1; in a namespace, and for
// names that are not the lab's, it is addr itself.
func (l *Lab) Route(host string, addr netip.AddrPort) netip.AddrPort {
	if l.base.IsValid() || !l.Serves(host) {
		return addr
	}
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	if real, ok := l.real[addr]; ok {
		return real
	}
	// Nothing is there. Something else on this machine may listen on all
	// addresses, so "nothing" is a place of its own.
	p := l.hosts[canonical(host)]
	switch {
	case l.owned[addr.Addr()], p != nil && p.says(addr.Addr()):
		if addr.Addr().Is6() {
			return l.closed6
		}
		return l.closed4
	}
	return addr
}

// Addr is where the site of that name listens, for direct tests: the port of
// its URL at its last address, which is the one that answers where not all do.
// It is an address that refuses connections when the site does not listen, and
// the zero value when there is no such site. The name "" is the index page.
func (l *Lab) Addr(name string) netip.AddrPort {
	host := Domain
	if name != "" {
		host = name + "." + Domain
	}
	p := l.hosts[host]
	if p == nil {
		return netip.AddrPort{}
	}
	return l.Route(host, netip.AddrPortFrom(p.addrs[len(p.addrs)-1], p.Port))
}

func addrPort(a net.Addr) netip.AddrPort {
	switch a := a.(type) {
	case *net.TCPAddr:
		return netip.AddrPortFrom(a.AddrPort().Addr().Unmap(), a.AddrPort().Port())
	case *net.UDPAddr:
		return netip.AddrPortFrom(a.AddrPort().Addr().Unmap(), a.AddrPort().Port())
	}
	return netip.AddrPort{}
}
