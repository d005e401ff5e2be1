package wire

import (
	"encoding/binary"
	"fmt"
)

// Record types (RFC 8446 §5.1, RFC 6520 §6).
const (
	recordCCS       = 20
	recordAlert     = 21
	recordHandshake = 22
	recordData      = 23
	recordHeartbeat = 24
)

const (
	headerLen = 5
	// maxPlain is the most a record in clear may hold (RFC 8446 §5.1).
	maxPlain = 1 << 14
	// maxSealed13 is the most an encrypted TLS 1.3 record may hold (RFC 8446 §5.2).
	maxSealed13 = maxPlain + 256
	// maxSealed is the same for older versions (RFC 5246 §6.2.3), and the limit
	// above which a length is taken for a sign that these are no records.
	maxSealed = maxPlain + 2048
)

// header is the head of a TLS record.
type header struct {
	typ     uint8
	version uint16
	len     int
}

// startsTLS says whether a stream with these two first bytes is TLS: a record
// type and the major version 3, which every version from SSL 3.0 on has.
func startsTLS(b [2]byte) bool {
	return isRecordType(b[0]) && b[1] == 3
}

func isRecordType(b uint8) bool { return b >= recordCCS && b <= recordHeartbeat }

// parseHeader reads the head of a record. When it is an error the place of the
// next record is not known, and the stream can be followed no further.
func parseHeader(b [headerLen]byte) (header, error) {
	h := header{b[0], binary.BigEndian.Uint16(b[1:]), int(binary.BigEndian.Uint16(b[3:]))}
	switch {
	case !startsTLS([2]byte(b[:2])):
		return h, fmt.Errorf("%q is not the head of a TLS record", string(b[:]))
	case h.len > maxSealed:
		return h, fmt.Errorf("record length %d is more than the allowed %d", h.len, maxSealed)
	}
	return h, nil
}

// illegal says which rule of the record layer a well-framed record breaks;
// empty for none. clear: it is not encrypted; version: what was negotiated, 0
// when nothing yet.
func (h header) illegal(clear bool, version uint16) string {
	switch {
	case clear && h.len > maxPlain:
		return fmt.Sprintf("record of %d bytes in clear, more than the allowed %d", h.len, maxPlain)
	case version == versionTLS13 && h.len > maxSealed13:
		return fmt.Sprintf("record length %d is more than the %d allowed in TLS 1.3", h.len, maxSealed13)
	case clear && h.len == 0 && h.typ != recordData:
		return "empty record" // RFC 8446 §5.1: only application data may be empty
	}
	return ""
}
