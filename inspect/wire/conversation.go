// Package wire reads what a connection lets be read without keys.
//
// Bytes arrive as they passed, cut anywhere: [Conversation.Feed] takes them. The
// first two of a side say whether it speaks TLS. If not, protocol names what it
// speaks instead, from at most 64 bytes. If so, the stream is cut into records
// (record.go). Records in clear are joined into handshake messages
// (handshake.go) and alerts (alert.go), and the messages that tell something are
// parsed: both hellos (hello.go) and, up to TLS 1.2, the server's certificates.
// Of encrypted records only the type, the length and the order are seen, which
// is enough to tell a client that finished the handshake from one that refused
// it. [Conversation.Facts] is all of that, at any time; what it means is for
// others to say.
//
// Nothing here does I/O or looks at a clock, nothing fails, and memory is
// bounded whatever comes. After the handshake only record headers are walked.
package wire

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Conversation follows both directions of one connection. The zero value is
// ready. Its methods may be called by several goroutines.
type Conversation struct {
	mu      sync.Mutex
	settled atomic.Bool

	facts  Facts // Client and Server are kept in the streams
	client stream
	server stream

	sealed   int  // encrypted records of the client since the ServerHello
	finished bool // TLS 1.3: one of them was long enough for a Finished
	after    int  // client records since that one
	certs    bool // a Certificate of the server passed
}

// mode is how the bytes of a stream are read.
type mode uint8

const (
	undecided mode = iota // less than two bytes came
	records               // TLS
	foreign               // not TLS
	lost                  // the place of the next record is not known
)

// stream is one direction.
type stream struct {
	mode    mode
	bytes   int64
	firstAt time.Duration
	lastAt  time.Duration

	first  [maxFirst]byte // undecided and foreign: the beginning
	nfirst int

	tls    bool // the stream began as TLS
	head   [headerLen]byte
	have   int   // bytes of head
	left   int   // bytes of the record's body still to come
	pos    int64 // where in the stream the next byte is
	start  int64 // where the record began
	typ    uint8 // of the record
	clear  bool  // its body is read
	serial int   // its number
	index  int   // its place in Facts.Records, -1 for none

	messages messages
	alerts   alerts
	ccs      bool // change_cipher_spec passed
	secret   bool // handshake records are encrypted now (TLS ≤ 1.2)
	finished bool // the first such record, Finished, passed
}

// Feed takes bytes that passed, at a time since the connection began. Call it
// before the bytes are passed on: then an answer never arrives here before what
// it answers. The bytes are not kept.
func (c *Conversation) Feed(side Side, b []byte, at time.Duration) {
	if len(b) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stream(side)
	s.count(int64(len(b)), at)
	if s.mode == undecided {
		b = s.decide(b)
	}
	switch s.mode {
	case records:
		c.records(s, side, b, at)
	case foreign:
		if s.nfirst < maxFirst {
			s.nfirst += copy(s.first[s.nfirst:], b)
			c.settleForeign()
		}
	}
}

// Skip says that n bytes passed unseen. What that side says from then on is
// only counted, since nobody knows where its next record begins.
func (c *Conversation) Skip(side Side, n int64, at time.Duration) {
	if n <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stream(side)
	s.count(n, at)
	s.lose()
}

// Settled says that the client has accepted the handshake and gone on, or that
// neither side speaks TLS and it is known what they do speak. There is little to
// learn then but how the connection ends.
func (c *Conversation) Settled() bool { return c.settled.Load() }

// Facts is what is known now. It shares with c only what is never written
// again: the hello, and the bytes of certificates.
func (c *Conversation) Facts() Facts {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.facts
	f.Client, f.Server = c.client.talk(), c.server.talk()
	f.Retry, f.Answer = clone(f.Retry), clone(f.Answer)
	f.Chain = slices.Clone(f.Chain)
	f.Alerts = slices.Clone(f.Alerts)
	f.Records = slices.Clone(f.Records)
	for i := range f.Records {
		f.Records[i].Messages = slices.Clone(f.Records[i].Messages)
	}
	return f
}

