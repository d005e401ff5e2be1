package report

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"faultline/inspect"
)

func TestExplain(t *testing.T) {
	for name, query := range map[string]string{
		"443.txt": "status code 443", "code.txt": "net::ERR_CERT_DATE_INVALID", "alert.txt": "handshake_failure",
		"fault.txt": "cert-expired", "removed.txt": "ERR_SPDY_PROTOCOL_ERROR",
	} {
		var out bytes.Buffer
		if err := Explain(&out, query); err != nil {
			t.Error(err)
			continue
		}
		golden(t, "explain-"+name, out.String())
		for line := range strings.Lines(out.String()) {
			if n := utf8.RuneCountInString(line) - 1; n > lineWidth {
				t.Errorf("%s: a line of %d characters: %s", query, n, line)
			}
		}
	}
}

func TestExplainUnknown(t *testing.T) {
	for query, want := range map[string]string{
		"ECONREFUSED":        "did you mean ECONNREFUSED",
		"no\x1b[31m such":    `no\x1b[31m such`,
		"":                   "paste it",
		"zzzzzz":             "paste it",
		"\xff\u202e\u2028zz": `\xff\u202e\u2028zz`,
	} {
		var out bytes.Buffer
		err := Explain(&out, query)
		var unknown *UnknownError
		if !errors.As(err, &unknown) || !strings.Contains(err.Error(), want) || out.Len() > 0 {
			t.Errorf("Explain(%q) = %v and %q, want %q", query, err, out.String(), want)
		}
	}
}

// Each family has a name for people, and each entry can be told.
func TestExplainAll(t *testing.T) {
	for i := range inspect.Faults {
		var out bytes.Buffer
		if err := Explain(&out, inspect.Faults[i].ID); err != nil {
			t.Error(err)
		}
	}
	for _, query := range []string{"-201", "nssFailure2", "NSURLErrorTimedOut", "curl 60", "0x80090325", "EAI_AGAIN", "EOF", "Mixed Content",
		"PKIX path building failed", "IncompleteRead", "X509_V_ERR_CERT_REVOKED", "DNS_PROBE_NOT_RUN", "SSL_ERROR_BAD_SERVER"} {
		var out bytes.Buffer
		if err := Explain(&out, query); err != nil || strings.Contains(out.String(), "()") {
			t.Errorf("Explain(%q): %v\n%s", query, err, out.String())
		}
	}
}
