package proxy

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"faultline/inspect/wire"
)

// emptyPipes closes the spare pipes, so that descriptors can be counted.
func emptyPipes() {
	pipes.mu.Lock()
	defer pipes.mu.Unlock()
	for _, p := range pipes.spare {
		p.close()
	}
	pipes.spare = nil
}

// awaitSent waits until the peer's kernel has everything.
func awaitSent(c *net.TCPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 10_000 {
		if unsent(raw) == 0 {
			return nil
		}
		<-tick.C
	}
	return errors.New("it is not taken")
}

// awaitReset waits for the reset of a connection on which a FIN came before.
func awaitReset(c *net.TCPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	n := 0
	err = raw.Read(func(fd uintptr) bool {
		n, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		return n != 0
	})
	if err != nil {
		return err
	}
	if e := syscall.Errno(n); e != unix.EPIPE && e != unix.ECONNRESET {
		return e
	}
	return nil
}

// vanish makes a socket deaf: whatever comes is dropped, nothing is answered.
func vanish(t *testing.T, c *net.TCPConn) {
	t.Helper()
	control(t, c, func(fd int) error {
		drop := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
		return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
			&unix.SockFprog{Len: uint16(len(drop)), Filter: (*unix.SockFilter)(unsafe.Pointer(&drop[0]))})
	})
}

func control(t *testing.T, c *net.TCPConn, f func(fd int) error) {
	t.Helper()
	raw, err := c.SyscallConn()
	must(t, err)
	var failed error
	must(t, raw.Control(func(fd uintptr) { failed = f(int(fd)) }))
	must(t, failed)
}

// A peer that is gone without a word is a timeout, not a reset.
func TestRelayVanished(t *testing.T) {
	forBoth(t, func(t *testing.T, side wire.Side) {
		r := newRig(t, relayOptions{})
		r.greet()
		c, other := r.sides(side)
		own := r.server
		if side == wire.Client {
			own = r.client
		}
		control(t, own, func(fd int) error { // else it takes a quarter of an hour
			return unix.SetsockoptInt(fd, unix.SOL_TCP, unix.TCP_USER_TIMEOUT, 300)
		})
		vanish(t, c)
		tell(t, other, "anybody there?")
		if _, end := hearEnd(t, other); end != "reset" {
			t.Errorf("the other side heard of it as %s", end)
		}
		client, server := told(side, "timeout", "ours")
		checkEnd(t, r.end(), string(side), client, server)
	})
}

// An old tunnel asks for signs of life.
func TestRelayKeepAlive(t *testing.T) {
	_, client := tcpPair(t)
	server, _ := tcpPair(t)
	r := newRelaying(client, server, relayOptions{})
	defer r.close()
	r.keepAlive()
	for _, c := range []*net.TCPConn{client, server} {
		control(t, c, func(fd int) error {
			on, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE)
			idle, err2 := unix.GetsockoptInt(fd, unix.SOL_TCP, unix.TCP_KEEPIDLE)
			if on != 1 || idle != int(keepAliveIdle.Seconds()) {
				t.Errorf("on %d, idle %d s", on, idle)
			}
			return errors.Join(err, err2)
		})
	}
}

// Pipes are bounded; those who get none copy by themselves, and no pipe with
// something left in it is used again.
func TestRelayPipes(t *testing.T) {
	noLeaks(t)
	var lent []*pipe
	for range maxPipes {
		p := pipes.get()
		if p == nil {
			t.Fatal("no pipe")
		}
		lent = append(lent, p)
	}
	if p := pipes.get(); p != nil {
		t.Error("more pipes than there may be")
	}
	t.Run("none left", func(t *testing.T) {
		var n counter
		r := newRig(t, n.options(true))
		go sendRandom(t, r.browser, 1, 4<<20)
		if got, end := hearEnd(t, r.site); got != 4<<20 || end != "fin" {
			t.Errorf("%d bytes, then %s", got, end)
		}
		if n.skipped[0].Load() != 0 {
			t.Error("spliced without a pipe")
		}
	})
	for i, p := range lent {
		pipes.put(p, i%2 == 0)
	}
	if n := len(pipes.spare); n != sparePipes || pipes.lent != 0 {
		t.Errorf("%d pipes kept, %d lent", n, pipes.lent)
	}
}
