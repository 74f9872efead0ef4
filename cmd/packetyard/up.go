package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/packetyard/packetyard/example"
	"github.com/packetyard/packetyard/internal/yard"
	"github.com/packetyard/packetyard/internal/yard/progress"
)

func newUp(shared *settings) *cobra.Command {
	var file, apiSettings string
	var controlPlanes, workers int
	options := yard.UpOptions{}
	command := &cobra.Command{
		Use:   "up",
		Short: "Bring up a cluster, or go on where the last up stopped",
		Long: `up starts the Packet API, boots a bootstrap machine, installs the Cluster API
provider on it, creates a cluster from a file, and waits until all of its nodes
are Ready and initialised by the cloud controller manager.

It may be interrupted and run again: it goes on from what is there. Run on a
yard that is up, it applies the file again; the number of workers stays as it
was scaled to unless --workers is given.`,
		Example: `  packetyard up
  packetyard up --workers 5
  packetyard up -f my-cluster.yaml --timeout 5m
  echo 'control: true' > api.yaml && packetyard up --api-settings api.yaml
  packetyard up -f example/cluster-kubeadmcontrolplane.yaml --control-planes 1`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			var err error
			if options.StateDir, err = shared.path(); err != nil {
				return err
			}
			if options.Executable, err = os.Executable(); err != nil {
				return fmt.Errorf("finding this program: %w", err)
			}
			options.Command = callAgain(os.Args[0], shared.stateDir)
			if options.ClusterFile, options.ClusterYAML, err = readClusterFile(file, command.InOrStdin()); err != nil {
				return err
			}
			if apiSettings != "" {
				if options.APISettings, err = os.ReadFile(apiSettings); err != nil {
					return fmt.Errorf("--api-settings: %w", err)
				}
			}
			if command.Flags().Changed("control-planes") {
				options.ControlPlanes = &controlPlanes
			}
			if command.Flags().Changed("workers") {
				options.Workers = &workers
			}
			if options.Timeout <= 0 {
				return fmt.Errorf("--timeout %s: it must be more than 0", options.Timeout)
			}
			out := command.OutOrStdout()
			result, err := yard.Up(command.Context(), options, progress.New(out, columns(out)))
			if err != nil {
				return err
			}
			return result.Print(command.Context(), out)
		},
	}
	flags := command.Flags()
	flags.StringVarP(&file, "file", "f", "", `file with the Cluster and its machines, "-" for the standard input (default the built-in example/cluster.yaml)`)
	flags.IntVar(&controlPlanes, "control-planes", 0, "how many control plane machines, instead of what the file says")
	flags.IntVar(&workers, "workers", 0, "how many workers, instead of what the file says")
	flags.DurationVar(&options.Timeout, "timeout", 10*time.Minute, "how long all of it may take")
	flags.StringVar(&options.Image, "machine-image", "", "directory of the machine image (default machine-image beside this program)")
	flags.StringVar(&apiSettings, "api-settings", "",
		"YAML file with settings of the Packet API server by the names of its flags, for example \"control: true\"; for a yard that is started now")
	flags.StringVar(&options.Profile, "profile", "instant", "speed of the Packet API's devices: instant, fast or realistic; for a yard that is started now")
	return command
}

// callAgain is what the user types to call this program with the same yard.
func callAgain(name, stateDir string) string {
	// A program that was found in PATH is called by its bare name, as it was.
	if stateDir == "" {
		return yard.ShellQuote(name)
	}
	return yard.ShellQuote(name) + " --state-dir " + yard.ShellQuote(stateDir)
}

// readClusterFile returns the file's name for messages, and what is in it.
func readClusterFile(name string, in io.Reader) (string, []byte, error) {
	switch name {
	case "":
		return "example/cluster.yaml", example.Cluster, nil
	case "-":
		content, err := io.ReadAll(in)
		if err != nil {
			return "", nil, fmt.Errorf("reading the cluster file from the standard input: %w", err)
		}
		return "standard input", content, nil
	}
	content, err := os.ReadFile(name)
	if err != nil {
		return "", nil, fmt.Errorf("reading the cluster file: %w", err)
	}
	return name, content, nil
}

// columns is the width of the terminal that a writer is, or 0.
func columns(out io.Writer) int {
	file, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return 0
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return 0
	}
	return width
}
