//go:build !linux

package proxy

import (
	"net"
	"syscall"

	"faultline/inspect"
)

// evidence is what the system knows of one connection attempt beyond its error:
// here, nothing. Windows could tell the ICMP message by WSAGetIcmpErrorInfo,
// which is not used yet; other systems keep only the error it became.
type evidence struct{}

func newEvidence() *evidence { return nil }

func (*evidence) control(string, string, syscall.RawConn) error { return nil }

func (*evidence) release(*net.TCPConn) {}

func (*evidence) read() (icmp *inspect.ICMP, retransmits int) { return nil, 0 }

func (*evidence) close() {}
