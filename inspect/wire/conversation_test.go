package wire_test

import (
	"bytes"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"faultline/inspect/wire"
)

// outcome is what a transcript must show, in few words.
type outcome struct {
	version     uint16
	first, next int // the client's first encrypted records
	alert       int // the first clear alert of the client, -1 for none
	sealed      bool
	chain       int
	settled     bool
}

func TestTranscripts(t *testing.T) {
	const none = -1
	tests := map[string]outcome{
		"chromium-13-accept":      {0x0304, 53, 87, none, false, 0, true},
		"chromium-13-reject":      {0x0304, 19, 0, none, false, 0, false},
		"chromium-13-retry":       {0x0304, 53, 87, none, false, 0, true},
		"chromium-12-accept":      {0x0303, 40, 94, none, false, 2, true},
		"chromium-12-reject":      {0x0303, 0, 0, 46, false, 2, false},
		"chromium-12-staple":      {0x0303, 40, 94, none, false, 2, true},
		"firefox-13-accept":       {0x0304, 53, 87, none, false, 0, true},
		"firefox-12-accept":       {0x0303, 40, 94, none, true, 2, true},
		"firefox-13-reject":       {0x0304, 19, 0, none, false, 0, false},
		"firefox-13-retry-reject": {0x0304, 19, 0, none, false, 0, false},
		"firefox-12-reject":       {0x0303, 40, 26, none, true, 2, false},
		"curl-13-accept":          {0x0304, 53, 81, none, false, 0, true},
		"curl-13-reject":          {0x0304, 0, 0, 48, false, 0, false}, // in clear, even in TLS 1.3
		"curl-12-accept":          {0x0303, 40, 88, none, false, 2, true},
		"curl-12-reject":          {0x0303, 0, 0, 48, false, 2, false},
		"curl-12-cert-wanted":     {0x0303, 40, 0, none, false, 2, false},
		"openssl-13-accept":       {0x0304, 53, 35, none, false, 0, true},
		"openssl-13-reject":       {0x0304, 0, 0, 48, false, 0, false},
		"openssl-12-accept":       {0x0303, 40, 42, none, true, 2, true},
		"openssl-12-reject":       {0x0303, 0, 0, 48, false, 2, false},
		"gnutls-13-accept":        {0x0304, 53, 35, none, false, 0, true},
		"gnutls-13-reject":        {0x0304, 19, 0, none, false, 0, false},
		"gnutls-12-accept":        {0x0303, 40, 42, none, true, 2, true},
		"gnutls-12-reject":        {0x0303, 0, 0, 42, false, 2, false},
		"go-13-accept":            {0x0304, 53, 132, none, false, 0, true},
		"go-13-reject":            {0x0304, 19, 0, none, false, 0, false},
		"go-13-retry":             {0x0304, 53, 132, none, false, 0, true},
		"go-13-resumed":           {0x0304, 53, 132, none, false, 0, true},
		"go-12-accept":            {0x0303, 40, 139, none, false, 2, true},
		"go-12-reject":            {0x0303, 0, 0, 42, false, 2, false},
		"go-12-resumed":           {0x0303, 40, 139, none, true, 0, true},
		"go-12-no-cipher":         {0, 0, 0, none, false, 0, false},
	}
	all := transcripts(t)
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			if all[name] == nil {
				t.Fatalf("testdata/%s.bin is missing", name)
			}
			c := feed(all[name], 0)
			f := c.Facts()
			got := outcome{first: f.ClientFirst, next: f.ClientNext, alert: none, chain: len(f.Chain), settled: c.Settled()}
			if f.Answer != nil {
				got.version = f.Answer.Version
			}
			for _, a := range f.Alerts {
				switch {
				case a.Side != wire.Client:
				case a.Encrypted:
					got.sealed = true
				case got.alert == none:
					got.alert = int(a.Number)
				}
			}
			if got != want {
				t.Errorf("got %+v\nwant %+v", got, want)
			}
			if f.Broken != "" || f.Renegotiated || f.Client.Cut != 0 {
				t.Errorf("a clean conversation: broken %q, renegotiated %v, cut %d", f.Broken, f.Renegotiated, f.Client.Cut)
			}
			for _, der := range f.Chain {
				if _, err := x509.ParseCertificate(der); err != nil {
					t.Errorf("certificate: %v", err)
				}
			}
		})
	}
}

