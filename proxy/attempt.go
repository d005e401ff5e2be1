package proxy

import (
	"bytes"
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
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

	telling sync.Mutex // held while a stall is looked into; guards the next three
	stall   *time.Timer
	told    string // the fault of a provisional verdict, until all is well again
	over    bool

	mu           sync.Mutex // guards what follows
	a            inspect.Attempt
	stepped      time.Time // when the step began
	closed       bool      // no fact is taken in any more
	upload, body *body     // of a plain request and its response
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
		a.a.Refused, a.a.Internal = inspect.RefusedRequest, err.Error()
	}
	if s.Dial.chains(host) {
		a.a.Chain = s.Dial.Upstream.Host
	}
	a.stall = time.AfterFunc(stallAfter, a.checkStall)
	return a
}

// facts are the facts as they stand, for the receiver to keep.
func (a *attempt) facts() *inspect.Attempt {
	a.mu.Lock()
	defer a.mu.Unlock()
	x := a.a
	x.Elapsed = time.Since(a.start)
	return &x
}

// set changes the facts, unless the attempt is over: a late fact is no fact of
// an attempt that has been recorded.
func (a *attempt) set(change func(*inspect.Attempt)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
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
		if x.Step != inspect.StepResolve && x.Step != inspect.StepConnect {
			return // a plain request went another way meanwhile
		}
		x.Seen.DNS, x.Seen.TCP = dns, tcp
		if tcp != nil {
			x.Step = inspect.StepConnect
		}
	})
}

// checkStall records a provisional verdict when a step has lasted too long, and
// another when that turns out to be something else. It looks again when the next
// step may have lasted too long; not for ever at tunnels in peaceful use.
func (a *attempt) checkStall() {
	a.telling.Lock()
	defer a.telling.Unlock()
	again := stallAfter / 4
	since, waiting := a.waiting()
	switch left := time.Until(since.Add(stallAfter)); {
	case a.over:
		return
	case waiting && left > 0:
		again = left
	case waiting || a.told != "":
		a.tell()
	case a.wire.Settled():
		return
	}
	a.stall.Reset(again)
}

// tell records a provisional verdict, if it is news.
func (a *attempt) tell() {
	x := a.facts()
	x.Open = true
	v := a.judge(x)
	a.provisional(x, v)
	if a.server.Probe == nil || x.Probes != nil || x.Puzzle() == inspect.PuzzleNone {
		return
	}
	// Nobody answers: a comparison need not wait until the client gives up, which
	// may take minutes, and the final verdict can use it.
	a.server.compare(x)
	a.set(func(y *inspect.Attempt) { y.Probes = x.Probes })
	a.provisional(x, a.judge(x))
}

// provisional records a verdict that the final one will replace.
func (a *attempt) provisional(x *inspect.Attempt, v inspect.Verdict) {
	if v.Fault == a.told {
		return
	}
	a.told = v.Fault
	if v.Outcome == inspect.OK {
		a.told = ""
	}
	a.server.record(x, v)
}

