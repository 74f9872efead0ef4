package manager

import (
	"context"
	"errors"
	"os"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/packetyard/packetyard/internal/capi/admission"
	"github.com/packetyard/packetyard/internal/capi/credentials"
	"github.com/packetyard/packetyard/internal/capi/packetcluster"
	"github.com/packetyard/packetyard/internal/capi/packetmachine"
	"github.com/packetyard/packetyard/pkg/packet"
)

// setupInfrastructure adds the controllers and webhooks of Packet.
func setupInfrastructure(ctx context.Context, mgr ctrl.Manager, o Options) error {
	accounts, err := credentials.NewResolver(credentials.Config{
		Reader:      mgr.GetAPIReader(),
		Secret:      client.ObjectKey{Namespace: o.PodNamespace, Name: o.Packet.CredentialsSecret},
		Environment: packet.CredentialsFromEnvironment(os.Getenv),
		UserAgent:   controllerName,
		QPS:         o.Packet.QPS,
		Burst:       o.Packet.Burst,
		Timeout:     o.Packet.Timeout,
		ListingTTL:  o.Packet.ListingTTL,
		Registerer:  metrics.Registry,
	})
	if err != nil {
		return err
	}
	return errors.Join(
		named("PacketCluster", (&packetcluster.Reconciler{
			Client:           mgr.GetClient(),
			Accounts:         accounts,
			Recorder:         mgr.GetEventRecorder("packetcluster-controller"),
			WatchFilterValue: o.WatchFilterValue,
			PollInterval:     o.Packet.PollInterval,
		}).SetupWithManager(ctx, mgr, controllerOptions(o))),
		named("PacketMachine", (&packetmachine.Reconciler{
			Client:           mgr.GetClient(),
			Accounts:         accounts,
			Recorder:         mgr.GetEventRecorder("packetmachine-controller"),
			WatchFilterValue: o.WatchFilterValue,
			PollInterval:     o.Packet.PollInterval,
			ResyncInterval:   o.Packet.ResyncInterval,
		}).SetupWithManager(ctx, mgr, controllerOptions(o))),
		named("PacketMachineTemplate webhook", admission.SetupMachineTemplate(mgr)),
		named("PacketClusterTemplate webhook", admission.SetupClusterTemplate(mgr)),
	)
}
