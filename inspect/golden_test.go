package inspect

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Opinions are files. testdata/<fault>.json, or <fault>.<case>.json, is a record
// as it was logged, whose verdict is that fault; testdata/healthy-<case>.json is
// one in which nothing failed. A changed file is a changed opinion: read the
// diff.

var update = flag.Bool("update", false, "rewrite the verdicts in testdata")

// goldens reads all records of testdata, by the name of their file.
func goldens(t testing.TB) map[string]*Record {
	t.Helper()
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) < 100 {
		t.Fatalf("only %d golden files are there: %v", len(files), err)
	}
	all := make(map[string]*Record)
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		r := new(Record)
		d := json.NewDecoder(bytes.NewReader(b))
		if !*update {
			d.DisallowUnknownFields()
		}
		if err := d.Decode(r); err != nil {
			t.Fatalf("%s: %v (-update drops what is no longer a field)", file, err)
		}
		all[strings.TrimSuffix(filepath.Base(file), ".json")] = r
	}
	return all
}

// TestGolden judges every record again and holds the verdict against the one
// that was logged.
func TestGolden(t *testing.T) {
	healthy := 0
	for name, r := range goldens(t) {
		t.Run(name, func(t *testing.T) {
			a := r.Attempt()
			again := a.Record(Diagnose(a))
			if *update {
				again.Visit, again.Background = r.Visit, r.Background
				writeGolden(t, name, again)
				return
			}
			if got, want := pretty(t, again.Verdict), pretty(t, r.Verdict); got != want {
				t.Errorf("the verdict has changed; go test -update ./inspect accepts it\ngot  %s\nwant %s", got, want)
			}
			if again.Level != r.Level {
				t.Errorf("level: got %q, want %q", again.Level, r.Level)
			}
			if strings.HasPrefix(name, "healthy-") {
				healthy++
				if r.Outcome != OK && r.Outcome != Abandoned {
					t.Errorf("a healthy attempt is %s: %s: %s", r.Outcome, r.Fault, r.Why)
				}
				return
			}
			id, _, _ := strings.Cut(name, ".")
			f, ok := Lookup(id)
			switch {
			case !ok:
				t.Errorf("no fault is called %q", id)
			case f.Kind == Advisory:
				if !slices.ContainsFunc(r.Also, func(x Also) bool { return x.Fault == id }) {
					t.Errorf("the advice is not among %v", r.Also)
				}
			case r.Fault != id:
				t.Errorf("the verdict is %s: %s", r.Fault, r.Why)
			}
		})
	}
	if healthy < 10 && !*update {
		t.Errorf("only %d healthy attempts, want 10 or more", healthy)
	}
}

// unmatched are the rows of the catalogue that nothing looks for yet, and why:
// they are known by name, for explain and for what other programs report.
var unmatched = map[string]string{
	"client-blocked-request":         "the browser never makes the attempt",
	"client-hsts-no-bypass":          "only the browser knows what it has stored",
	"client-https-upgrade-failed":    "only the browser knows that it upgraded",
	"client-local-network-blocked":   "the browser never makes the attempt",
	"client-rejected-intercept-ca":   "needs intercept mode",
	"client-root-store-outdated":     "needs to know the client's list of authorities",
	"client-clock-wrong":             "needs the client's clock",
	"dns-resolvers-disagree":         "needs a comparison with another name server",
	"dns-address-changed":            "needs the history of a name",
	"dns-hosts-override":             "needs a comparison with a name server",
	"dns-https-record-mismatch":      "needs a look at the HTTPS record",
	"tcp-443-blocked":                "needs a comparison with another port and other hosts",
	"tls-premature-termination":      "needs several attempts side by side",
	"cert-interception-captive":      "needs a look at what the portal serves",
	"cert-root-distrusted":           "needs the browsers' lists of distrusted roots",
	"cert-ct-missing":                "needs the list of certificate logs",
	"cert-validity-too-long":         "browsers mind it for public roots only",
	"cert-pin-mismatch":              "only the client knows its pins",
	"cert-revocation-unknown":        "needs a question to the authority",
	"cert-differs-by-address":        "needs a comparison of all addresses",
	"http-content-decoding":          "needs a look into bodies",
	"http-redirect-loop":             "needs several requests side by side",
	"http-redirect-scheme-loop":      "needs several requests side by side",
	"http-redirect-downgrade":        "needs intercept mode",
	"http-h2-stream-reset":           "needs intercept mode",
	"http-captive-portal":            "needs a comparison with a known page",
	"http-hsts-missing":              "needs intercept mode",
	"http-websocket-failed":          "needs intercept mode",
	"content-mixed-blockable":        "needs intercept mode",
	"content-mixed-passive-upgraded": "needs intercept mode",
	"content-mixed-form-or-download": "needs intercept mode",
	"content-csp-blocked":            "needs intercept mode",
	"content-frame-blocked":          "needs intercept mode",
	"content-cors-blocked":           "needs intercept mode",
	"content-isolation-blocked":      "needs intercept mode",
	"content-sri-mismatch":           "needs intercept mode",
	"content-mime-blocked":           "needs intercept mode",
	"content-subresource-failed":     "needs intercept mode",
	"content-block-page":             "needs intercept mode",
}

