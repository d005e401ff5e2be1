package report

import (
	"time"

	"faultline/inspect"
	"faultline/inspect/wire"
)

func ptr[T any](v T) *T { return &v }

var noon = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

// refused is an attempt that failed early, with little evidence.
func refused() *inspect.Record {
	return &inspect.Record{
		TS: noon, Level: "warn", Msg: "attempt", ID: "01JQ0000000000000000000001", Final: true,
		Mode: inspect.Tunnel, Target: "shop.example:443", Host: "shop.example", Port: 443,
		Client: inspect.Client{Addr: "127.0.0.1:50312", UserAgent: "Mozilla/5.0 (X11; Linux x86_64)", Process: "chrome", PID: 4711},
		Visit:  "01JQ0000000000000000000000",
		Verdict: inspect.Verdict{
			Outcome: inspect.Failed, Layer: inspect.LayerTCP, Step: inspect.StepConnect, Fault: "tcp-refused",
			Blame: inspect.BlameServer, Certainty: inspect.Seen, HTTPReached: ptr(false),
			Title: "The machine answered, but nothing is listening for secure web traffic there.",
			Why:   "192.0.2.1:443 refused the connection",
			Fix:   inspect.Fix{User: "Check the address and port; try again later.", Server: "Start the web server, or make it listen on 443."},
			Codes: inspect.Codes{Chromium: "ERR_CONNECTION_REFUSED", ChromiumShown: "ERR_TUNNEL_CONNECTION_FAILED",
				Firefox: "NS_ERROR_CONNECTION_REFUSED", Curl: "7 CURLE_COULDNT_CONNECT", NEL: "tcp.refused", ProxyStatus: "connection_refused"},
		},
		Timing: inspect.Timing{DNS: ptr(3.2), Connect: ptr(0.4), Total: ptr(4.1)},
		Evidence: inspect.Evidence{
			DNS: &inspect.DNSStep{Source: inspect.SourceSeen, Name: "shop.example", From: "dns", Ms: 3.2,
				A: &inspect.DNSAnswer{Addrs: []string{"192.0.2.1"}, Ms: 3.1, Asked: []inspect.DNSExchange{
					{Server: "192.0.2.53:53", Network: "udp", Name: "shop.example.", Type: "A", RCode: "NOERROR", Answers: 1, Ms: 3}}}},
			TCP: &inspect.TCPStep{Source: inspect.SourceSeen, Ms: 0.4, Tries: []inspect.Try{
				{Addr: "192.0.2.1:443", Ms: 0.4, Errno: "ECONNREFUSED", Error: "connect: connection refused"}}},
			End: &inspect.EndStep{First: "faultline", Ms: 4.1},
		},
	}
}

