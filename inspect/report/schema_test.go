package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/invopop/jsonschema"

	"faultline/inspect"
	"faultline/inspect/wire"
)

var update = flag.Bool("update", false, "rewrite the schema and the golden files")

// The schema in the repository is the one of the type; -update rewrites it.
func TestSchemaIsCurrent(t *testing.T) {
	want := generate(t)
	if *update {
		if err := os.WriteFile("attempt.schema.json", want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(schema, want) {
		t.Error("attempt.schema.json is not the schema of inspect.Record any more: run go test ./inspect/report -run Schema -update, and read the difference")
	}
}

// closed are the vocabularies that are complete: their constants are all there
// is.
func closed(t *testing.T) map[reflect.Type][]any {
	t.Helper()
	words := constants(t, "..")
	wireWords := constants(t, "../wire")
	all := map[reflect.Type][]any{reflect.TypeFor[wire.Side](): wireWords["Side"]}
	for _, typ := range []reflect.Type{
		reflect.TypeFor[inspect.Mode](), reflect.TypeFor[inspect.Outcome](), reflect.TypeFor[inspect.Certainty](),
		reflect.TypeFor[inspect.Source](), reflect.TypeFor[inspect.Step](), reflect.TypeFor[inspect.Layer](),
		reflect.TypeFor[inspect.Blame](), reflect.TypeFor[inspect.Refusal](), reflect.TypeFor[inspect.Rejection](),
	} {
		all[typ] = words[typ.Name()]
	}
	for typ, w := range all {
		if len(w) < 2 {
			t.Fatalf("%v has the constants %v", typ, w)
		}
	}
	return all
}

// constants reads the string constants of a package by their type, in the order
// of the source.
func constants(t *testing.T, dir string) map[string][]any {
	t.Helper()
	files, err := filepath.Glob(dir + "/*.go")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]any)
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if c, ok := n.(*ast.ValueSpec); ok && len(c.Values) == 1 {
				typ, isNamed := c.Type.(*ast.Ident)
				value, isLiteral := c.Values[0].(*ast.BasicLit)
				if isNamed && isLiteral && value.Kind == token.STRING {
					s, err := strconv.Unquote(value.Value)
					if err != nil {
						t.Fatal(err)
					}
					all[typ.Name] = append(all[typ.Name], s)
				}
			}
			return true
		})
	}
	return all
}

// faultIDs are the catalogue's and the two that are not in it, sorted: the
// catalogue's order is about diagnosis.
func faultIDs() []any {
	ids := []string{inspect.FaultOK, inspect.FaultUnexplained}
	for i := range inspect.Faults {
		ids = append(ids, inspect.Faults[i].ID)
	}
	slices.Sort(ids)
	var all []any
	for _, id := range slices.Compact(ids) {
		all = append(all, id)
	}
	return all
}

func generate(t *testing.T) []byte {
	t.Helper()
	vocabulary := closed(t)
	r := &jsonschema.Reflector{
		Anonymous:      true,
		ExpandedStruct: true,
		Mapper: func(t reflect.Type) *jsonschema.Schema {
			if words := vocabulary[t]; words != nil {
				return &jsonschema.Schema{Type: "string", Enum: words}
			}
			return nil
		},
		// Both packages have a Record.
		Namer: func(t reflect.Type) string {
			if t.PkgPath() == reflect.TypeFor[wire.Record]().PkgPath() {
				return "Wire" + t.Name()
			}
			return t.Name()
		},
	}
	// Field comments become descriptions. The path is relative to this package.
	if err := r.AddGoComments("faultline/inspect/report", ".."); err != nil {
		t.Fatal(err)
	}
	for what, comment := range r.CommentMap {
		r.CommentMap[what] = strings.Join(strings.Fields(comment), " ")
	}
	s := r.Reflect(&inspect.Record{})
	s.ID = "urn:faultline:attempt"
	s.Title = "faultline attempt"
	s.Definitions["FaultID"] = &jsonschema.Schema{Type: "string", Enum: faultIDs(), Description: "A row of the fault catalogue, \"ok\" or \"unexplained\"."}
	repair(s, reflect.TypeFor[inspect.Record]())
	for name, typ := range map[string]reflect.Type{
		"HelloStep": reflect.TypeFor[inspect.HelloStep](), "Also": reflect.TypeFor[inspect.Also](),
		"CertFault": reflect.TypeFor[inspect.CertFault](), "WireClientHello": reflect.TypeFor[wire.ClientHello](),
	} {
		if d := s.Definitions[name]; d != nil {
			repair(d, typ)
		}
	}
	s.Properties.Set("level", &jsonschema.Schema{Type: "string", Enum: []any{"info", "warn"}, Description: "warn when the attempt failed."})
	s.Properties.Set("msg", &jsonschema.Schema{Type: "string", Const: "attempt"})
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(b, '\n')
}

// repair mends what reflection does not know of how encoding/json writes a
// struct: fields of an embedded pointer may all be missing, and a nil slice
// that is not omitted is null. Fault IDs are strings to Go.
func repair(s *jsonschema.Schema, t reflect.Type) {
	for f := range t.Fields() {
		if f.Anonymous && f.Type.Kind() == reflect.Pointer {
			for inner := range f.Type.Elem().Fields() {
				name, _, _ := strings.Cut(inner.Tag.Get("json"), ",")
				s.Required = slices.DeleteFunc(s.Required, func(r string) bool { return r == name })
				nullable(s, inner, name)
			}
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		nullable(s, f, name)
	}
	if p, ok := s.Properties.Get("fault"); ok {
		s.Properties.Set("fault", &jsonschema.Schema{Ref: "#/$defs/FaultID", Description: p.Description})
	}
}

func nullable(s *jsonschema.Schema, f reflect.StructField, name string) {
	p, ok := s.Properties.Get(name)
	if ok && p.Type == "array" && !strings.Contains(f.Tag.Get("json"), "omit") {
		s.Properties.Set(name, &jsonschema.Schema{AnyOf: []*jsonschema.Schema{p, {Type: "null"}}})
	}
}