// TestEveryFaultHasACase walks the catalogue: a row that is looked for has a
// record in which it is found, and a row that is not has a reason.
func TestEveryFaultHasACase(t *testing.T) {
	has := map[string]bool{}
	for name := range goldens(t) {
		id, _, _ := strings.Cut(name, ".")
		has[id] = true
	}
	for _, f := range Faults {
		why, excused := unmatched[f.ID]
		switch {
		case f.match != nil && !has[f.ID]:
			t.Errorf("%s is looked for and has no record; log one and put it into testdata/%[1]s.json", f.ID)
		case f.match != nil && excused:
			t.Errorf("%s is looked for; take it off the list of those that are not (%s)", f.ID, why)
		case f.match == nil && why == "":
			t.Errorf("%s is not looked for; say why in the list, or write its match", f.ID)
		}
	}
	for id := range unmatched {
		if _, ok := Lookup(id); !ok {
			t.Errorf("%s is excused and is no fault", id)
		}
	}
}

// TestDiagnoseIsPure judges twice and looks whether the attempt is still as it
// was.
func TestDiagnoseIsPure(t *testing.T) {
	for name, r := range goldens(t) {
		a := r.Attempt()
		before := pretty(t, a)
		first, second := Diagnose(a), Diagnose(a)
		if !reflect.DeepEqual(first, second) {
			t.Errorf("%s: the second verdict differs\ngot  %+v\nwant %+v", name, second, first)
		}
		if after := pretty(t, a); after != before {
			t.Errorf("%s: the attempt has changed\ngot  %s\nwant %s", name, after, before)
		}
	}
}

// TestReplay: a record holds all that its verdict was made of.
func TestReplay(t *testing.T) {
	for name, r := range goldens(t) {
		a := r.Attempt()
		b, err := json.Marshal(a.Record(Diagnose(a)))
		if err != nil {
			t.Fatal(err)
		}
		var back Record
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatal(err)
		}
		if got, want := Diagnose(back.Attempt()), Diagnose(a); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: what was logged gives another verdict\ngot  %+v\nwant %+v", name, got, want)
		}
	}
}

// FuzzDiagnose: whatever a line of a log says, there is a verdict, in the
// promised words.
func FuzzDiagnose(f *testing.F) {
	seeds := 0
	for _, r := range goldens(f) {
		b, err := json.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		seeds++
	}
	if seeds < 100 {
		f.Fatalf("only %d seeds", seeds)
	}
	layers := []Layer{LayerNone, LayerClient, LayerDNS, LayerTCP, LayerTLS, LayerCertificate, LayerHTTP, LayerContent}
	blames := []Blame{BlameServer, BlameLocalNetwork, BlamePath, BlameClient, BlameNone, BlameUnknown}
	f.Fuzz(func(t *testing.T, line []byte) {
		var r Record
		if json.Unmarshal(line, &r) != nil {
			return
		}
		v := Diagnose(r.Attempt())
		if _, ok := Lookup(v.Fault); !ok && v.Fault != FaultOK && v.Fault != FaultUnexplained {
			t.Errorf("the fault %q is in no catalogue", v.Fault)
		}
		if !slices.Contains(layers, v.Layer) {
			t.Errorf("the layer %q is none", v.Layer)
		}
		if !slices.Contains(blames, v.Blame) {
			t.Errorf("the party %q is none", v.Blame)
		}
		if v.Title == "" || v.Outcome == "" || v.Certainty == "" {
			t.Errorf("the verdict is not whole: %+v", v)
		}
	})
}

func writeGolden(t *testing.T, name string, r *Record) {
	t.Helper()
	if err := os.WriteFile(filepath.Join("testdata", name+".json"), []byte(pretty(t, r)), 0o644); err != nil {
		t.Fatal(err)
	}
}

var (
	numbers = regexp.MustCompile(`\[[^\[\]{}]*\]`)
	fields  = regexp.MustCompile(`\{[^\[\]{}]*\}`)
	breaks  = regexp.MustCompile(`\n\s*`)
)

// pretty writes JSON for reading: lists of numbers and small objects on one line.
func pretty(t testing.TB, v any) string {
	t.Helper()
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	short := func(s string) string {
		if line := breaks.ReplaceAllString(s, " "); len(line) < 120 {
			return line
		}
		return s
	}
	s := numbers.ReplaceAllStringFunc(out.String(), func(s string) string { return breaks.ReplaceAllString(s, " ") })
	return fields.ReplaceAllStringFunc(s, short)
}
