package report

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// acquire opens the lock file, which names its owner, so that others may read
// but not write it until it is closed.
func acquire(lockfile string) (io.Closer, error) {
	name, err := syscall.UTF16PtrFromString(lockfile)
	if err != nil {
		return nil, err
	}
	h, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, syscall.FILE_SHARE_READ, nil,
		syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	const sharingViolation = syscall.Errno(32) // ERROR_SHARING_VIOLATION
	if errors.Is(err, sharingViolation) {
		return nil, inUse(lockfile)
	}
	if err != nil {
		return nil, hint(&os.PathError{Op: "open", Path: lockfile, Err: err})
	}
	f := os.NewFile(uintptr(h), lockfile)
	if f.Truncate(0) == nil {
		fmt.Fprintln(f, os.Getpid())
	}
	return f, nil
}
