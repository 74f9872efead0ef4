// Package packages answers for the package managers of a simulated machine:
// apt and dnf, under all names of their commands.
//
// A machine has the programs of its host, so there is nothing to install, with
// one exception: kubeadm, kubelet and kubectl are part of the machine image,
// which may have several versions of them. Installing these packages chooses
// the version that the machine runs, as it does on a real one.
package packages

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/packetyard/packetyard/internal/machineos/kubernetes"
)

// Names are the packages that choose a version.
var Names = []string{"kubeadm", "kubelet", "kubectl"}

// Exit codes of apt, which dnf shares but for its failures.
const (
	exitOK         = 0
	exitDNFFailure = 1
	exitAPTFailure = 100
)

// heldFile lists the packages that are kept at their version.
const heldFile = "/var/lib/packetyard/held-packages"

// Manager installs packages in a machine.
type Manager struct {
	// Root is the machine's root directory, / in a machine.
	Root string
	// Image has the versions that can be installed.
	Image kubernetes.Image
	// Programs is the machine's directory of links to programs.
	Programs       string
	Stdout, Stderr io.Writer
}

// Commands are the names that Run knows.
func Commands() []string {
	return []string{"apt", "apt-get", "apt-cache", "apt-mark", "dnf", "yum"}
}

// Run carries a command out and returns its exit code.
func (m Manager) Run(command string, arguments []string) int {
	switch command {
	case "dnf", "yum":
		return m.dnf(arguments)
	case "apt-mark":
		return m.aptMark(arguments)
	}
	return m.apt(arguments)
}

// request is one package that somebody wants.
type request struct {
	name string
	// version is empty where any will do, matches tells whether one will do.
	version string
	matches func(release string) bool
}

// notFoundError says that no version of a package is what was asked for.
type notFoundError struct {
	request
	// available are the versions there are.
	available []string
}

func (e notFoundError) Error() string {
	return fmt.Sprintf("version %q of %s is not available, there are: %s", e.version, e.name, strings.Join(e.available, ", "))
}

var errHeld = errors.New("a held package would be changed")

// change is what installing one package does.
type change struct {
	name, version string
	// same is true where the machine has the version already.
	same bool
}

// plan finds the versions to install, without installing any.
func (m Manager) plan(requests []request, changeHeld bool) ([]change, error) {
	candidates, err := m.candidates()
	if err != nil {
		return nil, err
	}
	held, err := m.held()
	if err != nil {
		return nil, err
	}
	var changes []change
	for _, wanted := range requests {
		// The newest comes last.
		found := ""
		for _, release := range candidates {
			if wanted.matches == nil || wanted.matches(release) {
				found = release
			}
		}
		if found == "" {
			return nil, notFoundError{request: wanted, available: candidates}
		}
		present, _ := m.Image.Of(m.program(wanted.name))
		one := change{name: wanted.name, version: found, same: release(present) == found}
		if !one.same && !changeHeld && slices.Contains(held, wanted.name) {
			return nil, fmt.Errorf("%w: %s is held at %s", errHeld, wanted.name, release(present))
		}
		changes = append(changes, one)
	}
	return changes, nil
}

// apply installs all that was planned.
func (m Manager) apply(changes []change) error {
	for _, one := range changes {
		version := one.version
		if version == release(m.Image.Default()) {
			version = ""
		}
		if version != "" {
			version = "v" + version
		}
		if err := m.Image.Select(version, m.program(one.name)); err != nil {
			return fmt.Errorf("installing %s: %w", one.name, err)
		}
	}
	return nil
}

func (m Manager) program(name string) string {
	return filepath.Join(m.Root, m.Programs, name)
}

// release is a version without the letter in front.
func release(version string) string { return strings.TrimPrefix(version, "v") }

// held are the packages that are not to change.
func (m Manager) held() ([]string, error) {
	content, err := os.ReadFile(filepath.Join(m.Root, heldFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("reading which packages are held: %w", err)
	}
	return strings.Fields(string(content)), nil
}

// hold keeps packages at their version, or lets them go.
func (m Manager) hold(names []string, keep bool) error {
	held, err := m.held()
	if err != nil {
		return err
	}
	held = slices.DeleteFunc(held, func(name string) bool { return slices.Contains(names, name) })
	if keep {
		held = append(held, names...)
	}
	slices.Sort(held)
	file := filepath.Join(m.Root, heldFile)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("holding packages: %w", err)
	}
	if err := os.WriteFile(file, []byte(strings.Join(held, "\n")+"\n"), 0o644); err != nil {
		return fmt.Errorf("holding packages: %w", err)
	}
	return nil
}

func (m Manager) print(format string, args ...any) { _, _ = fmt.Fprintf(m.Stdout, format, args...) }
func (m Manager) complain(format string, args ...any) {
	_, _ = fmt.Fprintf(m.Stderr, format, args...)
}
