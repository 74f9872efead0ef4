package yard

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/packetyard/packetyard/internal/yard/statedir"
)

// execSocket is where a machine's first process listens, on the host.
func execSocket(dir statedir.Dir, deviceID string) string {
	return filepath.Join(machinesFolder(dir), deviceID, "control", "init.sock")
}

// consoleLog is all that a machine has written to its console.
func consoleLog(dir statedir.Dir, deviceID string) string {
	return filepath.Join(machinesFolder(dir), deviceID, "console.log")
}

// FindMachine returns the ID of the device that a user means by a host name,
// a device ID, or the name of a Machine or a node. The empty name means the
// control plane of the cluster, or the bootstrap machine where there is none.
func FindMachine(ctx context.Context, dir statedir.Dir, name string) (string, error) {
	// A device ID is the name of a folder: no part of the yard has to answer.
	if name != "" && filepath.Base(name) == name {
		if _, err := os.Stat(filepath.Join(machinesFolder(dir), name)); err == nil {
			return name, nil
		}
	}
	return pick(ReadStatus(ctx, dir).Machines, name)
}

// pick finds a machine among those that exist.
func pick(all []MachineStatus, name string) (string, error) {
	all = slices.DeleteFunc(slices.Clone(all), func(m MachineStatus) bool { return m.ID() == "" })
	if name == "" {
		return pickDefault(all)
	}
	var found, known []string
	for _, machine := range all {
		names := machine.names()
		known = append(known, names[0])
		if slices.Contains(names, name) {
			found = append(found, machine.ID())
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return "", fmt.Errorf("%d machines are named %q; name one by its device ID: %s", len(found), name, strings.Join(found, ", "))
	case len(known) == 0:
		return "", fmt.Errorf("there is no machine %q, nor any other; `packetyard status` tells why", name)
	}
	return "", fmt.Errorf("there is no machine %q; there are: %s", name, strings.Join(known, ", "))
}

func pickDefault(all []MachineStatus) (string, error) {
	for _, wanted := range []func(MachineStatus) bool{
		MachineStatus.isControlPlane,
		func(m MachineStatus) bool { return m.rank() == 0 },
	} {
		if i := slices.IndexFunc(all, wanted); i >= 0 {
			return all[i].ID(), nil
		}
	}
	return "", fmt.Errorf("no machine is a control plane; `packetyard status` shows those that there are")
}

// names are all that a machine is known by, the best first.
func (m MachineStatus) names() []string {
	names := []string{m.Name(), m.ID()}
	if m.Machine != nil {
		names = append(names, m.Machine.Name)
	}
	if m.Node != nil {
		names = append(names, m.Node.Name)
	}
	if m.Power != nil {
		names = append(names, m.Power.Hostname)
	}
	return names
}
