package wire_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"faultline/inspect/wire"
)

// transcripts are the recorded conversations of testdata, by name. See
// TestCapture for how they were made.
func transcripts(t testing.TB) map[string][]part {
	t.Helper()
	files, err := filepath.Glob("testdata/*.bin")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]part)
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(filepath.Base(file), ".bin")] = readTranscript(t, b)
	}
	// A pattern that matches nothing is no error, and neither are tests that
	// then have nothing to look at.
	for _, client := range []string{"chromium", "firefox", "curl", "openssl", "gnutls", "go"} {
		for _, end := range []string{"-13-accept", "-13-reject", "-12-accept", "-12-reject"} {
			if all[client+end] == nil {
				t.Fatalf("testdata/%s%s.bin is missing", client, end)
			}
		}
	}
	return all
}

func readTranscript(t testing.TB, b []byte) (parts []part) {
	t.Helper()
	sides := map[byte]wire.Side{'c': wire.Client, 's': wire.Server}
	for len(b) > 0 {
		if len(b) < 3 || sides[b[0]] == "" || len(b) < 3+int(binary.BigEndian.Uint16(b[1:])) {
			t.Fatalf("broken transcript: %d bytes left", len(b))
		}
		n := 3 + int(binary.BigEndian.Uint16(b[1:]))
		parts = append(parts, part{sides[b[0]], b[3:n]})
		b = b[n:]
	}
	return parts
}

// hello is the record with the first hello of a transcript.
func hello(t testing.TB, name string) []byte {
	t.Helper()
	first := transcripts(t)[name][0].data
	if first[0] != 22 {
		t.Fatalf("%s begins with a record of type %d", name, first[0])
	}
	return first[:5+int(binary.BigEndian.Uint16(first[3:]))]
}

// feed plays parts to a new conversation in pieces of n bytes, 0 for whole.
func feed(parts []part, n int) *wire.Conversation {
	var c wire.Conversation
	for _, p := range parts {
		for rest := p.data; len(rest) > 0; {
			k := len(rest)
			if n > 0 {
				k = min(n, k)
			}
			piece := append([]byte(nil), rest[:k]...)
			c.Feed(p.side, piece, 0)
			clear(piece) // it must not be kept
			rest = rest[k:]
		}
	}
	return &c
}
