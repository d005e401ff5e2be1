package wire

import "time"

// Side is one end of a connection: the client is the browser, the server is
// whatever answered at the address that was dialled.
type Side string

const (
	Client Side = "client"
	Server Side = "server"
)

// Facts is what is known of a connection from the bytes that passed in clear.
// It is a copy: reading it needs no lock, and later bytes do not change it.
type Facts struct {
	// Client and Server are what each side spoke. By its signature: "tls",
	// "sslv2", "http" (also HTTP/2 without TLS), "html" (a page with no HTTP in
	// front), "xmpp", "ssh", "smtp", "ftp", "smtp-or-ftp" (a "220" greeting that
	// names neither), "imap", "pop3", "vnc", "amqp", "telnet", "mysql",
	// "postgresql", "rdp", "socks". Otherwise "text" for what people can read and
	// "garbage" for the rest. Empty while a side has said nothing, or too little
	// to tell.
	Client Talk `json:"client"`
	Server Talk `json:"server"`

	Hello   *ClientHello `json:"hello,omitempty"`   // the client's first hello
	Retry   *ServerHello `json:"retry,omitempty"`   // a HelloRetryRequest (RFC 8446 §4.1.4)
	Answer  *ServerHello `json:"answer,omitempty"`  // the ServerHello proper
	Hellos  int          `json:"hellos,omitempty"`  // client hellos seen: 2 after a retry
	Chain   [][]byte     `json:"-"`                 // TLS ≤ 1.2: the server's certificates, DER, as sent
	Staple  []byte       `json:"-"`                 // TLS ≤ 1.2: the stapled OCSP response (RFC 6066 §8)
	Alerts  []Alert      `json:"alerts,omitempty"`  // in order of arrival, both sides
	Records []Record     `json:"records,omitempty"` // the first MaxRecords, both sides, in order of arrival

	// CertificateRequested: a CertificateRequest passed in clear (TLS ≤ 1.2).
	CertificateRequested bool `json:"certificate_requested,omitempty"`
	// ServerDone: a ServerHelloDone passed in clear (TLS ≤ 1.2): the server's
	// first flight is complete.
	ServerDone bool `json:"server_done,omitempty"`
	// NoClientCertificate: the client answered a request for a certificate with
	// an empty one, in clear (TLS ≤ 1.2, RFC 5246 §7.4.6).
	NoClientCertificate bool `json:"no_client_certificate,omitempty"`
	// KeyExchange: a ServerKeyExchange passed in clear (TLS ≤ 1.2); without one
	// the key exchange is static RSA and has no forward secrecy.
	KeyExchange bool `json:"key_exchange,omitempty"`
	// ClientFirst is the length of the client's first encrypted record after the
	// ServerHello (type 23 in TLS 1.3; for TLS ≤ 1.2 the encrypted Finished, type
	// 22 after ChangeCipherSpec), change_cipher_spec skipped; 0 when none came.
	ClientFirst int `json:"client_first,omitempty"`
	// ClientNext is the length of the encrypted record after that, 0 if none.
	ClientNext int `json:"client_next,omitempty"`
	// ClientCCS: the client sent change_cipher_spec after the ServerHello.
	ClientCCS bool `json:"client_ccs,omitempty"`
	// ClientData and ServerData count the encrypted application-data records
	// (type 23) each side sent. In TLS 1.3 they include encrypted handshake
	// messages and alerts, so ClientData 1 is a Finished or an alert.
	ClientData int `json:"client_data,omitempty"`
	ServerData int `json:"server_data,omitempty"`
	// ServerAfter counts the server's encrypted records that came after the
	// client's first encrypted one.
	ServerAfter int `json:"server_after,omitempty"`
	// Renegotiated: a handshake record in clear sight came after application
	// data (TLS ≤ 1.2).
	Renegotiated bool `json:"renegotiated,omitempty"`
	// Broken is set when a stream that began as TLS stopped being TLS, or broke
	// its rules in clear sight: the words say what was wrong and where ("server,
	// byte 127: record length 20000 …"). The first trouble stands.
	Broken string `json:"broken,omitempty"`
}

// MaxRecords bounds Facts.Records: a handshake with a retry and a client
// certificate takes about twenty.
const MaxRecords = 32

