// Prints the cases of Go tests without running them: each element of a list of structs with `input` and `want`
// (or `wants`; `wantErr` is ignored), with its strings evaluated.
//
//	go run scripts/policy/samples/go_tests.go DIRECTORY…
//
// Only the standard library is needed. Constants and variables of strings, `+`, fmt.Sprintf, strings.Repeat and
// backquoted texts are evaluated; a case with anything else is skipped, and the last line reports how many.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// One case: its folder, the text, and the expected finds; an empty list if nothing must be found.
type sample struct {
	Rule  string   `json:"rule"`
	Name  string   `json:"name"`
	Text  string   `json:"text"`
	Want  []string `json:"want"`
	Words bool     `json:"words"`
}

var errUnknown = errors.New("not a constant text")

type scope map[string]ast.Expr

// Maximum steps from a name to its text: a name may refer to another one, and two names may refer to each other.
const depthMax = 20

func main() {
	out := json.NewEncoder(os.Stdout)
	leftOut := 0
	for _, dir := range os.Args[1:] {
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil {
			panic(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_integration_test.go") {
				continue
			}
			samples, missed := read(dir, file)
			leftOut += missed
			for _, found := range samples {
				if err := out.Encode(found); err != nil {
					panic(err)
				}
			}
		}
	}
	fmt.Fprintf(os.Stderr, "%d cases cannot be evaluated\n", leftOut)
}

// Whether a detector needs its name beside the secret, according to its source.
func needsWords(dir string) bool {
	sources, _ := filepath.Glob(filepath.Join(dir, "*.go"))
	for _, source := range sources {
		if strings.HasSuffix(source, "_test.go") {
			continue
		}
		text, err := os.ReadFile(source)
		if err == nil && strings.Contains(string(text), "PrefixRegex(") {
			return true
		}
	}
	return false
}

func read(dir, file string) (samples []sample, leftOut int) {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, 0
	}
	names := scope{}
	ast.Inspect(parsed, func(node ast.Node) bool {
		bind(names, node)
		return true
	})
	words := needsWords(dir)
	ast.Inspect(parsed, func(node ast.Node) bool {
		literal, ok := node.(*ast.CompositeLit)
		if !ok {
			return true
		}
		fields := map[string]ast.Expr{}
		for _, element := range literal.Elts {
			if pair, ok := element.(*ast.KeyValueExpr); ok {
				if key, ok := pair.Key.(*ast.Ident); ok {
					fields[key.Name] = pair.Value
				}
			}
		}
		input, wanted := first(fields, "input", "data"), first(fields, "want", "wants")
		if input == nil {
			return true
		}
		text, err := names.text(input, 0)
		if err != nil {
			leftOut++
			return true
		}
		want, err := names.texts(wanted)
		if err != nil {
			leftOut++
			return true
		}
		name := ""
		if fields["name"] != nil {
			name, _ = names.text(fields["name"], 0)
		}
		samples = append(samples, sample{filepath.ToSlash(dir), name, text, want, words})
		return true
	})
	return samples, leftOut
}

func first(fields map[string]ast.Expr, names ...string) ast.Expr {
	for _, name := range names {
		if value := fields[name]; value != nil {
			return value
		}
	}
	return nil
}

func bind(names scope, node ast.Node) {
	switch node := node.(type) {
	case *ast.ValueSpec:
		for i, name := range node.Names {
			if i < len(node.Values) {
				names[name.Name] = node.Values[i]
			}
		}
	case *ast.AssignStmt:
		for i, left := range node.Lhs {
			if name, ok := left.(*ast.Ident); ok && i < len(node.Rhs) && len(node.Lhs) == len(node.Rhs) {
				names[name.Name] = node.Rhs[i]
			}
		}
	}
}

func (names scope) texts(expr ast.Expr) ([]string, error) {
	texts := []string{}
	switch expr := expr.(type) {
	case nil:
		return texts, nil
	case *ast.Ident:
		if expr.Name == "nil" {
			return texts, nil
		}
		if value, ok := names[expr.Name]; ok {
			return names.texts(value)
		}
	case *ast.CompositeLit:
		for _, element := range expr.Elts {
			text, err := names.text(element, 0)
			if err != nil {
				return nil, err
			}
			texts = append(texts, text)
		}
		return texts, nil
	}
	return nil, errUnknown
}

func (names scope) text(expr ast.Expr, depth int) (string, error) {
	if depth > depthMax {
		return "", errUnknown
	}
	switch expr := expr.(type) {
	case *ast.BasicLit:
		if expr.Kind == token.STRING {
			return strconv.Unquote(expr.Value)
		}
	case *ast.ParenExpr:
		return names.text(expr.X, depth+1)
	case *ast.Ident:
		if value, ok := names[expr.Name]; ok {
			return names.text(value, depth+1)
		}
	case *ast.BinaryExpr:
		if expr.Op != token.ADD {
			return "", errUnknown
		}
		left, err := names.text(expr.X, depth+1)
		if err != nil {
			return "", err
		}
		right, err := names.text(expr.Y, depth+1)
		return left + right, err
	case *ast.CallExpr:
		return names.call(expr, depth)
	}
	return "", errUnknown
}

func (names scope) call(call *ast.CallExpr, depth int) (string, error) {
	function, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return "", errUnknown
	}
	switch function.Sel.Name {
	case "Sprintf":
		args := make([]string, 0, len(call.Args))
		for _, arg := range call.Args {
			text, err := names.text(arg, depth+1)
			if err != nil {
				return "", err
			}
			args = append(args, text)
		}
		if len(args) == 0 {
			return "", errUnknown
		}
		rest := make([]any, 0, len(args))
		for _, arg := range args[1:] {
			rest = append(rest, arg)
		}
		return fmt.Sprintf(args[0], rest...), nil
	case "Repeat":
		if len(call.Args) != 2 {
			return "", errUnknown
		}
		part, err := names.text(call.Args[0], depth+1)
		times, ok := call.Args[1].(*ast.BasicLit)
		if err != nil || !ok {
			return "", errUnknown
		}
		count, err := strconv.Atoi(times.Value)
		if err != nil || count > 10000 {
			return "", errUnknown
		}
		return strings.Repeat(part, count), nil
	case "TrimSpace":
		if len(call.Args) != 1 {
			return "", errUnknown
		}
		text, err := names.text(call.Args[0], depth+1)
		return strings.TrimSpace(text), err
	}
	return "", errUnknown
}
