package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"faultline/inspect"
	"faultline/inspect/wire"
)

const (
	// holdFor is how long the server's bytes are held while the client has said
	// nothing, counted from the tunnel's start. Chromium takes bytes that arrive
	// with our 200 for a broken proxy (ERR_TUNNEL_CONNECTION_FAILED, measured);
	// it has sent its own long before this. Where the server speaks first (SSH,
	// SMTP), nobody minds a greeting that is this late.
	holdFor = 250 * time.Millisecond

	// halfClosedIdle is how long nothing may pass through a tunnel of which one
	// direction has ended. The peer that is still open may have lost interest
	// without a word. A NAT on the way keeps a half-closed connection for 4
	// minutes at least and often no longer (RFC 5382, REQ-5), so no answer can be
	// counted on after that. The check comes once in this time, so up to twice of
	// it may pass. Tunnels open both ways have no limit: people leave pages open.
	halfClosedIdle = 4 * time.Minute

	// goneAfter is the same limit for a client that said goodbye before it had
	// accepted the server's handshake. Nobody half-closes in a handshake: the
	// client is gone, and a server behind a firewall that swallows everything
	// would never say so.
	goneAfter = time.Second

	// drainFor is how long a reset is kept back while data that came before it is
	// not yet acknowledged by the other side and none of it moves: a reset
	// throws away what is still queued.
	drainFor = time.Second

	// keepAliveAfter is the age at which a tunnel gets TCP keep-alive. Most are
	// over by then, and setting it takes eight system calls.
	keepAliveAfter = 5 * time.Second

	// spliceAfter is how many bytes one way make a tunnel worth a pipe. Most
	// tunnels of a browser carry less, and are cheaper copied.
	spliceAfter = 256 << 10

	// chunkSize is what is read at once in user space: two TLS records. Larger
	// ones were measured and gave nothing.
	chunkSize = 32 << 10
)

// relayOptions is what a relay is given besides its connections. The zero value
// copies and watches nothing.
type relayOptions struct {
	// early is what the client has sent already.
	early []byte
	// tap sees every chunk before it is written on, so that no answer is seen
	// before what it answers. It is called from two goroutines and must not keep
	// the bytes. nil: nobody looks.
	tap func(side wire.Side, b []byte)
	// settled says that tap may miss bytes from now on. nil: it may not.
	settled func() bool
	// handshaking says that the client is in a handshake or has said nothing, so
	// that it is gone for good when it says goodbye. nil: it may be waiting.
	handshaking func() bool
	// skipped is told how many bytes passed without being seen, before they are
	// written on. nil: nobody counts.
	skipped func(side wire.Side, n int64)

	// began is when the tunnel did, from which all times count. Zero: now.
	began time.Time

	hold, idle time.Duration // 0: holdFor, halfClosedIdle; tests shorten them
}

// ending is what a relay carried and how it ended.
type ending struct {
	up, down flow
	// first is the side that ended it, "faultline" when we did.
	first          string
	client, server sideEnd
	took           time.Duration
}

// flow is one direction of a relay: up is what the client said.
type flow struct {
	bytes    int64         // written on
	readErr  error         // that ended it: of the side that speaks
	writeErr error         // that ended it: of the side that is told
	endedAt  time.Duration // since the relay began
}

// sideEnd is how one side's connection ended.
type sideEnd struct {
	how string // "fin", "reset", "timeout", "error", "ours"
	at  time.Duration
	err error
	// guessed: writing failed in a way that leaves open how the side ended;
	// reading from it will tell.
	guessed bool
}

// relay copies both ways until both directions have ended or ctx is done. It
// owns both connections: when it returns they are closed and no goroutine that
// it started is left.
//
// Each side learns of the other's end in the way it came: a FIN becomes a FIN,
// anything else a reset, after the bytes that came before it.
func relay(ctx context.Context, client, server *net.TCPConn, o relayOptions) ending {
	r := newRelaying(client, server, o)
	var late sync.WaitGroup
	late.Add(2)
	leave := context.AfterFunc(ctx, func() { defer late.Done(); r.shutdown() })
	aged := time.AfterFunc(keepAliveAfter, func() { defer late.Done(); r.keepAlive() })

	var wg sync.WaitGroup
	wg.Go(r.down.run)
	r.up.run()
	wg.Wait()
	r.close()

	if leave() {
		late.Done()
	}
	if aged.Stop() {
		late.Done()
	}
	late.Wait()
	if r.panicked != nil {
		panic(r.panicked)
	}
	return r.ending()
}

