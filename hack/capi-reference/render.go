package main

import (
	"fmt"
	"io"
	"strings"
)

const head = `# The API of the Cluster API provider

<!-- Written by hack/capi-reference from the Go types in api/infrastructure/v1beta2. Do not edit: run make generate. -->

API group ` + "`infrastructure.cluster.x-k8s.io`" + `, version ` + "`v1beta2`" + `, which implements the contract v1beta2 of Cluster API. ` + "`kubectl explain`" + `
tells the same about a field, for example ` + "`kubectl explain packetmachine.spec.network`" + `.

A field in **bold** is required. "Rules" below a table are what the API server says when one is broken; … stands for values.
Templates (but for PacketRemediationTemplate) cannot be changed: make a new one and refer to that.

Webhooks of the manager check, besides, what definitions cannot: that labels and annotations of templates are valid, that SSH keys
are public keys or UUIDs, that no hardware reservation is named twice, that a provider ID names a device, that the prefixes of
addresses fit their type and VLANs fit the network type, that a storage layout has the shape that the Packet API reads, that the
control plane endpoint is an address or a DNS name, that failure domains for control planes are where the endpoint reaches, and that
custom data and storage of a machine do not change. They are asked only when a specification is made or changes.
`

// render writes the page.
func render(out io.Writer, definitions map[string]definition, conditions map[string][]condition) error {
	var page strings.Builder
	page.WriteString(head)
	page.WriteString("\n| kind | short | what it is |\n|---|---|---|\n")
	for _, kind := range kinds {
		d := definitions[kind.name]
		first, _, _ := strings.Cut(oneLine(d.schema.Description), ". ")
		fmt.Fprintf(&page, "| [%s](#%s) | `%s` | %s |\n", kind.name, strings.ToLower(kind.name), strings.Join(d.names.ShortNames, ", "), cell(strings.TrimSuffix(first, ".")+"."))
	}
	for _, kind := range kinds {
		d := definitions[kind.name]
		fmt.Fprintf(&page, "\n## %s\n\n%s\n", kind.name, d.schema.Description)
		for _, part := range []string{"spec", "status"} {
			schema, ok := d.schema.Properties[part]
			if !ok {
				continue
			}
			fmt.Fprintf(&page, "\n### %s %s\n\n", kind.name, part)
			table(&page, rows(schema, part, "", kind.same))
			if part == "spec" {
				rules(&page, schemaRules(d.schema, part, kind.same))
			}
		}
		fmt.Fprintf(&page, "\n`kubectl get %s` shows:", d.names.Plural)
		for n, column := range d.columns {
			fmt.Fprintf(&page, "%s %s (`%s`)", map[bool]string{true: ","}[n > 0], column.Name, column.JSONPath)
		}
		page.WriteString(".\n")
		writeConditions(&page, kind.name, conditions[kind.name])
	}
	writeConditions(&page, "all kinds", conditions[""])
	_, err := io.WriteString(out, page.String())
	return err
}

func table(page *strings.Builder, fields []row) {
	page.WriteString("| field | type | what it is | allowed |\n|---|---|---|---|\n")
	for _, f := range fields {
		name := "`" + f.path + "`"
		if f.required {
			name = "**" + name + "**"
		}
		fmt.Fprintf(page, "| %s | %s | %s | %s |\n", name, f.kind, cell(oneLine(f.description)), cell(strings.Join(f.allowed, "; ")))
	}
}

func rules(page *strings.Builder, all []string) {
	if len(all) == 0 {
		return
	}
	page.WriteString("\nRules:\n\n")
	for _, rule := range all {
		fmt.Fprintf(page, "- %s\n", rule)
	}
}

func writeConditions(page *strings.Builder, kind string, all []condition) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintf(page, "\n### Conditions of %s\n\n| type | reason | meaning |\n|---|---|---|\n", kind)
	for _, c := range all {
		if c.description != "" {
			fmt.Fprintf(page, "| **%s** | | %s |\n", c.kind, cell(c.description))
		}
		for _, r := range c.reasons {
			fmt.Fprintf(page, "| %s | %s | %s |\n", c.kind, r.name, cell(r.description))
		}
	}
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// cell makes a text fit into a table.
func cell(text string) string { return strings.ReplaceAll(text, "|", "\\|") }
