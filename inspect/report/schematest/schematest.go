// Package schematest holds lines of the log against their schema, for tests:
// the validator is not part of the program.
package schematest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"faultline/inspect/report"
)

var compiled = sync.OnceValues(func() (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(report.Schema()))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("attempt.schema.json", doc); err != nil {
		return nil, err
	}
	return c.Compile("attempt.schema.json")
})

// Validate says what is wrong with a line of the log: one JSON object, no key
// twice, and as the schema says.
func Validate(line []byte) error {
	s, err := compiled()
	if err != nil {
		return fmt.Errorf("compile the schema: %w", err)
	}
	if err := duplicates(line); err != nil {
		return err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
	if err != nil {
		return err
	}
	return s.Validate(doc)
}

// ValidateAll does so for every line of a log; the last one must be complete
// too. It returns the number of lines.
func ValidateAll(log []byte) (lines int, err error) {
	for line := range bytes.Lines(log) {
		lines++
		if !bytes.HasSuffix(line, []byte("\n")) {
			return lines, fmt.Errorf("line %d is not complete: %.80q", lines, line)
		}
		if err := Validate(line); err != nil {
			return lines, fmt.Errorf("line %d: %w\n%s", lines, err, line)
		}
	}
	return lines, nil
}

// duplicates walks the tokens, since encoding/json takes the last of two equal
// keys without a word.
func duplicates(line []byte) error {
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	if err := walk(d, ""); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is something behind the object")
	}
	return nil
}

func walk(d *json.Decoder, path string) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	switch t {
	case json.Delim('{'):
		seen := make(map[string]bool)
		for d.More() {
			k, err := d.Token()
			if err != nil {
				return err
			}
			key := k.(string)
			if seen[key] {
				return fmt.Errorf("the key %s/%s stands twice", path, key)
			}
			seen[key] = true
			if err := walk(d, path+"/"+key); err != nil {
				return err
			}
		}
	case json.Delim('['):
		for i := 0; d.More(); i++ {
			if err := walk(d, path+"/"+strconv.Itoa(i)); err != nil {
				return err
			}
		}
	default:
		return nil
	}
	_, err = d.Token() // the closing one
	return err
}