// expired is an attempt that failed late, with all evidence of a tunnel.
func expired() *inspect.Record {
	r := refused()
	r.ID, r.Target, r.Host = "01JQ0000000000000000000002", "old.example:443", "old.example"
	r.Verdict = inspect.Verdict{
		Outcome: inspect.Failed, Layer: inspect.LayerCertificate, Step: inspect.StepHandshake, Fault: "cert-expired",
		Blame: inspect.BlameServer, Certainty: inspect.Shown, HTTPReached: ptr(false),
		Title: "The site's certificate ran out on the date shown; nobody has renewed it.",
		Why:   "the certificate was valid until 2026-02-01, 28 days before the attempt",
		Fix:   inspect.Fix{User: "Check your clock once; otherwise wait for the owner.", Server: "Renew the certificate and reload the server."},
		Also:  []inspect.Also{{Fault: "tls-no-pfs", Layer: inspect.LayerTLS, Why: "the server chose a static RSA key exchange"}},
		Codes: inspect.Codes{Chromium: "ERR_CERT_DATE_INVALID", Firefox: "SEC_ERROR_EXPIRED_CERTIFICATE",
			Curl: "60 CURLE_PEER_FAILED_VERIFICATION", NEL: "tls.cert.date_invalid", ProxyStatus: "tls_certificate_error"},
	}
	r.Timing = inspect.Timing{DNS: ptr(3.2), Connect: ptr(11.7), TLS: ptr(34.0), Total: ptr(61.5)}
	r.TCP.Tries = []inspect.Try{{Addr: "192.0.2.1:443", Ms: 11.7, OK: true}}
	r.TCP.Addr = "192.0.2.1:443"
	r.Hello = &inspect.HelloStep{Protocol: "tls", Ms: 0.8, ClientHello: &wire.ClientHello{
		Bytes: 1782, Records: 2, Version: 0x303, Versions: []uint16{0x304, 0x303}, SessionID: 32,
		Ciphers:    []uint16{0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8},
		Extensions: []uint16{0, 5, 10, 11, 13, 16, 18, 23, 27, 35, 43, 45, 51, 65281}, SNI: "old.example",
		ALPN: []string{"h2", "http/1.1"}, Groups: []uint16{0x11ec, 29, 23, 24}, KeyShares: []uint16{0x11ec, 29},
		Signatures: []uint16{0x403, 0x804, 0x401}, GREASE: true, ECH: true, JA4: "t13d1516h2_8daaf6152771_d8a2da3f94cd"}}
	r.TLS = &inspect.TLSStep{Source: inspect.SourceSeen, Protocol: "tls", Version: "TLS 1.3", Cipher: "TLS_AES_128_GCM_SHA256",
		Group: "X25519MLKEM768", Ms: 12, Rejected: inspect.RejectShort, ClientFirst: 19,
		Answer: &wire.ServerHello{Version: 0x304, Legacy: 0x303, Cipher: 0x1301, Group: 0x11ec, Extensions: []uint16{43, 51}},
		Records: []wire.Record{{Side: wire.Client, Type: 22, Version: 0x301, Len: 1782, Ms: 0.8, Messages: []int{1}},
			{Side: wire.Server, Type: 22, Version: 0x303, Len: 1210, Ms: 12, Messages: []int{2}},
			{Side: wire.Server, Type: 23, Version: 0x303, Len: 3012, Ms: 12.1}, {Side: wire.Client, Type: 23, Version: 0x303, Len: 19, Ms: 34}}}
	r.Cert = &inspect.CertStep{Source: inspect.SourceProbed, Anchor: "CN=Example Root",
		Chain: []inspect.CertInfo{
			{Subject: "CN=old.example", Issuer: "CN=Example Intermediate", Names: []string{"old.example", "www.old.example"}, Key: "RSA 2048",
				NotBefore: noon.AddDate(0, -4, 0), NotAfter: noon.AddDate(0, -1, 0), Signature: "SHA256-RSA",
				SHA256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},
			{Subject: "CN=Example Intermediate", Issuer: "CN=Example Root", Key: "RSA 4096", NotBefore: noon.AddDate(-5, 0, 0),
				NotAfter: noon.AddDate(5, 0, 0), Signature: "SHA256-RSA", CA: true,
				SHA256: "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"}},
		Faults: []inspect.CertFault{{Fault: "cert-expired", Why: "valid until 2026-02-01"}}}
	r.Probes = []inspect.Probe{{Changed: "our own hello, no verification", Result: "the handshake finished", OK: true, Ms: 40}}
	r.End = &inspect.EndStep{First: "client", Client: "fin", Server: "fin", ClientMs: ptr(34.2), ServerMs: ptr(34.9), Up: 2100, Down: 4400, Ms: 35}
	return r
}

// fine is an attempt that worked.
func fine() *inspect.Record {
	r := refused()
	r.ID, r.Level, r.Target, r.Host = "01JQ0000000000000000000003", "info", "good.example:443", "good.example"
	r.Verdict = inspect.Verdict{Outcome: inspect.OK, Layer: inspect.LayerNone, Fault: inspect.FaultOK, Blame: inspect.BlameNone, Title: "It works."}
	r.Timing = inspect.Timing{DNS: ptr(2.0), Connect: ptr(10.0), TLS: ptr(22.0), Total: ptr(1534.0)}
	r.Evidence = inspect.Evidence{TCP: &inspect.TCPStep{Addr: "192.0.2.1:443", Ms: 10}}
	return r
}

// but returns a copy of a record with something changed.
func but(r *inspect.Record, change func(*inspect.Record)) *inspect.Record {
	c := *r
	change(&c)
	return &c
}

// Samples are records of every sort, for the tests outside the package.
func Samples() []*inspect.Record {
	all := append(day(), expired())
	for _, s := range hostile {
		all = append(all, but(expired(), func(r *inspect.Record) {
			r.Target, r.Host, r.Why, r.URL, r.Client.UserAgent, r.Internal = s, s, s, s, s, s
		}))
	}
	return all
}
