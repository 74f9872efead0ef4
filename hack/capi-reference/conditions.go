package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
)

// condition is a type of condition and the reasons that it can have.
type condition struct {
	kind, description string
	reasons           []reason
}

type reason struct{ name, description string }

// conditionFiles are the files in which the conditions of kinds are.
var conditionFiles = map[string]string{
	"":                      "conditions.go",
	"PacketCluster":         "packetcluster_conditions.go",
	"PacketMachine":         "packetmachine_conditions.go",
	"PacketMachineTemplate": "packetmachinetemplate_conditions.go",
	"PacketMachinePool":     "packetmachinepool_conditions.go",
	"PacketRemediation":     "packetremediation_conditions.go",
}

// readConditions reads the constants of conditions and reasons, by the kind they are of; those of all kinds are under "".
func readConditions(folder string) (map[string][]condition, error) {
	type constant struct{ name, value, doc string }
	var (
		constants = map[string][]constant{}
		values    []string
	)
	for kind, name := range conditionFiles {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(folder, name), nil, parser.ParseComments)
		if err != nil {
			return nil, fmt.Errorf("reading the conditions of %q: %w", kind, err)
		}
		for _, declaration := range file.Decls {
			group, ok := declaration.(*ast.GenDecl)
			if !ok || group.Tok != token.CONST {
				continue
			}
			for _, s := range group.Specs {
				spec, ok := s.(*ast.ValueSpec)
				if !ok || len(spec.Names) != 1 || len(spec.Values) != 1 {
					return nil, fmt.Errorf("%s: a constant is not one name with one value", name)
				}
				value, err := valueOf(spec.Values[0])
				if err != nil {
					return nil, fmt.Errorf("%s: %s: %w", name, spec.Names[0].Name, err)
				}
				constants[kind] = append(constants[kind], constant{spec.Names[0].Name, value, spec.Doc.Text()})
				values = append(values, spec.Names[0].Name, "`"+value+"`")
			}
		}
	}
	// Comments name constants, and users see their values.
	name := strings.NewReplacer(longestFirst(values)...)
	all := map[string][]condition{}
	for kind, list := range constants {
		for _, c := range list {
			text := strings.Join(strings.Fields(name.Replace(c.doc)), " ")
			switch {
			case strings.HasSuffix(c.name, "Condition"):
				all[kind] = append(all[kind], condition{kind: c.value, description: text})
			case strings.HasSuffix(c.name, "Reason"):
				if len(all[kind]) == 0 {
					all[kind] = append(all[kind], condition{kind: "Ready"})
				}
				last := &all[kind][len(all[kind])-1]
				last.reasons = append(last.reasons, reason{c.value, text})
			}
		}
	}
	return all, nil
}

// valueOf is the text of a constant; that of Cluster API's Ready is known.
func valueOf(expression ast.Expr) (string, error) {
	switch e := expression.(type) {
	case *ast.BasicLit:
		return strconv.Unquote(e.Value)
	case *ast.SelectorExpr:
		return strings.TrimSuffix(e.Sel.Name, "Condition"), nil
	default:
		return "", fmt.Errorf("a %T is no text", expression)
	}
}

// longestFirst arranges pairs of old and new texts so that a name is not taken for a shorter one that it begins with.
func longestFirst(pairs []string) []string {
	for i := 2; i < len(pairs); i += 2 {
		for j := i; j > 0 && len(pairs[j]) > len(pairs[j-2]); j -= 2 {
			pairs[j], pairs[j-1], pairs[j-2], pairs[j+1] = pairs[j-2], pairs[j+1], pairs[j], pairs[j-1]
		}
	}
	return pairs
}
