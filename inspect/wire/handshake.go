package wire

import (
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
)

// Handshake messages (RFC 8446 §4, RFC 5246 §7.4, RFC 6066 §8).
const (
	msgClientHello        = 1
	msgServerHello        = 2
	msgCertificate        = 11
	msgServerKeyExchange  = 12
	msgCertificateRequest = 13
	msgServerHelloDone    = 14
	msgCertificateStatus  = 22
)

const (
	// maxMessage bounds what is kept of one message. The largest hello known is
	// about 2 KiB; post-quantum keys and padding will not make it thirty times
	// as large.
	maxMessage = 64 << 10
	// maxChain bounds the certificates. Browsers refuse handshake messages that
	// are larger than this or near it.
	maxChain = 256 << 10
	// maxCerts bounds their number, since even an empty one costs memory.
	maxCerts = 100
	// maxMessages bounds Record.Messages.
	maxMessages = 16
)

// messages joins the handshake messages of one direction, which may be cut at
// any byte and spread over any number of records (RFC 8446 §5.1). A message
// that nobody wants, or that is too large, is walked over without being kept.
type messages struct {
	head  [4]byte
	have  int    // bytes of head
	left  int    // bytes of the body still to come
	body  []byte // what came of it, if kept
	keep  bool
	first int  // number of the record in which the message began
	lost  bool // what comes is no handshake
}

// feed takes the next bytes of the record with that number. It calls begin with
// a message's type as soon as that is known, and done when the message is
// complete; body is nil unless want said that the message is to be kept, and
// belongs to the callee.
func (m *messages) feed(b []byte, record int, c consumer) {
	for len(b) > 0 && !m.lost {
		if m.have < len(m.head) {
			if m.have == 0 {
				m.first = record
				c.begin(b[0])
			}
			n := copy(m.head[m.have:], b)
			m.have += n
			b = b[n:]
			if m.have < len(m.head) {
				return
			}
			m.left = int(m.head[1])<<16 | int(m.head[2])<<8 | int(m.head[3])
			var err error
			if m.keep, err = c.want(m.head[0], m.left); err != nil {
				m.lost = true
				return
			}
		}
		n := min(m.left, len(b))
		if m.keep {
			m.body = append(m.body, b[:n]...)
		}
		m.left -= n
		b = b[n:]
		if m.left == 0 {
			body := m.body
			if m.keep && body == nil {
				body = []byte{}
			}
			m.have, m.body = 0, nil
			c.done(m.head[0], body, record-m.first+1)
		}
	}
}

// consumer is told about the handshake messages of one direction.
type consumer interface {
	begin(typ uint8)
	// want says whether to keep the body of a message; an error says that the
	// bytes cannot be a handshake at all.
	want(typ uint8, n int) (bool, error)
	done(typ uint8, body []byte, records int)
}

// checkMessage says whether a message in clear can be one at all. Junk in a
// handshake record shows here: by its type, or by a length of megabytes.
func checkMessage(typ uint8, n int) error {
	switch typ {
	case msgCertificate, 25: // 25 is CompressedCertificate, RFC 8879
		if n > maxChain {
			return fmt.Errorf("certificate message of %d bytes, more than the %d that are read", n, maxChain)
		}
	case 0, 1, 2, 3, 4, 5, 8, 12, 13, 14, 15, 16, 20, 21, 22, 23, 24, 67, 254:
		if n > maxMessage {
			return fmt.Errorf("handshake message %d of %d bytes, more than the %d that are read", typ, n, maxMessage)
		}
	default:
		return fmt.Errorf("no handshake message has the type %d", typ)
	}
	return nil
}

// parseChain reads the body of a Certificate message of TLS ≤ 1.2 (RFC 5246
// §7.4.2). The certificates are parts of body.
func parseChain(body []byte) (chain [][]byte, err error) {
	var list cryptobyte.String
	s := cryptobyte.String(body)
	if !s.ReadUint24LengthPrefixed(&list) || !s.Empty() {
		return nil, errShort
	}
	for !list.Empty() {
		var cert cryptobyte.String
		if !list.ReadUint24LengthPrefixed(&cert) || len(cert) == 0 {
			return nil, errors.New("its list is malformed")
		}
		if len(chain) == maxCerts {
			return chain, fmt.Errorf("it holds more than %d certificates", maxCerts)
		}
		chain = append(chain, cert)
	}
	return chain, nil
}

// noCertificate is the body of a Certificate message with an empty list.
const noCertificate = "\x00\x00\x00"

// parseStaple reads the body of a CertificateStatus (RFC 6066 §8): an OCSP
// response, in DER.
func parseStaple(body []byte) ([]byte, error) {
	var typ uint8
	var response cryptobyte.String
	s := cryptobyte.String(body)
	if !s.ReadUint8(&typ) || typ != 1 || !s.ReadUint24LengthPrefixed(&response) || !s.Empty() {
		return nil, errShort
	}
	return response, nil
}

// keyExchangeGroup is the curve of a ServerKeyExchange (RFC 8422 §5.4), 0 when
// it names none: with plain Diffie-Hellman the message begins with a length.
func keyExchangeGroup(cipher uint16, body []byte) uint16 {
	const namedCurve = 3
	if len(body) < 3 || body[0] != namedCurve || !usesCurve(cipher) {
		return 0
	}
	return uint16(body[1])<<8 | uint16(body[2])
}
