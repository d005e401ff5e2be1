package main

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// rank says which way imports point: a package knows those of lower rank only.
var rank = map[string]int{
	"faultline/cmd/faultline":             3,
	"faultline/proxy":                     2,
	"faultline/certs":                     2,
	"faultline/inspect/probe":             2,
	"faultline/inspect/report":            2,
	"faultline/inspect/web":               2,
	"faultline/inspect/lab":               2,
	"faultline/inspect/browser":           2,
	"faultline/inspect":                   1,
	"faultline/inspect/wire":              0,
	"faultline/inspect/report/schematest": 3, // for tests only
}

// owners are the only packages that know a module.
var owners = map[string][]string{
	"github.com/elazarl/goproxy":      {"faultline/proxy"},
	"go.uber.org/zap":                 {"faultline/inspect/report"},
	"github.com/DeRuina/timberjack":   {"faultline/inspect/report"},
	"github.com/spf13/cobra":          {"faultline/cmd/faultline"},
	"github.com/spf13/pflag":          {"faultline/cmd/faultline"},
	"github.com/santhosh-tekuri/":     {"faultline/inspect/report/schematest"},
	"github.com/invopop/jsonschema":   nil, // tests only
	"github.com/rogpeppe/go-internal": nil,
	"go.uber.org/goleak":              nil,
	"pgregory.net/rapid":              nil,
}

// pure packages do no input or output and have no clock: what they say depends
// on what they are given alone.
var pure = []string{"faultline/inspect", "faultline/inspect/wire"}

// impure are what they must not import, and clock what they must not call.
var (
	impure = []string{
		"bufio", "context", "crypto/rand", "io/fs", "log", "log/slog", "math/rand", "math/rand/v2", "net", "net/http",
		"os", "os/exec", "os/signal", "path/filepath", "runtime", "syscall",
	}
	clock = []string{"After", "AfterFunc", "NewTicker", "NewTimer", "Now", "Since", "Sleep", "Tick", "Until", "Local", "LoadLocation"}
)

// A listed package is what go list tells of it.
type listed struct {
	ImportPath string
	Dir        string
	Imports    []string
	GoFiles    []string
	Standard   bool
}

func goList(t *testing.T, args ...string) (all []listed) {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Dir,Imports,GoFiles,Standard"}, args...)...)
	cmd.Dir = "../.."
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	d := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p listed
		switch err := d.Decode(&p); {
		case errors.Is(err, io.EOF):
			return all
		case err != nil:
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// TestImports holds the direction of imports: the command knows everybody, those
// who observe, compare, tell and break know what is decided, and what is decided
// knows what can be read.
func TestImports(t *testing.T) {
	all := goList(t, "./...")
	if len(all) < 8 {
		t.Fatalf("go list finds only %d packages", len(all))
	}
	for _, p := range all {
		mine, ok := rank[p.ImportPath]
		if !ok {
			t.Errorf("%s has no place in the order; give it one", p.ImportPath)
			continue
		}
		for _, i := range p.Imports {
			if theirs, ok := rank[i]; ok && theirs >= mine {
				t.Errorf("%s imports %s; what it needs from there must be given to it as a function", p.ImportPath, i)
			}
			for module, who := range owners {
				if strings.HasPrefix(i, module) && !slices.Contains(who, p.ImportPath) {
					t.Errorf("%s imports %s; only %v may", p.ImportPath, i, who)
				}
			}
		}
		if slices.Contains(pure, p.ImportPath) {
			isPure(t, p)
		}
	}
}

func isPure(t *testing.T, p listed) {
	t.Helper()
	for _, i := range p.Imports {
		if slices.Contains(impure, i) {
			t.Errorf("%s imports %s, and must be pure", p.ImportPath, i)
		}
	}
	for _, name := range p.GoFiles {
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clock, s.Sel.Name) {
					t.Errorf("%s: time.%s, and must be pure", fset.Position(n.Pos()), s.Sel.Name)
				}
			}
			return true
		})
	}
}

// TestShipped: what is for tests only is not in the program.
func TestShipped(t *testing.T) {
	for _, p := range goList(t, "-deps", "./cmd/faultline") {
		for _, module := range []string{
			"github.com/santhosh-tekuri/", "github.com/invopop/", "github.com/rogpeppe/", "go.uber.org/goleak", "pgregory.net/",
			"testing", "net/http/httptest", "faultline/inspect/report/schematest",
		} {
			if strings.HasPrefix(p.ImportPath, module) {
				t.Errorf("the program holds %s", p.ImportPath)
			}
		}
	}
}