// relaying is a relay under way.
type relaying struct {
	opts     relayOptions
	began    time.Time
	up, down pump
	spoke    chan struct{} // closed when the client has said something, or left
	closed   chan struct{} // closed when we have closed both connections
	closing  sync.Once

	mu             sync.Mutex // guards what follows, and over, eof and failed of the pumps
	client, server sideEnd
	closedAt       time.Duration
	stopped        time.Duration // when ctx was done; 0 if it was not
	idle           bool          // the idle limit ended it
	resetting      bool          // one pump is ending it all
	panicked       any
}

func newRelaying(client, server *net.TCPConn, o relayOptions) *relaying {
	if o.hold == 0 {
		o.hold = holdFor
	}
	if o.idle == 0 {
		o.idle = halfClosedIdle
	}
	if o.began.IsZero() {
		o.began = time.Now()
	}
	r := &relaying{opts: o, began: o.began, spoke: make(chan struct{}), closed: make(chan struct{})}
	// A deadline that is left from earlier would look like a fault of the peer.
	_ = client.SetDeadline(time.Time{})
	_ = server.SetDeadline(time.Time{})
	c, _ := client.SyscallConn() // fails for a nil connection only
	s, _ := server.SyscallConn()
	r.up = pump{r: r, side: wire.Client, from: client, to: server, rawFrom: c, rawTo: s, back: &r.down, spliceFrom: spliceAfter}
	r.down = pump{r: r, side: wire.Server, from: server, to: client, rawFrom: s, rawTo: c, back: &r.up, spliceFrom: spliceAfter}
	return r
}

// now is the time since the relay began.
func (r *relaying) now() time.Duration { return time.Since(r.began) }

// pump is one direction of a relay.
type pump struct {
	r              *relaying
	side           wire.Side // whose words it carries
	from, to       *net.TCPConn
	rawFrom, rawTo syscall.RawConn
	back           *pump // the other direction

	bytes    atomic.Int64 // written on
	readErr  error
	writeErr error
	endedAt  time.Duration
	begun    bool // something was passed on, or may be

	spliceFrom int64 // how many bytes come before splicing is tried

	over   bool // it has ended
	eof    bool // because its side said nothing more
	failed bool // because writing failed

	reading  // how the system reads
	splicing // and copies without us
}

// run carries one direction to its end and tells the other side of it.
func (p *pump) run() {
	defer func() {
		if e := recover(); e != nil {
			p.r.panicking(e)
		}
	}()
	p.readErr, p.writeErr = p.copy()
	switch {
	case errors.Is(p.readErr, net.ErrClosed) || errors.Is(p.writeErr, net.ErrClosed):
		// Our own doing, and told by whoever did it.
	case p.writeErr != nil:
		p.unwritable()
	case p.readErr == io.EOF:
		p.fin()
	default:
		p.broken()
	}
}

// copy passes on what comes until either side ends. Exactly one of the errors
// is set, and so says which side it was.
func (p *pump) copy() (readErr, writeErr error) {
	if p.side == wire.Client && len(p.r.opts.early) > 0 {
		if err := p.pass(p.r.opts.early); err != nil {
			return nil, err
		}
	}
	for {
		if p.bulk() {
			if readErr, writeErr = p.splice(); readErr != nil || writeErr != nil {
				p.endedAt = p.r.now()
				return readErr, writeErr
			}
		}
		buf, n, err := p.read()
		if err != nil {
			p.endedAt = p.r.now()
			p.begin()
			return err, nil
		}
		err = p.pass(buf[:n])
		buffers.Put(buf)
		if err != nil {
			return nil, err
		}
	}
}

// pass shows a chunk to the tap and writes it on.
func (p *pump) pass(b []byte) error {
	if tap := p.r.opts.tap; tap != nil {
		tap(p.side, b)
	}
	p.begin()
	n, err := p.to.Write(b)
	p.bytes.Add(int64(n))
	if err != nil {
		p.endedAt = p.r.now()
	}
	return err
}

// begin comes before the first thing that is passed on, be it an end: nothing
// goes to the client before it has spoken or had the time to.
func (p *pump) begin() {
	if p.begun {
		return
	}
	p.begun = true
	if p.side == wire.Client {
		close(p.r.spoke)
		return
	}
	left := p.r.opts.hold - p.r.now()
	if left <= 0 {
		return
	}
	t := time.NewTimer(left)
	defer t.Stop()
	select {
	case <-p.r.spoke:
	case <-t.C:
	case <-p.r.closed:
	}
}

