package lab

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"

	"golang.org/x/crypto/cryptobyte"
)

// https is a behaviour: a web server behind TLS, with something wrong.
// The zero value has nothing wrong.
type https struct {
	leaf   func(*order)           // what is special about the certificate
	config func(*tls.Config)      // what is special about the handshake
	before func(*conn) bool       // looks at the connection first; false: it has dealt with it
	wire   func(*conn) net.Conn   // spoils the bytes below TLS
	page   http.HandlerFunc       // what the web server says; nil: a page
	after  func(*conn, *tls.Conn) // takes the connection over after the handshake
	http1  bool                   // no HTTP/2
}

func (h https) open(l *Lab, s *Site) func(*conn) {
	config := sync.OnceValues(func() (*tls.Config, error) { return h.tlsConfig(l, s) })
	page := h.page
	if page == nil {
		page = welcome(s)
	}
	return func(c *conn) {
		if h.before != nil && !h.before(c) {
			return
		}
		config, err := config()
		if err != nil {
			l.logf("lab: %s: %v", s.Host(), err)
			return
		}
		var below net.Conn = c
		if h.wire != nil {
			below = h.wire(c)
		}
		t := tls.Server(below, config)
		if h.after == nil {
			c.page = page
			l.web.give(c, t)
			return
		}
		if t.HandshakeContext(l.ctx) == nil {
			h.after(c, t)
		}
	}
}

func (h https) tlsConfig(l *Lab, s *Site) (*tls.Config, error) {
	cert, err := l.forge.issue(s.Host(), h.leaf)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{
		Certificates: []tls.Certificate{cert},
		NextProtos:   []string{"h2", "http/1.1"},
		MinVersion:   tls.VersionTLS12,
	}
	if h.http1 || h.after != nil {
		config.NextProtos = []string{"http/1.1"}
	}
	if h.config != nil {
		h.config(config)
	}
	return config, nil
}

// Settings for https.config.

// upTo allows no version above v.
func upTo(v uint16) func(*tls.Config) {
	return func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, v }
}

// suites allows only these suites of TLS 1.2.
func suites(ids ...uint16) func(*tls.Config) {
	return func(c *tls.Config) { c.MaxVersion, c.CipherSuites = tls.VersionTLS12, ids }
}

// groups allows only these groups for the key exchange.
func groups(ids ...tls.CurveID) func(*tls.Config) {
	return func(c *tls.Config) { c.CurvePreferences = ids }
}

// hello is what a scripted server needs to know of a ClientHello.
type hello struct {
	length   int // of the message, with its header
	name     string
	session  []byte
	versions []uint16 // supported_versions; nil: the extension was absent
}

func (h *hello) offers(version uint16) bool {
	for _, v := range h.versions {
		if v == version {
			return true
		}
	}
	return false
}

// maxHello bounds what is read of a ClientHello; browsers send 2 KiB.
const maxHello = 1 << 16

var errNotHello = errors.New("not a ClientHello")

// hello reads the client's hello and keeps the bytes to be read again. What is
// not TLS is an error, and kept too.
func (c *conn) hello() (*hello, error) {
	var message []byte
	for {
		record, err := c.readRecord()
		if err != nil {
			return nil, err
		}
		message = append(message, record...)
		if len(message) < 4 {
			continue
		}
		if message[0] != 1 {
			return nil, errNotHello
		}
		want := 4 + int(message[1])<<16 + int(message[2])<<8 + int(message[3])
		switch {
		case want > maxHello:
			return nil, errNotHello
		case len(message) >= want:
			return parseHello(message[:want])
		}
	}
}

// readRecord reads a handshake record from the connection, not from what was
// read ahead, and returns what is in it.
func (c *conn) readRecord() ([]byte, error) {
	var header [5]byte
	n, err := io.ReadFull(c.Conn, header[:])
	c.head = append(c.head, header[:n]...)
	if err != nil {
		return nil, err
	}
	if header[0] != recordHandshake || header[1] != 3 {
		return nil, errNotHello
	}
	body := make([]byte, binary.BigEndian.Uint16(header[3:]))
	n, err = io.ReadFull(c.Conn, body)
	c.head = append(c.head, body[:n]...)
	return body, err
}

