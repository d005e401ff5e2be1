package proxy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"faultline/inspect/wire"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// A rig is a relay with both its peers: what browser says goes to site.
type rig struct {
	t             *testing.T
	browser, site *net.TCPConn
	client        *net.TCPConn // the relay's own ends
	server        *net.TCPConn
	cancel        context.CancelFunc
	ended         chan ending
}

// newRig starts a relay. The test fails if it leaves a goroutine or a descriptor.
func newRig(t *testing.T, o relayOptions) *rig {
	t.Helper()
	noLeaks(t)
	r := &rig{t: t, ended: make(chan ending, 1)}
	r.browser, r.client = tcpPair(t)
	r.server, r.site = tcpPair(t)
	r.start(o)
	return r
}

func (r *rig) start(o relayOptions) {
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.ended <- relay(ctx, r.client, r.server, o)
	}()
	r.t.Cleanup(func() {
		cancel()
		<-done
	})
}

// end waits for the relay to return.
func (r *rig) end() ending {
	r.t.Helper()
	select {
	case e := <-r.ended:
		return e
	case <-time.After(patience):
		r.t.Fatal("the relay does not end")
	}
	return ending{}
}

// tcpPair is a connection's two ends.
func tcpPair(t testing.TB) (dialled, accepted *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{a, b} {
		_ = c.SetDeadline(time.Now().Add(2 * patience))
		t.Cleanup(func() { c.Close() })
	}
	return a.(*net.TCPConn), b.(*net.TCPConn)
}

// noLeaks compares goroutines and descriptors before and after.
func noLeaks(t *testing.T) {
	t.Helper()
	a, b := tcpPair(t) // the poller makes its own descriptors at the first use
	a.Close()
	b.Close()
	emptyPipes()
	before, goroutines := descriptors(t), goleak.IgnoreCurrent()
	t.Cleanup(func() {
		goleak.VerifyNone(t, goroutines)
		emptyPipes()
		if after := descriptors(t); after != before {
			t.Errorf("%d descriptors after, %d before", after, before)
		}
	})
}

// descriptors counts what is open; 0 where the system does not tell.
func descriptors(t *testing.T) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(d)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func tell(t *testing.T, c net.Conn, words string) {
	t.Helper()
	_, err := io.WriteString(c, words)
	must(t, err)
}

func hear(t *testing.T, c net.Conn, words string) {
	t.Helper()
	got := make([]byte, len(words))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != words {
		t.Fatalf("heard %q (%v), want %q", got, err, words)
	}
}

// hearEnd reads to the end and names it.
func hearEnd(t *testing.T, c net.Conn) (n int64, end string) {
	t.Helper()
	n, err := io.Copy(io.Discard, c)
	switch {
	case err == nil:
		return n, "fin"
	case errors.Is(err, syscall.ECONNRESET):
		return n, "reset"
	}
	t.Errorf("the connection ended otherwise: %v", err)
	return n, err.Error()
}

func reset(t *testing.T, c *net.TCPConn) {
	t.Helper()
	must(t, c.SetLinger(0))
	must(t, c.Close())
}

// greet passes a word each way, so that the tunnel is known to stand.
func (r *rig) greet() {
	r.t.Helper()
	tell(r.t, r.browser, "hello")
	hear(r.t, r.site, "hello")
	tell(r.t, r.site, "welcome")
	hear(r.t, r.browser, "welcome")
}

func checkEnd(t *testing.T, e ending, first, client, server string) {
	t.Helper()
	s := e.step()
	if s.First != first || s.Client != client || s.Server != server {
		t.Errorf("ended by %s, client %s, server %s; want %s, %s, %s (%+v)", s.First, s.Client, s.Server, first, client, server, e)
	}
	if s.ClientMs == nil || s.ServerMs == nil || *s.ClientMs < 0 || *s.ClientMs > s.Ms || *s.ServerMs < 0 || *s.ServerMs > s.Ms {
		t.Errorf("times %v %v in a life of %v ms", s.ClientMs, s.ServerMs, s.Ms)
	}
	for _, err := range []error{e.client.err, e.server.err} {
		if errors.Is(err, net.ErrClosed) {
			t.Errorf("our own closing became evidence: %v", err)
		}
	}
	if wantErr := first != "faultline" && map[string]string{"client": client, "server": server}[first] != "fin"; wantErr != (s.Error != "") {
		t.Errorf("error %q", s.Error)
	}
}

