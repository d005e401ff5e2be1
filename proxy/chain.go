package proxy

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"faultline/inspect"
)

var (
	// errProxy: the upstream proxy gave no tunnel; the TCP step says what it
	// answered. When the proxy itself was not reached, the error wraps errResolve
	// or errConnect too. They are then about the proxy, so look for errProxy first.
	errProxy = errors.New("no tunnel through the upstream proxy")

	errNotHTTP = errors.New("not an HTTP answer")
	errTooLong = errors.New("head of the answer too long")
)

// Why there is no answer: the values of inspect.ProxyAnswer.Failure.
const (
	proxyUnresolved  = "resolve"
	proxyUnreachable = "connect"
	proxyTimeout     = "timeout"
	proxyClosed      = "closed"
	proxyBroken      = "broken"
	proxyNotHTTP     = "not-http"
	proxyTooLong     = "too-long"
)

// chain connects to host through the upstream proxy, by a CONNECT of our own
// (RFC 9110, section 9.3.6). The target's name is the proxy's to resolve.
func (d *Dialer) chain(ctx context.Context, host string, port uint16, lim limits,
	watch func(*inspect.DNSStep, *inspect.TCPStep),
) (*net.TCPConn, *inspect.DNSStep, *inspect.TCPStep, error) {
	c := &chained{
		dns:   inspect.DNSStep{Source: inspect.SourceSeen, Name: clip(host, 256), From: "upstream-proxy"},
		watch: watch,
	}
	target, err := d.authority(host, port)
	if err != nil {
		return nil, &c.dns, nil, err
	}
	conn, err := c.proxy(ctx, d, lim)
	if err != nil {
		return nil, &c.dns, c.step(), err
	}
	if err := c.ask(ctx, conn, target, credentials(d.Upstream), lim); err != nil {
		conn.Close()
		return nil, &c.dns, c.step(), fmt.Errorf("%w: %w", errProxy, err)
	}
	return conn, &c.dns, c.step(), nil
}

// proxy connects to the upstream proxy.
func (c *chained) proxy(ctx context.Context, d *Dialer, lim limits) (*net.TCPConn, error) {
	name, service, err := upstreamAddr(d.Upstream)
	c.answer.Addr = net.JoinHostPort(name, strconv.Itoa(int(service)))
	if err != nil {
		c.answer.Error = err.Error()
		return nil, fmt.Errorf("%w: %w", errProxy, err)
	}
	conn, err := c.reach(ctx, d, name, service, lim)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errProxy, err)
	}
	return conn, nil
}

// dialUpstream connects to the upstream proxy and leaves it at that: a plain
// request for host is sent to it as it is.
func (d *Dialer) dialUpstream(ctx context.Context, host string,
	watch func(*inspect.DNSStep, *inspect.TCPStep),
) (*net.TCPConn, *inspect.DNSStep, *inspect.TCPStep, error) {
	ctx, cancel := context.WithTimeout(ctx, standard.dial)
	defer cancel()
	c := &chained{
		dns:   inspect.DNSStep{Source: inspect.SourceSeen, Name: clip(host, 256), From: "upstream-proxy"},
		watch: watch,
	}
	conn, err := c.proxy(ctx, d, standard)
	return conn, &c.dns, c.step(), err
}

// authority is the target in the form of a CONNECT (RFC 9110, section 7.2).
func (d *Dialer) authority(host string, port uint16) (string, error) {
	if ip, ok := literal(host); ok {
		if d.forbids(netip.AddrPortFrom(ip, port)) {
			return "", ErrLoop
		}
		host = ip.WithZone("").String() // a zone means nothing on another machine
	} else if err := checkName(host); err != nil {
		return "", err
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port))), nil
}

// upstreamAddr is where the proxy listens: port 80 unless its URL says
// otherwise, as in Go's own client.
func upstreamAddr(u *url.URL) (name string, port uint16, err error) {
	port = 80
	if p := u.Port(); p != "" {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil {
			return u.Hostname(), 0, fmt.Errorf("port %q is not one", clip(p, 16))
		}
		port = uint16(n)
	}
	if u.Scheme != "http" {
		// Talking in clear to what expects TLS would show it the credentials.
		return u.Hostname(), port, fmt.Errorf("a proxy of scheme %q is not supported", clip(u.Scheme, 16))
	}
	return u.Hostname(), port, nil
}

