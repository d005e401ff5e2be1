package inspect

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxPrintable bounds words from outside that go into a record.
const maxPrintable = 400

// Printable makes bytes from outside safe to show and to keep: what is not
// printable (control and direction characters, broken UTF-8) is replaced by its
// escape, and what is too long is cut.
func Printable(b []byte) string {
	var s strings.Builder
	for len(b) > 0 && s.Len() < maxPrintable {
		r, n := utf8.DecodeRune(b)
		switch {
		case r == '\r':
			s.WriteString(`\r`)
		case r == '\n':
			s.WriteString(`\n`)
		case r == utf8.RuneError && n == 1:
			const hex = "0123456789abcdef"
			s.WriteString(`\x`)
			s.WriteByte(hex[b[0]>>4])
			s.WriteByte(hex[b[0]&15])
		case r == ' ' || unicode.IsGraphic(r) && !unicode.IsSpace(r):
			s.WriteRune(r)
		default:
			s.WriteString("\\u{" + strings.ToUpper(hexRune(r)) + "}")
		}
		b = b[n:]
	}
	if len(b) > 0 {
		s.WriteString("…")
	}
	return s.String()
}

func hexRune(r rune) string {
	const hex = "0123456789abcdef"
	if r == 0 {
		return "0"
	}
	var d []byte
	for ; r > 0; r >>= 4 {
		d = append([]byte{hex[r&15]}, d...)
	}
	return string(d)
}