func parseHello(message []byte) (*hello, error) {
	h := &hello{length: len(message)}
	s := cryptobyte.String(message)
	var session, suites, compression, extensions cryptobyte.String
	if !s.Skip(4+2+32) || !s.ReadUint8LengthPrefixed(&session) ||
		!s.ReadUint16LengthPrefixed(&suites) || !s.ReadUint8LengthPrefixed(&compression) {
		return nil, errNotHello
	}
	h.session = session
	if s.Empty() {
		return h, nil
	}
	if !s.ReadUint16LengthPrefixed(&extensions) {
		return nil, errNotHello
	}
	for !extensions.Empty() {
		var id uint16
		var data, list, name cryptobyte.String
		if !extensions.ReadUint16(&id) || !extensions.ReadUint16LengthPrefixed(&data) {
			return nil, errNotHello
		}
		switch id {
		case extServerName:
			if data.ReadUint16LengthPrefixed(&list) && list.Skip(1) && list.ReadUint16LengthPrefixed(&name) {
				h.name = string(name)
			}
		case extSupportedVersions:
			if !data.ReadUint8LengthPrefixed(&list) {
				return nil, errNotHello
			}
			for v := uint16(0); list.ReadUint16(&v); {
				h.versions = append(h.versions, v)
			}
		}
	}
	return h, nil
}

// Record types (RFC 8446 §5.1), handshake types and extensions.
const (
	recordAlert       = 21
	recordHandshake   = 22
	recordApplication = 23

	typeServerHello     = 2
	typeCertificate     = 11
	typeServerHelloDone = 14

	extServerName        = 0
	extMaxFragmentLength = 1 // no browser asks for it
	extALPN              = 16
	extSupportedVersions = 43
	extKeyShare          = 51
	extRenegotiationInfo = 0xff01
)

// record is a TLS record.
func record(kind byte, version uint16, body []byte) []byte {
	b := []byte{kind, byte(version >> 8), byte(version), byte(len(body) >> 8), byte(len(body))}
	return append(b, body...)
}

func message(kind byte, body []byte) []byte {
	return append([]byte{kind, byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}, body...)
}

const (
	warning = 1
	fatal   = 2
)

func alert(level, number byte) []byte {
	return record(recordAlert, tls.VersionTLS12, []byte{level, number})
}

// alerts is a script: an alert in place of a ServerHello.
func alerts(level, number byte) script {
	return onHello(say(string(alert(level, number)), (*conn).finish))
}

// A serverHello is one written by hand.
type serverHello struct {
	version    uint16
	random     [32]byte // zero: made up
	suite      uint16
	extensions []extension
}

type extension struct {
	id   uint16
	data []byte
}

// helloRetry is the random of a HelloRetryRequest (RFC 8446 §4.1.3).
var helloRetry = [32]byte{
	0xCF, 0x21, 0xAD, 0x74, 0xE5, 0x9A, 0x61, 0x11, 0xBE, 0x1D, 0x8C, 0x02, 0x1E, 0x65, 0xB8, 0x91,
	0xC2, 0xA2, 0x11, 0x16, 0x7A, 0xBB, 0x8C, 0x5E, 0x07, 0x9E, 0x09, 0xE2, 0xC8, 0xA8, 0x33, 0x9C,
}

// downgraded is a random that says "I could have spoken TLS 1.3" (RFC 8446
// §4.1.3).
var downgraded = func() (r [32]byte) {
	rand.Read(r[:24])
	copy(r[24:], "DOWNGRD\x01")
	return r
}()

func (s serverHello) message(client *hello) []byte {
	if s.random == [32]byte{} {
		rand.Read(s.random[:])
	}
	// TLS 1.3 gives the client's session back (RFC 8446 §4.1.3); before, that
	// would have meant a resumed one, so there is none.
	var session []byte
	if s.random == helloRetry {
		session = client.session
	}
	b := binary.BigEndian.AppendUint16(nil, s.version)
	b = append(b, s.random[:]...)
	b = append(b, byte(len(session)))
	b = append(b, session...)
	b = binary.BigEndian.AppendUint16(b, s.suite)
	b = append(b, 0) // no compression
	extensions := s.extensions
	if s.random != helloRetry { // without it some clients stop there (RFC 5746 §4.1)
		extensions = append([]extension{{extRenegotiationInfo, []byte{0}}}, extensions...)
	}
	var all []byte
	for _, e := range extensions {
		all = binary.BigEndian.AppendUint16(all, e.id)
		all = binary.BigEndian.AppendUint16(all, uint16(len(e.data)))
		all = append(all, e.data...)
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(all)))
	b = append(b, all...)
	return message(typeServerHello, b)
}

// answers is a behaviour: a flight of TLS ≤ 1.2 that begins with this hello and
// goes as far as a server goes before it needs the client again. The client is
// expected not to come that far.
type answers struct {
	hello serverHello
	// bare: nothing comes after the hello.
	bare bool
	// then is what the server does after its flight; nil: it waits for the client.
	then func(*conn)
}

