//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package report

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// acquire takes the lock file, which names its owner, and holds it until it is
// closed. The system lets go of it when the process ends, however it ends, so a
// file left behind locks nobody out; it is not removed, since that would race
// with the next owner.
func acquire(lockfile string) (io.Closer, error) {
	f, err := os.OpenFile(lockfile, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, hint(err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		f.Close()
		return nil, inUse(lockfile)
	}
	// Any other error means that this file system has no locks (some network
	// ones): go on without.
	if f.Truncate(0) == nil {
		fmt.Fprintln(f, os.Getpid())
	}
	return f, nil
}
