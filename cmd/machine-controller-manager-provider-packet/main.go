// Command machine-controller-manager-provider-packet is the machine controller of Gardener's machine-controller-manager for
// devices of the Packet API: it runs beside machine-controller-manager and makes and deletes the devices of Machines.
package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"

	_ "github.com/gardener/machine-controller-manager/pkg/util/client/metrics/prometheus" // Metrics of requests to Kubernetes.
	"github.com/gardener/machine-controller-manager/pkg/util/provider/app"
	"github.com/gardener/machine-controller-manager/pkg/util/provider/app/options"
	_ "github.com/gardener/machine-controller-manager/pkg/util/reflector/prometheus" // Metrics of listings and watches.
	_ "github.com/gardener/machine-controller-manager/pkg/util/workqueue/prometheus" // Metrics of work queues.
	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/logs"
	"k8s.io/klog/v2"

	"github.com/packetyard/packetyard/internal/mcm"
)

// The exit codes of programs that were called wrongly, and of those that failed.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is the program. It returns when there is nothing to run, or when that failed.
func run(arguments []string, stdout, stderr io.Writer) int {
	server := options.NewMCServer()
	set := &driverOptions{qps: defaultQPS, burst: defaultBurst}
	flags, showVersion := newFlags(server, set)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintf(stdout, "%s makes the machines of machine-controller-manager devices of the Packet API.\n\nUsage:\n  %s [flags]\n\nFlags:\n%s",
			mcm.Name, mcm.Name, flags.FlagUsages())
	}
	switch err := flags.Parse(arguments); {
	case errors.Is(err, pflag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "%s: %v; see --help\n", mcm.Name, err)
		return exitUsage
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "%s: unknown argument %q; there are flags only, see --help\n", mcm.Name, flags.Arg(0))
		return exitUsage
	case *showVersion:
		fmt.Fprintf(stdout, "%s %s\n", mcm.Name, version())
		return 0
	}
	if err := errors.Join(set.validate(), server.Validate()); err != nil {
		fmt.Fprintf(stderr, "%s: %v; see --help\n", mcm.Name, err)
		return exitUsage
	}
	logs.InitLogs()
	defer logs.FlushLogs()
	if err := app.Run(server, mcm.New(set.driver())); err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", mcm.Name, err)
		return exitFailed
	}
	return 0
}

// The bounds of the requests to the Packet API. They are per account: one Shoot, in Gardener.
const (
	defaultQPS   = 20
	defaultBurst = 40
)

// driverOptions are the flags that MCM does not have.
type driverOptions struct {
	qps   float64
	burst int
}

func (o *driverOptions) validate() error {
	var problems error
	if o.qps <= 0 {
		problems = errors.Join(problems, fmt.Errorf("--packet-api-qps is %g, it must be above 0", o.qps))
	}
	if o.burst < 1 {
		problems = errors.Join(problems, fmt.Errorf("--packet-api-burst is %d, it must be at least 1", o.burst))
	}
	return problems
}

func (o *driverOptions) driver() mcm.Options {
	return mcm.Options{
		UserAgent:  mcm.Name + "/" + version(),
		QPS:        o.qps,
		Burst:      o.burst,
		Registerer: prometheus.DefaultRegisterer,
		Logger:     slog.New(logr.ToSlogHandler(klog.Background())),
	}
}

// newFlags are MCM's flags, those of its logs, and the driver's own.
func newFlags(server *options.MCServer, set *driverOptions) (flags *pflag.FlagSet, showVersion *bool) {
	flags = pflag.NewFlagSet(mcm.Name, pflag.ContinueOnError)
	flags.SetNormalizeFunc(cliflag.WordSepNormalizeFunc)
	server.AddFlags(flags)
	flags.Float64Var(&set.qps, "packet-api-qps", set.qps, "Requests to the Packet API per second, on average, for each account")
	flags.IntVar(&set.burst, "packet-api-burst", set.burst, "Requests to the Packet API that may be made at once, for each account")
	return flags, flags.Bool("version", false, "Print the version and exit")
}

// version is that of the module, or of the commit that the program was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return setting.Value
		}
	}
	return "unknown"
}
