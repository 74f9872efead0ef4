package machineos

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/packetyard/packetyard/internal/machineos/kubernetes"
	"github.com/packetyard/packetyard/internal/machineos/packages"
)

// ProgramDirectory has the machine image's programs, before those of the host.
const ProgramDirectory = "/usr/local/bin"

// controlPlanePrograms are of the machine image's default version. Containers
// of them have the version that their image's tag names.
var controlPlanePrograms = []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "etcd"}

// commands are the names under which init takes the part of other programs.
var commands = append([]string{"systemctl", "journalctl", "sudo"}, packages.Commands()...)

// directories are those that an installed system has, some of which people's
// command lines write into.
var directories = []string{
	ProgramDirectory, "/var/log", "/var/lib/kubelet", "/etc/kubernetes/manifests", stateDirectory,
	"/etc/apt/sources.list.d", "/etc/apt/keyrings", "/etc/yum.repos.d", "/etc/systemd/system",
	"/etc/default", "/etc/modules-load.d", "/etc/sysctl.d", "/etc/sudoers.d", "/etc/profile.d",
}

// prepareFiles makes what an installed system has. The boot stage has made
// the root file system, the host name and the kernel settings.
func prepareFiles() error {
	for _, directory := range directories {
		if err := os.MkdirAll(directory, 0o755); err != nil {
			return fmt.Errorf("making a directory: %w", err)
		}
	}
	wanted := commands
	if !installed("envsubst") {
		wanted = append([]string{"envsubst"}, commands...)
	}
	for _, name := range wanted {
		if err := link(ImageDirectory+"/init", filepath.Join(ProgramDirectory, name)); err != nil {
			return err
		}
	}
	return linkKubernetes(kubernetes.Image{Directory: ImageDirectory}, ProgramDirectory)
}

// installed tells whether the host has a program.
func installed(name string) bool {
	for _, directory := range []string{"/usr/bin", "/bin"} {
		if _, err := os.Stat(filepath.Join(directory, name)); err == nil {
			return true
		}
	}
	return false
}

// linkKubernetes makes the links of the default version. What was installed
// before the machine was rebooted stays, unless the machine image has lost it.
func linkKubernetes(image kubernetes.Image, directory string) error {
	for _, name := range controlPlanePrograms {
		if err := image.Select("", filepath.Join(directory, name)); err != nil {
			return err
		}
	}
	for _, name := range packages.Names {
		program := filepath.Join(directory, name)
		if _, installed := image.Of(program); installed {
			continue
		}
		if err := image.Select("", program); err != nil {
			return err
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
