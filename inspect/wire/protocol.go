package wire

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// maxFirst is how much is kept of what a side said that was not TLS, and the
// point at which its protocol is decided.
const maxFirst = 64

// opening is text with which a protocol begins.
type opening struct {
	text     string
	protocol string
}

// openings stand in no particular order: no text is the beginning of another
// with a different protocol. Where a protocol's servers and clients differ both
// are here; the side does not matter, since a misdirected client shows up as
// either.
var openings = []opening{
	{"HTTP/", "http"},
	{"GET ", "http"},
	{"HEAD ", "http"},
	{"POST ", "http"},
	{"PUT ", "http"},
	{"DELETE ", "http"},
	{"OPTIONS ", "http"},
	{"CONNECT ", "http"},
	{"PATCH ", "http"},
	{"TRACE ", "http"},
	{"PROPFIND ", "http"},
	{"PRI * HTTP/2", "http"}, // RFC 9113 §3.4
	{"SSH-", "ssh"},          // RFC 4253 §4.2
	{"EHLO ", "smtp"},
	{"HELO ", "smtp"},
	{"554 ", "smtp"}, // refuses service, RFC 5321 §3.1
	{"554-", "smtp"},
	{"+OK", "pop3"},  // RFC 1939 §4
	{"* OK", "imap"}, // RFC 9051 §7.1
	{"* PREAUTH", "imap"},
	{"* BYE", "imap"},
	{"<stream:", "xmpp"},
	{"RFB 0", "vnc"}, // RFC 6143 §7.1.1
	{"AMQP", "amqp"},
	{"\xff\xfb", "telnet"}, // RFC 854
	{"\xff\xfd", "telnet"},
	{"\x03\x00\x00", "rdp"}, // RFC 1006 §6, as Remote Desktop uses it
	{"\x00\x00\x00\x08\x04\xd2\x16", "postgresql"}, // asks for TLS or GSSAPI
	{"\x05\xff", "socks"},                          // RFC 1928 §3: no method acceptable
}

// protocol names what a side speaks that is not TLS, from the beginning of what
// it said (see [Facts]). It may be asked again when there is more. sure: more
// bytes would not make a protocol unknown again.
func protocol(b []byte) (name string, sure bool) {
	full := len(b) >= maxFirst
	for _, o := range openings {
		if bytes.HasPrefix(b, []byte(o.text)) {
			return o.protocol, true
		}
	}
	if name := binaryProtocol(b); name != "" {
		return name, true
	}
	text := isText(b)
	switch {
	case len(b) == 0:
		return "", false
	case len(b) == 1 && isRecordType(b[0]):
		return "", false // may become TLS
	case text && hasGreeting(b, "220", "421"):
		return mailOrFiles(b), full || bytes.IndexByte(b, '\n') >= 0
	case text && bytes.HasPrefix(bytes.TrimLeft(b, " \t\r\n"), []byte("<")):
		return markup(b), full
	case text:
		return "text", full
	default:
		return "garbage", full
	}
}

// binaryProtocol knows protocols by the structure of their first message.
func binaryProtocol(b []byte) string {
	switch {
	case isSSLv2(b):
		return "sslv2"
	case isHTTP2(b):
		return "http"
	case isMySQL(b):
		return "mysql"
	case isPostgreSQL(b):
		return "postgresql"
	case isSOCKS(b):
		return "socks"
	}
	return ""
}

// isSSLv2: a hello in the format of SSL 2.0, in which old clients also offered
// TLS (RFC 5246 appendix E.2): a two-byte length with the top bit set, the
// message type, a version.
func isSSLv2(b []byte) bool {
	if len(b) < 5 || b[0]&0x80 == 0 {
		return false
	}
	version := binary.BigEndian.Uint16(b[3:])
	return b[2] == 1 && (version == 2 || version>>8 == 3)
}

// isHTTP2: a server's SETTINGS frame on stream 0 (RFC 9113 §6.5), which is what
// a server of HTTP/2 without TLS says first.
func isHTTP2(b []byte) bool {
	return len(b) >= 9 && b[0] == 0 && b[1] == 0 && b[2]%6 == 0 && b[3] == 4 && b[4] == 0 &&
		bytes.Equal(b[5:9], []byte{0, 0, 0, 0})
}

// isMySQL: the first packet of a MySQL or MariaDB server: length, sequence
// number 0, then the protocol version 10 and a version in digits, or an error
// (0xff) with a number from 1000 on.
func isMySQL(b []byte) bool {
	if len(b) < 7 || b[2] != 0 || b[3] != 0 {
		return false
	}
	greeting := b[4] == 10 && '0' <= b[5] && b[5] <= '9'
	refusal := b[4] == 0xff && binary.LittleEndian.Uint16(b[5:]) >= 1000 && b[6] < 0x20
	return greeting || refusal
}

// isPostgreSQL: a startup message of version 3, or a server's error or request
// for a password.
func isPostgreSQL(b []byte) bool {
	if len(b) < 8 || b[1] != 0 || b[2] != 0 {
		return false
	}
	switch b[0] {
	case 0:
		return bytes.Equal(b[4:8], []byte{0, 3, 0, 0})
	case 'E':
		return b[5] == 'S' // severity
	case 'R':
		return b[5] == 0
	}
	return false
}

// isSOCKS: a client's greeting or a server's answer of SOCKS 5 (RFC 1928 §3), or
// a client's request of SOCKS 4.
func isSOCKS(b []byte) bool {
	if len(b) < 2 {
		return false
	}
	switch b[0] {
	case 5:
		return b[1] <= 8 // methods offered, or the one chosen
	case 4:
		return len(b) >= 9 && (b[1] == 1 || b[1] == 2)
	}
	return false
}

// hasGreeting: the reply code of a server that speaks first, alone or as the
// first of several lines.
func hasGreeting(b []byte, codes ...string) bool {
	for _, code := range codes {
		if len(b) > 3 && string(b[:3]) == code && (b[3] == ' ' || b[3] == '-') {
			return true
		}
	}
	return false
}

// mailOrFiles tells SMTP from FTP, which greet with the same numbers, by what
// the greeting says of itself.
func mailOrFiles(b []byte) string {
	switch upper := bytes.ToUpper(b); {
	case bytes.Contains(upper, []byte("SMTP")):
		return "smtp"
	case bytes.Contains(upper, []byte("FTP")), bytes.Contains(upper, []byte("FILEZILLA")):
		return "ftp"
	}
	return "smtp-or-ftp"
}

// markup tells the stream of XMPP (RFC 6120 §4.2) from a page without HTTP.
func markup(b []byte) string {
	if bytes.Contains(b, []byte("<stream:")) || bytes.Contains(b, []byte("jabber")) {
		return "xmpp"
	}
	return "html"
}

// isText says whether people can read this: UTF-8 without control characters.
// The end may be in the middle of a letter.
func isText(b []byte) bool {
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n <= 1 {
			return !utf8.FullRune(b)
		}
		if r < ' ' && r != '\t' && r != '\r' && r != '\n' || r == 0x7f {
			return false
		}
		b = b[n:]
	}
	return true
}
