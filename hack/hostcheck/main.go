// Command hostcheck says whether this host can run what `make up` brings up,
// before anything is built: a build takes minutes, and would be in vain.
// `packetyard up` checks again, for the cluster that it is given.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/packetyard/packetyard/internal/machines/namespaces"
	"github.com/packetyard/packetyard/internal/yard/host"
	"github.com/packetyard/packetyard/internal/yard/statedir"
)

// The machines of example/cluster.yaml.
const (
	controlPlanes = 1
	workers       = 2
)

func main() {
	command := &cobra.Command{
		Use: "hostcheck", Args: cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
		RunE: func(command *cobra.Command, _ []string) error { return check(command.Context()) },
	}
	// The driver tries namespaces out in a process that it starts from this program.
	command.AddCommand(namespaces.Commands()...)
	if err := command.ExecuteContext(context.Background()); err != nil {
		fmt.Fprintf(os.Stderr, "This host cannot run the yard's machines:\n%v\n", err)
		os.Exit(1)
	}
}

func check(ctx context.Context) error {
	directory, err := statedir.DefaultPath(os.Getenv)
	if err != nil {
		return err
	}
	return host.Check(ctx, host.NeedsOf(controlPlanes, workers), directory, "")
}
