package lab

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// TestStatus: the sites whose name is a number answer with it.
func TestStatus(t *testing.T) {
	l := start(t)
	n := 0
	for _, s := range Sites() {
		code, err := strconv.Atoi(s.Name)
		if err != nil {
			continue
		}
		n++
		resp, body, err := l.get(s.URL())
		if err != nil || resp.StatusCode != code || !strings.Contains(body, "<h1>"+s.Name) {
			t.Errorf("%s: got %v, %q", s.Name, err, body)
		}
	}
	if n < 10 {
		t.Errorf("%d sites", n)
	}
}

// TestHTTP: what Go's client makes of the answers.
func TestHTTP(t *testing.T) {
	l := start(t)
	for _, test := range []struct{ name, want string }{
		{"empty", "EOF"},
		{"empty-https", "EOF"},
		{"bad-status-line", "malformed HTTP status code"},
		{"not-http", "malformed HTTP"},
		{"two-lengths", "multiple Content-Length headers"},
		{"short-body", "unexpected EOF"},
		{"short-chunks", "unexpected EOF"},
		{"bad-chunk", "invalid byte in chunk length"},
		{"bad-gzip", "gzip: invalid header"},
		{"redirect-loop", "stopped after 10 redirects"},
		{"scheme-loop", "stopped after 10 redirects"},
		{"redirect-nowhere", "failed to parse Location header"},
		{"h2-noise", "http2: "},
		{"h2-cbc", ""}, // which words depends on who notices first
		{"h2-reset", "INTERNAL_ERROR"},
		{"plain-to-tls-alert", "malformed HTTP response \"\\x15\\x03\\x01"},
		{"reset-mid-transfer", "reset"},
		{"reset-mid-transfer-http", "reset"},
		{"reset-after-request", "reset"},
		{"every-other", "HTTP response to HTTPS client"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := l.get(rowOf(t, test.name).URL())
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// TestHTTPSilence: answers that do not come, or stop.
func TestHTTPSilence(t *testing.T) {
	l := start(t)
	for name, want := range map[string]string{"no-answer": "", "no-answer-https": "", "stalled-body": "<title>stalled-body</title>"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := l.visitor()
			v.Timeout = 2 * soon
			resp, err := v.Get(rowOf(t, name).URL())
			if err == nil {
				defer resp.Body.Close()
				var body bytes.Buffer
				_, err = body.ReadFrom(resp.Body)
				if !strings.Contains(body.String(), want) {
					t.Errorf("got %q", &body)
				}
			} else if want != "" {
				t.Error(err)
			}
			if err == nil || !strings.Contains(err.Error(), "Client.Timeout") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestHugeHeader(t *testing.T) {
	l := start(t)
	s := rowOf(t, "huge-header")
	c := l.dialSite(t, s)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	said, _ := ending(c, 10*time.Second)
	if header, _, ok := bytes.Cut(said, []byte("\r\n\r\n")); !ok || len(header) < 2<<20 {
		t.Errorf("%d bytes of header", len(header))
	}
}

func TestPlainToTLS(t *testing.T) {
	l := start(t)
	resp, body, err := l.get(rowOf(t, "plain-to-tls").URL())
	if err != nil || resp.StatusCode != 400 || !strings.Contains(body, "HTTP request to an HTTPS server") {
		t.Errorf("got %v %q", err, body)
	}
}

func TestHSTS(t *testing.T) {
	l := start(t)
	for name, want := range map[string]bool{"h2": true, "no-hsts": false, "plain": false} {
		resp, _, err := l.get(rowOf(t, name).URL())
		if err != nil {
			t.Fatal(err)
		}
		if got := resp.Header.Get("Strict-Transport-Security") != ""; got != want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestRedirects(t *testing.T) {
	l := start(t)
	for name, want := range map[string]string{
		"to-https":           "https://to-https." + Domain + "/",
		"redirect-downgrade": "http://plain." + Domain + "/",
	} {
		resp, _, err := l.get(rowOf(t, name).URL())
		if err != nil || resp.Request.URL.String() != want {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
}

func TestSlow(t *testing.T) {
	l := start(t)
	began := time.Now()
	if _, _, err := l.get(rowOf(t, "slow").URL()); err != nil || time.Since(began) < time.Second {
		t.Errorf("got %v after %v", err, time.Since(began))
	}
}

func TestLarge(t *testing.T) {
	l := start(t)
	resp, err := l.visitor().Get(rowOf(t, "large").URL())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != 64<<20 || resp.ContentLength != n {
		t.Errorf("got %d bytes, %v", n, err)
	}
}

func TestWebSocket(t *testing.T) {
	l := start(t)
	v := l.visitor()
	v.Transport.(*http.Transport).ForceAttemptHTTP2 = false
	c, _, err := websocket.Dial(t.Context(), "wss://websocket."+Domain+"/socket", &websocket.DialOptions{HTTPClient: v})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	if err := c.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, got, err := c.Read(t.Context()); err != nil || string(got) != "hello" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, _, err := websocket.Dial(t.Context(), "wss://websocket-refused."+Domain+"/socket", &websocket.DialOptions{HTTPClient: v}); err == nil {
		t.Error("websocket-refused: no refusal")
	}
}

// TestParts: what pages refer to is there, or fails as it should.
func TestParts(t *testing.T) {
	l := start(t)
	for url, want := range map[string]string{
		"https://h2." + Domain + "/picture.png":  "image/png",
		"https://h2." + Domain + "/script.js":    "text/javascript",
		"https://h2." + Domain + "/style.css":    "text/css",
		"https://h2." + Domain + "/data.json":    "application/json",
		"http://plain." + Domain + "/script.js":  "text/javascript",
		"https://mime." + Domain + "/missing.js": "text/html; charset=utf-8",
	} {
		resp, body, err := l.get(url)
		if err != nil || resp.StatusCode != 200 || resp.Header.Get("Content-Type") != want || body == "" {
			t.Errorf("%s: %v", url, err)
		}
	}
	if _, _, err := l.get("https://plain." + Domain + "/picture.png"); err == nil {
		t.Error("the picture of mixed-image has a secure address")
	}
	_, body, err := l.get(rowOf(t, "pictures").URL())
	if err != nil || strings.Count(body, "<img src=\"https://") != 5 {
		t.Errorf("pictures: %v\n%s", err, body)
	}
	for url, header := range map[string]string{
		"https://frame." + Domain + "/framed": "X-Frame-Options",
		"https://csp." + Domain + "/":         "Content-Security-Policy",
		"https://isolation." + Domain + "/":   "Cross-Origin-Embedder-Policy",
		"http://429." + Domain + "/":          "Retry-After",
		"http://401." + Domain + "/":          "WWW-Authenticate",
	} {
		resp, _, err := l.get(url)
		if err != nil || resp.Header.Get(header) == "" {
			t.Errorf("%s: no %s, %v", url, header, err)
		}
	}
}

// TestIdle: a connection that is opened and not used stays open.
func TestIdle(t *testing.T) {
	l := start(t)
	for _, name := range []string{"h2", "plain"} {
		if said, how := ending(l.dialSite(t, rowOf(t, name)), soon); how != "silence" || len(said) > 0 {
			t.Errorf("%s: %s", name, how)
		}
	}
}