func TestTranscriptDetails(t *testing.T) {
	all := transcripts(t)
	facts := func(name string) wire.Facts { return feed(all[name], 0).Facts() }

	t.Run("retry", func(t *testing.T) {
		f := facts("chromium-13-retry")
		if f.Retry == nil || f.Retry.Group != 24 || f.Answer.Group != 24 || f.Hellos != 2 || f.ClientCCS {
			t.Errorf("retry %+v, answer %+v, %d hellos, ccs %v", f.Retry, f.Answer, f.Hellos, f.ClientCCS)
		}
	})
	t.Run("resumed in TLS 1.2", func(t *testing.T) {
		if f := facts("go-12-resumed"); !f.Answer.Resumed || f.Answer.PSK {
			t.Errorf("answer %+v", f.Answer)
		}
	})
	t.Run("resumed in TLS 1.3", func(t *testing.T) {
		if f := facts("go-13-resumed"); !f.Answer.Resumed || !f.Answer.PSK || !f.Hello.PSK {
			t.Errorf("answer %+v, hello %+v", f.Answer, f.Hello)
		}
	})
	t.Run("not resumed", func(t *testing.T) {
		if f := facts("go-12-accept"); f.Answer.Resumed || !f.KeyExchange || !f.ServerDone || f.Answer.Group != 29 || f.Answer.ALPN != "" {
			t.Errorf("answer %+v, facts %+v", f.Answer, f)
		}
	})
	t.Run("staple", func(t *testing.T) {
		if f := facts("chromium-12-staple"); string(f.Staple) != "not really OCSP" {
			t.Errorf("staple %q", f.Staple)
		}
	})
	t.Run("client certificate wanted", func(t *testing.T) {
		f := facts("curl-12-cert-wanted")
		if !f.CertificateRequested || !f.NoClientCertificate || len(f.Alerts) != 1 || f.Alerts[0].Side != wire.Server ||
			f.Alerts[0].Number != 40 || f.Alerts[0].Name != "handshake_failure" || !f.Alerts[0].BeforeCCS {
			t.Errorf("facts %+v", f)
		}
	})
	t.Run("ALPN of TLS 1.2", func(t *testing.T) {
		if f := facts("chromium-12-accept"); f.Answer.ALPN != "h2" {
			t.Errorf("ALPN %q", f.Answer.ALPN)
		}
	})
	t.Run("the server goes on after the Finished", func(t *testing.T) {
		if f := facts("chromium-13-accept"); f.ServerAfter != 5 || f.ServerData != 10 || f.ClientData != 5 {
			t.Errorf("after %d, server %d, client %d", f.ServerAfter, f.ServerData, f.ClientData)
		}
	})
	t.Run("records", func(t *testing.T) {
		f := facts("go-12-reject")
		var got []wire.Record
		for _, r := range f.Records {
			if len(r.Messages) == 0 || r.Messages[0] == 1 || r.Messages[0] == 14 {
				got = append(got, r)
			}
		}
		want := []wire.Record{
			{Side: wire.Client, Type: 22, Version: 0x0301, Len: 1496, Messages: []int{1}},
			{Side: wire.Server, Type: 22, Version: 0x0303, Len: 4, Messages: []int{14}},
			{Side: wire.Client, Type: 21, Version: 0x0303, Len: 2},
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v\nwant %+v", got, want)
		}
	})
	t.Run("JSON", func(t *testing.T) {
		b, err := json.Marshal(facts("go-12-reject"))
		if err != nil || !strings.Contains(string(b), `"messages":[1]`) {
			t.Errorf("%v: %s", err, b)
		}
	})
}

