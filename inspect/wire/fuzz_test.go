package wire

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// The fuzz targets look inside the package: they hold the parsers against
// themselves, without the record layer in front.

// play feeds a conversation in the format of the transcripts (side, length,
// bytes), in pieces of n bytes, 0 for whole. Whatever is broken ends it.
func play(b []byte, n int) *Conversation {
	var c Conversation
	for len(b) >= 3 {
		side := Server
		if b[0] == 'c' {
			side = Client
		}
		end := min(len(b), 3+int(binary.BigEndian.Uint16(b[1:])))
		for rest := b[3:end]; len(rest) > 0; {
			k := len(rest)
			if n > 0 {
				k = min(n, k)
			}
			c.Feed(side, rest[:k], 0)
			rest = rest[k:]
		}
		b = b[end:]
	}
	return &c
}

func seeds(t testing.TB) [][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/*.bin")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 30 {
		t.Fatalf("only %d transcripts in testdata", len(files))
	}
	var all [][]byte
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	return all
}

// bodies are the handshake messages of one type in the transcripts.
func bodies(t testing.TB, typ uint8) (found [][]byte) {
	t.Helper()
	for _, b := range seeds(t) {
		for len(b) >= 3 {
			n := 3 + int(binary.BigEndian.Uint16(b[1:]))
			for part := b[3:n]; len(part) >= headerLen; {
				end := min(len(part), headerLen+int(binary.BigEndian.Uint16(part[3:])))
				if part[0] == recordHandshake && end > headerLen+4 && part[5] == typ {
					found = append(found, part[headerLen+4:end])
				}
				part = part[end:]
			}
			b = b[n:]
		}
	}
	return found
}

// TestSeeds: the fuzz targets begin with real messages.
func TestSeeds(t *testing.T) {
	for typ, want := range map[uint8]int{msgClientHello: 30, msgServerHello: 30, msgCertificate: 10} {
		found := bodies(t, typ)
		if len(found) < want {
			t.Errorf("%d messages of type %d, want %d or more", len(found), typ, want)
		}
		for _, b := range found {
			var err error
			switch typ {
			case msgClientHello:
				_, err = parseClientHello(b)
			case msgServerHello:
				_, _, err = parseServerHello(b)
			case msgCertificate:
				_, err = parseChain(b)
			}
			if err != nil {
				t.Errorf("message of type %d: %v", typ, err)
			}
		}
	}
}

func FuzzConversation(f *testing.F) {
	for _, b := range seeds(f) {
		f.Add(b)
	}
	f.Add([]byte("c\x00\x0fGET / HTTP/1.1\ns\x00\x0cSSH-2.0-test"))
	f.Add([]byte("c\x00\x05\x80\x2e\x01\x03\x01s\x00\x09\x00\x00\x06\x04\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		whole := play(b, 0)
		want := whole.Facts()
		for _, n := range []int{1, 13} {
			c := play(b, n)
			if got := c.Facts(); !reflect.DeepEqual(got, want) {
				t.Errorf("in pieces of %d:\n%+v\nwhole:\n%+v", n, got, want)
			}
			// Whoever looks more often may see it settled earlier, never later.
			if whole.Settled() && !c.Settled() {
				t.Errorf("in pieces of %d it is not settled", n)
			}
		}
		if len(want.Alerts) > maxAlerts || len(want.Records) > MaxRecords || len(want.Chain) > maxCerts ||
			len(want.Client.First) > maxFirst || len(want.Server.First) > maxFirst {
			t.Errorf("bounds: %+v", want)
		}
		for _, talk := range []Talk{want.Client, want.Server} {
			if talk.Cut < 0 || talk.Cut > maxSealed {
				t.Errorf("cut %d", talk.Cut)
			}
		}
	})
}

func FuzzClientHello(f *testing.F) {
	for _, b := range bodies(f, msgClientHello) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		want, err := parseClientHello(body)
		if (err == nil) != (want != nil) {
			t.Fatalf("%+v, %v", want, err)
		}
		if want != nil && len(want.JA4) != len("t13d1517h2_8daaf6152771_cb7bf5808d99") {
			t.Errorf("JA4 %q", want.JA4)
		}
		whole := Conversation{}
		bytewise := Conversation{}
		stream := inRecords(msgClientHello, body)
		whole.Feed(Client, stream, 0)
		for i := range stream {
			bytewise.Feed(Client, stream[i:i+1], 0)
		}
		a, b := whole.Facts(), bytewise.Facts()
		if !reflect.DeepEqual(a, b) {
			t.Errorf("whole %+v\nbytewise %+v", a, b)
		}
		if got := a.Hello; got != nil && len(body) <= maxMessage {
			want.Bytes, want.Records = got.Bytes, got.Records
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v\nwant %+v", got, want)
			}
		} else if want != nil && len(body) <= maxMessage {
			t.Error("the conversation did not see the hello")
		}
	})
}

func FuzzServerHello(f *testing.F) {
	for _, b := range bodies(f, msgServerHello) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		want, retry, err := parseServerHello(body)
		if (err == nil) != (want != nil) {
			t.Fatalf("%+v, %v", want, err)
		}
		whole := Conversation{}
		bytewise := Conversation{}
		stream := inRecords(msgServerHello, body)
		whole.Feed(Server, stream, 0)
		for i := range stream {
			bytewise.Feed(Server, stream[i:i+1], 0)
		}
		a, b := whole.Facts(), bytewise.Facts()
		if !reflect.DeepEqual(a, b) {
			t.Errorf("whole %+v\nbytewise %+v", a, b)
		}
		got := a.Answer
		if retry {
			got = a.Retry
		}
		if len(body) <= maxMessage && !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v\nwant %+v", got, want)
		}
	})
}

// inRecords is a handshake message in records of at most 700 bytes.
func inRecords(typ uint8, body []byte) (stream []byte) {
	msg := append([]byte{typ, byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}, body...)
	for len(msg) > 0 {
		n := min(700, len(msg))
		stream = append(stream, recordHandshake, 3, 3, byte(n>>8), byte(n))
		stream = append(stream, msg[:n]...)
		msg = msg[n:]
	}
	return stream
}
