package lab

import (
	"net"
	"syscall"
	"time"
)

// canFill: a listener can be made to ignore connections.
const canFill = true

// fill makes ln deaf. It shortens the queue of connections that wait to be
// accepted and fills it; Linux then drops every further SYN (tcp_conn_request
// in net/ipv4/tcp_input.c), so a client sees what it sees of a machine that is
// not there. Nothing else on loopback does that without a packet filter.
func (l *Lab) fill(ln *net.TCPListener) error {
	raw, err := ln.SyscallConn()
	if err != nil {
		return err
	}
	var again error
	if err := raw.Control(func(fd uintptr) { again = syscall.Listen(int(fd), 0) }); err != nil {
		return err
	}
	if again != nil {
		return again
	}
	// A queue of length 0 holds one. A second one is tried since the length is
	// the kernel's to choose; on loopback a SYN is answered at once or never.
	d := net.Dialer{Timeout: 20 * time.Millisecond}
	for range 8 {
		c, err := d.DialContext(l.ctx, "tcp", ln.Addr().String())
		if err != nil {
			return nil
		}
		l.keep(c)
	}
	return nil
}
