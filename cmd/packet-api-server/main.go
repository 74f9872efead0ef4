// Command packet-api-server is the Packet API on your own machine.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/packetyard/packetyard/internal/apiserver"
	"github.com/packetyard/packetyard/internal/apiserver/lifecycle"
	"github.com/packetyard/packetyard/pkg/packet"
)

const long = `packet-api-server serves the Packet (Equinix Metal) API, as its last public
OpenAPI document has it, under /metal/v1, and the metadata service for its
machines.

All records are kept by an etcd inside the process, in --data-dir, so nothing
is lost when it ends. The first start makes a project and an admin token, and
writes them, with the URL of the API, to credentials.json in that directory.
PACKET_API_TOKEN and PACKET_PROJECT_ID in the environment fix them instead.

--machines says what a device is made of:

  none        nothing: it becomes active and that is all. For work on the API
              itself, and for numbers of devices that no host could run.
  namespaces  a set of Linux namespaces on this host, with its own network and
              hostname, which boots --machine-image and runs its user data.

--profile says how long things take: instant is as fast as possible, fast
lets you watch, realistic takes as long as real servers did.

Besides the API there are GET /_packetyard/health, /_packetyard/ready and
/_packetyard/metrics, for which no token is needed.`

const example = `  # The API alone, on a port of the server's choice:
  packet-api-server --machines none --listen-address 127.0.0.1:0 --data-dir /tmp/packet

  # Ask it for its plans:
  curl -s -H "X-Auth-Token: $(jq -r .apiToken /tmp/packet/credentials.json)" \
    "$(jq -r .apiURL /tmp/packet/credentials.json)/plans"`

// options are the flags.
type options struct {
	listenAddress string
	dataDir       string
	etcdEndpoints []string
	machines      string
	machineImage  string
	profile       string
	control       bool
	logLevel      string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:           "packet-api-server",
		Short:         "The Packet API on your own machine",
		Long:          long,
		Example:       example,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	cmd.CompletionOptions.DisableDefaultCmd = true
	flags := cmd.Flags()
	flags.StringVar(&o.listenAddress, "listen-address", apiserver.DefaultListenAddress,
		"where to serve the API; port 0 picks a port, which is logged and written to credentials.json")
	flags.StringVar(&o.dataDir, "data-dir", "packet-api-server.data",
		"where the records, the credentials and the machines are kept")
	flags.StringSliceVar(&o.etcdEndpoints, "etcd-endpoints", nil,
		"URLs of an etcd to keep the records in instead of the one inside the process, separated by commas")
	flags.StringVar(&o.machines, "machines", machinesNone, "what devices are made of: "+strings.Join(machineDrivers(), " or "))
	flags.StringVar(&o.machineImage, "machine-image", "",
		"directory of the machine image that namespaces machines boot (default: machine-image beside this program)")
	flags.StringVar(&o.profile, "profile", string(lifecycle.Instant),
		"how long things take: "+strings.Join(lifecycle.Profiles(), ", "))
	flags.BoolVar(&o.control, "control", false,
		"serve also those routes under /_packetyard that change the server's behaviour; there are none yet")
	flags.StringVar(&o.logLevel, "log-level", "info", "how much to log: debug, info, warn or error")
	cmd.AddCommand(subcommands()...)
	return cmd
}

func (o *options) run(ctx context.Context) (err error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.logLevel)); err != nil {
		return fmt.Errorf("--log-level %q is not one of debug, info, warn, error", o.logLevel)
	}
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	profile, err := lifecycle.ParseProfile(o.profile)
	if err != nil {
		return fmt.Errorf("--profile: %w", err)
	}

	driver, err := o.newDriver(ctx, logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, driver.Close()) }()
	server, err := apiserver.New(ctx, apiserver.Config{
		ListenAddress: o.listenAddress,
		DataDir:       o.dataDir,
		EtcdEndpoints: o.etcdEndpoints,
		Driver:        driver,
		Profile:       profile,
		Token:         os.Getenv(packet.EnvAPIToken),
		ProjectID:     os.Getenv(packet.EnvProjectID),
		Logger:        logger,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	return server.Run(ctx)
}