func TestHellos(t *testing.T) {
	tests := map[string]struct {
		sni     string
		alpn    string
		ciphers int
		share   uint16 // the first key share, GREASE aside
		grease  bool
		ech     bool
		ja4     string
	}{
		"chromium-13-accept": {"localhost", "h2", 16, 0x11EC, true, true, "t13d1517h2_8daaf6152771_cb7bf5808d99"},
		"chromium-13-reject": {"localhost", "h2", 16, 0x11EC, true, true, "t13d1517h2_8daaf6152771_cb7bf5808d99"},
		"chromium-12-accept": {"localhost", "h2", 16, 0x11EC, true, true, "t13d1517h2_8daaf6152771_cb7bf5808d99"},
		"firefox-13-reject":  {"localhost", "h2", 16, 0x11EC, false, true, "t13d1617h2_86a278354501_3cbfd9057e0d"},
		"curl-13-accept":     {"localhost", "h2", 31, 29, false, false, "t13d3112h2_e8f1e7e78f70_b26ce05bbdd6"},
		"openssl-13-accept":  {"", "", 31, 29, false, false, "t13i310900_e8f1e7e78f70_1f22a2ca17c4"},
		"gnutls-13-accept":   {"localhost", "", 29, 23, false, false, "t13d291300_723694b0fccc_2cc26d266019"},
		"go-13-accept":       {"localhost", "", 13, 0x11EC, false, false, "t13d131100_f57a46bbacb6_ab7e3b40a677"},
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			record := hello(t, name)
			h := feed([]part{{wire.Client, record}}, 0).Facts().Hello
			if h == nil {
				t.Fatal("no hello")
			}
			alpn := ""
			if len(h.ALPN) > 0 {
				alpn = h.ALPN[0]
			}
			shares := h.KeyShares
			if want.grease {
				shares = shares[1:]
			}
			if h.SNI != want.sni || alpn != want.alpn || len(h.Ciphers) != want.ciphers || shares[0] != want.share ||
				h.GREASE != want.grease || h.ECH != want.ech || h.JA4 != want.ja4 {
				t.Errorf("got %+v\nwant %+v", h, want)
			}
			if h.Bytes != len(record)-5 || h.Records != 1 || h.Version != 0x0303 || len(h.Versions) < 2 {
				t.Errorf("got %+v of %d bytes", h, len(record))
			}
		})
	}
}

// TestPrefixes: no beginning of a hello is taken for the hello, nor for broken.
func TestPrefixes(t *testing.T) {
	for name := range transcripts(t) {
		record := hello(t, name)
		if n := len(record); n < 200 {
			t.Fatalf("%s: a hello of %d bytes", name, n)
		}
		for n := range record {
			f := feed([]part{{wire.Client, record[:n]}}, 0).Facts()
			cut := len(record) - n
			if n < 5 {
				cut = 5 - n
			}
			if n < 2 {
				cut = 0
			}
			if f.Hello != nil || f.Broken != "" || f.Client.Cut != cut || n >= 2 != (f.Client.Protocol == "tls") {
				t.Fatalf("%s, %d bytes of %d: %+v", name, n, len(record), f)
			}
		}
	}
}

// TestSplits cuts each hello in two at every byte, first as TCP does, then into
// two records, as the record layer may.
func TestSplits(t *testing.T) {
	for _, name := range []string{
		"chromium-13-accept", "firefox-13-accept", "curl-13-accept",
		"openssl-13-accept", "gnutls-13-accept", "go-13-accept", "go-13-resumed",
	} {
		record := hello(t, name)
		whole := feed([]part{{wire.Client, record}}, 0).Facts()
		if whole.Hello == nil {
			t.Fatalf("%s: no hello", name)
		}
		for n := 1; n < len(record); n++ {
			split := feed([]part{{wire.Client, record[:n]}, {wire.Client, record[n:]}}, 0).Facts()
			if !reflect.DeepEqual(split, whole) {
				t.Fatalf("%s cut at %d: %+v\nwant %+v", name, n, split, whole)
			}
		}
		for n := 1; n < len(record)-5; n++ {
			two := tlsRecord(22, record[5:5+n])
			two = append(two, tlsRecord(22, record[5+n:])...)
			h := feed([]part{{wire.Client, two}}, 0).Facts().Hello
			if h == nil || h.Records != 2 || h.JA4 != whole.Hello.JA4 {
				t.Fatalf("%s in two records, cut at %d: %+v", name, n, h)
			}
		}
	}
}

