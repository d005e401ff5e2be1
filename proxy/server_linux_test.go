package proxy

import "testing"

// hole is an address that never answers.
func hole(t *testing.T) (string, bool) { return blackHole(t, false).String(), true }
