package cloudinit

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
)

// templateHeader is the first line of a document that is a template.
var templateHeader = regexp.MustCompile(`(?i)^\s*##\s*template:\s*(\w+)\s*$`)

// variablePath is a dotted name such as ds.meta_data.local_hostname.
var variablePath = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_-]*)*$`)

// defaultFilter is the only filter there is: default("text") and default('text').
var defaultFilter = regexp.MustCompile(`^default\(\s*(?:"([^"]*)"|'([^']*)')\s*\)$`)

// templateData are the variables of templates, in the names that cloud-init
// has for them.
func (w *work) templateData() map[string]string {
	i := w.Instance
	short, _, _ := strings.Cut(i.Hostname, ".")
	variables := map[string]string{
		"ds.meta_data.instance_id":    i.ID,
		"ds.meta_data.hostname":       i.Hostname,
		"ds.meta_data.local_hostname": i.Hostname,
		"ds.meta_data.facility":       i.Facility,
		"ds.meta_data.metro":          i.Metro,
		"v1.instance_id":              i.ID,
		"v1.local_hostname":           short,
		"v1.region":                   i.Metro,
		"v1.availability_zone":        i.Facility,
		"v1.cloud_name":               "packet",
		"v1.platform":                 "packet",
		"v1.distro":                   "ubuntu",
		"v1.system_platform":          "linux",
	}
	// Names of version 1 are also there without the prefix.
	for _, name := range []string{"instance_id", "local_hostname", "region", "availability_zone", "cloud_name", "platform", "distro"} {
		variables[name] = variables["v1."+name]
	}
	return variables
}

func isTemplate(content []byte) bool {
	line, _, _ := bytes.Cut(content, []byte("\n"))
	return templateHeader.Match(line)
}

// render fills in a Jinja template: expressions that name a variable or are a
// string, the filter default, raw blocks and comments. Other statements are
// refused.
func render(content []byte, variables map[string]string) ([]byte, error) {
	header, body, _ := strings.Cut(string(content), "\n")
	if language := templateHeader.FindStringSubmatch(header)[1]; !strings.EqualFold(language, "jinja") {
		return nil, fmt.Errorf("header is \"## template: %s\", only jinja is supported", language)
	}
	var out strings.Builder
	for {
		start := strings.IndexByte(body, '{')
		if start < 0 || start == len(body)-1 {
			out.WriteString(body)
			return []byte(out.String()), nil
		}
		out.WriteString(body[:start])
		body = body[start:]
		var text string
		var err error
		switch body[1] {
		case '{':
			text, body, err = expression(body, variables)
		case '%':
			text, body, err = statement(body)
		case '#':
			_, after, found := strings.Cut(body, "#}")
			if !found {
				err = fmt.Errorf("a comment begins with {# and has no end")
			}
			body = after
		default:
			text, body = body[:1], body[1:]
		}
		if err != nil {
			return nil, err
		}
		out.WriteString(text)
	}
}

// literal is an expression that is a string, which may hold braces.
var literal = regexp.MustCompile(`^\{\{-?\s*(?:"([^"]*)"|'([^']*)')\s*-?\}\}`)

func expression(body string, variables map[string]string) (text, rest string, err error) {
	if match := literal.FindStringSubmatch(body); match != nil {
		return match[1] + match[2], body[len(match[0]):], nil
	}
	inner, rest, found := strings.Cut(body[2:], "}}")
	if !found {
		return "", "", fmt.Errorf("an expression begins with {{ and has no end")
	}
	inner = strings.TrimSpace(strings.Trim(inner, "-"))
	name, filter, filtered := strings.Cut(inner, "|")
	name, filter = strings.TrimSpace(name), strings.TrimSpace(filter)
	if !variablePath.MatchString(name) {
		return "", "", fmt.Errorf("expression {{ %s }} is not supported, only the name of a variable or a string is", inner)
	}
	value, known := variables[name]
	if !known {
		value, known = variables[strings.ReplaceAll(name, "-", "_")]
	}
	if filtered {
		match := defaultFilter.FindStringSubmatch(filter)
		if match == nil {
			return "", "", fmt.Errorf("filter %q is not supported, only default(\"text\") is", filter)
		}
		if !known {
			return match[1] + match[2], rest, nil
		}
	}
	if !known {
		// What cloud-init writes for a variable that it does not have.
		return "CI_MISSING_JINJA_VAR/" + name[strings.LastIndexByte(name, '.')+1:], rest, nil
	}
	return value, rest, nil
}

var rawEnd = regexp.MustCompile(`\{%-?\s*endraw\s*-?%\}`)

func statement(body string) (text, rest string, err error) {
	inner, rest, found := strings.Cut(body[2:], "%}")
	if !found {
		return "", "", fmt.Errorf("a statement begins with {%% and has no end")
	}
	if name := strings.TrimSpace(strings.Trim(inner, "-")); name != "raw" {
		return "", "", fmt.Errorf("statement {%% %s %%} is not supported, only raw is", name)
	}
	end := rawEnd.FindStringIndex(rest)
	if end == nil {
		return "", "", fmt.Errorf("a raw block has no endraw")
	}
	return rest[:end[0]], rest[end[1]:], nil
}
