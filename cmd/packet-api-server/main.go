// Command packet-api-server is the Packet API on your own machine.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
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
/_packetyard/metrics, for which no token is needed. --control adds routes that
reset the server, seed it, save and restore its records, turn its clock, make
requests fail, and list what was asked; they take the token of
credentials.json and no other. Do not use it where the records matter.

Every flag may be in the YAML file of --config instead, under the same name
without the dashes; what is on the command line counts more.`

const example = `  # The API alone, on a port of the server's choice:
  packet-api-server --machines none --listen-address 127.0.0.1:0 --data-dir /tmp/packet

  # Ask it for its plans:
  curl -s -H "X-Auth-Token: $(jq -r .apiToken /tmp/packet/credentials.json)" \
    "$(jq -r .apiURL /tmp/packet/credentials.json)/plans"

  # HTTPS for others, 600 requests a minute for each token, and who did what:
  packet-api-server --listen-address 0.0.0.0:443 --external-url https://packet.example.com \
    --tls-cert tls.crt --tls-key tls.key --rate-limit 600 --audit-log /var/log/packet-audit.jsonl

  # A server for tests, with what is in a file, and routes to break it:
  packet-api-server --control --seed seed.yaml --profile fast`

func main() {
	limitGarbage()
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
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := readConfig(o.config, cmd.Flags()); err != nil {
				return err
			}
			return o.run(cmd.Context())
		},
	}
	cmd.CompletionOptions.DisableDefaultCmd = true
	o.addTo(cmd.Flags())
	cmd.AddCommand(subcommands()...)
	return cmd
}

func (o *options) run(ctx context.Context) (err error) {
	logger, err := o.logger(os.Stderr)
	if err != nil {
		return err
	}
	profile, err := lifecycle.ParseProfile(o.profile)
	if err != nil {
		return fmt.Errorf("--profile: %w", err)
	}
	tracing, stopTracing, err := o.tracing(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopTracing()) }()
	audit, closeAudit, err := o.audit()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeAudit()) }()
	driver, err := o.newDriver(ctx, logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, driver.Close()) }()
	server, err := apiserver.New(ctx, apiserver.Config{
		ListenAddress: o.listenAddress,
		ExternalURL:   o.externalURL,
		TLSCertFile:   o.tlsCert,
		TLSKeyFile:    o.tlsKey,
		DataDir:       o.dataDir,
		EtcdEndpoints: o.etcdEndpoints,
		EtcdTLS:       &o.etcdTLS,

		MetadataListenAddress: o.metadataAddress,

		Driver:    driver,
		Profile:   profile,
		Token:     os.Getenv(packet.EnvAPIToken),
		ProjectID: os.Getenv(packet.EnvProjectID),
		RateLimit: apiserver.RateLimit{Requests: o.rateLimit, Window: o.rateLimitWindow},
		AuditLog:  audit,
		Tracing:   tracing,
		Control:   o.control,
		SeedFile:  o.seed,
		Logger:    logger,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	return server.Run(ctx)
}
