// Command apicoverage writes docs/api-coverage.md: every operation of the
// API's last public OpenAPI document, and whether the server carries it out.
// It joins the document, which the module of the official SDK carries, with
// the server's own table of routes, and fails where they disagree.
package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/packetyard/packetyard/internal/apiserver"
)

const output = "docs/api-coverage.md"

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "apicoverage:", err)
		os.Exit(1)
	}
}

func run() error {
	doc, err := document(context.Background())
	if err != nil {
		return fmt.Errorf("loading the API's OpenAPI document: %w", err)
	}
	page, err := render(doc, apiserver.Routes())
	if err != nil {
		return err
	}
	if err := os.WriteFile(output, page, 0o644); err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	return nil
}

func document(ctx context.Context) (*openapi3.T, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/equinix/equinix-sdk-go").Output()
	if err != nil {
		return nil, fmt.Errorf("finding the module that has it: %w", err)
	}
	loader := openapi3.NewLoader()
	loader.IsExternalRefsAllowed = true
	return loader.LoadFromFile(filepath.Join(strings.TrimSpace(string(out)), "spec/services/metalv1/oas3.patched/openapi3.yaml"))
}

// operation is a line of the page.
type operation struct {
	apiserver.Route
	summary string
}

// render joins the document with the table.
func render(doc *openapi3.T, routes []apiserver.Route) ([]byte, error) {
	table := map[string]apiserver.Route{}
	for _, route := range routes {
		table[route.Method+" "+route.Path] = route
	}
	var problems []error
	byTag := map[string][]operation{}
	all, done := 0, 0
	for path, item := range doc.Paths.Map() {
		for method, documented := range item.Operations() {
			route, ok := table[method+" "+path]
			if !ok {
				problems = append(problems, fmt.Errorf("%s %s is in the document and not in the table", method, path))
				continue
			}
			delete(table, method+" "+path)
			tag := "Other"
			if len(documented.Tags) > 0 {
				tag = documented.Tags[0]
			}
			byTag[tag] = append(byTag[tag], operation{route, documented.Summary})
			all++
			if route.Implemented() {
				done++
			}
		}
	}
	for key := range table {
		problems = append(problems, fmt.Errorf("%s is in the table and not in the document", key))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}

	var page bytes.Buffer
	fmt.Fprintf(&page, `# What of the Packet API there is

<!-- Written by make generate from the table of routes and the OpenAPI document. Do not edit. -->

Of the %d operations of the API's last public OpenAPI document, the server carries out %d. The others answer 501 with an error
that names them, so that a client knows that it is not its mistake.

`, all, done)
	tags := slices.SortedFunc(maps.Keys(byTag), func(a, b string) int { return cmp.Compare(strings.ToLower(a), strings.ToLower(b)) })
	fmt.Fprintln(&page, "| | operations | carried out |\n|---|---:|---:|")
	for _, tag := range tags {
		done := 0
		for _, o := range byTag[tag] {
			if o.Implemented() {
				done++
			}
		}
		fmt.Fprintf(&page, "| [%s](#%s) | %d | %d |\n", tag, strings.ToLower(tag), len(byTag[tag]), done)
	}
	for _, tag := range tags {
		operations := byTag[tag]
		slices.SortFunc(operations, func(a, b operation) int {
			return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Method, b.Method))
		})
		fmt.Fprintf(&page, "\n## %s\n\n| | operation | | |\n|---|---|---|---|\n", tag)
		for _, o := range operations {
			answer := "501"
			if o.Implemented() {
				answer = "✓"
			}
			fmt.Fprintf(&page, "| %s | `%s` | `%s %s` | %s |\n", answer, o.Operation, o.Method, o.Path, inCell(o.summary))
		}
	}
	return page.Bytes(), nil
}

// inCell keeps a text inside its cell of a table.
func inCell(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
}