// credentials is the value of Proxy-Authorization (RFC 7617), "" for none. It
// goes into the request and nowhere else.
func credentials(u *url.URL) string {
	if u.User == nil {
		return ""
	}
	password, _ := u.User.Password()
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(u.User.Username()+":"+password))
}

// chained is a connection through a proxy in the making, in facts.
type chained struct {
	dns    inspect.DNSStep  // of the target
	tcp    *inspect.TCPStep // to the proxy
	answer inspect.ProxyAnswer
	watch  func(*inspect.DNSStep, *inspect.TCPStep)
}

// step is the TCP step with all that is known of the proxy, for the receiver to
// keep.
func (c *chained) step() *inspect.TCPStep {
	step := inspect.TCPStep{Source: inspect.SourceSeen}
	if c.tcp != nil {
		step = *c.tcp
	}
	step.Tries = slices.Clone(step.Tries)
	answer := c.answer
	step.Proxy = &answer
	return &step
}

func (c *chained) tell() {
	dns := c.dns
	c.watch(&dns, c.step())
}

// reach connects to the proxy.
func (c *chained) reach(ctx context.Context, d *Dialer, name string, port uint16, lim limits) (*net.TCPConn, error) {
	conn, dns, tcp, err := d.connect(ctx, name, port, lim, func(dns *inspect.DNSStep, tcp *inspect.TCPStep) {
		c.answer.DNS, c.tcp = dns, tcp
		c.tell()
	})
	c.answer.DNS, c.tcp = dns, tcp
	switch {
	case errors.Is(err, errInvalidName):
		c.answer.Failure, c.answer.Error = proxyUnresolved, err.Error()
		return nil, errResolve // the invalid name is not the target
	case errors.Is(err, errResolve):
		c.answer.Failure, c.answer.Error = proxyUnresolved, "its "+err.Error()
	case errors.Is(err, errConnect):
		c.answer.Failure = proxyUnreachable // the tries say the rest
	case err != nil:
		c.answer.Error = err.Error()
	}
	return conn, err
}

// ask sends the CONNECT and waits for the answer. The error is nil when the
// connection is now a tunnel.
func (c *chained) ask(ctx context.Context, conn net.Conn, target, credentials string, lim limits) error {
	c.tell()
	begin := time.Now()
	conn.SetDeadline(begin.Add(lim.answer))
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	head, err := exchange(conn, target, credentials)
	inTime := stop()
	conn.SetDeadline(time.Time{})
	c.answer.Ms = ms(time.Since(begin))

	if err == nil && !inTime {
		err = ctx.Err()
	}
	if err == nil {
		err = readProxyAnswer(withoutSecret(head, credentials), &c.answer)
	}
	if err != nil {
		if !errors.Is(ctx.Err(), context.Canceled) {
			c.answer.Failure, c.answer.Error = proxyFailure(err), clip(err.Error(), maxField)
		}
		return err
	}
	if c.answer.Status/100 != 2 {
		return fmt.Errorf("status %d", c.answer.Status)
	}
	return nil
}

// withoutSecret is what the proxy said without our credentials, in case it said
// them back.
func withoutSecret(said []byte, credentials string) []byte {
	_, secret, ok := strings.Cut(credentials, " ")
	if !ok || secret == "" {
		return said
	}
	return bytes.ReplaceAll(said, []byte(secret), []byte("***"))
}

// proxyFailure is why there is no answer.
func proxyFailure(err error) string {
	switch {
	case errors.Is(err, errNotHTTP):
		return proxyNotHTTP
	case errors.Is(err, errTooLong):
		return proxyTooLong
	case errors.Is(err, io.EOF):
		return proxyClosed
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return proxyTimeout
	}
	return proxyBroken
}

