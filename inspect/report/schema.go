package report

import (
	_ "embed"
	"slices"
)

//go:embed attempt.schema.json
var schema []byte

// Schema is the JSON Schema (2020-12) of a line of the log. It is generated
// from [inspect.Record] by a test of this package, run with -update.
func Schema() []byte { return slices.Clone(schema) }