func tlsRecord(typ byte, body []byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{typ, 3, 3}, uint16(len(body)))
	return append(b, body...)
}

// TestChunking: how the bytes are cut does not matter.
func TestChunking(t *testing.T) {
	for name, parts := range transcripts(t) {
		c := feed(parts, 0)
		whole, settled := c.Facts(), c.Settled()
		for _, n := range []int{1, 2, 3, 5, 7, 64, 1460} {
			c := feed(parts, n)
			if got := c.Facts(); !reflect.DeepEqual(got, whole) || c.Settled() != settled {
				t.Errorf("%s in pieces of %d: %+v\nwant %+v", name, n, got, whole)
			}
		}
	}
}

func TestChunkingAtRandom(t *testing.T) {
	all := transcripts(t)
	var names []string
	for name := range all {
		names = append(names, name)
	}
	rapid.Check(t, func(t *rapid.T) {
		parts := all[rapid.SampledFrom(names).Draw(t, "transcript")]
		if rapid.Bool().Draw(t, "damaged") {
			parts = damage(t, parts)
		}
		whole := feed(parts, 0)
		var c wire.Conversation
		for _, p := range parts {
			for rest := p.data; len(rest) > 0; {
				n := rapid.IntRange(1, len(rest)).Draw(t, "piece")
				c.Feed(p.side, rest[:n], 0)
				rest = rest[n:]
			}
		}
		if got, want := c.Facts(), whole.Facts(); !reflect.DeepEqual(got, want) || c.Settled() != whole.Settled() {
			t.Errorf("got %+v\nwant %+v", got, want)
		}
	})
}

func damage(t *rapid.T, parts []part) []part {
	parts = append([]part(nil), parts...)
	i := rapid.IntRange(0, len(parts)-1).Draw(t, "part")
	data := bytes.Clone(parts[i].data)
	data[rapid.IntRange(0, len(data)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "bits"))
	parts[i].data = data
	return parts
}