// sides names the peers, so that each case can be told of both.
func (r *rig) sides(of wire.Side) (c, other *net.TCPConn) {
	if of == wire.Client {
		return r.browser, r.site
	}
	return r.site, r.browser
}

// told are the two ends in the order client, server.
func told(of wire.Side, end, others string) (client, server string) {
	if of == wire.Client {
		return end, others
	}
	return others, end
}

var bothSides = []wire.Side{wire.Client, wire.Server}

func forBoth(t *testing.T, f func(t *testing.T, side wire.Side)) {
	for _, side := range bothSides {
		t.Run(string(side), func(t *testing.T) { f(t, side) })
	}
}

func TestRelayFIN(t *testing.T) {
	forBoth(t, func(t *testing.T, side wire.Side) {
		r := newRig(t, relayOptions{})
		r.greet()
		c, other := r.sides(side)
		must(t, c.CloseWrite())
		if _, end := hearEnd(t, other); end != "fin" {
			t.Errorf("a FIN arrived as %s", end)
		}
		must(t, other.CloseWrite())
		if _, end := hearEnd(t, c); end != "fin" {
			t.Errorf("the FIN in answer arrived as %s", end)
		}
		e := r.end()
		checkEnd(t, e, string(side), "fin", "fin")
		if e.up.bytes != 5 || e.down.bytes != 7 {
			t.Errorf("%d bytes up, %d down", e.up.bytes, e.down.bytes)
		}
	})
}

func TestRelayReset(t *testing.T) {
	forBoth(t, func(t *testing.T, side wire.Side) {
		r := newRig(t, relayOptions{})
		r.greet()
		c, other := r.sides(side)
		reset(t, c)
		if _, end := hearEnd(t, other); end != "reset" {
			t.Errorf("a reset arrived as %s", end)
		}
		client, server := told(side, "reset", "ours")
		checkEnd(t, r.end(), string(side), client, server)
	})
}

// A side that has ended properly may still be told what the other has to say.
func TestRelayHalfClose(t *testing.T) {
	forBoth(t, func(t *testing.T, side wire.Side) {
		r := newRig(t, relayOptions{})
		r.greet()
		c, other := r.sides(side)
		tell(t, c, "last words")
		must(t, c.CloseWrite())
		hear(t, other, "last words")
		if n, end := hearEnd(t, other); n != 0 || end != "fin" {
			t.Fatalf("%d bytes more, then %s", n, end)
		}
		const size = 1 << 20
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := other.Write(make([]byte, size))
			if err != nil {
				t.Error(err)
			}
			other.Close()
		})
		if n, end := hearEnd(t, c); n != size || end != "fin" {
			t.Errorf("%d bytes of %d after the half-close, then %s", n, size, end)
		}
		wg.Wait()
		checkEnd(t, r.end(), string(side), "fin", "fin")
	})
}

// What came before a reset is delivered, also to a reader that comes late: as
// much as its own system would have kept for it.
func TestRelayDataBeforeReset(t *testing.T) {
	forBoth(t, func(t *testing.T, side wire.Side) {
		for _, test := range []struct {
			size int
			late bool
		}{{1, true}, {50_000, true}, {4 << 20, false}} {
			r := newRig(t, relayOptions{})
			r.greet()
			c, other := r.sides(side)
			var n int64
			var end string
			var wg sync.WaitGroup
			if !test.late {
				wg.Go(func() { n, end = hearEnd(t, other) })
			}
			_, err := c.Write(make([]byte, test.size))
			must(t, err)
			must(t, awaitSent(c))
			reset(t, c)
			e := r.end()
			if test.late {
				n, end = hearEnd(t, other)
			}
			wg.Wait()
			if n != int64(test.size) || end != "reset" {
				t.Errorf("%d bytes of %d, then %s", n, test.size, end)
			}
			client, server := told(side, "reset", "ours")
			checkEnd(t, e, string(side), client, server)
		}
	})
}

