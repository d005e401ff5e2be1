package wire

import (
	"crypto/tls"
	"fmt"
	"strings"
)

// AlertName is the name of a TLS alert as the registry writes it
// ("handshake_failure"), or its number ("0xC8") when it has none.
func AlertName(n uint8) string {
	if name, ok := alertNames[n]; ok {
		return name
	}
	return fmt.Sprintf("0x%02X", n)
}

// VersionName is the name of a TLS version ("TLS 1.2"), or its number.
func VersionName(v uint16) string {
	switch {
	case v == 0x0002:
		return "SSL 2.0"
	case v == 0x0300:
		return "SSL 3.0"
	case isGREASE(v):
		return "GREASE"
	}
	return tls.VersionName(v)
}

// GroupName is the name of a key-exchange group ("X25519"), or its number
// (IANA, TLS Supported Groups).
func GroupName(g uint16) string {
	if isGREASE(g) {
		return "GREASE"
	}
	if name, ok := groupNames[g]; ok {
		return name
	}
	return fmt.Sprintf("0x%04X", g)
}

// CipherName is the name of a cipher suite ("TLS_AES_128_GCM_SHA256"), or its
// number (IANA, TLS Cipher Suites).
func CipherName(c uint16) string {
	if isGREASE(c) {
		return "GREASE"
	}
	if name, ok := cipherNames[c]; ok {
		return name
	}
	return tls.CipherSuiteName(c)
}

// usesCurve says whether a suite of TLS ≤ 1.2 agrees on keys over a curve.
func usesCurve(cipher uint16) bool {
	return strings.HasPrefix(CipherName(cipher), "TLS_ECDH")
}

// crypto/tls calls the curves "CurveP256"; people call them P-256.
var groupNames = map[uint16]string{
	0x0013: "P-192",
	0x0015: "P-224",
	0x0016: "secp256k1",
	0x0017: "P-256",
	0x0018: "P-384",
	0x0019: "P-521",
	0x001A: "brainpoolP256r1",
	0x001B: "brainpoolP384r1",
	0x001C: "brainpoolP512r1",
	0x001D: "X25519",
	0x001E: "X448",
	0x0100: "ffdhe2048",
	0x0101: "ffdhe3072",
	0x0102: "ffdhe4096",
	0x0103: "ffdhe6144",
	0x0104: "ffdhe8192",
	0x0200: "MLKEM512",
	0x0201: "MLKEM768",
	0x0202: "MLKEM1024",
	0x11EB: "SecP256r1MLKEM768",
	0x11EC: "X25519MLKEM768",
	0x11ED: "SecP384r1MLKEM1024",
	0x6399: "X25519Kyber768Draft00",
}

// cipherNames are the suites that crypto/tls does not know and that clients
// still offer or old servers still choose.
var cipherNames = map[uint16]string{
	0x0000: "TLS_NULL_WITH_NULL_NULL",
	0x0001: "TLS_RSA_WITH_NULL_MD5",
	0x0002: "TLS_RSA_WITH_NULL_SHA",
	0x0003: "TLS_RSA_EXPORT_WITH_RC4_40_MD5",
	0x0004: "TLS_RSA_WITH_RC4_128_MD5",
	0x0007: "TLS_RSA_WITH_IDEA_CBC_SHA",
	0x0009: "TLS_RSA_WITH_DES_CBC_SHA",
	0x0013: "TLS_DHE_DSS_WITH_3DES_EDE_CBC_SHA",
	0x0015: "TLS_DHE_RSA_WITH_DES_CBC_SHA",
	0x0016: "TLS_DHE_RSA_WITH_3DES_EDE_CBC_SHA",
	0x0018: "TLS_DH_anon_WITH_RC4_128_MD5",
	0x0032: "TLS_DHE_DSS_WITH_AES_128_CBC_SHA",
	0x0033: "TLS_DHE_RSA_WITH_AES_128_CBC_SHA",
	0x0034: "TLS_DH_anon_WITH_AES_128_CBC_SHA",
	0x0038: "TLS_DHE_DSS_WITH_AES_256_CBC_SHA",
	0x0039: "TLS_DHE_RSA_WITH_AES_256_CBC_SHA",
	0x003A: "TLS_DH_anon_WITH_AES_256_CBC_SHA",
	0x003B: "TLS_RSA_WITH_NULL_SHA256",
	0x003D: "TLS_RSA_WITH_AES_256_CBC_SHA256",
	0x0041: "TLS_RSA_WITH_CAMELLIA_128_CBC_SHA",
	0x0045: "TLS_DHE_RSA_WITH_CAMELLIA_128_CBC_SHA",
	0x0067: "TLS_DHE_RSA_WITH_AES_128_CBC_SHA256",
	0x006B: "TLS_DHE_RSA_WITH_AES_256_CBC_SHA256",
	0x0084: "TLS_RSA_WITH_CAMELLIA_256_CBC_SHA",
	0x0088: "TLS_DHE_RSA_WITH_CAMELLIA_256_CBC_SHA",
	0x0096: "TLS_RSA_WITH_SEED_CBC_SHA",
	0x009E: "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256",
	0x009F: "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384",
	0x00A6: "TLS_DH_anon_WITH_AES_128_GCM_SHA256",
	0x00FF: "TLS_EMPTY_RENEGOTIATION_INFO_SCSV",
	0x1304: "TLS_AES_128_CCM_SHA256",
	0x1305: "TLS_AES_128_CCM_8_SHA256",
	0x5600: "TLS_FALLBACK_SCSV",
	0xC008: "TLS_ECDHE_ECDSA_WITH_3DES_EDE_CBC_SHA",
	0xC010: "TLS_ECDHE_RSA_WITH_NULL_SHA",
	0xC018: "TLS_ECDH_anon_WITH_AES_128_CBC_SHA",
	0xC019: "TLS_ECDH_anon_WITH_AES_256_CBC_SHA",
	0xC024: "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384",
	0xC028: "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384",
	0xC09C: "TLS_RSA_WITH_AES_128_CCM",
	0xC09D: "TLS_RSA_WITH_AES_256_CCM",
	0xC09E: "TLS_DHE_RSA_WITH_AES_128_CCM",
	0xC09F: "TLS_DHE_RSA_WITH_AES_256_CCM",
	0xC0AC: "TLS_ECDHE_ECDSA_WITH_AES_128_CCM",
	0xC0AD: "TLS_ECDHE_ECDSA_WITH_AES_256_CCM",
	0xC0AE: "TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8",
	0xC0AF: "TLS_ECDHE_ECDSA_WITH_AES_256_CCM_8",
	0xCCAA: "TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
}
