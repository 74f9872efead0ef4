package machineos

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// programs are the names under which the machine image's programs are found.
var programs = map[string][]string{
	imageDirectory + "/kube": {
		"kubeadm", "kubelet", "kubectl", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "etcd",
	},
	imageDirectory + "/init": {"systemctl", "journalctl"},
}

// prepareFiles makes what an installed system has. The boot stage has made
// the root file system, the host name and the kernel settings.
func prepareFiles() error {
	for _, directory := range []string{"/usr/local/bin", "/var/log", "/var/lib/kubelet", "/etc/kubernetes/manifests", stateDirectory} {
		if err := os.MkdirAll(directory, 0o755); err != nil {
			return fmt.Errorf("making a directory: %w", err)
		}
	}
	for target, names := range programs {
		for _, name := range names {
			if err := link(target, filepath.Join("/usr/local/bin", name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// link makes or corrects a symbolic link.
func link(target, name string) error {
	if present, err := os.Readlink(name); err == nil && present == target {
		return nil
	}
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("replacing %s: %w", name, err)
	}
	if err := os.Symlink(target, name); err != nil {
		return fmt.Errorf("making a link: %w", err)
	}
	return nil
}

// linkOldSocket makes the runtime's socket visible below /var/run, where
// kubeadm looks for it, on a machine where that is not /run.
func linkOldSocket() error {
	if _, err := os.Stat(oldRuntimeSocket); err == nil {
		return nil
	}
	if _, err := os.Lstat("/var/run"); errors.Is(err, fs.ErrNotExist) {
		return link("/run", "/var/run")
	}
	if err := os.MkdirAll(filepath.Dir(oldRuntimeSocket), 0o755); err != nil {
		return fmt.Errorf("making the runtime socket's directory: %w", err)
	}
	return link(runtimeSocket, oldRuntimeSocket)
}
