package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/packetyard/packetyard/internal/machines"
	"github.com/packetyard/packetyard/internal/machines/namespaces"
	"github.com/packetyard/packetyard/internal/machines/none"
)

// The values of --machines.
const (
	machinesNone       = "none"
	machinesNamespaces = "namespaces"
)

func machineDrivers() []string {
	return []string{machinesNone, machinesNamespaces}
}

func (o *options) newDriver(ctx context.Context, logger *slog.Logger) (machines.Driver, error) {
	switch o.machines {
	case machinesNone:
		return none.New(), nil
	case machinesNamespaces:
		image, err := o.image()
		if err != nil {
			return nil, err
		}
		driver, err := namespaces.New(ctx, namespaces.Config{DataDir: o.dataDir, ImageDir: image, Logger: logger})
		if err != nil {
			return nil, fmt.Errorf("starting the machines of --machines %s: %w", o.machines, err)
		}
		return driver, nil
	default:
		return nil, fmt.Errorf("--machines %q is not one of %s", o.machines, strings.Join(machineDrivers(), ", "))
	}
}

// image is the directory of the machine image, which make puts beside this
// program.
func (o *options) image() (string, error) {
	image := o.machineImage
	if image == "" {
		executable, err := os.Executable()
		if err != nil {
			return "", fmt.Errorf("finding the running program: %w", err)
		}
		image = filepath.Join(filepath.Dir(executable), "machine-image")
	}
	if _, err := os.Stat(filepath.Join(image, "init")); err != nil {
		return "", fmt.Errorf("--machine-image %q is no machine image, which has a program named init: %w", image, err)
	}
	return image, nil
}

// subcommands are what the program runs itself as, to be a machine, and
// what people look at machines with.
func subcommands() []*cobra.Command {
	return append(namespaces.Commands(), namespaces.MachinesCommand(), backupCommand(), restoreCommand())
}
