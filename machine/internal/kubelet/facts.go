package kubelet

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/util/uuid"
)

// bootIDFile keeps the machine's boot id on a file system that a boot empties.
// The kernel's own is the host's, and would not change when the machine reboots.
const bootIDFile = "/run/machine-boot-id"

// readBootID returns the id of the machine's current boot, and makes one up when
// the kubelet starts for the first time after a boot.
func readBootID(name string) (string, error) {
	id, err := os.ReadFile(name)
	if err == nil && len(strings.TrimSpace(string(id))) > 0 {
		return strings.TrimSpace(string(id)), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("reading the machine's boot id: %w", err)
	}
	made := string(uuid.NewUUID())
	if err := os.WriteFile(name, []byte(made+"\n"), 0o644); err != nil {
		return "", fmt.Errorf("keeping the machine's boot id: %w", err)
	}
	return made, nil
}

// readFirstLine returns the first line of the first file that has one.
func readFirstLine(names ...string) string {
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		line, _, _ := strings.Cut(string(content), "\n")
		if line = strings.TrimSpace(line); line != "" {
			return line
		}
	}
	return ""
}

// readOSName returns the operating system's name as /etc/os-release gives it to people.
func readOSName(name string) string {
	release, err := readVariables(name)
	if err != nil || release["PRETTY_NAME"] == "" {
		return "Linux"
	}
	return release["PRETTY_NAME"]
}
