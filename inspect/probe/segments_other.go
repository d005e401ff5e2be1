//go:build !unix

package probe

import "syscall"

// smallSegments is not known to this system; the comparison then sends what the
// first one sent, and shows nothing new.
func smallSegments(_, _ string, _ syscall.RawConn) error { return nil }
