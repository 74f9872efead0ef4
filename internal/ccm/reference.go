package ccm

import (
	"fmt"
	"io"
	"strings"
)

// WriteReference writes the reference page of the configuration, which is made
// from the table of options.
func WriteReference(w io.Writer) error {
	var page strings.Builder
	page.WriteString(`# Configuration of the cloud controller manager

<!-- Written by hack/ccm-reference from the table of options in internal/ccm. Do not edit: run make generate. -->

Each option is taken from the first of these that has it:

1. its flag,
2. its environment variables, in the order given here,
3. its key in the file of ` + "`--cloud-config`" + `, a JSON object that is usually mounted from a Secret,
4. its default.

A flag that is given empty (` + "`--packet-metro=`" + `) takes away what environment and file say. In the file the case of keys
does not matter, numbers and booleans may be strings, and a key that is not listed here is an error. Secrets have no flag,
because command lines are for everybody to read.

The process looks at everything before it starts a controller, and says all that is wrong at once. It asks the API whether
the token is good, whether it may use the project, and whether metro or facility exist; if the API says no, the process
ends. If the API does not answer, it starts, and says so in its log.
`)
	var last section
	for _, o := range options() {
		if o.section != last {
			fmt.Fprintf(&page, "\n## %s\n", o.section)
			last = o.section
		}
		fmt.Fprintf(&page, "\n### `%s`\n\n%s\n\n", o.key, o.about)
		flag := "none"
		if o.flag != "" {
			flag = "`--" + o.flag + "`"
		}
		fmt.Fprintf(&page, "| flag | environment | older keys | allowed | default |\n|---|---|---|---|---|\n| %s | %s | %s | %s | %s |\n",
			flag, code(o.env), code(o.aliases), cell(o.allowed), cell(o.fallback))
	}
	page.WriteString(`
## An example

` + "```json" + `
{
  "base-url": "http://198.18.0.1/metal/v1",
  "projectID": "8c5a5a2e-6f1b-4d3c-9b6e-0d2f3a4b5c6d",
  "apiKey": "…",
  "loadbalancer": "kube-vip://",
  "metro": "da",
  "bgpNodeSelector": "node-role.kubernetes.io/control-plane!="
}
` + "```" + `
`)
	if _, err := io.WriteString(w, page.String()); err != nil {
		return fmt.Errorf("writing the reference page: %w", err)
	}
	return nil
}

func code(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	quoted := make([]string, 0, len(names))
	for _, name := range names {
		quoted = append(quoted, "`"+name+"`")
	}
	return strings.Join(quoted, ", ")
}

// cell keeps a text from ending its cell of a table.
func cell(text string) string { return strings.ReplaceAll(text, "|", "\\|") }
