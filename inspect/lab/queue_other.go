//go:build !linux

package lab

import (
	"errors"
	"net"
)

// canFill: other systems answer a full queue with a refusal, or let it grow.
const canFill = false

func (l *Lab) fill(*net.TCPListener) error { return errors.ErrUnsupported }
