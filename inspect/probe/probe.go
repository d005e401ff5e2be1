// Package probe compares: it makes a connection of faultline's own to the place
// where a client's connection failed, and says what came back.
//
// A probe carries no cookies, no credentials and no path. It goes only to the
// host that was just visited, to the very address the client reached, after the
// client's own connection has ended. At most [maxAtOnce] run at a time, one for
// each target; a result is used again for [keep], because one navigation makes
// up to eleven connections.
package probe

import (
	"context"
	"net"
	"strings"
	"sync"
	"time"

	"faultline/inspect"
)

const (
	// budget ends a comparison: the person is waiting for the verdict, though
	// nobody's connection is.
	budget = 5 * time.Second
	// keep is how long a result stands for further attempts of the same visit.
	keep = 10 * time.Second
	// maxAtOnce bounds the connections made at a time.
	maxAtOnce = 4
	// maxKept bounds the results that are remembered.
	maxKept = 256
)

// A Prober makes comparisons. Its methods may be called from many goroutines.
type Prober struct {
	// Dial connects to the place the attempt reached, by the same way and, where
	// that is direct, with the given dialer. nil: to the address it reached.
	Dial func(context.Context, *inspect.Attempt, *net.Dialer) (net.Conn, error)
	// Judge looks for what is wrong with a chain. It must be set.
	Judge func(chain [][]byte, staple []byte, host string, at time.Time) *inspect.CertStep

	mu      sync.Mutex
	results map[target]*result
	slots   chan struct{}
}

type target struct{ addr, host, sni, alpn string }

type result struct {
	done   chan struct{}
	probes []inspect.Probe
	made   time.Time
}

// Compare makes the comparisons that help to judge an attempt. It returns when
// they are made, the budget is used up or ctx is done; what could not be learned
// is said in the result.
func (p *Prober) Compare(ctx context.Context, a *inspect.Attempt) []inspect.Probe {
	if a.Seen.TCP == nil || a.Seen.TCP.Addr == "" {
		return nil
	}
	key := target{addr: a.Seen.TCP.Addr, host: a.Target}
	if h := a.Seen.Hello; h != nil && h.ClientHello != nil {
		key.sni, key.alpn = h.SNI, strings.Join(h.ALPN, ",")
	}
	r, mine := p.claim(key, time.Now())
	if mine {
		r.probes = p.make(ctx, a, key)
		close(r.done)
		return r.probes
	}
	select {
	case <-r.done:
		return r.probes
	case <-ctx.Done():
		return nil
	}
}

// claim finds the result for a target, or makes the caller the one to get it.
func (p *Prober) claim(key target, now time.Time) (r *result, mine bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r, ok := p.results[key]; ok && now.Sub(r.made) < keep {
		return r, false
	}
	if p.results == nil || len(p.results) >= maxKept {
		p.results = make(map[target]*result)
	}
	if p.slots == nil {
		p.slots = make(chan struct{}, maxAtOnce)
	}
	r = &result{done: make(chan struct{}), made: now}
	p.results[key] = r
	return r, true
}

func (p *Prober) make(ctx context.Context, a *inspect.Attempt, key target) []inspect.Probe {
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return nil
	}
	changes := []inspect.Change{inspect.ChangeClient}
	switch a.Puzzle() {
	case inspect.PuzzleHello:
		changes = append(changes, inspect.ChangeSize, inspect.ChangeVersion, inspect.ChangeName, inspect.ChangeSegments)
	case inspect.PuzzleOffer:
		changes = append(changes, inspect.ChangeVersion)
	}
	probes := make([]inspect.Probe, len(changes))
	var wg sync.WaitGroup
	for i, c := range changes {
		wg.Go(func() { probes[i] = p.handshake(ctx, a, key, c) })
	}
	wg.Wait()
	return probes
}

func (p *Prober) dial(ctx context.Context, a *inspect.Attempt, d *net.Dialer) (net.Conn, error) {
	if p.Dial != nil {
		return p.Dial(ctx, a, d)
	}
	return d.DialContext(ctx, "tcp", a.Seen.TCP.Addr)
}