// Talk is what one side of the connection said.
type Talk struct {
	Protocol string `json:"protocol,omitempty"`
	// First is the beginning of what a side said that was not TLS, at most 64
	// bytes, unescaped.
	First []byte `json:"first,omitempty"`
	Bytes int64  `json:"bytes,omitempty"`
	// Cut is the number of bytes missing to complete the last record begun: of
	// its header if even that is incomplete.
	Cut int `json:"cut,omitempty"`
	// FirstAt and LastAt are when the first and the last byte came, since the
	// connection began; negative when none came.
	FirstAt time.Duration `json:"first_at"`
	LastAt  time.Duration `json:"last_at"`
}

// Record is the header of one TLS record (RFC 8446 §5.1).
type Record struct {
	Side    Side    `json:"side"`
	Type    uint8   `json:"type"`
	Version uint16  `json:"version"`
	Len     int     `json:"len"`
	Ms      float64 `json:"ms"` // since the connection began
	// Messages are the types of the handshake messages that begin in it, if it
	// is in clear; at most 16. They are ints because JSON writes bytes as base64.
	Messages []int `json:"messages,omitempty"`
}

// Alert is a TLS alert (RFC 8446 §6).
type Alert struct {
	Side Side `json:"side"`
	// Encrypted: only its length was seen (type 21 after keys, TLS ≤ 1.2); then
	// Level and Number are 0.
	Encrypted bool    `json:"encrypted,omitempty"`
	Level     uint8   `json:"level"`
	Number    uint8   `json:"number"`
	Name      string  `json:"name,omitempty"`
	Ms        float64 `json:"ms"`
	// BeforeCCS: the side that sent it had not sent change_cipher_spec yet.
	BeforeCCS bool `json:"before_ccs,omitempty"`
}

// ClientHello is a parsed ClientHello (RFC 8446 §4.1.2). Lists are in the order
// sent, with GREASE (RFC 8701) included.
type ClientHello struct {
	Bytes      int      `json:"bytes"`   // of the handshake message, header included
	Records    int      `json:"records"` // TLS records it was spread over
	Version    uint16   `json:"version"` // legacy_version
	Versions   []uint16 `json:"versions,omitempty"`
	SessionID  int      `json:"session_id,omitempty"` // length
	Ciphers    []uint16 `json:"ciphers"`
	Extensions []uint16 `json:"extensions,omitempty"`
	SNI        string   `json:"sni,omitempty"`
	ALPN       []string `json:"alpn,omitempty"`
	Groups     []uint16 `json:"groups,omitempty"`
	KeyShares  []uint16 `json:"key_shares,omitempty"`
	Signatures []uint16 `json:"signatures,omitempty"`
	GREASE     bool     `json:"grease,omitempty"`
	ECH        bool     `json:"ech,omitempty"` // offered; GREASE ECH looks the same
	PSK        bool     `json:"psk,omitempty"`
	EarlyData  bool     `json:"early_data,omitempty"`
	JA4        string   `json:"ja4,omitempty"`
}

// ServerHello is a parsed ServerHello or HelloRetryRequest (RFC 8446 §4.1.3).
type ServerHello struct {
	Version uint16 `json:"version"` // negotiated: supported_versions, else legacy_version
	Legacy  uint16 `json:"legacy"`  // legacy_version
	Cipher  uint16 `json:"cipher"`
	Group   uint16 `json:"group,omitempty"`   // of the key share; TLS ≤ 1.2: the curve of the ServerKeyExchange
	ALPN    string `json:"alpn,omitempty"`    // TLS ≤ 1.2 only: encrypted in 1.3
	PSK     bool   `json:"psk,omitempty"`     // resumed by pre-shared key
	Resumed bool   `json:"resumed,omitempty"` // an earlier session goes on: no certificate is shown
	// Downgrade: the random carries the marker of RFC 8446 §4.1.3: 1 for "…01"
	// (a 1.3 server negotiated 1.2), 2 for "…00" (1.1 or lower), 0 for none.
	Downgrade int `json:"downgrade,omitempty"`
	// Extensions in the order sent.
	Extensions []uint16 `json:"extensions,omitempty"`
}
