package browser

import (
	"io"
	"log"
)

// quietLog is for servers whose clients are meant to fail.
var quietLog = log.New(io.Discard, "", 0)
