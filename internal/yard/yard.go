// Package yard is what `packetyard` does: it starts the Packet API server
// with machines on this host, makes a bootstrap cluster and with it a
// workload cluster, shows all of it, and takes all of it away again.
//
// Everything is found again from the state directory and from the APIs
// themselves, so that any command may be interrupted and repeated.
package yard

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/packetyard/packetyard/internal/yard/process"
	"github.com/packetyard/packetyard/internal/yard/statedir"
)

// Programs are the paths of what a yard runs.
type Programs struct {
	// Packetyard is this program, which is also the supervisor.
	Packetyard string
	// APIServer is the packet-api-server program.
	APIServer string
	// Image is the machine image's directory.
	Image string
	// Components is the provider-components.yaml.
	Components string
}

// FindPrograms finds what belongs to the given packetyard executable: all
// lies beside it, but for a machine image that the user names.
func FindPrograms(executable, image string) (Programs, error) {
	// bin/packetyard may be called through a link in a folder of PATH.
	executable, err := filepath.EvalSymlinks(executable)
	if err != nil {
		return Programs{}, fmt.Errorf("finding the folder of this program: %w", err)
	}
	folder := filepath.Dir(executable)
	if image == "" {
		image = filepath.Join(folder, "machine-image")
	}
	if image, err = filepath.Abs(image); err != nil {
		return Programs{}, fmt.Errorf("finding the machine image: %w", err)
	}
	programs := Programs{
		Packetyard: executable,
		APIServer:  filepath.Join(folder, "packet-api-server"),
		Image:      image,
		Components: filepath.Join(folder, "provider-components.yaml"),
	}
	var missing []error
	for _, path := range []string{
		programs.APIServer, programs.Components,
		filepath.Join(image, "init"), programs.Kube(), filepath.Join(image, "images"),
	} {
		if _, err := os.Stat(path); err != nil {
			missing = append(missing, fmt.Errorf("%s is missing; `make build` makes it", path))
		}
	}
	return programs, errors.Join(missing...)
}

// Kube is the multi-call binary of Kubernetes' programs, of which the yard
// uses kubectl on the host.
func (p Programs) Kube() string { return filepath.Join(p.Image, "kube") }

// machinesFolder is where the machine driver keeps the machines' files.
func machinesFolder(dir statedir.Dir) string { return filepath.Join(dir.API(), "machines") }

// processes tells how the processes of a yard are found on the host.
func processes(dir statedir.Dir) process.Yard {
	return process.Yard{
		StateDir: dir.Path(),
		Machines: machinesFolder(dir),
		Daemons: []process.Daemon{
			{Program: "packetyard", Command: SuperviseCommand},
			// The rack, which holds the machines, is this program, too.
			{Program: "packet-api-server"},
		},
	}
}

// SuperviseCommand is the hidden subcommand that is the yard's daemon.
const SuperviseCommand = "supervise"