// exchange sends a CONNECT and reads the head of the answer that counts: those
// before it with a 1xx status are dropped (RFC 9110, section 15.2).
//
// It reads one byte at a time, so that nothing of what follows the head is
// taken from the connection, which can then be handed over as it is. A head has
// some hundred bytes; that many system calls take less than a millisecond, once
// per tunnel.
func exchange(conn net.Conn, target, credentials string) ([]byte, error) {
	request := "CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n"
	if credentials != "" {
		request += "Proxy-Authorization: " + credentials + "\r\n"
	}
	if _, err := io.WriteString(conn, request+"\r\n"); err != nil {
		return nil, fmt.Errorf("send CONNECT: %w", err)
	}
	var head, one []byte = nil, make([]byte, 1)
	start := 0
	for len(head) < maxAnswerHead {
		if _, err := conn.Read(one); err != nil {
			return nil, fmt.Errorf("after %d bytes of an answer: %w", len(head), err)
		}
		head = append(head, one[0])
		this := head[start:]
		if !couldBeHTTP(this) {
			return nil, fmt.Errorf("%w: begins with %q", errNotHTTP, firstWords(conn, this))
		}
		if !bytes.HasSuffix(this, []byte("\n\r\n")) && !bytes.HasSuffix(this, []byte("\n\n")) {
			continue
		}
		if status, _, ok := statusLine(this); !ok || status/100 != 1 || status == 101 {
			return this, nil
		}
		start = len(head)
	}
	return nil, fmt.Errorf("%w: more than %d bytes", errTooLong, maxAnswerHead)
}

// couldBeHTTP tells early, so that nobody waits for the end of a line that
// another protocol never sends.
func couldBeHTTP(b []byte) bool {
	const version = "HTTP/"
	n := min(len(b), len(version))
	return string(b[:n]) == version[:n]
}

// firstWords is what a server that does not speak HTTP said first: the rest of
// the line, if it is there already. Only one line, since a server that repeats
// what it hears says our credentials in the next.
func firstWords(conn net.Conn, b []byte) []byte {
	rest := make([]byte, 64)
	conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	n, _ := conn.Read(rest)
	line, _, _ := bytes.Cut(slices.Concat(b, rest[:n]), []byte("\n"))
	return bytes.TrimRight(line[:min(len(line), 64)], "\r")
}

// readProxyAnswer reads the head of an answer to CONNECT into a. Like browsers
// it takes lines that are no fields for nothing.
func readProxyAnswer(head []byte, a *inspect.ProxyAnswer) error {
	status, reason, ok := statusLine(head)
	if !ok {
		line, _, _ := bytes.Cut(head, []byte("\n"))
		return fmt.Errorf("%w: begins with %q", errNotHTTP, clip(string(line), 64))
	}
	a.Status, a.Reason = status, clip(reason, maxField)
	_, fields, _ := strings.Cut(string(head), "\n")
	for line := range strings.Lines(fields) {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		value = strings.TrimSpace(value)
		switch strings.ToLower(name) {
		case "via":
			a.Via = joined(a.Via, value)
		case "proxy-status":
			a.ProxyStatus = joined(a.ProxyStatus, value)
		case "proxy-authenticate":
			for _, scheme := range schemes(value) {
				a.Challenge = joined(a.Challenge, scheme)
			}
		}
	}
	return nil
}

// joined is a list field with one more value (RFC 9110, section 5.3).
func joined(list, value string) string {
	if list != "" && value != "" {
		list += ", "
	}
	return clip(list+value, maxField)
}

// statusLine reads the first line of an HTTP/1 answer (RFC 9112, section 4).
func statusLine(head []byte) (status int, reason string, ok bool) {
	line, _, _ := strings.Cut(string(head), "\n")
	version, rest, _ := strings.Cut(strings.TrimRight(line, "\r"), " ")
	code, reason, _ := strings.Cut(rest, " ")
	status, err := strconv.Atoi(code)
	if !strings.HasPrefix(version, "HTTP/") || len(code) != 3 || err != nil || status < 100 {
		return 0, "", false
	}
	return status, strings.TrimSpace(reason), true
}

// schemes are the authentication schemes in a challenge (RFC 9110, section
// 11.6.1), which separates both challenges and their parameters by commas: what
// begins with a token that no "=" follows begins a challenge.
func schemes(value string) (all []string) {
	for _, part := range unquotedCommas(value) {
		word, rest, _ := strings.Cut(strings.TrimSpace(part), " ")
		if strings.HasPrefix(strings.TrimSpace(rest), "=") {
			continue
		}
		if word != "" && len(word) <= 32 && strings.Trim(word, tokenBytes) == "" && !slices.Contains(all, word) {
			all = append(all, word)
		}
	}
	return all
}

// tokenBytes are the bytes of names of schemes in use: letters, digits, hyphen.
const tokenBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"

// unquotedCommas splits a field at the commas outside quoted strings.
func unquotedCommas(s string) (parts []string) {
	quoted, start := false, 0
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quoted:
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ',' && !quoted:
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:])
}
