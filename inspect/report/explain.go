package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"faultline/inspect"
)

// UnknownError says that a code is in no list, and what may have been meant.
type UnknownError struct {
	Query string
	Near  []string
}

func (e *UnknownError) Error() string {
	s := `no code, number or fault like "` + cut(Clean(e.Query), targetMax) + `" is known`
	if len(e.Near) > 0 {
		return s + "; did you mean " + strings.Join(e.Near, ", ") + "?"
	}
	return s + "; paste it as the browser or program shows it, such as ERR_CERT_DATE_INVALID, \"alert 40\" or \"curl 60\""
}

// lineWidth is where lines are broken.
const lineWidth = 80

// Explain tells people what a code means, which layer and party it points to,
// and what to do next. The best match is told in full, others are named. A code
// that nobody knows is an [UnknownError].
func Explain(w io.Writer, query string) error {
	all := inspect.Explain(query)
	if len(all) == 0 {
		return &UnknownError{query, inspect.Suggest(query)}
	}
	var b strings.Builder
	explain(&b, all[0])
	if len(all) > 1 {
		b.WriteString("\nAlso:\n")
		for _, e := range all[1:] {
			wrap(&b, "  ", fmt.Sprintf("%s (%s): %s", heading(e), families[e.Family], e.Meaning))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// explain writes one entry with the faults that can be behind it.
func explain(b *strings.Builder, e inspect.Entry) {
	fmt.Fprintf(b, "%s (%s)\n", heading(e), families[e.Family])
	wrap(b, "  ", sentence(e.Meaning))
	if e.Removed {
		wrap(b, "  ", "Current versions do not show it any more.")
	}
	if e.Next != "" {
		b.WriteString("\n")
		wrap(b, "  ", "Next: "+e.Next)
	}
	if len(e.Faults) > 1 {
		b.WriteString("\n  Behind it can be, likeliest first:\n")
	}
	for _, id := range e.Faults {
		if f, ok := inspect.Lookup(id); ok {
			fault(b, e, f)
		}
	}
}

// fault writes a row of the catalogue; its title is not said twice.
func fault(b *strings.Builder, e inspect.Entry, f *inspect.Fault) {
	b.WriteString("\n")
	const in = "    "
	if e.Family != "fault" {
		fmt.Fprintf(b, "  %s\n", f.ID)
		wrap(b, in, f.Title)
	}
	wrap(b, in, fmt.Sprintf("layer: %s; who can mend it: %s", f.Layer, party(f.Blame)))
	if f.User != "" {
		wrap(b, in, "you: "+f.User)
	}
	if f.Server != "" {
		wrap(b, in, "the server's side: "+f.Server)
	}
	if e.Family == "fault" {
		if names := namesOf(f); len(names) > 0 {
			wrap(b, in, "shown as: "+strings.Join(names, ", "))
		}
	}
}

// namesOf are the names a fault goes by.
func namesOf(f *inspect.Fault) []string {
	var all []string
	for _, codes := range [][]string{f.Chromium, f.Firefox, f.Safari, {f.Curl}} {
		for _, c := range codes {
			if c != "" {
				all = append(all, c)
			}
		}
	}
	return all
}

func heading(e inspect.Entry) string {
	if e.Number == "" || strings.Contains(e.Code, e.Number) {
		return e.Code
	}
	return e.Code + " " + e.Number
}

// families are the speakers, for people.
var families = map[string]string{
	"browser-console": "browser console",
	"chromium":        "Chromium, Chrome, Edge",
	"chromium-page":   "error page of Chromium, Chrome, Edge",
	"curl":            "curl exit code",
	"fault":           "fault of faultline's catalogue",
	"firefox":         "Firefox",
	"firefox-page":    "error page of Firefox",
	"go":              "Go programs",
	"http-status":     "HTTP status",
	"java":            "Java programs",
	"node":            "Node.js and other programs",
	"openssl":         "OpenSSL",
	"port":            "a port, not a status",
	"python":          "Python programs",
	"safari":          "Safari, macOS, iOS",
	"tls-alert":       "TLS alert",
	"windows":         "Windows",
}

// sentence makes a meaning from the table a sentence.
func sentence(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	s = strings.ToUpper(string(r)) + s[n:]
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}

// wrap writes words in lines of at most lineWidth, each after indent.
func wrap(b *strings.Builder, indent, s string) {
	used := 0
	for w := range strings.FieldsSeq(Clean(s)) {
		n := utf8.RuneCountInString(w)
		switch {
		case used == 0:
			b.WriteString(indent)
			used = len(indent)
		case used+1+n > lineWidth:
			b.WriteString("\n" + indent)
			used = len(indent)
		default:
			b.WriteString(" ")
			used++
		}
		b.WriteString(w)
		used += n
	}
	b.WriteString("\n")
}