// waiting says whether the person is waiting for something, and since when. An
// open tunnel that was once in use, or that the client has not yet used, is
// waited for by nobody; nor is the next event of a stream of events.
func (a *attempt) waiting() (since time.Time, yes bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch a.a.Step {
	case inspect.StepResolve, inspect.StepConnect:
		return a.stepped, true
	case inspect.StepRequest:
		return later(a.stepped, a.upload.moved()), true
	case inspect.StepResponse:
		return a.body.moved(), a.body != nil && !a.body.events
	case inspect.StepHandshake:
		if a.wire.Settled() {
			return a.stepped, false
		}
		f := a.wire.Facts()
		last := max(f.Client.LastAt, f.Server.LastAt)
		return a.stepped.Add(last), f.Hello != nil && f.ClientFirst == 0
	}
	return a.stepped, false
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// judge takes over what passed in clear and says what to make of it all. If that
// panics, it says so: there must be a verdict.
func (a *attempt) judge(x *inspect.Attempt) (v inspect.Verdict) {
	defer func() {
		if p := recover(); p != nil {
			x.Internal = panicked(p)
			v = inspect.Diagnose(&inspect.Attempt{Start: x.Start, Mode: x.Mode, Internal: x.Internal, Open: x.Open})
		}
	}()
	a.look(x)
	return inspect.Diagnose(x)
}

// look takes over what passed in clear.
func (a *attempt) look(x *inspect.Attempt) {
	a.mu.Lock()
	b := a.body
	a.mu.Unlock()
	if b != nil && x.Open && x.Seen.HTTP != nil {
		h := *x.Seen.HTTP
		h.Body = b.n.Load()
		h.StalledMs = ms(a.start.Add(x.Elapsed).Sub(b.moved()))
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
// deferred, so that it happens once, whatever happens, a panic included. That
// goes on as one that net/http knows: it breaks the connection off.
func (s *Server) finish(a *attempt) {
	if p := recover(); p != nil {
		defer panic(http.ErrAbortHandler)
		if p != http.ErrAbortHandler {
			a.failed(p)
		}
	}
	x := a.close()
	v := a.judge(x)
	if s.Probe != nil && x.Probes == nil && (x.Puzzle() != inspect.PuzzleNone || s.ProbeAlways && x.SpokeTLS()) && s.ctx.Err() == nil {
		s.compare(x)
		v = a.judge(x)
	}
	s.record(x, v)
}

// close takes the facts out; nothing changes them afterwards. It waits for a
// comparison under way, which is worth it, and so nothing provisional follows.
func (a *attempt) close() *inspect.Attempt {
	a.telling.Lock()
	defer a.telling.Unlock()
	a.over = true
	a.stall.Stop()
	x := a.facts()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	return x
}

// compare adds what connections of our own come to.
func (s *Server) compare(x *inspect.Attempt) {
	defer func() {
		if p := recover(); p != nil {
			x.Probes = []inspect.Probe{{Result: panicked(p)}}
		}
	}()
	x.Probes = s.Probe(s.ctx, x)
}

// record hands an attempt over. It survives a panic there: nobody is left who
// could be told, and the others must go on.
func (s *Server) record(x *inspect.Attempt, v inspect.Verdict) {
	defer func() { _ = recover() }()
	x.RetryOf = s.repeats.of(x, v)
	if s.Record != nil {
		s.Record(x.Record(v))
	}
}

// failed keeps what went wrong in faultline itself.
func (a *attempt) failed(p any) {
	words := panicked(p)
	a.set(func(x *inspect.Attempt) { x.Internal = words })
}

// panicked puts a panic in words; only its own deferred function may call it.
func panicked(p any) string {
	return clip(fmt.Sprintf("panic at %s: %v", where(debug.Stack()), p), maxField)
}

// where finds the line of ours that panicked in a stack trace.
func where(stack []byte) string {
	_, stack, _ = bytes.Cut(stack, []byte("\npanic("))
	for line := range strings.Lines(string(stack)) {
		if strings.HasPrefix(line, "\t") && !strings.Contains(line, "/src/runtime/") {
			line, _, _ = strings.Cut(strings.TrimSpace(line), " ")
			return filepath.Base(line)
		}
	}
	return "an unknown place"
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
// random bytes, 16 characters of base32hex (RFC 4648 §7). No two of one process
// have the same time.
func newID(now time.Time) string {
	t := now.UnixMicro()
	for {
		last := lastID.Load()
		t = max(t, last+1)
		if lastID.CompareAndSwap(last, t) {
			break
		}
	}
	var b [10]byte
	binary.BigEndian.PutUint64(b[:8], uint64(t)<<8)
	_, _ = rand.Read(b[7:]) // never fails since Go 1.24
	return strings.ToLower(base32.HexEncoding.EncodeToString(b[:]))
}

var lastID atomic.Int64 // microseconds

// splitTarget reads "host:port" or "[v6]:port". A URL may leave out the port, a
// CONNECT may not (RFC 9110 §9.3.6).
func splitTarget(target string, mode inspect.Mode) (host string, port uint16, err error) {
	host, p, err := net.SplitHostPort(target)
	if err != nil && mode == inspect.Plain {
		host, p, err = strings.TrimSuffix(strings.TrimPrefix(target, "["), "]"), "80", nil
	}
	host = clip(strings.TrimSuffix(host, "."), 300)
	n, bad := strconv.ParseUint(p, 10, 16)
	switch {
	case err != nil:
		return clip(target, 300), 0, fmt.Errorf("%q is no host with a port", clip(target, 300))
	case host == "":
		return host, uint16(n), fmt.Errorf("%q names no host", clip(target, 300))
	case bad != nil || n == 0:
		return host, 0, fmt.Errorf("%q is no port", clip(p, 10))
	}
	return host, uint16(n), nil
}
