package inspect

import (
	"slices"
	"strings"
	"testing"
)

func TestGlossaryParses(t *testing.T) {
	terms, err := parseGlossary(glossaryTSV)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(terms), 686; got != want {
		t.Errorf("the glossary has %d rows, want %d", got, want)
	}
	families := map[string]int{}
	seen := map[string]bool{}
	for _, e := range terms {
		families[e.Family]++
		if key := e.Family + " " + e.Code; seen[key] {
			t.Errorf("%s stands twice", key)
		} else {
			seen[key] = true
		}
	}
	if got, want := len(families), 15; got != want {
		t.Errorf("%d families, want %d: %v", got, want, families)
	}
	for _, broken := range []string{"CODE\t1\tfam", "\t1\tfam\tf\tm\tcurrent", "C\t1 2\tfam\tf\tm\tcurrent", "C\t\tfam\tf\tm\tgone"} {
		if _, err := parseGlossary("head\n" + broken + "\n"); err == nil {
			t.Errorf("parsed the broken row %q", broken)
		}
	}
}

func TestGlossaryFaults(t *testing.T) {
	for _, e := range glossary() {
		for _, id := range e.Faults {
			if _, ok := Lookup(id); !ok {
				t.Errorf("%s names the fault %q, which is not in the catalogue", e.Code, id)
			}
		}
	}
}

func TestExplain(t *testing.T) {
	for query, want := range map[string]string{
		"ERR_CERT_DATE_INVALID":                "chromium ERR_CERT_DATE_INVALID",
		"net::ERR_CERT_DATE_INVALID":           "chromium ERR_CERT_DATE_INVALID",
		"err_cert_date_invalid":                "chromium ERR_CERT_DATE_INVALID",
		"cert date invalid":                    "chromium ERR_CERT_DATE_INVALID",
		" -201\n":                              "chromium ERR_CERT_DATE_INVALID",
		"(-201)":                               "chromium ERR_CERT_DATE_INVALID",
		"201":                                  "chromium ERR_CERT_DATE_INVALID",
		"net error -105":                       "chromium ERR_NAME_NOT_RESOLVED",
		"DNS_PROBE_FINISHED_NXDOMAIN":          "chromium-page DNS_PROBE_FINISHED_NXDOMAIN",
		"ERR_SPDY_PROTOCOL_ERROR":              "chromium ERR_SPDY_PROTOCOL_ERROR",
		"-337":                                 "chromium ERR_HTTP2_PROTOCOL_ERROR", // not the removed name
		"SSL_ERROR_RX_RECORD_TOO_LONG":         "firefox SSL_ERROR_RX_RECORD_TOO_LONG",
		"Error code: SEC_ERROR_UNKNOWN_ISSUER": "firefox SEC_ERROR_UNKNOWN_ISSUER",
		"nssFailure2":                          "firefox-page nssFailure2",
		"-12286":                               "firefox SSL_ERROR_NO_CYPHER_OVERLAP",
		"NSURLErrorDomain error -1200":         "safari NSURLErrorSecureConnectionFailed",
		"-1003":                                "safari NSURLErrorCannotFindHost",
		"alert 40":                             "tls-alert handshake_failure",
		"handshake_failure":                    "tls-alert handshake_failure",
		"TLS alert, unrecognized name (112)":   "tls-alert unrecognized_name",
		"curl 60":                              "curl CURLE_PEER_FAILED_VERIFICATION",
		"60":                                   "curl CURLE_PEER_FAILED_VERIFICATION",
		"exit code 35":                         "curl CURLE_SSL_CONNECT_ERROR",
		"502":                                  "http-status HTTP 502",
		"HTTP 502":                             "http-status HTTP 502",
		"HTTP ERROR 502":                       "http-status HTTP 502",
		"Request failed with status code 502":  "http-status HTTP 502",
		"http-502":                             "fault http-502",
		"cert-expired":                         "fault cert-expired",
		"CERT-EXPIRED":                         "fault cert-expired",
		"ECONNREFUSED":                         "node ECONNREFUSED",
		"connect ECONNREFUSED 192.0.2.1:443":   "node ECONNREFUSED",
		"10061":                                "windows WSAECONNREFUSED",
		"0x80090325":                           "windows SEC_E_UNTRUSTED_ROOT",
		"80090325":                             "windows SEC_E_UNTRUSTED_ROOT",
		"-2146893019":                          "windows SEC_E_UNTRUSTED_ROOT",
		"X509_V_ERR_CERT_HAS_EXPIRED":          "openssl X509_V_ERR_CERT_HAS_EXPIRED",
		"verify error:num=20":                  "openssl X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
		"error:0A00010B:SSL routines::wrong version number":   "openssl wrong version number",
		"x509: certificate is valid for a.example, not b":     "go x509: certificate is valid for",
		"SSLHandshakeException: PKIX path building failed: s": "java PKIX path building failed",
		"ssl.SSLError: [SSL: UNEXPECTED_EOF_WHILE_READING]":   "python UNEXPECTED_EOF_WHILE_READING",
		"Mixed Content: The page at 'https://example.com'":    "browser-console Mixed Content",
		"curl: (60) unable to get local issuer certificate":   "openssl X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
		"curl: (7) Failed to connect to example.com port 443": "curl CURLE_COULDNT_CONNECT",
		"refused to connect.\nERR_CONNECTION_REFUSED":         "chromium ERR_CONNECTION_REFUSED",
		"443":             "port 443",
		"status code 443": "port 443",
		"HTTP 443":        "port 443",
		"error 443":       "port 443",
		"port 443":        "port 443",
		"Request failed with status code 443 while connecting": "port 443",
	} {
		all := Explain(query)
		if len(all) == 0 {
			t.Errorf("Explain(%q) knows nothing, want %s", query, want)
			continue
		}
		if got := all[0].Family + " " + all[0].Code; got != want {
			t.Errorf("Explain(%q) = %s, want %s", query, got, want)
		}
	}
}

