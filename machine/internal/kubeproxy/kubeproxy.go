// Package kubeproxy is the machine's kube-proxy: it makes the addresses of
// Services reachable on the machine. Upstream's programs packet filters, for
// which a machine without root has neither the tools nor always the kernel; this
// one adds every service address to the loopback interface and forwards its
// connections in user space. It is configured as kubeadm configures upstream's.
// It also routes the machine to the pods of other nodes, for which real nodes
// have a CNI plugin's agent.
package kubeproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"
	"k8s.io/component-base/version"

	"github.com/packetyard/packetyard/machine/internal/podroutes"
)

// Main runs kube-proxy with the given arguments, of which the first is its name,
// and returns its exit code.
func Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	err := run(ctx, log, args[1:], os.Stdout)
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, pflag.ErrHelp):
		return 0
	default:
		log.Error("kube-proxy failed", "error", err)
		return 1
	}
}

func run(ctx context.Context, log *slog.Logger, args []string, out io.Writer) error {
	flags := pflag.NewFlagSet("kube-proxy", pflag.ContinueOnError)
	config := flags.String("config", "", "file with a KubeProxyConfiguration")
	hostname := flags.String("hostname-override", "", "name of this node, if it is not the host's name")
	showVersion := flags.Bool("version", false, "print the version and exit")
	flags.Int("v", 0, "accepted for compatibility; logs have one level of detail")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("command line: %w", err)
	}
	if *showVersion {
		_, err := fmt.Fprintf(out, "Kubernetes %s\n", version.Get())
		return err
	}
	settings, err := readSettings(*config, *hostname)
	if err != nil {
		return err
	}
	loopback, err := newLoopback()
	if err != nil {
		return err
	}
	api, err := newServiceWatch(settings.client, settings.node)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	proxy := newProxy(ctx, log, loopback)
	health := newHealth(settings.healthzAddress, time.Now)
	group.Go(func() error { return health.serve(ctx) })
	group.Go(func() error { return api.run(ctx) })
	group.Go(func() error { return keepInStep(ctx, log, api, proxy, health.updated) })
	group.Go(func() error { return podroutes.Run(ctx, log, settings.client, settings.node) })
	log.Info("kube-proxy started", "node", settings.node, "healthz", settings.healthzAddress)
	return group.Wait()
}

// retryAfter is how long a service whose address or port could not be taken
// waits for the next attempt.
const retryAfter = 5 * time.Second

// keepInStep applies the API's services to the proxy whenever they change.
func keepInStep(ctx context.Context, log *slog.Logger, api *serviceWatch, proxy *proxy, updated func()) error {
	for {
		var retry <-chan time.Time
		if api.synced() {
			if err := proxy.apply(api.rules()); err != nil {
				log.Warn("some services are not served yet", "error", err, "retryAfter", retryAfter)
				retry = time.After(retryAfter)
			}
			updated()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-api.changed:
		case <-retry:
		}
	}
}
