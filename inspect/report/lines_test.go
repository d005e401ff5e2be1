package report_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"faultline/inspect"
	"faultline/inspect/report"
	"faultline/inspect/report/schematest"
)

// Every line that is written is as the schema says.
func TestLinesFitTheSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "attempts.jsonl")
	l, err := report.OpenLog(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	records := report.Samples()
	for _, r := range records {
		l.Write(r)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := schematest.ValidateAll(log); err != nil || n != len(records) {
		t.Errorf("%d lines of %d: %v", n, len(records), err)
	}
}

// The schema is strict: what is not in the contract does not pass.
func TestSchemaRefuses(t *testing.T) {
	good := `{"ts":"2026-03-01T12:00:00Z","level":"info","msg":"attempt","id":"1","final":true,"mode":"tunnel","target":"a:443",` +
		`"outcome":"ok","layer":"none","fault":"ok","blame":"none","title":"It works.","timing":{}}`
	if err := schematest.Validate([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"a new field":       {`"timing":{}`, `"timing":{},"colour":"red"`},
		"a key twice":       {`"timing":{}`, `"timing":{},"id":"2"`},
		"an inner key":      {`"timing":{}`, `"timing":{"dns_ms":1,"dns_ms":2}`},
		"an unknown fault":  {`"fault":"ok"`, `"fault":"gremlins"`},
		"an unknown layer":  {`"layer":"none"`, `"layer":"physical"`},
		"an unknown blame":  {`"blame":"none"`, `"blame":"you"`},
		"an unknown mode":   {`"mode":"tunnel"`, `"mode":"magic"`},
		"an outcome":        {`"outcome":"ok"`, `"outcome":"so-so"`},
		"a level":           {`"level":"info"`, `"level":"error"`},
		"a time":            {`2026-03-01T12:00:00Z`, `yesterday`},
		"a missing field":   {`"final":true,`, ``},
		"a number as text":  {`"timing":{}`, `"timing":{"dns_ms":"3"}`},
		"a wrong certainty": {`"timing":{}`, `"timing":{},"certainty":"sure"`},
		"something behind":  {`"timing":{}}`, `"timing":{}} {}`},
	} {
		line := bytes.Replace([]byte(good), []byte(change[0]), []byte(change[1]), 1)
		if bytes.Equal(line, []byte(good)) {
			t.Fatalf("%s changes nothing", name)
		}
		if err := schematest.Validate(line); err == nil {
			t.Errorf("%s passes: %s", name, line)
		}
	}
}

// A line with every fault of the catalogue passes.
func TestSchemaKnowsFaults(t *testing.T) {
	for i := range inspect.Faults {
		line := []byte(`{"ts":"2026-03-01T12:00:00Z","level":"warn","msg":"attempt","id":"1","final":true,"mode":"tunnel","target":"a:443",` +
			`"outcome":"failed","layer":"` + string(inspect.Faults[i].Layer) + `","fault":"` + inspect.Faults[i].ID + `","blame":"` +
			string(inspect.Faults[i].Blame) + `","title":"t","timing":{}}`)
		if err := schematest.Validate(line); err != nil {
			t.Errorf("%s: %v", inspect.Faults[i].ID, err)
		}
	}
}