// exchange is a conversation as a test writes it: sides alternate.
func exchange(client []byte, rest ...[]byte) []part {
	parts := []part{{wire.Client, client}}
	for i, b := range rest {
		side := wire.Server
		if i%2 == 1 {
			side = wire.Client
		}
		if len(b) > 0 {
			parts = append(parts, part{side, b})
		}
	}
	return parts
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// answer is a record with a ServerHello.
func answer(version uint16, cipher uint16, random string, exts ...byte) []byte {
	body := []byte{3, 3}
	if version < 0x0304 {
		body = binary.BigEndian.AppendUint16(nil, version)
	}
	r := make([]byte, 32)
	copy(r[32-len(random):], random)
	body = append(body, r...)
	body = append(body, 0)
	body = binary.BigEndian.AppendUint16(body, cipher)
	body = append(body, 0)
	if version == 0x0304 {
		exts = append(exts, 0, 43, 0, 2, 3, 4)
	}
	body = binary.BigEndian.AppendUint16(body, uint16(len(exts)))
	body = append(body, exts...)
	return tlsRecord(22, message(2, body))
}

func message(typ byte, body []byte) []byte {
	return append([]byte{typ, byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}, body...)
}

var (
	ccs       = tlsRecord(20, []byte{1})
	helloDone = tlsRecord(22, message(14, nil))
)

func sealed(typ byte, n int) []byte { return tlsRecord(typ, bytes.Repeat([]byte{0xA5}, n)) }

func TestCases(t *testing.T) {
	h := hello(t, "go-13-accept")
	tls13 := answer(0x0304, 0x1301, "")
	tls12 := answer(0x0303, 0xC02F, "")
	finish12 := join(ccs, sealed(22, 40))

	tests := map[string]struct {
		parts []part
		check func(f wire.Facts, settled bool) bool
	}{
		"a warning before the ServerHello stays a warning": {
			exchange(h, join(tlsRecord(21, []byte{1, 112}), tls12)),
			func(f wire.Facts, _ bool) bool {
				return len(f.Alerts) == 1 && f.Alerts[0].Level == 1 && f.Alerts[0].Number == 112 &&
					f.Alerts[0].Name == "unrecognized_name" && f.Alerts[0].BeforeCCS && f.Answer != nil
			},
		},
		"an alert in two records": {
			exchange(h, join(tlsRecord(21, []byte{2}), tlsRecord(21, []byte{40}))),
			func(f wire.Facts, _ bool) bool { return len(f.Alerts) == 1 && f.Alerts[0].Number == 40 },
		},
		"two alerts in one record": {
			exchange(h, tlsRecord(21, []byte{1, 112, 2, 40})),
			func(f wire.Facts, _ bool) bool { return len(f.Alerts) == 2 && f.Alerts[1].Number == 40 },
		},
		"TLS 1.3: only a Finished": {
			exchange(h, tls13, join(ccs, sealed(23, 53))),
			func(f wire.Facts, settled bool) bool {
				return f.ClientFirst == 53 && f.ClientNext == 0 && f.ClientCCS && !settled
			},
		},
		"TLS 1.3: Finished and a lone 19": {
			exchange(h, tls13, join(ccs, sealed(23, 53), sealed(23, 19))),
			func(f wire.Facts, settled bool) bool { return f.ClientNext == 19 && !settled },
		},
		"TLS 1.3: Finished, 19 and more": {
			exchange(h, tls13, join(ccs, sealed(23, 53), sealed(23, 19), sealed(23, 100))),
			func(f wire.Facts, settled bool) bool { return f.ClientData == 3 && settled },
		},
		"TLS 1.3: an empty certificate, then a Finished": {
			exchange(h, tls13, join(ccs, sealed(23, 25), sealed(23, 53))),
			func(f wire.Facts, settled bool) bool { return f.ClientFirst == 25 && f.ClientNext == 53 && !settled },
		},
		"TLS 1.3: an empty certificate, a Finished, a request": {
			exchange(h, tls13, join(ccs, sealed(23, 25), sealed(23, 53), sealed(23, 90))),
			func(_ wire.Facts, settled bool) bool { return settled },
		},
		"TLS 1.3: Java refuses": {
			exchange(h, tls13, join(ccs, sealed(23, 35))),
			func(f wire.Facts, settled bool) bool { return f.ClientFirst == 35 && !settled },
		},
		"TLS 1.3: a clear alert after change_cipher_spec": {
			exchange(h, tls13, join(ccs, tlsRecord(21, []byte{2, 48}))),
			func(f wire.Facts, _ bool) bool {
				return len(f.Alerts) == 1 && f.Alerts[0].Number == 48 && !f.Alerts[0].BeforeCCS
			},
		},
		"early data is not the client's first": {
			exchange(join(h, ccs, sealed(23, 100)), tls13, join(sealed(23, 21), sealed(23, 53))),
			func(f wire.Facts, settled bool) bool {
				return f.ClientData == 3 && f.ClientFirst == 21 && f.ClientNext == 53 && !f.ClientCCS && !settled
			},
		},
		"TLS 1.2: refused after Finished": {
			exchange(h, join(tls12, helloDone), join(finish12, sealed(21, 26))),
			func(f wire.Facts, settled bool) bool {
				return f.ClientFirst == 40 && f.ClientNext == 26 && len(f.Alerts) == 1 && f.Alerts[0].Encrypted &&
					!f.Alerts[0].BeforeCCS && f.Alerts[0].Number == 0 && !f.Answer.Resumed && !settled
			},
		},
		"TLS 1.2: false start": {
			exchange(h, join(tls12, helloDone), join(finish12, sealed(23, 90)), finish12),
			func(f wire.Facts, settled bool) bool { return f.ServerAfter == 1 && !f.Renegotiated && settled },
		},
		"TLS 1.2: false start, the server silent": {
			exchange(h, join(tls12, helloDone), join(finish12, sealed(23, 90))),
			func(_ wire.Facts, settled bool) bool { return !settled },
		},
		"TLS 1.2: renegotiation": {
			exchange(h, join(tls12, helloDone), finish12, finish12, sealed(23, 90), sealed(22, 28)),
			func(f wire.Facts, _ bool) bool { return f.Renegotiated },
		},
		"TLS 1.2: no key exchange is static RSA": {
			exchange(h, join(answer(0x0303, 0x009C, ""), helloDone)),
			func(f wire.Facts, _ bool) bool { return f.ServerDone && !f.KeyExchange },
		},
		"a message in many records, many messages in one": {
			exchange(h, join(tls12[:5], tls12[5:], tlsRecord(22, join(message(12, []byte{3, 0, 23, 0}), message(14, nil))))),
			func(f wire.Facts, _ bool) bool {
				return f.KeyExchange && f.ServerDone && f.Answer.Group == 23 && reflect.DeepEqual(f.Records[2].Messages, []int{12, 14})
			},
		},
		"downgraded from 1.3 to 1.2": {
			exchange(h, answer(0x0303, 0xC02F, "DOWNGRD\x01")),
			func(f wire.Facts, _ bool) bool { return f.Answer.Downgrade == 1 },
		},
		"downgraded to 1.1": {
			exchange(h, answer(0x0302, 0xC013, "DOWNGRD\x00")),
			func(f wire.Facts, _ bool) bool { return f.Answer.Downgrade == 2 && f.Answer.Version == 0x0302 },
		},
		"no downgrade": {
			exchange(h, tls12),
			func(f wire.Facts, _ bool) bool { return f.Answer.Downgrade == 0 },
		},
		"HTTP instead of TLS, and the client's alert": {
			exchange(h, []byte("HTTP/1.1 400 Bad Request\r\n\r\n"), tlsRecord(21, []byte{2, 70})),
			func(f wire.Facts, settled bool) bool {
				return f.Client.Protocol == "tls" && f.Server.Protocol == "http" && string(f.Server.First[:5]) == "HTTP/" &&
					len(f.Alerts) == 1 && f.Alerts[0].Number == 70 && f.Broken == "" && !settled
			},
		},
		"neither side speaks TLS": {
			exchange([]byte("GET / HTTP/1.1\r\n"), []byte("HTTP/1.1 200 OK\r\n")),
			func(_ wire.Facts, settled bool) bool { return settled },
		},
		"the hello comes back": {
			exchange(h, h),
			func(f wire.Facts, _ bool) bool {
				return f.Hellos == 1 && f.Answer == nil && f.Records[1].Side == wire.Server && f.Records[1].Messages[0] == 1
			},
		},
		"record too long": {
			exchange(h, []byte("\x16\x03\x03\x4e\x20junk")),
			func(f wire.Facts, _ bool) bool {
				return f.Broken == "server, byte 0: record length 20000 is more than the allowed 18432" && f.Server.Cut == 0
			},
		},
		"TLS, then something else": {
			exchange(h, join(tls13, []byte("HTTP/1.1 500"))),
			func(f wire.Facts, _ bool) bool {
				return strings.HasPrefix(f.Broken, `server, byte 55: "HTTP/" is not`) && f.Server.Protocol == "tls"
			},
		},
		"a hello that is no hello": {
			exchange(h, tlsRecord(22, message(2, []byte("nonsense")))),
			func(f wire.Facts, _ bool) bool {
				return f.Answer == nil && strings.Contains(f.Broken, "handshake message 2")
			},
		},
		"junk in a handshake record": {
			exchange(h, tlsRecord(22, bytes.Repeat([]byte{0xEE}, 300))),
			func(f wire.Facts, _ bool) bool {
				return strings.Contains(f.Broken, "no handshake message has the type 238")
			},
		},
		"an empty handshake record": {
			exchange(h, tlsRecord(22, nil)),
			func(f wire.Facts, _ bool) bool { return strings.HasSuffix(f.Broken, "empty record") },
		},
		"a record cut short": {
			exchange(h, tls13[:20]),
			func(f wire.Facts, _ bool) bool { return f.Server.Cut == len(tls13)-20 && f.Broken == "" },
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{0, 1, 7} {
				c := feed(tt.parts, n)
				if f := c.Facts(); !tt.check(f, c.Settled()) {
					t.Errorf("in pieces of %d: settled %v, %+v, answer %+v", n, c.Settled(), f, f.Answer)
				}
			}
		})
	}
}

