package manager

import (
	"context"
	"errors"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/packetyard/packetyard/internal/capi/admission"
	"github.com/packetyard/packetyard/internal/capi/capacity"
	"github.com/packetyard/packetyard/internal/capi/credentials"
	"github.com/packetyard/packetyard/internal/capi/endpoint"
	"github.com/packetyard/packetyard/internal/capi/packetcluster"
	"github.com/packetyard/packetyard/internal/capi/packetmachine"
	"github.com/packetyard/packetyard/internal/capi/packetmachinepool"
	"github.com/packetyard/packetyard/internal/capi/packetremediation"
)

// setupInfrastructure adds the controllers and webhooks of Packet.
func setupInfrastructure(ctx context.Context, mgr ctrl.Manager, o Options) error {
	accounts, err := credentials.NewResolver(o.credentialsConfig(mgr.GetAPIReader()))
	if err != nil {
		return err
	}
	secrets, err := credentials.NewSecretCache(mgr, o.Namespace, o.PodNamespace)
	if err != nil {
		return err
	}
	return errors.Join(
		named("credentials", (&credentials.Guard{
			Client:           mgr.GetClient(),
			Secrets:          secrets,
			WatchFilterValue: o.WatchFilterValue,
		}).SetupWithManager(ctx, mgr, controllerOptions(o))),
		named("control plane endpoint", (&endpoint.Reconciler{
			Client:           mgr.GetClient(),
			Accounts:         accounts,
			Recorder:         mgr.GetEventRecorder("packetclusterendpoint-controller"),
			WatchFilterValue: o.WatchFilterValue,
			ListingAge:       o.Packet.ResyncInterval,
		}).SetupWithManager(ctx, mgr, controllerOptions(o))),
		named("PacketCluster", (&packetcluster.Reconciler{
			Client:           mgr.GetClient(),
			Accounts:         accounts,
			Secrets:          secrets,
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
			Timeouts: &packetmachine.Timeouts{
				Queued:       o.Packet.QueuedTimeout,
				Provisioning: o.Packet.ProvisioningTimeout,
				Bootstrap:    o.Packet.BootstrapTimeout,
				Deletion:     o.Packet.DeletionTimeout,
			},
		}).SetupWithManager(ctx, mgr, controllerOptions(o))),
		named("PacketMachinePool", (&packetmachinepool.Reconciler{
			Client:           mgr.GetClient(),
			Reader:           mgr.GetAPIReader(),
			Recorder:         mgr.GetEventRecorder("packetmachinepool-controller"),
			WatchFilterValue: o.WatchFilterValue,
		}).SetupWithManager(ctx, mgr, controllerOptions(o))),
		named("PacketRemediation", (&packetremediation.Reconciler{
			Client:           mgr.GetClient(),
			Reader:           mgr.GetAPIReader(),
			Accounts:         accounts,
			Recorder:         mgr.GetEventRecorder("packetremediation-controller"),
			WatchFilterValue: o.WatchFilterValue,
			PollInterval:     o.Packet.PollInterval,
		}).SetupWithManager(ctx, mgr, controllerOptions(o))),
		named("PacketMachineTemplate", (&capacity.Reconciler{
			Client:           mgr.GetClient(),
			Accounts:         accounts,
			WatchFilterValue: o.WatchFilterValue,
		}).SetupWithManager(ctx, mgr, controllerOptions(o))),
		named("webhooks of Packet", admission.SetupWithManager(mgr)),
	)
}
