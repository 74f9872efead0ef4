// Package none is the machine driver without machines: whatever the API
// server asks for has happened. It is for work on the API itself, and for
// numbers of devices that no host could run.
package none

import (
	"context"

	"github.com/packetyard/packetyard/internal/machines"
)

// Driver keeps nothing, so no machine is ever unknown to it, and a restarted
// API server finds nothing changed.
type Driver struct{}

var _ machines.Driver = Driver{}

// New returns the driver.
func New() Driver { return Driver{} }

// Provision implements machines.Driver.
func (Driver) Provision(ctx context.Context, _ machines.Spec) error { return ctx.Err() }

// Deprovision implements machines.Driver.
func (Driver) Deprovision(ctx context.Context, _ string) error { return ctx.Err() }

// PowerOn implements machines.Driver.
func (Driver) PowerOn(ctx context.Context, _ string) error { return ctx.Err() }

// PowerOff implements machines.Driver.
func (Driver) PowerOff(ctx context.Context, _ string) error { return ctx.Err() }

// Reboot implements machines.Driver.
func (Driver) Reboot(ctx context.Context, _ string) error { return ctx.Err() }

// Rescue implements machines.Driver.
func (Driver) Rescue(ctx context.Context, _ machines.Spec) error { return ctx.Err() }

// Reinstall implements machines.Driver.
func (Driver) Reinstall(ctx context.Context, _ machines.Spec) error { return ctx.Err() }

// SetAddresses implements machines.Driver.
func (Driver) SetAddresses(ctx context.Context, _ string, _ []machines.Address) error {
	return ctx.Err()
}

// List implements machines.Driver: there are no machines.
func (Driver) List(ctx context.Context) ([]machines.Status, error) { return nil, ctx.Err() }

// Watch implements machines.Driver: nothing ever changes by itself.
func (Driver) Watch(ctx context.Context) (<-chan machines.Event, error) {
	events := make(chan machines.Event)
	context.AfterFunc(ctx, func() { close(events) })
	return events, nil
}

// SelfReporting implements machines.Driver: nothing is there to phone home.
func (Driver) SelfReporting() bool { return false }

// Close implements machines.Driver.
func (Driver) Close() error { return nil }
