package wire

import (
	"crypto/tls"
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	tests := []struct{ got, want string }{
		{VersionName(0x0304), "TLS 1.3"},
		{VersionName(0x0301), "TLS 1.0"},
		{VersionName(0x0300), "SSL 3.0"},
		{VersionName(0x7f1c), "0x7F1C"},
		{VersionName(0x1a1a), "GREASE"},
		{CipherName(0x1301), "TLS_AES_128_GCM_SHA256"},
		{CipherName(0xC02F), "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"},
		{CipherName(0x009E), "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256"},
		{CipherName(0x3a3a), "GREASE"},
		{CipherName(0xfefe), "0xFEFE"},
		{GroupName(0x11EC), "X25519MLKEM768"},
		{GroupName(23), "P-256"},
		{GroupName(24), "P-384"},
		{GroupName(25), "P-521"},
		{GroupName(29), "X25519"},
		{GroupName(30), "X448"},
		{GroupName(0x0100), "ffdhe2048"},
		{GroupName(0x0101), "ffdhe3072"},
		{GroupName(0x0a0a), "GREASE"},
		{GroupName(0x1234), "0x1234"},
		{AlertName(0), "close_notify"},
		{AlertName(112), "unrecognized_name"},
		{AlertName(117), "general_error"},
		{AlertName(121), "ech_required"},
		{AlertName(200), "0xC8"},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}

// TestNamesOfGo: no name hides one that crypto/tls knows, and every suite and
// curve of crypto/tls has one.
func TestNamesOfGo(t *testing.T) {
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if got := CipherName(s.ID); got != s.Name {
			t.Errorf("0x%04X: got %q, want %q", s.ID, got, s.Name)
		}
	}
	for _, c := range []tls.CurveID{
		tls.CurveP256, tls.CurveP384, tls.CurveP521, tls.X25519,
		tls.X25519MLKEM768, tls.SecP256r1MLKEM768, tls.SecP384r1MLKEM1024,
	} {
		if got := GroupName(uint16(c)); strings.HasPrefix(got, "0x") {
			t.Errorf("%v has no name", c)
		}
	}
}