func (a answers) open(l *Lab, s *Site) func(*conn) {
	cert := sync.OnceValues(func() (tls.Certificate, error) {
		return l.forge.issue(s.Host(), func(o *order) { o.Key = o.rsa(2048) })
	})
	then := a.then
	if then == nil {
		then = (*conn).hold
	}
	return func(c *conn) {
		h, err := c.hello()
		if err != nil {
			return
		}
		flight := a.hello.message(h)
		if !a.bare {
			cert, err := cert()
			if err != nil {
				l.logf("lab: %s: %v", s.Host(), err)
				return
			}
			flight = append(flight, certificateMessage(cert.Certificate)...)
			if a.then == nil {
				flight = append(flight, message(typeServerHelloDone, nil)...)
			}
		}
		if _, err := c.Write(record(recordHandshake, a.hello.version, flight)); err == nil {
			then(c)
		}
	}
}

func certificateMessage(chain [][]byte) []byte {
	var list []byte
	for _, der := range chain {
		list = append(list, byte(len(der)>>16), byte(len(der)>>8), byte(len(der)))
		list = append(list, der...)
	}
	n := len(list)
	return message(typeCertificate, append([]byte{byte(n >> 16), byte(n >> 8), byte(n)}, list...))
}

// Ways to look at a connection first, for https.before.

// ifHello lets the connection pass unless its hello is of the kind that the
// server cannot bear.
func ifHello(bad func(*conn, *hello) bool, then func(*conn)) func(*conn) bool {
	return func(c *conn) bool {
		h, err := c.hello()
		if err != nil || !bad(c, h) {
			return true // what is no hello is for the TLS library to complain about
		}
		then(c)
		return false
	}
}

func offersTLS13(_ *conn, h *hello) bool { return h.offers(tls.VersionTLS13) }

// isLarge: the hello does not fit into one segment of Ethernet's usual size,
// 1460 bytes. Hellos with a post-quantum key share do not.
func isLarge(_ *conn, h *hello) bool { return h.length > 1460 }

// namesSite: the hello asks for the site by its name.
func namesSite(c *conn, h *hello) bool { return h.name == c.site.Host() }

// Ways to spoil the bytes, for https.wire. The server's first flight is written
// in one piece by crypto/tls.

// spoiled hands the server's first flight to spoil, which writes it, or what is
// to be left of it; what comes later passes.
type spoiled struct {
	*conn
	spoil func(c *conn, flight []byte) error
	done  bool
}

func (s *spoiled) Write(p []byte) (int, error) {
	if s.done {
		return s.conn.Write(p)
	}
	s.done = true
	if err := s.spoil(s.conn, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

func spoil(f func(c *conn, flight []byte) error) func(*conn) net.Conn {
	return func(c *conn) net.Conn { return &spoiled{conn: c, spoil: f} }
}

var errSpoiled = errors.New("the lab spoiled it")

// half writes half of the flight, which ends inside a record, and then ends.
func half(then func(*conn)) func(*conn) net.Conn {
	return spoil(func(c *conn, flight []byte) error {
		c.Conn.Write(flight[:len(flight)/2])
		then(c)
		return errSpoiled
	})
}

// damaged turns a bit in the first encrypted record.
func damaged(c *conn, flight []byte) error {
	p := append([]byte(nil), flight...)
	for at := 0; at+5 <= len(p); {
		end := at + 5 + int(binary.BigEndian.Uint16(p[at+3:]))
		if p[at] == recordApplication && end <= len(p) {
			p[end-1] ^= 1
			break
		}
		at = end
	}
	_, err := c.Conn.Write(p)
	return err
}

// oversized is a record longer than any may be (RFC 8446 §5.1: 2^14 bytes).
var oversized = string(record(recordHandshake, tls.VersionTLS12, make([]byte, 20000)))

// echo sends the client's hello back.
func echo(c *conn) {
	if _, err := c.hello(); err == nil {
		c.Conn.Write(c.head)
		c.head = nil
		c.hold()
	}
}

// warned is https.before: a warning first, then the handshake goes on.
func warned(number byte) func(*conn) bool {
	return func(c *conn) bool {
		if _, err := c.hello(); err != nil {
			return true
		}
		_, err := c.Write(alert(warning, number))
		return err == nil
	}
}

// Ways to end after the handshake, for https.after.

// withoutGoodbye answers a request and closes without a close_notify.
func withoutGoodbye(c *conn, t *tls.Conn) {
	if readRequest(t) != nil {
		return
	}
	io.WriteString(t, rawPage(c.site, "Connection: close\r\n"))
	c.finish() // below TLS: no close_notify
}
