package report

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// hostile are strings that must not reach a terminal as they are.
var hostile = map[string]string{
	"escape":            "a\x1b[31mred\x1b]0;title\x07.example",
	"bell":              "ring\a",
	"carriage return":   "good.example\rbad.example",
	"line feed":         "good.example\n12:00:00  ✔ bad.example:443  ok",
	"NUL":               "a\x00b",
	"DEL":               "a\x7fb",
	"C1 CSI":            "a\u009b31mb",
	"C1 OSC":            "a\u009d0;x\u009cb",
	"raw C1 byte":       "a\x9b31mb",
	"right to left":     "evil\u202etxt.exe",
	"isolate":           "a\u2066b\u2069c",
	"marks":             "a\u200eb\u200fc\u061cd",
	"line separator":    "a\u2028b\u2029c",
	"zero width":        "goo\u200bgle\u200d.ex\ufeffample",
	"soft hyphen":       "exam\u00adple",
	"tag characters":    "a\U000e0041b",
	"private use":       "a\ue000b",
	"invalid UTF-8":     "a\xff\xc0\xafb\xed\xa0\x80",
	"no-break space":    "a\u00a0b",
	"variation":         "interlinear\ufff9x\ufffb",
	"quotes and braces": `"},"fault":"ok","x":{"`,
}

func TestClean(t *testing.T) {
	for name, s := range hostile {
		got := Clean(s)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !visible(r) }) {
			t.Errorf("%s: Clean(%q) = %q", name, s, got)
		}
	}
	for in, want := range map[string]string{
		"":                "",
		"example.com:443": "example.com:443",
		"grüße.example 日本語 עברית 🙂": "grüße.example 日本語 עברית 🙂",
		"a\x1b[0m":   `a\x1b[0m`,
		"a\u202eb":   `a\u202eb`,
		"a\xffb":     `a\xffb`,
		"a\ufffdb":   "a\ufffdb",
		"tab\there":  `tab\there`,
		"\U000e0041": `\U000e0041`,
	} {
		if got := Clean(in); got != want {
			t.Errorf("Clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Clean(s)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !visible(r) }) {
			t.Errorf("Clean(%q) = %q", s, got)
		}
		if Clean(got) != got {
			t.Errorf("Clean(%q) is not stable", s)
		}
	})
}
