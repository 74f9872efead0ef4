package ignition

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/packetyard/packetyard/internal/machineos/packages"
)

// Systems that Ignition sets up have no packages. Their users download
// Kubernetes: its programs from dl.k8s.io, or a system extension that has all of
// them. There is no way from a machine to the internet, so both come from the
// machine image, which has to have the version.
var (
	releasedProgram = regexp.MustCompile(`^/(?:release/|kubernetes-release/release/)?(v[0-9]+\.[0-9]+\.[0-9]+[0-9A-Za-z.-]*)/bin/linux/[a-z0-9]+/(kubeadm|kubelet|kubectl)$`)
	releasedImage   = regexp.MustCompile(`^kubernetes-(v[0-9]+\.[0-9]+\.[0-9]+)-[a-z0-9_-]+\.raw$`)

	releaseHosts = map[string]bool{"dl.k8s.io": true, "cdn.dl.k8s.io": true, "storage.googleapis.com": true}
)

// extensionMark begins the file that stands for a system extension.
const extensionMark = "packetyard: Kubernetes "

// extensionFolders are where systemd-sysext looks.
var extensionFolders = []string{"/etc/extensions", "/run/extensions", "/var/lib/extensions"}

// released tells the version that a source is of, and the program, which is
// empty where the source has all of them. Of other sources there is no version.
func released(source string) (version, program string) {
	address, err := url.Parse(source)
	if err != nil || (address.Scheme != "https" && address.Scheme != "http") {
		return "", ""
	}
	if match := releasedProgram.FindStringSubmatch(address.Path); match != nil && releaseHosts[address.Hostname()] {
		return match[1], match[2]
	}
	if match := releasedImage.FindStringSubmatch(filepath.Base(address.Path)); match != nil {
		return match[1], ""
	}
	return "", ""
}

// installRelease writes a file whose source is a release of Kubernetes. It
// tells whether it is one.
func (e *Executor) installRelease(one file) (bool, error) {
	version, program := released(one.contents.source)
	if version == "" {
		return false, nil
	}
	executable, err := e.Image.Executable(version)
	if err != nil {
		return true, fmt.Errorf("%s.source: %w", one.contents.field, err)
	}
	if _, err := e.prepare(one.node, true); err != nil {
		return true, err
	}
	target := e.path(one.path)
	e.Printf("ignition: %s comes from the machine image, and its verification is not looked at", one.path)
	if program == "" {
		if err := os.WriteFile(target, []byte(extensionMark+version+"\n"), 0o644); err != nil {
			return true, fmt.Errorf("writing it: %w", err)
		}
		return true, nil
	}
	if err := os.Symlink(executable, target); err != nil {
		return true, fmt.Errorf("linking it: %w", err)
	}
	return true, e.Image.Select(version, e.path(filepath.Join(e.Programs, program)))
}

// activateExtensions does what systemd-sysext does at boot, for those that are
// releases of Kubernetes.
func (e *Executor) activateExtensions() error {
	for _, folder := range extensionFolders {
		images, err := filepath.Glob(e.path(filepath.Join(folder, "*.raw")))
		if err != nil {
			return fmt.Errorf("looking for system extensions: %w", err)
		}
		for _, image := range images {
			if err := e.activate(image); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *Executor) activate(image string) error {
	if target, err := os.Readlink(image); err == nil {
		if !filepath.IsAbs(target) {
			target = filepath.Join(strings.TrimPrefix(filepath.Dir(image), filepath.Clean(e.Root)), target)
		}
		image = e.path(target)
	}
	info, err := os.Stat(image)
	if errors.Is(err, fs.ErrNotExist) {
		e.Printf("ignition: the system extension %s is not there", image)
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking at a system extension: %w", err)
	}
	if info.Size() > 1<<10 {
		e.Printf("ignition: the system extension %s has no effect here", image)
		return nil
	}
	content, err := os.ReadFile(image)
	if err != nil {
		return fmt.Errorf("reading a system extension: %w", err)
	}
	version, ours := strings.CutPrefix(strings.TrimSpace(string(content)), extensionMark)
	if !ours {
		e.Printf("ignition: the system extension %s has no effect here", image)
		return nil
	}
	for _, name := range packages.Names {
		if err := e.Image.Select(version, e.path(filepath.Join(e.Programs, name))); err != nil {
			return fmt.Errorf("activating a system extension: %w", err)
		}
	}
	e.Printf("ignition: the system extension of Kubernetes %s is active", version)
	return nil
}
