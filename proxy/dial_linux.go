package proxy

import (
	"encoding/binary"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"

	"faultline/inspect"
)

// evidence is what the kernel knows of one connection attempt and tells nobody
// who has closed the socket: how often the SYN was sent, and which ICMP message
// ended the attempt, sent by whom. It costs no packet and needs no privilege.
//
// The dialer closes its socket when connecting fails, so a second descriptor
// of the same socket is made before it connects.
type evidence struct {
	fd int // -1 for none
	v6 bool
}

func newEvidence() *evidence { return &evidence{fd: -1} }

// control is the Control of a net.Dialer. It never fails the connection:
// without evidence there is just less to tell.
func (e *evidence) control(network, _ string, c syscall.RawConn) error {
	e.v6 = network == "tcp6"
	c.Control(func(fd uintptr) {
		if recvErr(int(fd), e.v6, 1) != nil {
			return
		}
		if dup, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0); err == nil {
			e.close()
			e.fd = dup
		}
	})
	return nil
}

// recvErr switches the queue of ICMP errors of a socket on or off. Off also
// empties it.
func recvErr(fd int, v6 bool, on int) error {
	if v6 {
		return unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_RECVERR, on)
	}
	return unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_RECVERR, on)
}

// release makes a connection an ordinary one. With the queue on, a passing ICMP
// message (a router that restarts) would end a working connection.
func (e *evidence) release(conn *net.TCPConn) {
	rc, err := conn.SyscallConn()
	if err != nil {
		return
	}
	rc.Control(func(fd uintptr) { recvErr(int(fd), e.v6, 0) })
}

// read takes what is known of an attempt that failed.
func (e *evidence) read() (icmp *inspect.ICMP, retransmits int) {
	if e.fd < 0 {
		return nil, 0
	}
	if info, err := unix.GetsockoptTCPInfo(e.fd, unix.SOL_TCP, unix.TCP_INFO); err == nil {
		retransmits = int(max(info.Total_retrans, uint32(info.Retransmits)))
	}
	// The queue holds few messages; the last one ended the attempt.
	oob := make([]byte, 512)
	for range 16 {
		_, n, _, _, err := unix.Recvmsg(e.fd, nil, oob, unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
		if err != nil {
			break
		}
		if m := icmpError(oob[:n]); m != nil {
			icmp = m
		}
	}
	return icmp, retransmits
}

// close lets go of the socket. A second descriptor left open would keep it
// alive.
func (e *evidence) close() {
	if e.fd >= 0 {
		unix.Close(e.fd)
		e.fd = -1
	}
}

// icmpError finds an ICMP error among the control messages of an error queue:
// struct sock_extended_err of linux/errqueue.h, followed by the address of the
// machine that sent it. Errors of other origin are nil.
func icmpError(oob []byte) *inspect.ICMP {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	for _, m := range messages {
		v4 := m.Header.Level == unix.SOL_IP && m.Header.Type == unix.IP_RECVERR
		v6 := m.Header.Level == unix.SOL_IPV6 && m.Header.Type == unix.IPV6_RECVERR
		if !v4 && !v6 || len(m.Data) < 16 {
			continue
		}
		origin := m.Data[4]
		if origin != unix.SO_EE_ORIGIN_ICMP && origin != unix.SO_EE_ORIGIN_ICMP6 {
			continue
		}
		return &inspect.ICMP{Type: m.Data[5], Code: m.Data[6], From: offender(m.Data[16:])}
	}
	return nil
}

// offender reads a struct sockaddr, "" when it holds no address.
func offender(b []byte) string {
	if len(b) < 8 {
		return ""
	}
	switch binary.NativeEndian.Uint16(b) {
	case unix.AF_INET:
		return netip.AddrFrom4([4]byte(b[4:8])).String()
	case unix.AF_INET6:
		if len(b) >= 24 {
			return netip.AddrFrom16([16]byte(b[8:24])).String()
		}
	}
	return ""
}
