// Package envfile reads files of NAME=value lines, as systemd does.
package envfile

import (
	"bufio"
	"bytes"
	"slices"
	"strings"
)

// Parse returns the assignments: comments begin with # or ;, and a value may be quoted.
func Parse(content []byte) []string {
	var assignments []string
	scanner := bufio.NewScanner(bytes.NewReader(content))
	for scanner.Scan() {
		line := strings.TrimSpace(scanner.Text())
		name, value, found := strings.Cut(line, "=")
		name = strings.TrimSpace(strings.TrimPrefix(name, "export "))
		if !found || name == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		value = strings.TrimSpace(value)
		if length := len(value); length >= 2 && (value[0] == '"' || value[0] == '\'') && value[length-1] == value[0] {
			value = value[1 : length-1]
		}
		assignments = append(assignments, name+"="+value)
	}
	return assignments
}

// Set returns the environment with an assignment, in place of an earlier one of the name.
func Set(environment []string, assignment string) []string {
	name, _, _ := strings.Cut(assignment, "=")
	kept := slices.DeleteFunc(slices.Clone(environment), func(entry string) bool { return strings.HasPrefix(entry, name+"=") })
	return append(kept, assignment)
}

// Get is the value of a name, empty where it has none.
func Get(environment []string, name string) string {
	for _, entry := range environment {
		if value, found := strings.CutPrefix(entry, name+"="); found {
			return value
		}
	}
	return ""
}
