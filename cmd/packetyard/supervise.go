package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/packetyard/packetyard/internal/yard"
)

// newSupervise is the yard's daemon, which `up` starts.
func newSupervise(shared *settings) *cobra.Command {
	var image, profile string
	command := &cobra.Command{
		Use:    yard.SuperviseCommand,
		Short:  "Keep the Packet API server running; up starts this",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			dir, err := shared.open()
			if err != nil {
				return err
			}
			log := slog.New(slog.NewTextHandler(command.ErrOrStderr(), nil))
			return yard.Supervise(command.Context(), dir, yard.SuperviseOptions{Image: image, Profile: profile, Log: log})
		},
	}
	command.Flags().StringVar(&image, "machine-image", "", "directory of the machine image")
	command.Flags().StringVar(&profile, "profile", "instant", "speed of the Packet API's devices")
	return command
}
