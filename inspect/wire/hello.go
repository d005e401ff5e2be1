package wire

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
)

const (
	versionTLS11 = 0x0302
	versionTLS12 = 0x0303
	versionTLS13 = 0x0304
)

// Extensions that are looked into (IANA, TLS ExtensionType Values).
const (
	extServerName        = 0
	extGroups            = 10
	extSignatures        = 13
	extALPN              = 16
	extPSK               = 41
	extEarlyData         = 42
	extSupportedVersions = 43
	extKeyShare          = 51
	extECH               = 0xfe0d
)

var errShort = errors.New("it ends too early or has bytes left over")

// retryRandom is the random by which a ServerHello is known to be a
// HelloRetryRequest (RFC 8446 §4.1.3): SHA-256 of "HelloRetryRequest".
const retryRandom = "\xCF\x21\xAD\x74\xE5\x9A\x61\x11\xBE\x1D\x8C\x02\x1E\x65\xB8\x91" +
	"\xC2\xA2\x11\x16\x7A\xBB\x8C\x5E\x07\x9E\x09\xE2\xC8\xA8\x33\x9C"

// downgradeMark ends the random of a server that could have done better; the
// byte after it says what it chose instead (RFC 8446 §4.1.3).
const downgradeMark = "DOWNGRD"

// isGREASE says whether a value is reserved to be ignored (RFC 8701 §2).
func isGREASE(v uint16) bool { return v&0x0f0f == 0x0a0a && v>>8 == v&0xff }

// parseClientHello reads the body of a ClientHello (RFC 8446 §4.1.2, RFC 5246
// §7.4.1.2). Bytes and Records are left for the caller.
func parseClientHello(body []byte) (*ClientHello, error) {
	var (
		h                       ClientHello
		session, ciphers, compr cryptobyte.String
		s                       = cryptobyte.String(body)
	)
	if !s.ReadUint16(&h.Version) || !s.Skip(32) || !s.ReadUint8LengthPrefixed(&session) ||
		!s.ReadUint16LengthPrefixed(&ciphers) || !s.ReadUint8LengthPrefixed(&compr) {
		return nil, errShort
	}
	h.SessionID = len(session)
	var ok bool
	if h.Ciphers, ok = uint16s(ciphers); !ok {
		return nil, errors.New("the cipher list has an odd length")
	}
	err := extensions(s, func(id uint16, ext cryptobyte.String) bool {
		h.Extensions = append(h.Extensions, id)
		h.GREASE = h.GREASE || isGREASE(id)
		return h.extension(id, ext)
	})
	if err != nil {
		return nil, err
	}
	for _, list := range [][]uint16{h.Ciphers, h.Groups, h.Versions, h.Signatures} {
		for _, v := range list {
			h.GREASE = h.GREASE || isGREASE(v)
		}
	}
	h.JA4 = ja4(&h)
	return &h, nil
}

// extension reads one extension of a ClientHello; false when it is malformed.
func (h *ClientHello) extension(id uint16, ext cryptobyte.String) (ok bool) {
	switch id {
	case extServerName:
		h.SNI, ok = hostName(ext)
	case extALPN:
		h.ALPN, ok = protocols(ext)
	case extGroups:
		h.Groups, ok = list16(&ext)
	case extSignatures:
		h.Signatures, ok = list16(&ext)
	case extSupportedVersions:
		var list cryptobyte.String
		ok = ext.ReadUint8LengthPrefixed(&list) && ext.Empty()
		if ok {
			h.Versions, ok = uint16s(list)
		}
	case extKeyShare:
		h.KeyShares, ok = keyShares(ext)
	case extECH:
		h.ECH, ok = true, true
	case extPSK:
		h.PSK, ok = true, true
	case extEarlyData:
		h.EarlyData, ok = true, true
	default:
		ok = true
	}
	return ok
}

// parseServerHello reads the body of a ServerHello or HelloRetryRequest (RFC
// 8446 §4.1.3 and §4.1.4, RFC 5246 §7.4.1.3).
func parseServerHello(body []byte) (h *ServerHello, retry bool, err error) {
	var (
		session cryptobyte.String
		random  []byte
		s       = cryptobyte.String(body)
	)
	h = &ServerHello{}
	if !s.ReadUint16(&h.Legacy) || !s.ReadBytes(&random, 32) || !s.ReadUint8LengthPrefixed(&session) ||
		!s.ReadUint16(&h.Cipher) || !s.Skip(1) {
		return nil, false, errShort
	}
	retry = string(random) == retryRandom
	h.Version = h.Legacy
	err = extensions(s, func(id uint16, ext cryptobyte.String) bool {
		h.Extensions = append(h.Extensions, id)
		return h.extension(id, ext, retry)
	})
	if err != nil {
		return nil, false, err
	}
	h.Resumed = h.PSK
	h.Downgrade = downgrade(random, h.Version)
	return h, retry, nil
}

