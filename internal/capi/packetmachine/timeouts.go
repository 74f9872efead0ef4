package packetmachine

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/devices"
	"github.com/packetyard/packetyard/pkg/packet"
)

// Timeouts are how long the steps of a device's life may take where the machine does not say. One that is 0 never passes.
//
// When one passes, a condition says so and the machine is not Ready any more, which a MachineHealthCheck can act on.
// Nothing is given up: what was only late is Ready when it comes.
type Timeouts struct {
	// Queued is the time until the Packet API begins with a device.
	Queued time.Duration
	// Provisioning is the time from there until the device is active.
	Provisioning time.Duration
	// Bootstrap is the time from there until the machine is a node, or said that its user data succeeded.
	Bootstrap time.Duration
	// Deletion is the time until a device that is to be deleted is gone.
	Deletion time.Duration
}

// DefaultTimeouts are those of bare metal, which takes its time.
func DefaultTimeouts() Timeouts {
	return Timeouts{Queued: 30 * time.Minute, Provisioning: time.Hour, Bootstrap: 30 * time.Minute, Deletion: 30 * time.Minute}
}

// of are the time-outs of one machine.
func (t Timeouts) of(machine *infrav1.PacketMachine) Timeouts {
	spec := machine.Spec.Timeouts
	for _, timeout := range []struct {
		own    *metav1.Duration
		result *time.Duration
	}{{spec.Queued, &t.Queued}, {spec.Provisioning, &t.Provisioning}, {spec.Bootstrap, &t.Bootstrap}, {spec.Deletion, &t.Deletion}} {
		if timeout.own != nil {
			*timeout.result = timeout.own.Duration
		}
	}
	return t
}

// passed tells whether a time-out is over.
func passed(since time.Time, timeout time.Duration, now time.Time) bool {
	return timeout > 0 && !since.IsZero() && now.Sub(since) > timeout
}

// late reports a device that takes too long to become active. It returns false if it does not.
func (r *Reconciler) late(ctx context.Context, machine *infrav1.PacketMachine, device *packet.Device) bool {
	timeouts := r.Timeouts.of(machine)
	since, timeout, reason, field := devices.InstallingSince(device), timeouts.Provisioning, infrav1.DeviceProvisioningTimedOutReason, "provisioning"
	switch device.State {
	case packet.StateQueued:
		timeout, reason, field = timeouts.Queued, infrav1.DeviceQueuedTimedOutReason, "queued"
	case packet.StateProvisioning, packet.StateReinstalling:
	default:
		return false
	}
	if !passed(since, timeout, r.Now()) {
		return false
	}
	r.complain(ctx, machine, infrav1.DeviceReadyCondition, reason, fmt.Sprintf(
		"device %s is %s since %s, longer than the %s that spec.timeouts.%s or the manager allows: it is waited for; delete the Machine, or let a MachineHealthCheck do so, to have another device",
		device.ID, device.State, since.UTC().Format(time.RFC3339), timeout, field))
	return true
}