func TestTimes(t *testing.T) {
	var c wire.Conversation
	if f := c.Facts(); f.Client.FirstAt >= 0 || f.Server.LastAt >= 0 || f.Client.Protocol != "" {
		t.Errorf("nothing passed: %+v", f)
	}
	h := hello(t, "go-13-accept")
	c.Feed(wire.Client, h[:10], 2*time.Millisecond)
	c.Feed(wire.Client, h[10:], 3*time.Millisecond)
	c.Feed(wire.Server, tlsRecord(21, []byte{2, 40}), 1500*time.Microsecond)
	f := c.Facts()
	if f.Client.FirstAt != 2*time.Millisecond || f.Client.LastAt != 3*time.Millisecond || f.Client.Bytes != int64(len(h)) {
		t.Errorf("client %+v", f.Client)
	}
	if f.Records[0].Ms != 2 || f.Alerts[0].Ms != 1.5 {
		t.Errorf("records %+v, alerts %+v", f.Records, f.Alerts)
	}
}

func TestSkip(t *testing.T) {
	parts := transcripts(t)["go-13-accept"]
	c := feed(parts, 0)
	before := c.Facts()
	c.Feed(wire.Server, []byte{23, 3, 3, 0, 100, 1}, 0) // cut in the middle
	c.Skip(wire.Server, 1<<40, 9*time.Second)
	c.Skip(wire.Server, 0, 10*time.Second) // nothing passed
	c.Feed(wire.Server, []byte("what record is this in?"), 9*time.Second)
	f := c.Facts()
	if f.Broken != "" || f.Server.Cut != 0 || f.ServerData != before.ServerData+1 || f.Server.Protocol != "tls" {
		t.Errorf("broken %q, cut %d, data %d, %q", f.Broken, f.Server.Cut, f.ServerData, f.Server.Protocol)
	}
	if want := before.Server.Bytes + 6 + 1<<40 + 23; f.Server.Bytes != want || f.Server.LastAt != 9*time.Second {
		t.Errorf("got %d bytes, last at %v; want %d", f.Server.Bytes, f.Server.LastAt, want)
	}
}