// extension reads one extension of a ServerHello; false when it is malformed.
func (h *ServerHello) extension(id uint16, ext cryptobyte.String, retry bool) bool {
	switch id {
	case extSupportedVersions:
		return ext.ReadUint16(&h.Version) && ext.Empty()
	case extKeyShare:
		var key cryptobyte.String
		return ext.ReadUint16(&h.Group) && (retry || ext.ReadUint16LengthPrefixed(&key)) && ext.Empty()
	case extALPN:
		list, ok := protocols(ext)
		if ok && len(list) > 0 {
			h.ALPN = list[0]
		}
		return ok
	case extPSK:
		h.PSK = true
	}
	return true
}

// downgrade reads the marker at the end of a server's random. TLS 1.3 itself
// carries none, so there the bytes mean nothing.
func downgrade(random []byte, version uint16) int {
	end := random[24:]
	if version >= versionTLS13 || string(end[:7]) != downgradeMark {
		return 0
	}
	switch end[7] {
	case 1:
		return 1
	case 0:
		return 2
	}
	return 0
}

// extensions walks an extension block, which may be missing altogether. An
// extension may come only once (RFC 8446 §4.2); the first that is malformed, as
// read says, ends the walk.
func extensions(s cryptobyte.String, read func(id uint16, ext cryptobyte.String) bool) error {
	if s.Empty() {
		return nil
	}
	var block cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&block) || !s.Empty() {
		return errShort
	}
	seen := make(map[uint16]bool)
	for !block.Empty() {
		var id uint16
		var ext cryptobyte.String
		if !block.ReadUint16(&id) || !block.ReadUint16LengthPrefixed(&ext) {
			return errors.New("the last extension ends too early")
		}
		if seen[id] {
			return fmt.Errorf("extension %d comes twice", id)
		}
		seen[id] = true
		if !read(id, ext) {
			return fmt.Errorf("extension %d is malformed", id)
		}
	}
	return nil
}

// hostName is the first host name of a server_name extension (RFC 6066 §3).
func hostName(ext cryptobyte.String) (name string, ok bool) {
	var list cryptobyte.String
	if !ext.ReadUint16LengthPrefixed(&list) || !ext.Empty() {
		return "", false
	}
	for !list.Empty() {
		var typ uint8
		var host cryptobyte.String
		if !list.ReadUint8(&typ) || !list.ReadUint16LengthPrefixed(&host) {
			return "", false
		}
		if typ == 0 && name == "" {
			name = string(host)
		}
	}
	return name, true
}

// protocols reads an ALPN list (RFC 7301 §3.1).
func protocols(ext cryptobyte.String) (names []string, ok bool) {
	var list cryptobyte.String
	if !ext.ReadUint16LengthPrefixed(&list) || !ext.Empty() {
		return nil, false
	}
	for !list.Empty() {
		var name cryptobyte.String
		if !list.ReadUint8LengthPrefixed(&name) {
			return nil, false
		}
		names = append(names, string(name))
	}
	return names, true
}

// keyShares are the groups for which the client sent a key (RFC 8446 §4.2.8).
func keyShares(ext cryptobyte.String) (groups []uint16, ok bool) {
	var list cryptobyte.String
	if !ext.ReadUint16LengthPrefixed(&list) || !ext.Empty() {
		return nil, false
	}
	for !list.Empty() {
		var group uint16
		var key cryptobyte.String
		if !list.ReadUint16(&group) || !list.ReadUint16LengthPrefixed(&key) {
			return nil, false
		}
		groups = append(groups, group)
	}
	return groups, true
}

// list16 reads a list of 16-bit numbers that fills the whole extension.
func list16(ext *cryptobyte.String) ([]uint16, bool) {
	var list cryptobyte.String
	if !ext.ReadUint16LengthPrefixed(&list) || !ext.Empty() {
		return nil, false
	}
	return uint16s(list)
}

func uint16s(list cryptobyte.String) ([]uint16, bool) {
	if len(list)%2 != 0 {
		return nil, false
	}
	numbers := make([]uint16, len(list)/2)
	for i := range numbers {
		numbers[i] = binary.BigEndian.Uint16(list[2*i:])
	}
	return numbers, true
}
