package wire

// maxAlerts bounds Facts.Alerts. A connection that goes well has two.
const maxAlerts = 16

// alertNames are the alerts of all versions of TLS (IANA, TLS Alerts; RFC 5246
// §7.2, RFC 8446 §6; 117 is of RFC 9846).
var alertNames = map[uint8]string{
	0:   "close_notify",
	10:  "unexpected_message",
	20:  "bad_record_mac",
	21:  "decryption_failed",
	22:  "record_overflow",
	30:  "decompression_failure",
	40:  "handshake_failure",
	41:  "no_certificate",
	42:  "bad_certificate",
	43:  "unsupported_certificate",
	44:  "certificate_revoked",
	45:  "certificate_expired",
	46:  "certificate_unknown",
	47:  "illegal_parameter",
	48:  "unknown_ca",
	49:  "access_denied",
	50:  "decode_error",
	51:  "decrypt_error",
	52:  "too_many_cids_requested",
	60:  "export_restriction",
	70:  "protocol_version",
	71:  "insufficient_security",
	80:  "internal_error",
	86:  "inappropriate_fallback",
	90:  "user_canceled",
	100: "no_renegotiation",
	109: "missing_extension",
	110: "unsupported_extension",
	111: "certificate_unobtainable",
	112: "unrecognized_name",
	113: "bad_certificate_status_response",
	114: "bad_certificate_hash_value",
	115: "unknown_psk_identity",
	116: "certificate_required",
	117: "general_error",
	120: "no_application_protocol",
	121: "ech_required",
}

// alerts joins the two bytes of an alert, level and number, which old versions
// allow to come in two records, and several in one (RFC 5246 §6.2.1).
type alerts struct {
	level uint8
	half  bool
}

func (a *alerts) feed(b []byte, found func(level, number uint8)) {
	for _, v := range b {
		if !a.half {
			a.level, a.half = v, true
			continue
		}
		a.half = false
		found(a.level, v)
	}
}

// sealedAlert says whether a record of type alert is encrypted. No cipher makes
// a record of two bytes, so one of that length is in clear whatever came before
// it: OpenSSL sends it so even in TLS 1.3 after the ServerHello, when it has not
// switched keys yet. Longer ones are in clear until the sender's
// change_cipher_spec; in TLS 1.3 they should not exist.
func sealedAlert(n int, version uint16, secret bool) bool {
	return n != 2 && (secret || version >= versionTLS13)
}