// TestFactsAreACopy: what comes later does not change facts already given out.
func TestFactsAreACopy(t *testing.T) {
	parts := transcripts(t)["go-12-resumed"]
	var c wire.Conversation
	type snapshot struct {
		facts wire.Facts
		json  []byte
	}
	var taken []snapshot
	for _, p := range parts {
		for i := range p.data {
			c.Feed(p.side, p.data[i:i+1], 0)
			if i%16 == 0 {
				f := c.Facts()
				b, _ := json.Marshal(f)
				taken = append(taken, snapshot{f, b})
			}
		}
	}
	for i, s := range taken {
		if b, _ := json.Marshal(s.facts); !bytes.Equal(b, s.json) {
			t.Fatalf("snapshot %d changed from\n%s to\n%s", i, s.json, b)
		}
	}
}

// TestBounds: a peer cannot make us remember more than was agreed.
func TestBounds(t *testing.T) {
	h := hello(t, "go-13-accept")
	tests := map[string][]byte{
		"alerts":          bytes.Repeat(tlsRecord(21, []byte{1, 90}), 1000),
		"records":         bytes.Repeat(ccs, 10000),
		"messages":        tlsRecord(22, bytes.Repeat(message(14, nil), 4000)),
		"endless message": join(tlsRecord(22, []byte{11, 0xff, 0xff, 0xff}), bytes.Repeat(tlsRecord(22, make([]byte, 1<<14)), 200)),
		"tiny certificates": join(answer(0x0303, 0xC02F, ""), tlsRecord(22, message(11,
			append([]byte{0, 0x3a, 0x98}, bytes.Repeat([]byte{0, 0, 1, 7}, 3750)...)))),
		"text": bytes.Repeat([]byte("word "), 100000),
	}
	for name, b := range tests {
		t.Run(name, func(t *testing.T) {
			f := feed(exchange(h, b), 0).Facts()
			messages := 0
			for _, r := range f.Records {
				messages = max(messages, len(r.Messages))
			}
			if len(f.Alerts) > 16 || len(f.Records) > wire.MaxRecords || messages > 16 || len(f.Chain) > 100 || len(f.Server.First) > 64 {
				t.Errorf("%d alerts, %d records, %d messages, %d certificates", len(f.Alerts), len(f.Records), messages, len(f.Chain))
			}
			if f.Server.Bytes != int64(len(b)) {
				t.Errorf("%d bytes of %d", f.Server.Bytes, len(b))
			}
		})
	}
}

