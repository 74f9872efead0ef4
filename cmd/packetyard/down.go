package main

import (
	"github.com/spf13/cobra"

	"github.com/packetyard/packetyard/internal/yard"
	"github.com/packetyard/packetyard/internal/yard/progress"
)

func newDown(shared *settings) *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "End the yard and remove all that it made",
		Long: `down ends the Packet API and every machine, checks that no process is left, and
removes the state directory with all that was in the machines. It may be run
again, and works when half of the yard is missing.`,
		Example: `  packetyard down
  packetyard down --state-dir /tmp/yard`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			path, err := shared.path()
			if err != nil {
				return err
			}
			out := command.OutOrStdout()
			return yard.Down(command.Context(), path, progress.New(out, columns(out)))
		},
	}
}