// A side that has said all it had to say may still be reset by the other.
func TestRelayResetAfterFIN(t *testing.T) {
	forBoth(t, func(t *testing.T, side wire.Side) {
		r := newRig(t, relayOptions{})
		r.greet()
		c, other := r.sides(side)
		tell(t, c, "all of it")
		must(t, c.CloseWrite())
		hear(t, other, "all of it")
		if _, end := hearEnd(t, other); end != "fin" {
			t.Fatalf("a FIN arrived as %s", end)
		}
		reset(t, other)
		if _, end := hearEnd(t, c); end != "reset" {
			t.Errorf("a reset arrived as %s", end)
		}
		e := r.end()
		if side == wire.Client {
			checkEnd(t, e, "client", "fin", "reset")
		} else {
			checkEnd(t, e, "server", "reset", "fin")
		}
	})
}

// A side may be reset after its own FIN, while nothing passes.
func TestRelayFINThenResetOfTheSameSide(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("not noticed here while nothing is sent")
	}
	forBoth(t, func(t *testing.T, side wire.Side) {
		r := newRig(t, relayOptions{})
		r.greet()
		c, other := r.sides(side)
		must(t, c.CloseWrite())
		if _, end := hearEnd(t, other); end != "fin" {
			t.Fatalf("a FIN arrived as %s", end)
		}
		reset(t, c)
		must(t, awaitReset(other))
		client, server := told(side, "fin", "ours")
		checkEnd(t, r.end(), string(side), client, server)
	})
}

// A reset that meets a writer: the side is known, and whether a FIN was before.
func TestRelayResetWhileWriting(t *testing.T) {
	forBoth(t, func(t *testing.T, side wire.Side) {
		for range 20 {
			r := newRig(t, relayOptions{})
			r.greet()
			c, other := r.sides(side)
			var wg sync.WaitGroup
			wg.Go(func() {
				b := make([]byte, 64<<10)
				for {
					if _, err := other.Write(b); err != nil {
						// Linux says EPIPE when a FIN came before the reset.
						if !errors.Is(err, syscall.ECONNRESET) && (runtime.GOOS == "linux" || !errors.Is(err, syscall.EPIPE)) {
							t.Errorf("write: %v", err)
						}
						return
					}
				}
			})
			_, err := io.CopyN(io.Discard, c, 1<<20)
			must(t, err)
			reset(t, c)
			wg.Wait()
			client, server := told(side, "reset", "ours")
			checkEnd(t, r.end(), string(side), client, server)
		}
	})
}

// A side that closes with everything said, and is still sent to, answers with
// a reset; it had ended properly all the same.
func TestRelayCloseWhileWriting(t *testing.T) {
	forBoth(t, func(t *testing.T, side wire.Side) {
		r := newRig(t, relayOptions{})
		r.greet()
		c, other := r.sides(side)
		tell(t, c, "bye")
		must(t, c.Close())
		hear(t, other, "bye")
		if _, end := hearEnd(t, other); end != "fin" {
			t.Fatalf("a FIN arrived as %s", end)
		}
		for { // until the reset has come all the way
			if _, err := other.Write(make([]byte, 1000)); err != nil {
				break
			}
		}
		client, server := told(side, "fin", "ours")
		checkEnd(t, r.end(), string(side), client, server)
	})
}

func TestRelayEarlyBytes(t *testing.T) {
	var seen bytes.Buffer
	r := newRig(t, relayOptions{
		early: []byte("early "),
		tap: func(side wire.Side, b []byte) {
			if side == wire.Client {
				seen.Write(b)
			}
		},
	})
	tell(t, r.browser, "words")
	hear(t, r.site, "early words")
	r.browser.Close()
	r.site.Close()
	e := r.end()
	if seen.String() != "early words" || e.up.bytes != 11 {
		t.Errorf("tap saw %q, %d bytes up", &seen, e.up.bytes)
	}
}

