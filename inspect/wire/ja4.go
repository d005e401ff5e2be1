package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// ja4 is the JA4 fingerprint of a client hello over TCP: the BSD-licensed
// client part of the scheme by FoxIO, nothing of the rest. It sorts what
// browsers permute and leaves out GREASE, so that it is the same for every
// connection of one client: "t13d1517h2_8daaf6152771_…".
func ja4(h *ClientHello) string {
	ciphers := withoutGREASE(h.Ciphers)
	exts := withoutGREASE(h.Extensions)
	sni := "i"
	if slices.Contains(exts, extServerName) {
		sni = "d"
	}
	a := fmt.Sprintf("t%s%s%02d%02d%s", ja4Version(h), sni, min(len(ciphers), 99), min(len(exts), 99), ja4ALPN(h.ALPN))

	// What the first part tells already is not part of the last.
	exts = slices.DeleteFunc(exts, func(id uint16) bool { return id == extServerName || id == extALPN })
	slices.Sort(ciphers)
	slices.Sort(exts)
	last := hexList(exts)
	if sigs := withoutGREASE(h.Signatures); len(sigs) > 0 {
		last += "_" + hexList(sigs) // in the order sent
	}
	return a + "_" + ja4Hash(hexList(ciphers), len(ciphers)) + "_" + ja4Hash(last, len(exts))
}

func ja4Version(h *ClientHello) string {
	v := h.Version
	if versions := withoutGREASE(h.Versions); len(versions) > 0 {
		v = slices.Max(versions)
	}
	switch v {
	case 0x0304:
		return "13"
	case 0x0303:
		return "12"
	case 0x0302:
		return "11"
	case 0x0301:
		return "10"
	case 0x0300:
		return "s3"
	case 0x0002:
		return "s2"
	}
	return "00"
}

// ja4ALPN is the first and last letter of the first protocol offered, or of its
// hexadecimal form where those are not letters or digits.
func ja4ALPN(protocols []string) string {
	if len(protocols) == 0 || protocols[0] == "" {
		return "00"
	}
	p := protocols[0]
	if !isAlnum(p[0]) || !isAlnum(p[len(p)-1]) {
		p = hex.EncodeToString([]byte(p))
	}
	return string(p[0]) + string(p[len(p)-1])
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func ja4Hash(s string, n int) string {
	if n == 0 {
		return "000000000000"
	}
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:6])
}

func hexList(numbers []uint16) string {
	words := make([]string, len(numbers))
	for i, v := range numbers {
		words[i] = fmt.Sprintf("%04x", v)
	}
	return strings.Join(words, ",")
}

func withoutGREASE(numbers []uint16) []uint16 {
	return slices.DeleteFunc(slices.Clone(numbers), isGREASE)
}
