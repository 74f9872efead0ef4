// Package wire is what the rack and its clients say to each other: HTTP and
// JSON over a unix socket in the rack's directory.
package wire

import (
	"path/filepath"

	"github.com/packetyard/packetyard/internal/machines"
)

// Protocol is the version of this package's meaning. A rack outlives the
// process that started it, so the two may be of different builds.
const Protocol = 1

// Names in a data directory.
const (
	// DirectoryName is the rack's directory in a data directory; in it lie
	// the other files and one directory for each machine, named after it.
	DirectoryName = "machines"
	SocketName    = "rack.sock"
	// LockName is locked by a rack as long as it lives, StartLockName by
	// whoever starts one.
	LockName      = "rack.lock"
	StartLockName = "start.lock"
	LogName       = "rack.log"
	// ConsoleName is in a machine's directory.
	ConsoleName = "console.log"
	// InitSocketName is in a machine's control directory.
	InitSocketName = "init.sock"
)

// Directory is the rack's directory in a data directory.
func Directory(dataDirectory string) string { return filepath.Join(dataDirectory, DirectoryName) }

// Paths of the rack's HTTP interface. The ones under machines take the
// machine's identifier as {id}.
const (
	StatusPath    = "/status"
	ImagePath     = "/image"
	ListPath      = "/machines"
	MachinePath   = "/machines/{id}"
	PowerOnPath   = "/machines/{id}/power-on"
	PowerOffPath  = "/machines/{id}/power-off"
	RebootPath    = "/machines/{id}/reboot"
	RescuePath    = "/machines/{id}/rescue"
	ReinstallPath = "/machines/{id}/reinstall"
	AddressesPath = "/machines/{id}/addresses"
	WatchPath     = "/watch"
	BGPPeersPath  = "/bgp-peers"
	ListenPath    = "/listen"
	DialPath      = "/dial"
	ShutdownPath  = "/shutdown"
)

// Status describes the rack.
type Status struct {
	Protocol       int    `json:"protocol"`
	PID            int    `json:"pid"`
	ImageDirectory string `json:"imageDirectory"`
}

// Image names the machine image's directory, for machines that boot from now on.
type Image struct {
	Directory string `json:"directory"`
}

// Endpoint is what to listen on or to connect to in the machines' network.
// The answer carries the socket as a file descriptor.
type Endpoint struct {
	Network string `json:"network"`
	Address string `json:"address"`
}

// Shutdown is what to leave behind.
type Shutdown struct {
	// RemoveMachines removes every machine with its disk.
	RemoveMachines bool `json:"removeMachines"`
}

// Message is one line of the answer to a watch. Exactly one field is set.
type Message struct {
	// Machines is the first message: the state that the following change.
	Machines *[]machines.Status `json:"machines,omitempty"`
	Event    *machines.Event    `json:"event,omitempty"`
	// BGP is what the switches know of all their peers. It is the second
	// message, and comes again whenever that changes.
	BGP *[]machines.BGPStatus `json:"bgp,omitempty"`
	// Shutdown says that the rack ends because it was told to.
	Shutdown bool `json:"shutdown,omitempty"`
}

// Error is the body of an answer that is not 200.
type Error struct {
	Error string `json:"error"`
	// NotFound is set for machines.ErrNotFound.
	NotFound bool `json:"notFound,omitempty"`
}
