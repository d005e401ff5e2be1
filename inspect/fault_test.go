package inspect

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// TestCatalogue holds every row to what logs, tests and people rely on.
func TestCatalogue(t *testing.T) {
	kebab := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	layers := map[Layer]string{
		LayerClient: "client", LayerDNS: "dns", LayerTCP: "tcp", LayerTLS: "tls",
		LayerCertificate: "cert", LayerHTTP: "http", LayerContent: "content",
	}
	steps := []Step{StepResolve, StepConnect, StepHello, StepHandshake, StepRequest, StepResponse, StepEnd}
	kinds := []Kind{Failure, Degrading, Advisory, NotAFault}
	blames := []Blame{BlameServer, BlameLocalNetwork, BlamePath, BlameClient, BlameNone, BlameUnknown}
	seen := map[string]bool{}
	for _, f := range Faults {
		if seen[f.ID] {
			t.Errorf("%s stands twice", f.ID)
		}
		seen[f.ID] = true
		if !kebab.MatchString(f.ID) || f.ID == FaultOK || f.ID == FaultUnexplained {
			t.Errorf("%q is no name for a fault", f.ID)
		}
		if prefix, ok := layers[f.Layer]; !ok || !strings.HasPrefix(f.ID, prefix+"-") {
			t.Errorf("%s is in the layer %q", f.ID, f.Layer)
		}
		if !slices.Contains(steps, f.Step) || !slices.Contains(kinds, f.Kind) || !slices.Contains(blames, f.Blame) {
			t.Errorf("%s has the step %q, the kind %q and the party %q", f.ID, f.Step, f.Kind, f.Blame)
		}
		for what, words := range map[string]string{"title": f.Title, "next step for the person": f.User, "next step for the server": f.Server} {
			if !strings.HasSuffix(words, ".") || Printable([]byte(words)) != words {
				t.Errorf("%s: the %s is %q; want a sentence with its full stop", f.ID, what, words)
			}
		}
		if f.Source == "" {
			t.Errorf("%s does not say where its facts come from", f.ID)
		}
		if got, ok := Lookup(f.ID); !ok || got.ID != f.ID {
			t.Errorf("%s is not found by its ID", f.ID)
		}
	}
}

// TestCatalogueCodes: whoever sees one of a fault's codes can have it explained.
func TestCatalogueCodes(t *testing.T) {
	known := map[string]bool{}
	for _, e := range glossary() {
		known[e.Family+" "+e.Code] = true
	}
	for _, f := range Faults {
		for family, codes := range map[string][]string{"chromium": f.Chromium, "firefox": f.Firefox} {
			for _, code := range codes {
				if code == "mixed-content (blockedReason)" {
					continue // what DevTools shows; there is no code for it
				}
				if !known[family+" "+code] {
					t.Errorf("%s: %s's %s is not in the glossary", f.ID, family, code)
				}
			}
		}
	}
}

// TestConnectStatus: a CONNECT is answered with a status that browsers were
// measured with.
func TestConnectStatus(t *testing.T) {
	for i := range Faults {
		f := &Faults[i]
		status := ConnectStatus(f)
		if !slices.Contains([]int{200, 403, 404, 500, 502, 504}, status) {
			t.Errorf("%s answers %d", f.ID, status)
		}
		if status != 200 && firefoxConnect[status] == "" {
			t.Errorf("%s answers %d, and what Firefox makes of that is not known", f.ID, status)
		}
		if (f.Layer == LayerTLS || f.Layer == LayerCertificate) && status != 200 {
			t.Errorf("%s answers %d, though it shows only inside the tunnel", f.ID, status)
		}
	}
}

func TestPrintable(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"plain words", "plain words"},
		{"SSH-2.0-x\r\n", `SSH-2.0-x\r\n`},
		{"\x1b[31mred", `\u{1B}[31mred`},
		{"\x00", `\u{0}`},
		{"\xff\xfe", `\xff\xfe`},
		{"a\u202eb", `a\u{202E}b`},
		{"größe", "größe"},
		{strings.Repeat("x", 500), strings.Repeat("x", maxPrintable) + "…"},
	} {
		if got := Printable([]byte(c.in)); got != c.want {
			t.Errorf("%q: got %q, want %q", c.in, got, c.want)
		}
	}
}

// FuzzPrintable: nothing from outside can steer a terminal or turn a line round.
func FuzzPrintable(f *testing.F) {
	for _, s := range []string{"", "x", "\r\n", "\x1b]0;title\a", "\u202e\u2066", "\xc3\x28", "\u0085\u009b", "\ufeff", strings.Repeat("ü", 300)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s := Printable(b)
		if !utf8.ValidString(s) {
			t.Fatalf("%q is not UTF-8", s)
		}
		if len(s) > maxPrintable+16 {
			t.Errorf("%d bytes long", len(s))
		}
		for _, r := range s {
			if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
				t.Errorf("%q holds %U", s, r)
			}
		}
	})
}

// TestFirstBytes: what a client or a server says in clear is kept as far as it
// tells the protocol, and no further.
func TestFirstBytes(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{opening([]byte("GET /account?token=secret HTTP/1.1\r\nCookie: a=b")), "GET"},
		{opening([]byte("PROPFIND /secret HTTP/1.1\r\n")), "PROPFIND"},
		{opening([]byte("*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n")), `*2\r\n$4\r\n`},
		{opening([]byte("SSH-2.0-OpenSSH_9.9\r\n")), "SSH-2.0-"},
		{opening(nil), ""},
		{greeting("http", []byte("HTTP/1.1 302 Found\r\nSet-Cookie: id=secret\r\n")), "HTTP/1.1 302 Found"},
		{greeting("ssh", []byte("SSH-2.0-OpenSSH_9.9\r\n")), `SSH-2.0-OpenSSH_9.9\r\n`},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}