// TestTogether has two pumps and a reader at work; the race detector judges.
func TestTogether(t *testing.T) {
	parts := transcripts(t)["chromium-13-accept"]
	var c wire.Conversation
	var wg sync.WaitGroup
	for _, side := range []wire.Side{wire.Client, wire.Server} {
		wg.Go(func() {
			for _, p := range parts {
				if p.side == side {
					c.Feed(side, p.data, 0)
				}
			}
		})
	}
	wg.Go(func() {
		for range 100 {
			f := c.Facts()
			_, _ = json.Marshal(f)
			c.Settled()
		}
	})
	wg.Wait()
	if f := c.Facts(); f.Hello == nil || f.Answer == nil || f.Broken != "" {
		t.Errorf("%+v", f)
	}
}

// steady is a conversation after its handshake.
func steady(t testing.TB) *wire.Conversation {
	c := feed(transcripts(t)["chromium-13-accept"], 0)
	c.Feed(wire.Server, bytes.Repeat(sealed(23, 1000), wire.MaxRecords), 0)
	return c
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	c := steady(t)
	record := sealed(23, 16401)
	n := testing.AllocsPerRun(100, func() {
		c.Feed(wire.Server, record[:7000], 0)
		c.Feed(wire.Server, record[7000:], 0)
	})
	if n != 0 || c.Facts().Broken != "" {
		t.Errorf("%v allocations, %q", n, c.Facts().Broken)
	}
}

func BenchmarkFeed(b *testing.B) {
	c := steady(b)
	// Whole records do not fit into chunks of 32 KiB: three chunks that hold
	// 96 KiB of records, cut where they fall.
	var stream []byte
	for len(stream) < 96<<10 {
		n := min(16401, 96<<10-len(stream)-5)
		stream = append(stream, sealed(23, n)...)
	}
	b.SetBytes(32 << 10)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		c.Feed(wire.Server, stream[i*32<<10:(i+1)*32<<10], time.Second)
		i = (i + 1) % 3
	}
	if f := c.Facts(); f.Broken != "" {
		b.Fatal(f.Broken)
	}
}

func BenchmarkHello(b *testing.B) {
	h := hello(b, "chromium-13-accept")
	b.SetBytes(int64(len(h)))
	b.ReportAllocs()
	for b.Loop() {
		var c wire.Conversation
		c.Feed(wire.Client, h, 0)
	}
}
