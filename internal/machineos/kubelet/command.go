package kubelet

import (
	"os"
	"strings"

	"github.com/packetyard/packetyard/internal/machineos/envfile"
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
		for _, assignment := range envfile.Parse(content) {
			name, value, _ := strings.Cut(assignment, "=")
			variables[name] = value
			env = envfile.Set(env, assignment)
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
