package proxy

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"faultline/inspect"
	"faultline/inspect/wire"
)

// stallAfter is how long a step may last before a provisional verdict tells the
// person what is being waited for: they are promised one within 5 s.
const stallAfter = 4500 * time.Millisecond

// An attempt is an inspect.Attempt while it is under way. It belongs to the
// goroutine that serves it; the lock is for the stall report, which looks at it
// from outside.
type attempt struct {
	server *Server
	start  time.Time
	wire   wire.Conversation

	mu      sync.Mutex
	a       inspect.Attempt
	stepped time.Time // when the step began
	over    bool
	told    bool // a provisional verdict was recorded
	stall   *time.Timer
	body    *body // of a plain request's response
}

// begin starts an attempt to reach target, "host:port" or "host".
func (s *Server) begin(mode inspect.Mode, r *http.Request, target string) *attempt {
	now := time.Now()
	a := &attempt{server: s, start: now, stepped: now}
	host, port, err := splitTarget(target, mode)
	a.a = inspect.Attempt{
		ID: newID(now), Start: now, Mode: mode, Target: clip(target, 300), Host: host, Port: port,
		Client: inspect.Client{Addr: r.RemoteAddr, UserAgent: inspect.Printable([]byte(clip(r.UserAgent(), 300)))},
		Step:   inspect.StepResolve,
	}
	if err != nil {
		a.a.Refused = inspect.RefusedName
	}
	if s.Dial.chains(host) {
		a.a.Chain = s.Dial.Upstream.Host
	}
	a.stall = time.AfterFunc(stallAfter, a.checkStall)
	return a
}

// set changes the facts, unless the attempt is over: a late fact is no fact of
// an attempt that has been recorded.
func (a *attempt) set(change func(*inspect.Attempt)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		return
	}
	step := a.a.Step
	change(&a.a)
	if a.a.Step != step {
		a.stepped = time.Now()
	}
}

// dialled is told of the dial's facts as they become known.
func (a *attempt) dialled(dns *inspect.DNSStep, tcp *inspect.TCPStep) {
	a.set(func(x *inspect.Attempt) {
		x.Seen.DNS, x.Seen.TCP = dns, tcp
		if tcp != nil && x.Step == inspect.StepResolve {
			x.Step = inspect.StepConnect
		}
	})
}

// checkStall records a provisional verdict when the step has lasted too long,
// else looks again when it will have.
func (a *attempt) checkStall() {
	a.mu.Lock()
	if a.over || a.told {
		a.mu.Unlock()
		return
	}
	since, waiting := a.waiting()
	now := time.Now()
	if left := since.Add(stallAfter).Sub(now); left > 0 || !waiting {
		a.stall.Reset(max(left, stallAfter/4))
		a.mu.Unlock()
		return
	}
	a.told = true
	x := a.a
	a.server.wg.Add(1) // the attempt is not over, so Shutdown is still waiting for it
	defer a.server.wg.Done()
	a.mu.Unlock()

	x.Open = true
	x.Elapsed = now.Sub(a.start)
	a.look(&x)
	v := inspect.Diagnose(&x)
	a.provisional(&x, v)
	if a.server.Probe == nil || x.Puzzle() == inspect.PuzzleNone {
		return
	}
	// Nobody answers: a comparison need not wait until the client gives up, which
	// may take minutes, and the final verdict can use it.
	x.Probes = a.server.Probe(a.server.ctx, &x)
	a.set(func(y *inspect.Attempt) { y.Probes = x.Probes })
	if w := inspect.Diagnose(&x); w.Fault != v.Fault {
		a.provisional(&x, w)
	}
}

// provisional records a verdict that a final one will replace; never after it.
func (a *attempt) provisional(x *inspect.Attempt, v inspect.Verdict) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.over {
		a.server.record(x, v)
	}
}

// waiting says whether the person is waiting for something, and since when. An
// open tunnel that was once in use, or that the client has not yet used, is
// waited for by nobody.
func (a *attempt) waiting() (since time.Time, yes bool) {
	switch a.a.Step {
	case inspect.StepResolve, inspect.StepConnect, inspect.StepRequest:
		return a.stepped, true
	case inspect.StepResponse:
		if a.body != nil {
			return a.start.Add(time.Duration(a.body.last.Load())), true
		}
	case inspect.StepHandshake:
		f := a.wire.Facts()
		if f.Client.Protocol != "tls" || a.wire.Settled() || f.ClientFirst > 0 {
			return a.stepped, false
		}
		last := max(f.Client.LastAt, f.Server.LastAt)
		return a.start.Add(last), true
	}
	return a.stepped, false
}

