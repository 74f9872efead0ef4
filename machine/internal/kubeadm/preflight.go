package kubeadm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"k8s.io/apimachinery/pkg/util/yaml"
)

const ignoreFlag = "--ignore-preflight-errors"

// simulated lists the preflight checks that look at hardware, and would judge
// the host instead of the machine:
//
//   - NumCPU and Mem ask the host's kernel, not the machine's plan;
//   - SystemVerification wants the kernel's configuration and cgroups;
//   - losetup and mount are for volumes that the machine's kubelet never mounts.
//
// All others are real, and fail as they would on a real machine.
var simulated = []string{"NumCPU", "Mem", "SystemVerification", "FileExisting-losetup", "FileExisting-mount"}

// withPreflight adds the flag that ignores the simulated checks to a command line
// of "kubeadm init" or "kubeadm join". It is left alone when the user chose what
// to ignore by the same flag, or ignores everything by the configuration file:
// kubeadm refuses single checks next to "all".
func withPreflight(args []string, readFile func(string) ([]byte, error)) ([]string, error) {
	if !runsPreflight(args) {
		return args, nil
	}
	if _, given := flagValue(args, ignoreFlag); given {
		return args, nil
	}
	if name, given := flagValue(args, "--config"); given {
		content, err := readFile(name)
		if err != nil {
			return nil, fmt.Errorf("reading the file that --config names: %w", err)
		}
		all, err := ignoresAll(content)
		if err != nil {
			return nil, fmt.Errorf("looking for ignored preflight errors in %q: %w", name, err)
		}
		if all {
			return args, nil
		}
	}
	return append(args[:len(args):len(args)], ignoreFlag+"="+strings.Join(simulated, ",")), nil
}

// runsPreflight tells whether the command is init or join as a whole, or their
// preflight phase. Other phases do not know the flag.
func runsPreflight(args []string) bool {
	for i, arg := range args {
		if arg != "init" && arg != "join" {
			continue
		}
		rest := args[i+1:]
		if len(rest) == 0 || rest[0] != "phase" {
			return true
		}
		return len(rest) > 1 && rest[1] == "preflight"
	}
	return false
}

// flagValue finds a flag in both of its spellings, --flag=value and --flag value.
func flagValue(args []string, name string) (value string, given bool) {
	for i, arg := range args {
		if v, ok := strings.CutPrefix(arg, name+"="); ok {
			return v, true
		}
		if arg == name {
			if i+1 < len(args) {
				return args[i+1], true
			}
			return "", true
		}
	}
	return "", false
}

// ignoresAll tells whether a document of a kubeadm configuration file ignores
// every preflight error. What is not valid in the file is left to kubeadm.
func ignoresAll(content []byte) (bool, error) {
	documents := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096)
	for {
		var document struct {
			NodeRegistration struct {
				IgnorePreflightErrors []string `json:"ignorePreflightErrors"`
			} `json:"nodeRegistration"`
		}
		err := documents.Decode(&document)
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("reading YAML: %w", err)
		}
		for _, check := range document.NodeRegistration.IgnorePreflightErrors {
			if strings.EqualFold(check, "all") {
				return true, nil
			}
		}
	}
}
