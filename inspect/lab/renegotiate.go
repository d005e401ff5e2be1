package lab

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"sync"
	"time"
)

// renegotiation is a behaviour: TLS 1.2, and the answer to a request is a
// HelloRequest (RFC 5246 §7.4.1.1). Whatever the client makes of it, the server
// then gives up with alert 40, as servers do that ask for a client certificate
// so late. Package crypto/tls never sends the first and has no say in the
// second, so both are written by hand with the keys of the connection.
type renegotiation struct{}

func (renegotiation) open(l *Lab, s *Site) func(*conn) {
	config := sync.OnceValues(func() (*tls.Config, error) {
		return https{http1: true, leaf: rsaLeaf, config: suites(tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256)}.tlsConfig(l, s)
	})
	return func(c *conn) {
		config, err := config()
		if err != nil {
			l.logf("lab: %s: %v", s.Host(), err)
			return
		}
		if _, err := c.hello(); err != nil || len(c.head) < 43 {
			return
		}
		keys := connKeys{client: bytes.Clone(c.head[11:43])}
		config = config.Clone()
		config.KeyLogWriter = &keys.log
		below := &spoiled{conn: c, spoil: func(c *conn, flight []byte) error {
			keys.server = bytes.Clone(flight[11:43])
			_, err := c.Conn.Write(flight)
			return err
		}}
		t := tls.Server(below, config)
		if t.HandshakeContext(l.ctx) != nil || readRequest(t) != nil {
			return
		}
		again, err := keys.seal(1, recordHandshake, message(0, nil))
		if err != nil {
			l.logf("lab: %s: %v", s.Host(), err)
			return
		}
		refusal, err := keys.seal(2, recordAlert, []byte{fatal, 40})
		if err != nil {
			l.logf("lab: %s: %v", s.Host(), err)
			return
		}
		if _, err := c.Write(again); err != nil {
			return
		}
		// A client that ignores the request waits for the answer to its own.
		c.SetReadDeadline(time.Now().Add(time.Second))
		c.Read(make([]byte, maxHello))
		if _, err := c.Write(refusal); err == nil {
			c.finish()
		}
	}
}

// connKeys is what the keys of a TLS 1.2 connection are made from: the randoms
// of both hellos, and the master secret in the form of a key log.
type connKeys struct {
	client, server []byte
	log            bytes.Buffer
}

// seal encrypts a record of the server's with AES-128-GCM (RFC 5288 §3). Number 0
// was its Finished.
func (k *connKeys) seal(n uint64, kind byte, body []byte) ([]byte, error) {
	fields := strings.Fields(k.log.String())
	if len(fields) < 3 || fields[0] != "CLIENT_RANDOM" {
		return nil, errors.New("no master secret in the key log")
	}
	master, err := hex.DecodeString(fields[2])
	if err != nil {
		return nil, err
	}
	// RFC 5246 §6.3: client key, server key, client salt, server salt.
	block := prf(master, "key expansion", append(bytes.Clone(k.server), k.client...), 40)
	sealer, err := aes.NewCipher(block[16:32])
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(sealer)
	if err != nil {
		return nil, err
	}
	number := binary.BigEndian.AppendUint64(nil, n)
	about := append(bytes.Clone(number), kind, 3, 3, byte(len(body)>>8), byte(len(body)))
	nonce := append(bytes.Clone(block[36:40]), number...)
	return record(kind, tls.VersionTLS12, gcm.Seal(number, nonce, body, about)), nil
}

// prf is the pseudo-random function of TLS 1.2 (RFC 5246 §5).
func prf(secret []byte, label string, seed []byte, size int) []byte {
	mac := func(parts ...[]byte) []byte {
		h := hmac.New(sha256.New, secret)
		for _, p := range parts {
			h.Write(p)
		}
		return h.Sum(nil)
	}
	seed = append([]byte(label), seed...)
	var out []byte
	for a := mac(seed); len(out) < size; a = mac(a) {
		out = append(out, mac(a, seed)...)
	}
	return out[:size]
}
