//go:build !linux

package proxy

import "syscall"

// Only Linux moves bytes between two connections without us.
const canSplice = false

type splicing struct{}

func (*pump) splice() (readErr, writeErr error) { return nil, nil }

// unsent would be how many bytes the peer has not acknowledged. It is not asked
// for here, so a reset may overtake what was written just before it.
func unsent(syscall.RawConn) int { return 0 }

// behindEOF would be the error that the end of a stream hides.
func (*pump) behindEOF() (gone bool, err error) { return false, nil }
