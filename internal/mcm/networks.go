package mcm

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	machineclassv1alpha1 "github.com/packetyard/packetyard/api/machineclass/v1alpha1"
	"github.com/packetyard/packetyard/pkg/packet"
)

// unfinishedLife is how long a device is waited for that does not become active.
const unfinishedLife = 2 * time.Hour

// missingNetworks are the virtual networks that the bond of a device has to be put into, by its tags.
func missingNetworks(device *packet.Device) []string {
	bond := bondOf(device)
	var missing []string
	for _, tag := range device.Tags {
		if network, wanted := strings.CutPrefix(tag, machineclassv1alpha1.TagPrefixVLAN); wanted && (bond == nil || !isIn(bond, network)) {
			missing = append(missing, network)
		}
	}
	return missing
}

// unfinished tells whether a device has to be put into virtual networks, sooner or later.
func unfinished(device *packet.Device) bool {
	return !leaving(device) && device.State != packet.StateFailed && len(missingNetworks(device)) > 0
}

// finish sees to it that all devices of the cluster are put into their virtual networks as soon as they are active, and
// returns at once. MCM's own retries do not suffice: it forgets to initialize a machine whose node was faster.
func (a *account) finish(ctx context.Context) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.wanted++
	if a.finishing {
		return
	}
	a.finishing = true
	go a.finishAll(context.WithoutCancel(ctx))
}

// finishAll works until no device waits any more. There is one of it for an account.
func (a *account) finishAll(ctx context.Context) {
	refused := map[string]bool{}
	for poll := time.NewTicker(a.options.NetworkPoll); ; {
		a.mutex.Lock()
		wanted := a.wanted
		a.mutex.Unlock()
		again := a.finishOnce(ctx, refused)
		a.mutex.Lock()
		if !again && wanted == a.wanted {
			a.finishing = false
			a.mutex.Unlock()
			poll.Stop()
			return
		}
		a.mutex.Unlock()
		<-poll.C
	}
}

// finishOnce puts those devices into their virtual networks that are active, and tells whether others wait. What the API
// refuses, it refuses again: MCM's own try tells of it.
func (a *account) finishOnce(ctx context.Context, refused map[string]bool) (again bool) {
	snapshot, err := a.listing(ctx, a.touched())
	if err != nil {
		a.log(ctx, "Devices are not put into their virtual networks for now.", err)
		return true
	}
	for n := range snapshot.Devices() {
		device := &snapshot.Devices()[n]
		bond := bondOf(device)
		switch {
		case !unfinished(device) || refused[device.ID]:
		case device.State != packet.StateActive || bond == nil:
			again = again || a.options.Clock.Now().Sub(created(device).Time) < unfinishedLife
		default:
			if err := a.assign(ctx, bond, missingNetworks(device)); err != nil {
				a.log(ctx, "A device was not put into its virtual networks.", failed(err, describe(device), a.token))
				refused[device.ID] = packet.IsUnprocessable(err)
				again = again || !refused[device.ID]
			}
			a.touch()
		}
	}
	return again
}

func (a *account) log(ctx context.Context, message string, err error) {
	if a.options.Logger != nil {
		a.options.Logger.WarnContext(ctx, message, "project", a.projectID, "error", err)
	}
}

// assign puts a port into virtual networks. In some of them it may be already, because the listing is some seconds old.
func (a *account) assign(ctx context.Context, port *packet.Port, networks []string) error {
	var problems error
	for _, network := range networks {
		_, err := a.client.AssignPort(ctx, port.ID, network)
		var answer *packet.Error
		if errors.As(err, &answer) && packet.IsUnprocessable(err) && said(answer, "already") {
			continue
		}
		if err != nil {
			problems = errors.Join(problems, fmt.Errorf("virtual network %s: %w", network, err))
		}
	}
	return problems
}

// bondOf is the port over the device's interfaces, nil if it has none yet.
func bondOf(device *packet.Device) *packet.Port {
	for n := range device.NetworkPorts {
		if device.NetworkPorts[n].Type == packet.PortTypeBond {
			return &device.NetworkPorts[n]
		}
	}
	return nil
}

// isIn tells whether a port is in a virtual network. The API shows those of a port in full or as references.
func isIn(port *packet.Port, network string) bool {
	for n := range port.VirtualNetworks {
		shown := &port.VirtualNetworks[n]
		if strings.EqualFold(shown.ID, network) || strings.EqualFold(path.Base(shown.Href), network) {
			return true
		}
	}
	return false
}