func clone[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

func (c *Conversation) stream(side Side) *stream {
	if side == Client {
		return &c.client
	}
	return &c.server
}

func (s *stream) count(n int64, at time.Duration) {
	if s.bytes == 0 {
		s.firstAt = at
	}
	s.bytes += n
	s.lastAt = at
}

// decide looks at the first two bytes and returns those that are still to be
// read.
func (s *stream) decide(b []byte) []byte {
	n := copy(s.first[s.nfirst:2], b)
	s.nfirst += n
	b = b[n:]
	switch {
	case s.nfirst == 2 && startsTLS([2]byte(s.first[:2])):
		s.mode, s.tls = records, true
		s.have = copy(s.head[:], s.first[:2])
		s.pos = 2
		s.nfirst = 0
	case s.nfirst == 2 || !isRecordType(s.first[0]):
		s.mode = foreign
	}
	return b
}

// lose gives up following records.
func (s *stream) lose() {
	s.mode = lost
	s.have, s.left, s.messages = 0, 0, messages{lost: true}
}

// talk is what the side said, for [Facts].
func (s *stream) talk() Talk {
	t := Talk{Bytes: s.bytes, FirstAt: s.firstAt, LastAt: s.lastAt}
	if s.bytes == 0 {
		t.FirstAt, t.LastAt = -1, -1
	}
	if s.tls {
		t.Protocol = "tls"
		t.Cut = s.left
		if s.have > 0 {
			t.Cut = headerLen - s.have
		}
		return t
	}
	t.Protocol, _ = protocol(s.first[:s.nfirst])
	if s.nfirst > 0 {
		t.First = slices.Clone(s.first[:s.nfirst])
	}
	return t
}

// records walks the records in b. This is all that happens once the handshake
// is over, so it must cost next to nothing.
func (c *Conversation) records(s *stream, side Side, b []byte, at time.Duration) {
	for len(b) > 0 {
		if s.left == 0 {
			n := copy(s.head[s.have:], b)
			s.have += n
			b = b[n:]
			if s.have < headerLen {
				s.pos += int64(n)
				return
			}
			h, err := parseHeader(s.head)
			s.pos += int64(n)
			s.start = s.pos - headerLen
			if err != nil {
				c.broken(s, side, err.Error())
				s.lose()
				return
			}
			s.have, s.left = 0, h.len
			c.record(s, side, h, at)
			continue
		}
		n := min(s.left, len(b))
		if s.clear {
			c.body(s, side, b[:n], at)
		}
		s.left -= n
		s.pos += int64(n)
		b = b[n:]
	}
}

// record is told about each record when its header has passed.
func (c *Conversation) record(s *stream, side Side, h header, at time.Duration) {
	s.typ, s.clear, s.index = h.typ, false, -1
	s.serial++
	if f := &c.facts; len(f.Records) < MaxRecords {
		s.index = len(f.Records)
		f.Records = append(f.Records, Record{Side: side, Type: h.typ, Version: h.version, Len: h.len, Ms: ms(at)})
	}
	switch h.typ {
	case recordHandshake:
		s.clear = !s.secret
	case recordAlert:
		s.clear = !sealedAlert(h.len, c.version(), s.secret)
	}
	if why := h.illegal(s.clear, c.version()); why != "" {
		c.broken(s, side, why)
	}
	switch {
	case h.typ == recordCCS:
		c.changeCipher(s, side)
	case h.typ == recordData:
		c.data(s, side, h.len)
	case h.typ == recordHandshake && !s.clear:
		c.sealedHandshake(s, side, h.len)
	case h.typ == recordAlert && !s.clear:
		c.seal(side, h.len)
		c.alert(Alert{Side: side, Encrypted: true, Ms: ms(at), BeforeCCS: !s.ccs})
	}
}

// changeCipher: up to TLS 1.2 what this side says next is encrypted (RFC 5246
// §7.1). In TLS 1.3 the record means nothing (RFC 8446 §5), and it may come
// before the ServerHello, with a second hello in clear after it.
func (c *Conversation) changeCipher(s *stream, side Side) {
	s.ccs = true
	f := &c.facts
	if f.Answer == nil {
		return
	}
	if side == Client {
		f.ClientCCS = true
	}
	if f.Answer.Version >= versionTLS13 {
		return
	}
	s.secret = true
	// A server that neither showed a certificate nor completed its flight has
	// taken up an earlier session (RFC 5246 §7.3).
	if side == Server && !c.certs && !f.ServerDone && !c.server.finished {
		f.Answer.Resumed = true
	}
}

// sealedHandshake is an encrypted handshake record up to TLS 1.2: Finished, or
// anything of a later handshake on the same connection.
func (c *Conversation) sealedHandshake(s *stream, side Side, n int) {
	c.seal(side, n)
	if s.finished && c.facts.ClientData+c.facts.ServerData > 0 {
		c.facts.Renegotiated = true
	}
	s.finished = true
	c.settle()
}

// data is a record of application data; in TLS 1.3 of anything encrypted.
func (c *Conversation) data(s *stream, side Side, n int) {
	f := &c.facts
	if side == Client {
		f.ClientData++
	} else {
		f.ServerData++
	}
	c.seal(side, n)
	if side == Client && c.version() >= versionTLS13 {
		c.follow13(n)
	}
	c.settle()
}

// seal counts an encrypted record. What a client sends before the ServerHello
// is early data and tells nothing about the handshake.
func (c *Conversation) seal(side Side, n int) {
	f := &c.facts
	switch {
	case f.Answer == nil:
	case side == Server:
		if c.sealed > 0 {
			f.ServerAfter++
		}
	default:
		switch c.sealed {
		case 0:
			f.ClientFirst = n
		case 1:
			f.ClientNext = n
		}
		c.sealed++
	}
}

// follow13 watches the lengths of what a client sends in TLS 1.3: first one
// that can be a Finished, then more than an alert.
func (c *Conversation) follow13(n int) {
	f := &c.facts
	switch {
	case c.finished:
		c.after++
		if n != alert13 && n != alertCCM8 && n != alertPadded {
			c.after++
		}
	case f.Hello != nil && f.Hello.EarlyData:
		// Early data, of any length, may still be on its way: only the very
		// length of a Finished will do.
		c.finished = n == finishedCCM8 || n == finishedSHA256 || n == finishedSHA384
	default:
		c.finished = n >= finishedSHA256 || n == finishedCCM8
	}
}

// Lengths of encrypted TLS 1.3 records: what is inside, a byte for its type and
// a tag of 16 bytes, 8 with CCM_8 (RFC 8446 §5.2).
const (
	alert13        = 2 + 1 + 16
	alertCCM8      = 2 + 1 + 8
	alertPadded    = alert13 + 16 // as Java does
	finishedSHA256 = 4 + 32 + 1 + 16
	finishedSHA384 = 4 + 48 + 1 + 16
	finishedCCM8   = 4 + 32 + 1 + 8
)

// settle decides [Conversation.Settled] for TLS. In TLS 1.3 the client's second
// record after its Finished may be an alert, which has the length of a lone one;
// a third tells that it was something else or that there is more.
func (c *Conversation) settle() {
	if c.settled.Load() {
		return
	}
	switch v := c.version(); {
	case v >= versionTLS13:
		if c.after >= 2 {
			c.settled.Store(true)
		}
	case v > 0:
		if c.client.finished && c.server.finished && c.facts.ClientData > 0 {
			c.settled.Store(true)
		}
	}
}

// settleForeign decides it where nobody speaks TLS.
func (c *Conversation) settleForeign() {
	for _, s := range []*stream{&c.client, &c.server} {
		if _, sure := protocol(s.first[:s.nfirst]); !sure || s.mode != foreign {
			return
		}
	}
	c.settled.Store(true)
}

// version is what was negotiated, 0 before the ServerHello.
func (c *Conversation) version() uint16 {
	if c.facts.Answer == nil {
		return 0
	}
	return c.facts.Answer.Version
}

// body takes the next bytes of a record in clear.
func (c *Conversation) body(s *stream, side Side, b []byte, at time.Duration) {
	switch s.typ {
	case recordHandshake:
		s.messages.feed(b, s.serial, reader{c, s, side})
	case recordAlert:
		s.alerts.feed(b, func(level, number uint8) {
			c.alert(Alert{Side: side, Level: level, Number: number, Name: AlertName(number), Ms: ms(at), BeforeCCS: !s.ccs})
		})
	}
}

func (c *Conversation) alert(a Alert) {
	if len(c.facts.Alerts) < maxAlerts {
		c.facts.Alerts = append(c.facts.Alerts, a)
	}
}

// broken notes what was wrong; the first trouble stands.
func (c *Conversation) broken(s *stream, side Side, why string) {
	if c.facts.Broken == "" {
		c.facts.Broken = fmt.Sprintf("%s, byte %d: %s", side, s.start, why)
	}
}

// reader takes the handshake messages of one side into the facts.
type reader struct {
	c    *Conversation
	s    *stream
	side Side
}

func (r reader) begin(typ uint8) {
	if r.s.index < 0 {
		return
	}
	if rec := &r.c.facts.Records[r.s.index]; len(rec.Messages) < maxMessages {
		rec.Messages = append(rec.Messages, int(typ))
	}
}

func (r reader) want(typ uint8, n int) (bool, error) {
	if err := checkMessage(typ, n); err != nil {
		r.c.broken(r.s, r.side, err.Error())
		return false, err
	}
	if r.side == Client {
		return typ == msgClientHello || typ == msgCertificate && n == len(noCertificate), nil
	}
	switch typ {
	case msgServerHello, msgCertificate, msgCertificateStatus, msgServerKeyExchange:
		return true, nil
	}
	return false, nil
}

func (r reader) done(typ uint8, body []byte, records int) {
	var err error
	if r.side == Client {
		err = r.c.clientMessage(typ, body, records)
	} else {
		err = r.c.serverMessage(typ, body)
	}
	if err != nil {
		r.c.broken(r.s, r.side, fmt.Sprintf("handshake message %d: %v", typ, err))
	}
}

func (c *Conversation) clientMessage(typ uint8, body []byte, records int) error {
	f := &c.facts
	if typ == msgCertificate && string(body) == noCertificate {
		f.NoClientCertificate = true
	}
	if typ != msgClientHello {
		return nil
	}
	f.Hellos++
	if f.Hello != nil {
		return nil
	}
	h, err := parseClientHello(body)
	if err != nil {
		return err
	}
	h.Bytes, h.Records = 4+len(body), records
	f.Hello = h
	return nil
}

func (c *Conversation) serverMessage(typ uint8, body []byte) (err error) {
	f := &c.facts
	switch typ {
	case msgServerHello:
		h, retry, err := parseServerHello(body)
		switch {
		case err != nil:
			return err
		case retry && f.Retry == nil:
			f.Retry = h
		case !retry && f.Answer == nil:
			f.Answer = h
		}
	case msgCertificate:
		c.certs = true
		if f.Chain == nil {
			f.Chain, err = parseChain(body)
		}
	case msgCertificateStatus:
		if f.Staple == nil {
			f.Staple, err = parseStaple(body)
		}
	case msgServerKeyExchange:
		f.KeyExchange = true
		if f.Answer != nil && f.Answer.Group == 0 {
			f.Answer.Group = keyExchangeGroup(f.Answer.Cipher, body)
		}
	case msgCertificateRequest:
		f.CertificateRequested = true
	case msgServerHelloDone:
		f.ServerDone = true
	}
	return err
}

func ms(at time.Duration) float64 { return float64(at.Microseconds()) / 1000 }
