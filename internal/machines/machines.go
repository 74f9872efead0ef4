// Package machines is the border between a device, which is a record in the
// Packet API, and a machine, which is whatever makes that record real.
//
// The API server's lifecycle decides what should happen to a device; a Driver
// makes it happen. Drivers live in the folders below this one.
package machines

import (
	"context"
	"errors"
	"net"
)

// ErrNotFound is returned by a Driver that is asked about a machine it does
// not have.
var ErrNotFound = errors.New("no such machine")

// Spec is all that hardware needs to know of its device. User data is not in
// it: a machine reads that from the metadata service, as real ones did.
type Spec struct {
	// ID is the device's UUID.
	ID string `json:"id"`
	// Hostname is the device's host name, set before the machine's first process starts.
	Hostname string `json:"hostname"`
	// Plan and OperatingSystem are catalogue slugs, for example c3.small.x86 and ubuntu_24_04.
	Plan            string `json:"plan"`
	OperatingSystem string `json:"operatingSystem"`
	// CPUs and MemoryBytes are the plan's, which the machine reports as its own.
	CPUs        int   `json:"cpus"`
	MemoryBytes int64 `json:"memoryBytes"`
	// Addresses are all addresses assigned to the device.
	Addresses []Address `json:"addresses"`
}

// Address is one IP address of a machine, in the terms of the API's IP
// assignment.
type Address struct {
	Address string `json:"address"`
	CIDR    int    `json:"cidr"`
	Gateway string `json:"gateway,omitempty"`
	// Family is 4 or 6.
	Family int  `json:"family"`
	Public bool `json:"public"`
	// Management is true for the addresses a device is born with, and false
	// for an elastic address, which the switch routes to the machine.
	Management bool `json:"management"`
}

// PowerState says whether a machine runs.
type PowerState string

// The power states of a machine.
const (
	PowerOn  PowerState = "on"
	PowerOff PowerState = "off"
)

// Status is what a Driver knows of one machine.
type Status struct {
	ID       string     `json:"id"`
	Hostname string     `json:"hostname"`
	Power    PowerState `json:"power"`
	// PID is the host's number of the machine's first process, 0 where there is none.
	PID int `json:"pid,omitempty"`
	// MemoryBytes is what the machine's processes have resident, 0 where it is not known.
	MemoryBytes int64 `json:"memoryBytes,omitempty"`
}

// Event tells that a machine's power state changed without having been asked,
// for example because its first process ended.
type Event struct {
	ID    string     `json:"id"`
	Power PowerState `json:"power"`
	// Detail is for people: why the state changed.
	Detail string `json:"detail,omitempty"`
}

// Driver makes machines of devices. Every method is idempotent, because the
// caller may die between a call and the record of it, and asks again.
type Driver interface {
	// Provision makes the machine exist and switches it on. A machine that
	// exists already is left as it is, but for its addresses.
	Provision(ctx context.Context, spec Spec) error
	// Deprovision ends the machine and removes all that it had. It returns
	// when nothing is left; a machine that does not exist is no error.
	Deprovision(ctx context.Context, id string) error
	// PowerOn, PowerOff and Reboot return ErrNotFound for an unknown machine.
	PowerOn(ctx context.Context, id string) error
	PowerOff(ctx context.Context, id string) error
	Reboot(ctx context.Context, id string) error
	// Rescue boots the machine from a system that lives in its memory: what is
	// on its disk neither starts nor changes, and its user data does not run. It
	// lasts until the machine is switched on or rebooted again. It returns
	// ErrNotFound for an unknown machine.
	Rescue(ctx context.Context, spec Spec) error
	// Reinstall wipes the machine's disk and boots it anew.
	Reinstall(ctx context.Context, spec Spec) error
	// SetAddresses makes the machine and the switch agree with the given
	// list, which is complete.
	SetAddresses(ctx context.Context, id string, addresses []Address) error
	// List tells every machine that exists, so that a restarted API server
	// finds its machines again.
	List(ctx context.Context) ([]Status, error)
	// Watch reports changes until the context ends, then closes the channel.
	Watch(ctx context.Context) (<-chan Event, error)
	// SelfReporting tells whether a machine phones home by itself. Where it
	// does not, the lifecycle makes the device active on its own clock.
	SelfReporting() bool
	// Close lets go of the driver's connections. Machines keep running.
	Close() error
}

// Network is implemented by a Driver whose machines live on a network that is
// not the host's. The API server listens there too, for its machines.
type Network interface {
	// Listen listens inside the machines' network.
	Listen(ctx context.Context, network, address string) (net.Listener, error)
	// Dial connects from inside the machines' network.
	Dial(ctx context.Context, network, address string) (net.Conn, error)
}