// Nothing reaches the client before it has spoken, or had the time to.
func TestRelayHold(t *testing.T) {
	t.Run("silent client", func(t *testing.T) {
		const hold = 150 * time.Millisecond
		began := time.Now()
		r := newRig(t, relayOptions{hold: hold})
		tell(t, r.site, "220 ready")
		hear(t, r.browser, "220 ready")
		if took := time.Since(began); took < hold {
			t.Errorf("held for %s only", took)
		}
	})
	t.Run("until it speaks", func(t *testing.T) {
		var tapped atomic.Bool
		heard := make(chan struct{})
		r := newRig(t, relayOptions{hold: time.Hour, tap: func(side wire.Side, _ []byte) {
			if side == wire.Server && tapped.CompareAndSwap(false, true) {
				close(heard)
			}
		}})
		tell(t, r.site, "too early")
		<-heard
		must(t, r.browser.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
		if n, err := r.browser.Read(make([]byte, 1)); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("%d bytes passed, %v", n, err)
		}
		must(t, r.browser.SetReadDeadline(time.Now().Add(patience)))
		tell(t, r.browser, "hello")
		hear(t, r.browser, "too early")
		hear(t, r.site, "hello")
	})
	for _, end := range []string{"fin", "reset"} {
		t.Run("a "+end+" too", func(t *testing.T) {
			r := newRig(t, relayOptions{hold: time.Hour})
			if end == "fin" {
				must(t, r.site.CloseWrite())
			} else {
				reset(t, r.site)
			}
			must(t, r.browser.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
			if _, err := r.browser.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("the end passed: %v", err)
			}
			must(t, r.browser.SetReadDeadline(time.Now().Add(patience)))
			tell(t, r.browser, "hello")
			if _, got := hearEnd(t, r.browser); got != end {
				t.Errorf("%s arrived as %s", end, got)
			}
			r.browser.Close()
			r.site.Close()
			e := r.end()
			if e.first != "server" || e.server.how != end {
				t.Errorf("first %s, server %s", e.first, e.server.how)
			}
		})
	}
	t.Run("no longer than the client stays", func(t *testing.T) {
		r := newRig(t, relayOptions{hold: time.Hour})
		tell(t, r.site, "welcome")
		must(t, r.browser.CloseWrite())
		hear(t, r.browser, "welcome")
	})
}

// counter tells a tap's story: how many bytes were seen and how many skipped.
type counter struct{ seen, skipped [2]atomic.Int64 }

func (c *counter) options(settled bool) relayOptions {
	i := func(s wire.Side) int { return slices.Index(bothSides, s) }
	return relayOptions{
		tap:     func(s wire.Side, b []byte) { c.seen[i(s)].Add(int64(len(b))) },
		settled: func() bool { return settled },
		skipped: func(s wire.Side, n int64) { c.skipped[i(s)].Add(n) },
	}
}

// Every byte arrives, in its order, whichever way it is copied; and each is
// either seen or counted as skipped.
func TestRelayExact(t *testing.T) {
	for _, settled := range []bool{false, true} {
		t.Run(fmt.Sprintf("settled %v", settled), func(t *testing.T) {
			const size = 32 << 20
			var n counter
			r := newRig(t, n.options(settled))
			var wg sync.WaitGroup
			var sent, got [2][32]byte
			for i, side := range bothSides {
				from, to := r.sides(side)
				wg.Go(func() { sent[i] = sendRandom(t, from, uint64(i), size) })
				wg.Go(func() { got[i] = sum(t, to, uint64(i)) })
			}
			wg.Wait()
			e := r.end()
			if sent != got {
				t.Error("what arrived is not what was sent")
			}
			if e.up.bytes != size || e.down.bytes != size {
				t.Errorf("%d bytes up, %d down", e.up.bytes, e.down.bytes)
			}
			for i, side := range bothSides {
				seen, skipped := n.seen[i].Load(), n.skipped[i].Load()
				if seen+skipped != size || (skipped > 0) != (settled && canSplice) {
					t.Errorf("%s: %d bytes seen, %d skipped", side, seen, skipped)
				}
				t.Logf("%s: %d%% skipped", side, skipped*100/size)
			}
		})
	}
}

// sendRandom writes size bytes in pieces of any length, then a FIN.
func sendRandom(t *testing.T, c *net.TCPConn, seed uint64, size int) (sum [32]byte) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	h := sha256.New()
	b := make([]byte, 300_000)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	for size > 0 {
		n := min(size, 1+rnd.IntN([]int{10, 3000, len(b) / 2}[rnd.IntN(3)]))
		at := rnd.IntN(len(b) - n + 1)
		h.Write(b[at : at+n])
		if _, err := c.Write(b[at : at+n]); err != nil {
			t.Error(err)
			return sum
		}
		size -= n
	}
	if err := c.CloseWrite(); err != nil {
		t.Error(err)
	}
	h.Sum(sum[:0])
	return sum
}