// bulk says whether splicing is allowed and likely to pay: there was more to
// read than a chunk holds.
func (p *pump) bulk() bool {
	o := &p.r.opts
	return canSplice && p.full && p.bytes.Load() >= p.spliceFrom &&
		(o.tap == nil || o.settled != nil && o.settled())
}

// fin passes on that a side has said all it had to say.
func (p *pump) fin() {
	r := p.r
	gone, err := p.behindEOF()
	r.mu.Lock()
	gone = gone && !p.back.eof // else we have sent a FIN too: so it should be
	p.over, p.eof = true, true
	if gone && err == nil && !p.back.over {
		// The other pump's write has got the error, and is about to tell.
		r.mu.Unlock()
		p.watch()
		return
	}
	p.ended("fin", nil, p.endedAt)
	fin := p.end().how == "fin"
	// This side cannot be written to any more: behind its FIN came a reset.
	reset := (gone || p.back.failed) && r.take()
	both := p.back.eof && !r.resetting
	r.mu.Unlock()

	if both {
		r.close() // which sends a FIN, since nothing that came is unread
		return
	}
	if fin {
		_ = p.to.CloseWrite() // fails when that side is gone, which its own pump sees
	}
	if reset {
		r.reset(p.to)
		return
	}
	p.watch()
}

// broken passes on that a side broke the connection, or lost it.
func (p *pump) broken() {
	r := p.r
	r.mu.Lock()
	p.over = true
	p.ended(how(p.readErr), p.readErr, p.endedAt)
	mine := r.take()
	r.mu.Unlock()
	if mine {
		r.reset(p.to)
	}
}

// unwritable passes on that a side can no longer be written to. What it had said
// before may still be on its way, so that is left to the pump that reads from
// it, which will find its end.
func (p *pump) unwritable() {
	r := p.r
	kind := how(p.writeErr)
	r.mu.Lock()
	p.over, p.failed = true, true
	p.back.refused(kind, p.writeErr, p.endedAt)
	wait := !p.back.over && kind != "error"
	mine := !wait && r.take()
	fin := p.back.end().how == "fin"
	r.mu.Unlock()
	switch {
	case wait:
		p.watch()
	case mine:
		if fin {
			_ = p.from.CloseWrite()
		}
		r.reset(p.from)
	}
}

// watch waits, after this direction has ended, for the end of the other: for
// its side may yet be reset, which nobody else would notice while nothing
// passes, or nothing may pass for too long.
func (p *pump) watch() {
	r := p.r
	for {
		limit := r.opts.idle
		if shaking := r.opts.handshaking; p.side == wire.Client && shaking != nil && shaking() {
			limit = min(limit, goneAfter)
		}
		before := p.back.bytes.Load()
		err := p.awaitError(limit)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case errors.Is(err, os.ErrDeadlineExceeded):
			if p.back.bytes.Load() == before {
				r.expire()
				return
			}
		default:
			r.mu.Lock()
			p.ended(how(err), err, r.now())
			mine := r.take()
			r.mu.Unlock()
			if mine {
				r.reset(p.to)
			}
			return
		}
	}
}

// take says whether the caller is the one to end it all. Hold the lock.
func (r *relaying) take() bool {
	if r.resetting {
		return false
	}
	r.resetting = true
	return true
}

// reset ends it all, with a reset for c once it has what was written to it.
func (r *relaying) reset(c *net.TCPConn) {
	r.drain(c)
	_ = c.SetLinger(0)
	c.Close()
	r.close()
}

// drain waits until c's peer has acknowledged everything, or for drainFor
// without any progress.
func (r *relaying) drain(c *net.TCPConn) {
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	const first, longest = 100 * time.Microsecond, 20 * time.Millisecond
	stuck, wait := time.Duration(0), first
	t := time.NewTimer(wait)
	defer t.Stop()
	for left := unsent(raw); left > 0 && stuck < drainFor; {
		select {
		case <-r.closed:
			return
		case <-t.C:
		}
		stuck += wait
		if now := unsent(raw); now != left {
			left, stuck = now, 0
		}
		wait = min(2*wait, longest)
		t.Reset(wait)
	}
}

// expire ends a half-closed tunnel through which nothing passes.
func (r *relaying) expire() {
	r.mu.Lock()
	mine := r.take()
	r.idle = r.idle || mine
	r.mu.Unlock()
	if mine {
		_ = r.up.from.SetLinger(0) // nobody should take it for a proper end
		_ = r.down.from.SetLinger(0)
		r.close()
	}
}

// shutdown ends it all because ctx is done.
func (r *relaying) shutdown() {
	r.mu.Lock()
	r.resetting = true
	r.stopped = max(r.now(), 1)
	r.mu.Unlock()
	r.close()
}

