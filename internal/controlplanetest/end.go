package controlplanetest

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"k8s.io/client-go/rest"
)

// end ends a control plane without its kube-apiserver's grace: as long as anybody has a connection, it would wait for a
// minute, and nobody needs what it has in the end. The configuration is nil where it did not come so far.
func end(plane ControlPlane, config *rest.Config) error {
	if config != nil {
		address, _, err := rest.DefaultServerUrlFor(config)
		if err != nil {
			return fmt.Errorf("reading the address of the API server: %w", err)
		}
		if err := killServing(address); err != nil {
			return err
		}
	}
	if err := plane.Stop(); err != nil {
		return fmt.Errorf("stopping the control plane: %w", err)
	}
	return nil
}

// killServing kills the kube-apiserver that this process started to serve at an address.
func killServing(address *url.URL) error {
	children, err := childrenWith("--secure-port=" + address.Port())
	if err != nil {
		return err
	}
	for _, pid := range children {
		// It may have ended by itself.
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	return nil
}

// childrenWith finds the processes that this one started with an argument.
func childrenWith(argument string) ([]int, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, fmt.Errorf("listing the processes: %w", err)
	}
	var found []int
	for _, file := range files {
		stat, err := os.ReadFile(file)
		if err != nil {
			// It has ended since.
			continue
		}
		// The parent is the second field after the name, which is in parentheses and may contain any. (proc_pid_stat(5))
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if len(fields) < 2 || fields[1] != strconv.Itoa(os.Getpid()) {
			continue
		}
		arguments, err := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
		if err != nil || !slices.Contains(strings.Split(string(arguments), "\x00"), argument) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			return nil, fmt.Errorf("reading the process ID of %s: %w", file, err)
		}
		found = append(found, pid)
	}
	return found, nil
}