// sum reads to the end in pieces of any length.
func sum(t *testing.T, c *net.TCPConn, seed uint64) (sum [32]byte) {
	rnd := rand.New(rand.NewPCG(seed, 2))
	h := sha256.New()
	b := make([]byte, 300_000)
	for {
		n, err := c.Read(b[:1+rnd.IntN([]int{3000, len(b)}[rnd.IntN(2)])])
		h.Write(b[:n])
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Error(err)
			break
		}
	}
	h.Sum(sum[:0])
	return sum
}

// What a side hears was shown to the tap before; so no answer is seen before
// its question.
func TestRelayTapComesFirst(t *testing.T) {
	var seen [2]atomic.Int64
	var mu sync.Mutex
	var story strings.Builder
	r := newRig(t, relayOptions{tap: func(s wire.Side, b []byte) {
		seen[slices.Index(bothSides, s)].Add(int64(len(b)))
		mu.Lock()
		defer mu.Unlock()
		story.Write(b)
	}})
	var want strings.Builder
	for i := range 500 {
		question, answer := fmt.Sprintf("q%d ", i), fmt.Sprintf("a%d ", i)
		want.WriteString(question + answer)
		tell(t, r.browser, question)
		hear(t, r.site, question)
		tell(t, r.site, answer)
		hear(t, r.browser, answer)
	}
	mu.Lock()
	if story.String() != want.String() {
		t.Errorf("the tap heard %.200q", story.String())
	}
	mu.Unlock()
	before := seen[0].Load()
	go func() {
		_, _ = r.browser.Write(make([]byte, 1<<20))
		r.browser.CloseWrite()
	}()
	heard := int64(0)
	for b := make([]byte, 5000); ; {
		n, err := r.site.Read(b)
		heard += int64(n)
		if shown := seen[0].Load() - before; shown < heard {
			t.Fatalf("%d bytes arrived, %d were shown", heard, shown)
		}
		if err != nil {
			break
		}
	}
}

func TestRelayCancel(t *testing.T) {
	for _, settled := range []bool{false, true} {
		t.Run(fmt.Sprintf("settled %v", settled), func(t *testing.T) {
			var n counter
			r := newRig(t, n.options(settled))
			r.greet()
			var wg sync.WaitGroup
			for _, side := range bothSides {
				from, to := r.sides(side)
				wg.Go(func() {
					for b := make([]byte, 50_000); ; {
						if _, err := from.Write(b); err != nil {
							return
						}
					}
				})
				_, err := io.CopyN(io.Discard, to, 4<<20)
				must(t, err)
			}
			r.cancel()
			checkEnd(t, r.end(), "faultline", "ours", "ours")
			wg.Wait()
		})
	}
	t.Run("before it begins", func(t *testing.T) {
		noLeaks(t)
		_, client := tcpPair(t)
		server, _ := tcpPair(t)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		checkEnd(t, relay(ctx, client, server, relayOptions{}), "faultline", "ours", "ours")
	})
	t.Run("when one side had ended", func(t *testing.T) {
		r := newRig(t, relayOptions{})
		r.greet()
		must(t, r.browser.CloseWrite())
		hearEnd(t, r.site)
		r.cancel()
		checkEnd(t, r.end(), "client", "fin", "ours")
	})
}

// Tunnels that carried much and rest now hold their two connections, no more.
func TestRelayIdleDescriptors(t *testing.T) {
	const tunnels, bulk = 200, 1 << 20
	noLeaks(t)
	rigs := make([]*rig, tunnels)
	var skipped atomic.Int64
	for i := range rigs {
		r := &rig{t: t, ended: make(chan ending, 1)}
		r.browser, r.client = tcpPair(t)
		r.server, r.site = tcpPair(t)
		rigs[i] = r
	}
	before := descriptors(t)
	for _, r := range rigs {
		r.start(relayOptions{skipped: func(_ wire.Side, n int64) { skipped.Add(n) }})
	}
	var wg sync.WaitGroup
	for _, r := range rigs {
		for _, side := range bothSides {
			from, to := r.sides(side)
			wg.Go(func() {
				if _, err := from.Write(make([]byte, bulk)); err != nil {
					t.Error(err)
				}
			})
			wg.Go(func() {
				if n, err := io.CopyN(io.Discard, to, bulk); err != nil {
					t.Error(n, err)
				}
			})
		}
	}
	wg.Wait()
	for _, r := range rigs {
		r.greet() // it has come round to waiting again, or is about to
	}
	for until := time.Now().Add(patience); ; runtime.Gosched() {
		emptyPipes()
		if n := descriptors(t); n == before {
			break
		} else if time.Now().After(until) {
			t.Fatalf("%d descriptors, %d with the connections alone", n, before)
		}
	}
	if canSplice && skipped.Load() == 0 {
		t.Error("nothing was spliced")
	}
}