// look takes over what passed in clear.
func (a *attempt) look(x *inspect.Attempt) {
	if a.body != nil && x.Open && x.Seen.HTTP != nil {
		h := *x.Seen.HTTP
		h.Body = a.body.n.Load()
		h.StalledMs = float64((x.Elapsed - time.Duration(a.body.last.Load())).Milliseconds())
		x.Seen.HTTP = &h
	}
	if x.Mode != inspect.Tunnel || x.Seen.TCP == nil || x.Seen.TCP.Addr == "" {
		return
	}
	f := a.wire.Facts()
	x.Seen.Hello, x.Seen.TLS = inspect.FromWire(f, x.Seen.End)
	if len(f.Chain) > 0 && a.server.Judge != nil && x.Seen.Cert == nil {
		host := x.Host
		if f.Hello != nil && f.Hello.SNI != "" {
			host = f.Hello.SNI
		}
		x.Seen.Cert = a.server.Judge(f.Chain, f.Staple, host, x.Start)
		if x.Seen.Cert != nil {
			x.Seen.Cert.Source = inspect.SourceSeen
		}
	}
}

// finish ends the attempt: diagnose, compare if that helps, record. It is
// deferred, so that it happens once, whatever happens, a panic included.
func (s *Server) finish(a *attempt) {
	if p := recover(); p != nil {
		if p == http.ErrAbortHandler {
			defer panic(p)
		} else {
			a.set(func(x *inspect.Attempt) { x.Internal = fmt.Sprintf("panic: %v: %s", p, where(debug.Stack())) })
		}
	}
	x := a.close()
	a.look(x)
	v := inspect.Diagnose(x)
	if s.Probe != nil && x.Probes == nil && (x.Puzzle() != inspect.PuzzleNone || s.ProbeAlways && x.SpokeTLS()) && s.ctx.Err() == nil {
		x.Probes = s.Probe(s.ctx, x)
		v = inspect.Diagnose(x)
	}
	s.record(x, v)
}

// close takes the facts out; nothing changes them afterwards.
func (a *attempt) close() *inspect.Attempt {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
	a.stall.Stop()
	a.a.Elapsed = time.Since(a.start)
	x := a.a
	return &x
}

func (s *Server) record(x *inspect.Attempt, v inspect.Verdict) {
	x.RetryOf = s.repeats.of(x, v)
	if s.Record != nil {
		s.Record(x.Record(v))
	}
}

// where finds the line of a stack trace that a panic happened in.
func where(stack []byte) string {
	for line := range strings.Lines(string(stack)) {
		if strings.Contains(line, "faultline/") && !strings.Contains(line, "attempt.go") && strings.HasPrefix(line, "\t") {
			return strings.TrimSpace(line)
		}
	}
	return "unknown place"
}

// repeatWindow: one navigation to a failing site makes one to eleven
// connections within a few seconds.
const repeatWindow = 10 * time.Second

// maxRepeats bounds what is remembered: more hosts than a page has.
const maxRepeats = 4096

// repeats remembers the first of several attempts that are the same: one
// client, one authority, one verdict.
type repeats struct {
	mu    sync.Mutex
	first map[repeatKey]inspect.Attempt
}

type repeatKey struct {
	client, agent, target, url, fault string
}

// of is the ID of the first attempt that x repeats, "" when x is the first.
func (r *repeats) of(x *inspect.Attempt, v inspect.Verdict) string {
	ip, _, _ := net.SplitHostPort(x.Client.Addr)
	key := repeatKey{ip, x.Client.UserAgent, x.Target, x.URL, v.Fault}
	r.mu.Lock()
	defer r.mu.Unlock()
	first, ok := r.first[key]
	if ok && x.Start.Sub(first.Start) < repeatWindow && first.Start.Sub(x.Start) < repeatWindow {
		if first.ID == x.ID {
			return ""
		}
		return first.ID
	}
	if x.Open {
		return "" // its verdict is not known yet
	}
	if r.first == nil || len(r.first) >= maxRepeats {
		r.first = make(map[repeatKey]inspect.Attempt)
	}
	r.first[key] = inspect.Attempt{ID: x.ID, Start: x.Start}
	return ""
}

// newID makes an identity that sorts by time: microseconds since 1970 and three
// random bytes, 16 characters of base32hex (RFC 4648 §7).
func newID(now time.Time) string {
	var b [10]byte
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixMicro())<<8)
	_, _ = rand.Read(b[7:]) // never fails since Go 1.24
	return strings.ToLower(base32.HexEncoding.EncodeToString(b[:]))
}

// splitTarget reads "host:port", "[v6]:port" or a host with the mode's usual
// port.
func splitTarget(target string, mode inspect.Mode) (host string, port uint16, err error) {
	host, p, err := net.SplitHostPort(target)
	if err != nil {
		host, p = strings.Trim(target, "[]"), "443"
		if mode == inspect.Plain {
			p = "80"
		}
	}
	n, err := strconv.ParseUint(p, 10, 16)
	if err != nil || n == 0 {
		return clip(host, 300), 0, fmt.Errorf("port %q is none", clip(p, 10))
	}
	return clip(strings.TrimSuffix(host, "."), 300), uint16(n), nil
}
