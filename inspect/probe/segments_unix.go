//go:build unix

package probe

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// smallSegments makes a connection send in segments of 536 bytes, which every
// path must carry (RFC 9293 §3.7.1).
func smallSegments(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG, 536)
	})
}