// A reader that does not read stops the writer; nothing is lost.
func TestRelayBackpressure(t *testing.T) {
	for _, settled := range []bool{false, true} {
		t.Run(fmt.Sprintf("settled %v", settled), func(t *testing.T) {
			var n counter
			r := newRig(t, n.options(settled))
			r.greet()
			const most = 64 << 20 // what four sockets' buffers never hold
			sent := 0
			for b := make([]byte, 100_000); sent < most; {
				must(t, r.site.SetWriteDeadline(time.Now().Add(200*time.Millisecond)))
				n, err := r.site.Write(b)
				sent += n
				if errors.Is(err, os.ErrDeadlineExceeded) {
					break
				}
				must(t, err)
			}
			if sent >= most {
				t.Fatal("the writer is never stopped")
			}
			tell(t, r.browser, "still here") // the other way is open
			hear(t, r.site, "still here")
			must(t, r.site.CloseWrite())
			if n, end := hearEnd(t, r.browser); n != int64(sent) || end != "fin" {
				t.Errorf("%d bytes of %d, then %s", n, sent, end)
			}
		})
	}
}

// A half-closed tunnel is given up when nothing passes, and not before.
func TestRelayIdleLimit(t *testing.T) {
	forBoth(t, func(t *testing.T, side wire.Side) {
		const idle = 600 * time.Millisecond
		r := newRig(t, relayOptions{idle: idle})
		r.greet()
		c, other := r.sides(side)
		must(t, c.CloseWrite())
		if _, end := hearEnd(t, other); end != "fin" {
			t.Fatalf("a FIN arrived as %s", end)
		}
		tick := time.NewTicker(idle / 4)
		defer tick.Stop()
		for range 6 {
			<-tick.C
			tell(t, other, "x")
			hear(t, c, "x")
		}
		if _, end := hearEnd(t, c); end != "reset" {
			t.Errorf("giving up arrived as %s", end)
		}
		client, server := told(side, "fin", "timeout")
		checkEnd(t, r.end(), string(side), client, server)
	})
}

// A client that leaves in the middle of a handshake is not waited for so long.
func TestRelayGone(t *testing.T) {
	var n counter
	o := n.options(false)
	o.handshaking = func() bool { return true }
	r := newRig(t, o)
	r.greet()
	must(t, r.browser.CloseWrite())
	if _, end := hearEnd(t, r.site); end != "reset" && end != "fin" {
		t.Errorf("the server was told %s", end)
	}
	e := r.end()
	checkEnd(t, e, "client", "fin", "timeout")
	if e.took < goneAfter {
		t.Errorf("given up after %s", e.took)
	}
}

// A bug in the tap ends the tunnel, and is the caller's to report.
func TestRelayPanic(t *testing.T) {
	forBoth(t, func(t *testing.T, side wire.Side) {
		noLeaks(t)
		browser, client := tcpPair(t)
		server, site := tcpPair(t)
		tell(t, browser, "hello")
		tell(t, site, "welcome")
		defer func() {
			if e := fmt.Sprint(recover()); !strings.HasPrefix(e, "a bug\n") || !strings.Contains(e, "TestRelayPanic") {
				t.Errorf("got %s", e)
			}
		}()
		relay(context.Background(), client, server, relayOptions{tap: func(s wire.Side, _ []byte) {
			if s == side {
				panic("a bug")
			}
		}})
	})
}

func TestRelayHow(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{syscall.ECONNRESET, "reset"},
		{syscall.EPIPE, "reset"},
		{syscall.ETIMEDOUT, "timeout"},
		{syscall.EHOSTUNREACH, "error"},
		{io.ErrUnexpectedEOF, "error"},
	} {
		if got := how(&net.OpError{Op: "read", Err: os.NewSyscallError("read", test.err)}); got != test.want {
			t.Errorf("%v is %s, want %s", test.err, got, test.want)
		}
	}
}
