package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/packetyard/packetyard/internal/yard"
)

func newStatus(shared *settings) *cobra.Command {
	var output string
	command := &cobra.Command{
		Use:   "status",
		Short: "Show devices, machines and nodes side by side",
		Long: `status asks every part of the yard: the Packet API for devices, the machine
driver for processes and memory, Cluster API for Machines, and the clusters for
nodes. A part that is down is said to be, and the others are shown.`,
		Example: `  packetyard status
  packetyard status -o json`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if output != "table" && output != "json" {
				return fmt.Errorf("-o %q: it is one of table and json", output)
			}
			dir, err := shared.open()
			if err != nil {
				return err
			}
			status := yard.ReadStatus(command.Context(), dir)
			if output == "table" {
				return status.Print(command.OutOrStdout())
			}
			encoder := json.NewEncoder(command.OutOrStdout())
			encoder.SetIndent("", "  ")
			if err := encoder.Encode(status); err != nil {
				return fmt.Errorf("printing the status: %w", err)
			}
			return nil
		},
	}
	command.Flags().StringVarP(&output, "output", "o", "table", "form of the output: table or json")
	return command
}
