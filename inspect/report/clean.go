package report

import (
	"strconv"
	"unicode"
	"unicode/utf8"
)

// Clean makes text from outside safe for a terminal: what is not a visible
// character (controls, bidirectional and other format characters, line
// separators, bytes that are not UTF-8) is written out as \x1b or \u202e. It
// has no effect on ordinary text of any script.
func Clean(s string) string {
	for i, r := range s {
		if !visible(r) || r == utf8.RuneError {
			return string(appendClean([]byte(s[:i]), s[i:]))
		}
	}
	return s
}

func appendClean(dst []byte, s string) []byte {
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			dst = append(dst, '\\', 'x', "0123456789abcdef"[s[0]>>4], "0123456789abcdef"[s[0]&15])
		case visible(r):
			dst = append(dst, s[:n]...)
		default:
			q := strconv.QuoteRune(r)
			dst = append(dst, q[1:len(q)-1]...)
		}
		s = s[n:]
	}
	return dst
}

// visible: letters, marks, numbers, punctuation, symbols and the plain space.
// Format characters are all out (Unicode's Cf), the harmless ones too: a soft
// hyphen in a host name is there to deceive.
func visible(r rune) bool { return unicode.IsPrint(r) }
