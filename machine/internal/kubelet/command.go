package kubelet

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/util/feature"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/component-base/version/verflag"
	"k8s.io/kubernetes/cmd/kubelet/app"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
	configvalidation "k8s.io/kubernetes/pkg/kubelet/apis/config/validation"
)

// newCommand returns the kubelet's command. Upstream's cannot be used, since it
// builds the dependencies itself; everything around them is upstream's.
func newCommand(ctx context.Context) *cobra.Command {
	cmd := &cobra.Command{
		Use:  "kubelet",
		Long: "The Kubernetes node agent, on the simulated hardware of a Packetyard machine.",
		// The command line is parsed twice, before and after the configuration
		// file is read, so cobra must leave it alone.
		DisableFlagParsing: true,
		SilenceUsage:       true,
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		line, err := parseCommandLine(args)
		if err != nil {
			return err
		}
		if line.help {
			fmt.Fprintf(cmd.OutOrStdout(), "%s\n\nUsage:\n  kubelet [flags]\n\nFlags:\n%s", cmd.Long, line.flags.FlagUsagesWrapped(2))
			return nil
		}
		verflag.PrintAndExitIfRequested()
		return run(ctx, line)
	}
	return cmd
}

// run starts the kubelet that the command line describes, and returns when it
// was told to stop.
func run(ctx context.Context, line *commandLine) error {
	settings, err := line.settings(ctx)
	if err != nil {
		return err
	}
	gates := feature.DefaultMutableFeatureGate
	if err := gates.SetFromMap(settings.FeatureGates); err != nil {
		return fmt.Errorf("setting feature gates: %w", err)
	}
	logs.InitLogs()
	if err := logsapi.ValidateAndApplyAsField(&settings.Logging, gates, field.NewPath("logging")); err != nil {
		return fmt.Errorf("setting up logging: %w", err)
	}
	cliflag.PrintFlags(line.flags)

	applyHardware(&settings.KubeletConfiguration)
	if err := configvalidation.ValidateKubeletConfiguration(&settings.KubeletConfiguration, gates); err != nil {
		return fmt.Errorf("kubelet configuration: %w", err)
	}
	if err := options.ValidateKubeletServer(settings); err != nil {
		return fmt.Errorf("kubelet settings: %w", err)
	}

	// From here on a signal stops the kubelet in order.
	ctx = server.SetupSignalContext()
	dependencies, err := newDependencies(ctx, settings)
	if err != nil {
		return err
	}
	gates.AddMetrics()
	return app.Run(ctx, settings, dependencies, gates)
}