// panicking ends it all; the caller of relay gets the panic.
func (r *relaying) panicking(e any) {
	r.mu.Lock()
	if r.panicked == nil {
		r.panicked = fmt.Sprintf("%v\n%s", e, debug.Stack())
	}
	r.mu.Unlock()
	r.close()
}

// close closes both connections. Whoever waits for one of them wakes up.
func (r *relaying) close() {
	r.closing.Do(func() {
		r.mu.Lock()
		r.closedAt = r.now()
		r.mu.Unlock()
		close(r.closed)
		r.up.from.Close()
		r.down.from.Close()
	})
}

// keepAlive has the system ask for signs of life, so that a peer which is gone
// without a word does not keep the tunnel for ever.
func (r *relaying) keepAlive() {
	c := net.KeepAliveConfig{Enable: true, Idle: keepAliveIdle, Interval: keepAliveIdle}
	_ = r.up.from.SetKeepAliveConfig(c)
	_ = r.down.from.SetKeepAliveConfig(c)
}

// end is where the end of this pump's side is kept.
func (p *pump) end() *sideEnd {
	if p.side == wire.Client {
		return &p.r.client
	}
	return &p.r.server
}

// ended keeps how this pump's side ended; the first end stands. Hold the lock.
func (p *pump) ended(how string, err error, at time.Duration) {
	e := p.end()
	switch {
	case e.guessed:
		e.how, e.err, e.guessed = how, err, false
	case e.how == "":
		*e = sideEnd{how: how, err: err, at: at}
	}
}

// refused keeps that this pump's side could not be written to. EPIPE says only
// that this was known before: because of a reset that its reader was or will be
// told, or one that came after the end of what it said. Hold the lock.
func (p *pump) refused(how string, err error, at time.Duration) {
	e := p.end()
	if e.how != "" {
		return
	}
	pipe := errors.Is(err, syscall.EPIPE)
	if pipe && p.eof {
		*e = sideEnd{how: "fin", at: at}
		return
	}
	*e = sideEnd{how: how, err: err, at: at, guessed: pipe}
}

// how names the way in which an error ends a side.
func how(err error) string {
	switch {
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.Is(err, wsaConnReset), errors.Is(err, wsaConnAborted):
		return "reset"
	case errors.Is(err, syscall.ETIMEDOUT), errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout"
	}
	return "error"
}

// Windows has numbers of its own for a reset, which no other system uses.
const (
	wsaConnAborted = syscall.Errno(10053)
	wsaConnReset   = syscall.Errno(10054)
)

// ending is how it went, when all is over.
func (r *relaying) ending() ending {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := ending{up: r.up.flow(), down: r.down.flow(), client: r.client, server: r.server, took: r.now()}
	switch c, s := e.client, e.server; {
	case c.how == "" && s.how == "", r.stopped > 0 && r.stopped < earliest(c, s):
		e.first = "faultline"
	case s.how == "", c.how != "" && c.at <= s.at:
		e.first = "client"
	default:
		e.first = "server"
	}
	for _, side := range []*sideEnd{&e.client, &e.server} {
		switch {
		case side.how != "":
		case r.idle:
			*side = sideEnd{how: "timeout", at: r.closedAt}
		default:
			*side = sideEnd{how: "ours", at: r.closedAt}
		}
	}
	return e
}

// earliest is when the first of the two ends came, given that one did.
func earliest(a, b sideEnd) time.Duration {
	switch {
	case a.how == "":
		return b.at
	case b.how == "":
		return a.at
	}
	return min(a.at, b.at)
}

func (p *pump) flow() flow {
	return flow{bytes: p.bytes.Load(), readErr: p.readErr, writeErr: p.writeErr, endedAt: p.endedAt}
}

// step is the ending as evidence.
func (e ending) step() *inspect.EndStep {
	s := &inspect.EndStep{
		First: e.first, Client: e.client.how, Server: e.server.how,
		ClientMs: millis(e.client.at), ServerMs: millis(e.server.at),
		Up: e.up.bytes, Down: e.down.bytes, Ms: *millis(e.took),
	}
	switch {
	case e.first == "client" && e.client.err != nil:
		s.Error = e.client.err.Error()
	case e.first == "server" && e.server.err != nil:
		s.Error = e.server.err.Error()
	}
	return s
}

func millis(d time.Duration) *float64 {
	ms := float64(d.Microseconds()) / 1000
	return &ms
}

// A chunk is what is read at once. Nobody holds one while waiting.
type chunk = [chunkSize]byte

var buffers = sync.Pool{New: func() any { return new(chunk) }}
