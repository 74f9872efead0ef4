// Package controlplanetest begins and ends the kube-apiserver and etcd that tests run against.
package controlplanetest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// patience is how long a control plane may take to begin or to end on a machine that has other things to do.
const patience = 3 * time.Minute

// New is an environment that has time to begin and to end. The programs are in the folder of assets; if that is empty, in the
// one that KUBEBUILDER_ASSETS names.
func New(assets string) *envtest.Environment {
	return &envtest.Environment{ControlPlaneStartTimeout: patience, ControlPlaneStopTimeout: patience, BinaryAssetsDirectory: assets}
}

// Stop ends a control plane without its kube-apiserver's grace: as long as anybody has a connection, it would wait for a
// minute, and nobody needs what it has in the end.
func Stop(environment *envtest.Environment) error {
	if serving := environment.ControlPlane.GetAPIServer().Port; serving != "" {
		children, err := childrenWith("--secure-port=" + serving)
		if err != nil {
			return err
		}
		for _, pid := range children {
			// It may have ended by itself.
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	if err := environment.Stop(); err != nil {
		return fmt.Errorf("ending the control plane: %w", err)
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
