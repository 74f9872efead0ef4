package main

import (
	"github.com/spf13/cobra"

	"github.com/packetyard/packetyard/internal/yard"
)

func newConsole(shared *settings) *cobra.Command {
	var follow bool
	command := &cobra.Command{
		Use:   "console MACHINE",
		Short: "Print all that a machine has written to its console",
		Long: `console prints a machine's serial console from its first boot on: its init, its
user data with kubeadm, its kubelet. MACHINE is a host name, the name of a
Machine or node, or a device ID.`,
		Example: `  packetyard console demo-master-0
  packetyard console -f bootstrap`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, arguments []string) error {
			dir, err := shared.open()
			if err != nil {
				return err
			}
			return yard.Console(command.Context(), dir, arguments[0], command.OutOrStdout(), follow)
		},
	}
	command.Flags().BoolVarP(&follow, "follow", "f", false, "go on printing what the machine writes, until Ctrl-C")
	return command
}
