package yard

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/packetyard/packetyard/internal/machineexec"
	"github.com/packetyard/packetyard/internal/yard/statedir"
	"github.com/packetyard/packetyard/pkg/packet"
)

// bootstrapHostname is the bootstrap machine's host name.
const bootstrapHostname = "bootstrap"

// bootstrapTag is how the bootstrap machine is found again.
const bootstrapTag = "packetyard:bootstrap"

// What the bootstrap machine is, in the catalogue's terms.
const (
	bootstrapPlan            = "c3.small.x86"
	bootstrapOperatingSystem = "ubuntu_24_04"
	bootstrapMetro           = "da"
)

// bootstrapUserData makes a cluster of one node. Secrets, and Cluster API's
// objects that hold kubeadm tokens, are encrypted in its etcd with a key that
// is made on the machine and never leaves it.
//
//go:embed bootstrap.cloud-config
var bootstrapUserData string

// ensureBootstrapDevice returns the bootstrap machine's device, and creates it
// where there is none.
func ensureBootstrapDevice(ctx context.Context, api *api) (*packet.Device, error) {
	found, err := findBootstrapDevice(ctx, api)
	if err != nil || found != nil {
		return found, err
	}
	created, err := api.CreateDevice(ctx, api.credentials.ProjectID, packet.DeviceCreate{
		Hostname:        bootstrapHostname,
		Plan:            bootstrapPlan,
		OperatingSystem: bootstrapOperatingSystem,
		Metro:           bootstrapMetro,
		Tags:            []string{bootstrapTag},
		Userdata:        bootstrapUserData,
	})
	if err != nil {
		return nil, fmt.Errorf("creating the bootstrap machine: %w", err)
	}
	return created, nil
}

// findBootstrapDevice returns nil where there is no bootstrap machine.
func findBootstrapDevice(ctx context.Context, api *api) (*packet.Device, error) {
	devices, err := api.Devices(ctx, api.credentials.ProjectID, packet.DeviceFilter{Tag: bootstrapTag})
	if err != nil {
		return nil, fmt.Errorf("looking for the bootstrap machine: %w", err)
	}
	devices = slices.DeleteFunc(devices, func(device packet.Device) bool {
		return !packet.HasTags(device.Tags, bootstrapTag) || device.State == packet.StateDeprovisioning
	})
	if len(devices) == 0 {
		return nil, nil
	}
	return &devices[0], nil
}

// bootstrapState is what the bootstrap machine is at.
type bootstrapState struct {
	device *packet.Device
	// done is true when its user data has run to the end.
	done bool
	// stage says in words what it is at while it is not.
	stage string
}

// lookAtBootstrap makes sure that the bootstrap machine exists, and tells what
// it is at. An error means that it cannot become what it is to be.
func lookAtBootstrap(ctx context.Context, api *api) (bootstrapState, error) {
	// A creation whose answer was lost may have happened or not: looking
	// before every creation finds out.
	device, err := ensureBootstrapDevice(ctx, api)
	if packet.IsTransient(err) {
		return bootstrapState{stage: "the Packet API does not answer; trying again"}, nil
	}
	if err != nil {
		return bootstrapState{}, err
	}
	state := bootstrapState{device: device, stage: fmt.Sprintf("the device is %s (%.0f %%)", device.State, device.ProvisioningPercentage)}
	switch device.State {
	case packet.StateFailed:
		return state, &MachineFailedError{Name: device.Hostname, Problem: "its installation failed"}
	case packet.StateActive:
	case packet.StateInactive:
		// Nobody else would ever switch it on, and all waits for it.
		state.stage = "it is off; switching it on"
		err := api.DeviceAction(ctx, device.ID, packet.DeviceAction{Type: packet.ActionPowerOn})
		if err != nil && !packet.IsTransient(err) && !packet.IsUnprocessable(err) {
			return state, fmt.Errorf("switching the bootstrap machine on: %w", err)
		}
		return state, nil
	default:
		return state, nil
	}
	state.stage = "kubeadm runs on it"
	events, err := api.DeviceEvents(ctx, device.ID)
	if packet.IsTransient(err) {
		return state, nil
	}
	if err != nil {
		return state, fmt.Errorf("reading the events of the bootstrap machine: %w", err)
	}
	state.done, err = userDataDone(device, events)
	return state, err
}

// userDataDone reads from a device's events, newest first, whether its user
// data has run. A failure is an error.
func userDataDone(device *packet.Device, events []packet.Event) (bool, error) {
	for _, event := range events {
		switch event.Type {
		case packet.UserStateSucceeded:
			return true, nil
		case packet.UserStateFailed:
			return false, &MachineFailedError{Name: device.Hostname, Problem: "its user data failed", Console: event.Body}
		case packet.UserStateRunning:
			return false, nil
		}
	}
	return false, nil
}

// MachineFailedError says that a machine cannot become a node.
type MachineFailedError struct {
	// Name is what `packetyard console` knows the machine by.
	Name    string
	Problem string
	// Console is the end of its console, if it is known.
	Console string
}

// Error implements error.
func (e *MachineFailedError) Error() string {
	text := fmt.Sprintf("machine %s: %s", e.Name, e.Problem)
	if e.Console != "" {
		text += ":\n" + indent(e.Console)
	}
	return text
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n    ")
}

// adminKubeconfig reads the kubeconfig that kubeadm left on a machine.
func adminKubeconfig(ctx context.Context, dir statedir.Dir, deviceID string) ([]byte, error) {
	const path = "/etc/kubernetes/admin.conf"
	var output, problem strings.Builder
	code, err := machineexec.RunAt(ctx, execSocket(dir, deviceID), machineexec.Request{Command: []string{"cat", path}},
		machineexec.Streams{Stdout: &output, Stderr: &problem})
	if err != nil {
		return nil, fmt.Errorf("reading %s on the machine: %w", path, err)
	}
	if code != 0 {
		return nil, fmt.Errorf("reading %s on the machine: %s", path, strings.TrimSpace(problem.String()))
	}
	return []byte(output.String()), nil
}
