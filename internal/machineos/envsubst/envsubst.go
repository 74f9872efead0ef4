// Package envsubst is GNU gettext's command envsubst, for machines whose host
// does not have it. What people write for Flatcar relies on it: Ignition has no
// templates, so the machine fills in kubeadm's configuration itself.
package envsubst

import (
	"fmt"
	"io"
	"regexp"
	"slices"
)

// maxInput bounds what is read, in bytes.
const maxInput = 64 << 20

// variable is $NAME or ${NAME}.
var variable = regexp.MustCompile(`\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})`)

// Run copies stdin to stdout with the values of variables in place of their
// names, and returns an exit code. An argument names the only ones to replace.
func Run(arguments []string, lookup func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	list := len(arguments) > 0 && (arguments[0] == "-v" || arguments[0] == "--variables")
	if list {
		arguments = arguments[1:]
	}
	if len(arguments) > 1 || (list && len(arguments) == 0) {
		_, _ = fmt.Fprintln(stderr, "usage: envsubst [--variables] [SHELL-FORMAT]")
		return 1
	}
	var only []string
	if len(arguments) == 1 {
		for _, match := range variable.FindAllStringSubmatch(arguments[0], -1) {
			only = append(only, match[1]+match[2])
		}
	}
	if list {
		for _, name := range only {
			_, _ = fmt.Fprintln(stdout, name)
		}
		return 0
	}
	input, err := io.ReadAll(io.LimitReader(stdin, maxInput))
	if err == nil {
		_, err = stdout.Write(variable.ReplaceAllFunc(input, func(found []byte) []byte {
			match := variable.FindSubmatch(found)
			name := string(match[1]) + string(match[2])
			if len(arguments) == 1 && !slices.Contains(only, name) {
				return found
			}
			return []byte(lookup(name))
		}))
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "envsubst:", err)
		return 1
	}
	return 0
}
