// Package namespaces makes machines of Linux namespaces, without root and
// without images: each has its own users, mounts, network, processes and host
// name, runs the host's programs from its own version of the host's /usr, and
// hangs on a bridge that plays the top-of-rack switch.
//
// The machines belong to a process of their own, the rack, which New starts
// if it does not run and which outlives the process that started it:
//
//	API server --(unix socket)--> rack --(clone)--> boot stage = init of a machine
//
// Rack and boot stage are the same program under hidden subcommands, see
// Commands. A program that calls New or CheckHost must have them.
package namespaces

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/packetyard/packetyard/internal/machines"
	"github.com/packetyard/packetyard/internal/machines/namespaces/fabric"
	"github.com/packetyard/packetyard/internal/machines/namespaces/wire"
)

// Fixed addresses of the yard, on the switch; all serve port 80.
const (
	APIAddress               = fabric.APIAddress
	MetadataAddress          = fabric.MetadataAddress
	LinkLocalMetadataAddress = fabric.LinkLocalMetadataAddress
	// APIAddress6 and MetadataAddress6 are there where the kernel has IPv6.
	APIAddress6      = fabric.APIAddress6
	MetadataAddress6 = fabric.MetadataAddress6
)

// Config is what the driver needs.
type Config struct {
	// DataDir is the API server's data directory; machines live below it.
	DataDir string
	// ImageDir is the directory of the machine image, which holds init.
	ImageDir string
	// Executable is a program with the subcommands of Commands; empty means the running one.
	Executable string
	// StopGrace is how long a machine may take to end in good order, 10 s where it is zero.
	StopGrace time.Duration
	Logger    *slog.Logger
	// probe replaces the one of CheckHost, in tests.
	probe func(context.Context, ProbeRequest) ([]ProbeFailure, error)
}

// complete fills in what may be left out and checks the rest.
func (c Config) complete() (Config, error) {
	var problems []error
	for _, field := range []struct {
		name  string
		value *string
	}{{"DataDir", &c.DataDir}, {"ImageDir", &c.ImageDir}} {
		if *field.value == "" {
			problems = append(problems, fmt.Errorf("%s: it is empty, a directory is needed", field.name))
			continue
		}
		absolute, err := filepath.Abs(*field.value)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", field.name, err))
		}
		*field.value = absolute
	}
	if c.Executable == "" {
		executable, err := os.Executable()
		if err != nil {
			problems = append(problems, fmt.Errorf("finding the running program: %w", err))
		}
		c.Executable = executable
	}
	if c.StopGrace == 0 {
		c.StopGrace = 10 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, errors.Join(problems...)
}

// New returns the driver for the machines in a data directory. It starts
// their rack if it does not run, which boots the machines that ran last.
func New(ctx context.Context, config Config) (*Driver, error) {
	config, err := config.complete()
	if err != nil {
		return nil, fmt.Errorf("configuring the namespaces driver: %w", err)
	}
	client, err := newClient(config.DataDir)
	if err != nil {
		return nil, err
	}
	d := &Driver{
		config:    config,
		client:    client,
		listeners: map[*listener]bool{},
		power:     map[string]machines.PowerState{},
		bgp:       bgpPeers{next: make(chan struct{})},
	}
	// Only here: a rack that is started again later finds its directory, or it was removed on purpose.
	if err := os.MkdirAll(wire.Directory(config.DataDir), 0o700); err != nil {
		return nil, fmt.Errorf("making the machines' directory: %w", err)
	}
	if err := d.ensureRack(ctx); err != nil {
		return nil, err
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	d.stop = stop
	d.background.Go(func() { d.attend(background) })
	return d, nil
}
