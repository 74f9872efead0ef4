package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/packetyard/packetyard/internal/yard"
)

func newKubeconfig(shared *settings) *cobra.Command {
	var pathOnly bool
	command := &cobra.Command{
		Use:   "kubeconfig [bootstrap|[NAMESPACE/]CLUSTER]",
		Short: "Print the kubeconfig of a cluster",
		Long: `kubeconfig prints the kubeconfig of a workload cluster (the only one where no
name is given), or that of the bootstrap cluster. It works from this machine:
it names a proxy into the machines' network, which runs while the yard does.
A cluster in another namespace than default is named with it.`,
		Example: `  packetyard kubeconfig > demo.kubeconfig
  export KUBECONFIG=$(packetyard kubeconfig --path)
  KUBECONFIG=$(packetyard kubeconfig bootstrap --path) clusterctl describe cluster demo`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, arguments []string) error {
			dir, err := shared.open()
			if err != nil {
				return err
			}
			cluster := ""
			if len(arguments) > 0 {
				cluster = arguments[0]
			}
			path, err := yard.KubeconfigPath(command.Context(), dir, cluster)
			if err != nil {
				return err
			}
			if pathOnly {
				fmt.Fprintln(command.OutOrStdout(), path)
				return nil
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return fmt.Errorf("reading the kubeconfig: %w", err)
			}
			_, err = command.OutOrStdout().Write(content)
			return err
		},
	}
	command.Flags().BoolVar(&pathOnly, "path", false, "print the path of the file instead of what is in it")
	return command
}