func TestProtocol(t *testing.T) {
	tests := []struct {
		name string
		said string
		want string
		sure bool
	}{
		{"nothing", "", "", false},
		{"perhaps TLS", "\x16", "", false},
		{"request", "GET / HTTP/1.1\r\n", "http", true},
		{"proxy request", "CONNECT example.com:443 HTTP/1.1\r\n", "http", true},
		{"response", "HTTP/1.1 400 Bad Request\r\n", "http", true},
		{"preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "http", true},
		{"settings of HTTP/2", "\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x80", "http", true},
		{"half a method", "GE", "text", false},
		{"page", "<!DOCTYPE html><html>", "html", false},
		{"page after a line", "\r\n<html>", "html", false},
		{"XMPP", "<?xml version='1.0'?><stream:stream xmlns='jabber:server'", "xmpp", false},
		{"SSH", "SSH-2.0-OpenSSH_9.2\r\n", "ssh", true},
		{"SMTP", "220 mx.example.com ESMTP Postfix\r\n", "smtp", true},
		{"SMTP client", "EHLO me\r\n", "smtp", true},
		{"SMTP refuses", "554 go away\r\n", "smtp", true},
		{"FTP", "220 (vsFTPd 3.0.3)\r\n", "ftp", true},
		{"FTP in lines", "220-FileZilla Server 1.8\r\n", "ftp", true},
		{"220 and no more", "220 Welcome\r\n", "smtp-or-ftp", true},
		{"POP3", "+OK Dovecot ready.\r\n", "pop3", true},
		{"IMAP", "* OK [CAPABILITY IMAP4rev1] ready\r\n", "imap", true},
		{"VNC", "RFB 003.008\n", "vnc", true},
		{"AMQP", "AMQP\x00\x00\x09\x01", "amqp", true},
		{"telnet", "\xff\xfd\x18\xff\xfd\x20", "telnet", true},
		{"MySQL", "\x4a\x00\x00\x00\x0a8.0.36\x00", "mysql", true},
		{"MySQL refuses", "\x45\x00\x00\x00\xff\x6a\x04Host", "mysql", true},
		{"PostgreSQL client", "\x00\x00\x00\x08\x04\xd2\x16\x2f", "postgresql", true},
		{"PostgreSQL startup", "\x00\x00\x00\x54\x00\x03\x00\x00user\x00", "postgresql", true},
		{"PostgreSQL error", "E\x00\x00\x00\x8aSFATAL\x00", "postgresql", true},
		{"RDP", "\x03\x00\x00\x13\x0e\xe0\x00\x00", "rdp", true},
		{"SOCKS 5", "\x05\x01\x00", "socks", true},
		{"SOCKS 5 refuses", "\x05\xff", "socks", true},
		{"SOCKS 4", "\x04\x01\x01\xbb\x7f\x00\x00\x01\x00", "socks", true},
		{"SSL 2.0", "\x80\x2e\x01\x00\x02\x00\x15", "sslv2", true},
		{"SSL 2.0 offering TLS", "\x80\x2e\x01\x03\x01\x00\x15", "sslv2", true},
		{"words", "Access denied by policy\r\n", "text", false},
		{"many words", strings.Repeat("words ", 20)[:64], "text", true},
		{"half a letter", "caf\xc3", "text", false},
		{"junk", "\xde\xad\xbe\xef", "garbage", false},
		{"much junk", strings.Repeat("\xde\xad\xbe\xef", 16), "garbage", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, sure := protocol([]byte(tt.said)); got != tt.want || sure != tt.sure {
				t.Errorf("got %q, %v; want %q, %v", got, sure, tt.want, tt.sure)
			}
			// Once sure, more bytes do not unsettle it.
			was := false
			for n := range len(tt.said) {
				_, sure := protocol([]byte(tt.said[:n]))
				if was && !sure {
					t.Errorf("sure of %q, not of %q", tt.said[:n-1], tt.said[:n])
				}
				was = sure
			}
			var c Conversation
			for i := range len(tt.said) {
				c.Feed(Server, []byte{tt.said[i]}, 0)
			}
			if got := c.Facts().Server; got.Protocol != tt.want || string(got.First) != tt.said {
				t.Errorf("bytewise: %q, %q", got.Protocol, got.First)
			}
		})
	}
}

func TestJA4(t *testing.T) {
	base := ClientHello{
		Version: 0x0303, Versions: []uint16{0x2a2a, 0x0304, 0x0303},
		Ciphers:    []uint16{0x1a1a, 0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC013, 0xC014, 0x009C, 0x009D, 0x002F, 0x0035},
		Extensions: []uint16{0x3a3a, 27, 0, 16, 43, 13},
		Signatures: []uint16{0x4a4a, 0x0403, 0x0804},
		ALPN:       []string{"h2", "http/1.1"},
	}
	want := ja4(&base)
	if !strings.HasPrefix(want, "t13d1505h2_8daaf6152771_") {
		t.Errorf("got %s", want)
	}
	permuted := base
	permuted.Extensions = []uint16{13, 43, 0xfafa, 16, 0, 27}
	permuted.Signatures = []uint16{0xeaea, 0x0403, 0x0804}
	if got := ja4(&permuted); got != want {
		t.Errorf("permuted: got %s, want %s", got, want)
	}
	tests := []struct {
		name string
		h    ClientHello
		want string
	}{
		{"nothing", ClientHello{Version: 0x0301}, "t10i000000_000000000000_000000000000"},
		{"SSL 3.0", ClientHello{Version: 0x0300}, "ts3i000000_000000000000_000000000000"},
		{"one letter", ClientHello{Version: 0x0303, ALPN: []string{"x"}}, "t12i0000xx_000000000000_000000000000"},
		{"no letters", ClientHello{Version: 0x0303, ALPN: []string{"\xab\xcd"}}, "t12i0000ad_000000000000_000000000000"},
		{"letters and more", ClientHello{Version: 0x0303, ALPN: []string{"http/1.1"}}, "t12i0000h1_000000000000_000000000000"},
	}
	for _, tt := range tests {
		if got := ja4(&tt.h); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}