// Every code is found by its name and, if it has one, by its number.
func TestExplainFindsAll(t *testing.T) {
	for _, e := range glossary() {
		if e.Code == "HTTP 443" {
			continue // answered as a port
		}
		is := func(x Entry) bool { return x.Code == e.Code && x.Family == e.Family }
		if !slices.ContainsFunc(Explain(e.Code), is) {
			t.Errorf("Explain(%q) does not find %s of %s", e.Code, e.Code, e.Family)
		}
		if e.Number != "" && !slices.ContainsFunc(Explain(e.Number), is) {
			t.Errorf("Explain(%q) does not find %s of %s", e.Number, e.Code, e.Family)
		}
	}
	for i := range Faults {
		if all := Explain(Faults[i].ID); len(all) == 0 || all[0].Code != Faults[i].ID {
			t.Errorf("Explain(%q) does not find the fault first", Faults[i].ID)
		}
	}
}

func TestExplain443(t *testing.T) {
	e := Explain("status code 443")[0]
	if !strings.Contains(e.Meaning, "no HTTP status 443") || !strings.Contains(e.Meaning, "port of HTTPS") {
		t.Errorf("443 means %q", e.Meaning)
	}
	if e.Next == "" || len(e.Faults) < 5 {
		t.Errorf("443 says next %q and faults %q", e.Next, e.Faults)
	}
}

func TestExplainNothing(t *testing.T) {
	for _, query := range []string{"", " ", "::", "x", "no such thing", "999999", "0x", "-", "\xff\xfe", strings.Repeat("a", 1<<20)} {
		if got := Explain(query); got != nil {
			t.Errorf("Explain(%.20q) = %v, want nothing", query, got)
		}
	}
}

func TestSuggest(t *testing.T) {
	for query, want := range map[string]string{
		"ERR_CERT_DATE_INVALD":        "ERR_CERT_DATE_INVALID",
		"net::ERR_CONECTION_REFUSED":  "ERR_CONNECTION_REFUSED",
		"ECONREFUSED":                 "ECONNREFUSED",
		"cert-expird":                 "cert-expired",
		"SSL_EROR_RX_RECORD_TO_LONG":  "SSL_ERROR_RX_RECORD_TOO_LONG",
		"handshake_faliure":           "handshake_failure",
		"DNS_PROBE_FINISHED_NXDOMIAN": "DNS_PROBE_FINISHED_NXDOMAIN",
	} {
		if got := Suggest(query); len(got) == 0 || got[0] != want || len(got) > 5 {
			t.Errorf("Suggest(%q) = %q, want %s first and five at most", query, got, want)
		}
	}
	for _, query := range []string{"", "x", "zzzzzzzz", "HTTP 418", strings.Repeat("ERR_", 1<<18)} {
		if got := Suggest(query); len(got) > 0 {
			t.Errorf("Suggest(%.20q) = %q, want nothing", query, got)
		}
	}
}

func FuzzExplain(f *testing.F) {
	for _, s := range []string{"443", "-201", "net::ERR_FAILED", "0x80090325", "curl: (60) x", "a\xffb", "err İ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		if all := Explain(query); len(all) > maxEntries {
			t.Errorf("%d entries, want at most %d", len(all), maxEntries)
		}
		if all := Suggest(query); len(all) > 5 {
			t.Errorf("%d suggestions, want at most 5", len(all))
		}
	})
}
