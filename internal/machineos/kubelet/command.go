package kubelet

import (
	"bufio"
	"bytes"
	"os"
	"slices"
	"strings"
)

// environmentFiles are read in this order; a later one wins. The first is
// kubeadm's, the others are where people set KUBELET_EXTRA_ARGS.
var environmentFiles = []string{"/var/lib/kubelet/kubeadm-flags.env", "/etc/sysconfig/kubelet", "/etc/default/kubelet"}

// commandLine is the kubelet's, as kubeadm's drop-in file has it.
func (s *Supervisor) commandLine() (arguments, env []string) {
	variables := map[string]string{}
	env = os.Environ()
	for _, file := range environmentFiles {
		content, err := os.ReadFile(s.path(file))
		if err != nil {
			// Each of them may be missing.
			continue
		}
		for _, assignment := range parseEnvironment(content) {
			name, value, _ := strings.Cut(assignment, "=")
			variables[name] = value
			env = append(slices.DeleteFunc(env, func(entry string) bool { return strings.HasPrefix(entry, name+"=") }), assignment)
		}
	}
	arguments = []string{
		"--bootstrap-kubeconfig=" + bootstrapKubeconfig,
		"--kubeconfig=" + kubeconfig,
		"--config=" + configFile,
	}
	for _, name := range []string{"KUBELET_KUBEADM_ARGS", "KUBELET_EXTRA_ARGS"} {
		arguments = append(arguments, strings.Fields(variables[name])...)
	}
	return arguments, env
}

// parseEnvironment reads NAME=value lines as systemd does: comments begin
// with # or ;, and a value may be quoted.
func parseEnvironment(content []byte) []string {
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
