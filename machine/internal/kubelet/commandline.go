package kubelet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/pflag"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
	kubeletconfig "k8s.io/kubernetes/pkg/kubelet/apis/config"
	"k8s.io/kubernetes/pkg/kubelet/kubeletconfig/configfiles"
	"k8s.io/kubernetes/pkg/util/filesystem"
)

// commandLine is a parsed kubelet command line.
type commandLine struct {
	args   []string
	flags  *pflag.FlagSet
	node   *options.KubeletFlags
	config *kubeletconfig.KubeletConfiguration
	help   bool
}

// parseCommandLine parses the arguments that follow the program's name.
func parseCommandLine(args []string) (*commandLine, error) {
	config, err := options.NewKubeletConfiguration()
	if err != nil {
		return nil, fmt.Errorf("building the default kubelet configuration: %w", err)
	}
	line := &commandLine{args: args, node: options.NewKubeletFlags(), config: config}
	line.flags = pflag.NewFlagSet("kubelet", pflag.ContinueOnError)
	line.flags.SetNormalizeFunc(cliflag.WordSepNormalizeFunc)
	line.node.AddFlags(line.flags)
	options.AddKubeletConfigFlags(line.flags, line.config)
	options.AddGlobalFlags(line.flags)
	line.flags.BoolVarP(&line.help, "help", "h", false, "help for kubelet")
	if err := line.flags.Parse(args); err != nil {
		return nil, fmt.Errorf("kubelet command line: %w", err)
	}
	if rest := line.flags.Args(); len(rest) > 0 {
		return nil, fmt.Errorf("kubelet command line: unknown command %q", rest[0])
	}
	return line, nil
}

// settings returns what the kubelet shall run with: the configuration file if
// one is named, with the flags of the command line over it, as upstream has it.
func (line *commandLine) settings(ctx context.Context) (*options.KubeletServer, error) {
	if err := options.ValidateKubeletFlags(line.node); err != nil {
		return nil, fmt.Errorf("kubelet flags: %w", err)
	}
	if line.node.KubeletDropinConfigDirectory != "" {
		return nil, errors.New("kubelet flags: --config-dir is not supported on a Packetyard machine: write the settings into the file that --config names")
	}
	if line.node.KubeletConfigFile == "" {
		return &options.KubeletServer{KubeletFlags: *line.node, KubeletConfiguration: *line.config}, nil
	}
	config, err := loadConfig(ctx, line.node.KubeletConfigFile)
	if err != nil {
		return nil, err
	}
	if err := overrideByFlags(config, line.args); err != nil {
		return nil, err
	}
	return &options.KubeletServer{KubeletFlags: *line.node, KubeletConfiguration: *config}, nil
}

func loadConfig(ctx context.Context, name string) (*kubeletconfig.KubeletConfiguration, error) {
	path, err := filepath.Abs(name)
	if err != nil {
		return nil, fmt.Errorf("finding kubelet configuration file %q: %w", name, err)
	}
	loader, err := configfiles.NewFsLoader(&filesystem.DefaultFs{}, path)
	if err != nil {
		return nil, fmt.Errorf("preparing to read kubelet configuration file %q: %w", path, err)
	}
	config, err := loader.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading kubelet configuration file %q: %w", path, err)
	}
	return config, nil
}

// overrideByFlags parses the command line once more, this time over the
// configuration that came from the file. Flags that are not part of it go
// nowhere, because some of them add up when they are set twice. Feature gates of
// both places are kept.
func overrideByFlags(config *kubeletconfig.KubeletConfiguration, args []string) error {
	global := pflag.NewFlagSet("", pflag.ContinueOnError)
	global.SetNormalizeFunc(cliflag.WordSepNormalizeFunc)
	options.AddGlobalFlags(global)

	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.SetNormalizeFunc(cliflag.WordSepNormalizeFunc)
	flags.SetOutput(io.Discard) // Deprecations were already announced by the first parse.
	global.VisitAll(func(f *pflag.Flag) {
		flags.VarPF(cliflag.NoOp{}, f.Name, f.Shorthand, f.Usage).NoOptDefVal = f.NoOptDefVal
	})
	options.NewKubeletFlags().AddFlags(flags)
	fromFile := config.FeatureGates
	options.AddKubeletConfigFlags(flags, config)
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("kubelet command line: %w", err)
	}
	for gate, enabled := range fromFile {
		if _, ok := config.FeatureGates[gate]; !ok {
			config.FeatureGates[gate] = enabled
		}
	}
	return nil
}
