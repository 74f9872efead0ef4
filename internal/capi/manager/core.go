package manager

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/util/sets"
	ctrl "sigs.k8s.io/controller-runtime"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/controllers/clustercache"
	"sigs.k8s.io/cluster-api/core/reconcilers/cluster"
	"sigs.k8s.io/cluster-api/core/reconcilers/clusterclass"
	"sigs.k8s.io/cluster-api/core/reconcilers/clusterresourceset"
	"sigs.k8s.io/cluster-api/core/reconcilers/clusterresourcesetbinding"
	"sigs.k8s.io/cluster-api/core/reconcilers/machine"
	"sigs.k8s.io/cluster-api/core/reconcilers/machinedeployment"
	"sigs.k8s.io/cluster-api/core/reconcilers/machinehealthcheck"
	"sigs.k8s.io/cluster-api/core/reconcilers/machinepool"
	"sigs.k8s.io/cluster-api/core/reconcilers/machineset"
	topologycluster "sigs.k8s.io/cluster-api/core/reconcilers/topology/cluster"
	topologymachinedeployment "sigs.k8s.io/cluster-api/core/reconcilers/topology/machinedeployment"
	topologymachineset "sigs.k8s.io/cluster-api/core/reconcilers/topology/machineset"
	"sigs.k8s.io/cluster-api/core/webhooks/admission"
	"sigs.k8s.io/cluster-api/core/webhooks/conversion"
	"sigs.k8s.io/cluster-api/feature"
)

// setupCore adds the controllers of Cluster API itself. The runtime extensions are left out: their client is internal to
// upstream, so the gates RuntimeSDK and InPlaceUpdates must stay off (see checkGates).
func setupCore(ctx context.Context, mgr ctrl.Manager, clusterCache clustercache.ClusterCache, o Options) error {
	secrets, err := newSecretMetadataCache(mgr, o)
	if err != nil {
		return err
	}
	options := controllerOptions(o)
	c, reader, filter := mgr.GetClient(), mgr.GetAPIReader(), o.WatchFilterValue

	errs := []error{
		named("Cluster", clusterReconciler(mgr, clusterCache, o).SetupWithManager(ctx, mgr, options)),
		named("Machine", machineReconciler(mgr, clusterCache, o).SetupWithManager(ctx, mgr, options)),
		named("MachineSet", (&machineset.Reconciler{
			Client: c, APIReader: reader, ClusterCache: clusterCache, WatchFilterValue: filter,
			PreflightChecks: sets.New(clusterv1.MachineSetPreflightCheckAll),
		}).SetupWithManager(ctx, mgr, options)),
		named("MachineDeployment", (&machinedeployment.Reconciler{
			Client: c, APIReader: reader, WatchFilterValue: filter,
		}).SetupWithManager(ctx, mgr, options)),
		named("MachineHealthCheck", (&machinehealthcheck.Reconciler{
			Client: c, ClusterCache: clusterCache, WatchFilterValue: filter,
		}).SetupWithManager(ctx, mgr, options)),
		named("ClusterResourceSet", (&clusterresourceset.Reconciler{
			Client: c, ClusterCache: clusterCache, WatchFilterValue: filter,
		}).SetupWithManager(ctx, mgr, options, secrets)),
		named("ClusterResourceSetBinding", (&clusterresourcesetbinding.Reconciler{
			Client: c, WatchFilterValue: filter,
		}).SetupWithManager(ctx, mgr, options)),
	}
	if feature.Gates.Enabled(feature.MachinePool) {
		errs = append(errs, named("MachinePool", (&machinepool.Reconciler{
			Client: c, APIReader: reader, ClusterCache: clusterCache, WatchFilterValue: filter,
		}).SetupWithManager(ctx, mgr, options)))
	}
	if feature.Gates.Enabled(feature.ClusterTopology) {
		errs = append(errs,
			named("ClusterClass", (&clusterclass.Reconciler{
				Client: c, WatchFilterValue: filter,
			}).SetupWithManager(ctx, mgr, options)),
			named("ClusterTopology", (&topologycluster.Reconciler{
				Client: c, APIReader: reader, ClusterCache: clusterCache, WatchFilterValue: filter,
			}).SetupWithManager(ctx, mgr, options)),
			named("MachineDeploymentTopology", (&topologymachinedeployment.Reconciler{
				Client: c, APIReader: reader, WatchFilterValue: filter,
			}).SetupWithManager(ctx, mgr, options)),
			named("MachineSetTopology", (&topologymachineset.Reconciler{
				Client: c, APIReader: reader, WatchFilterValue: filter,
			}).SetupWithManager(ctx, mgr, options)),
		)
	}
	return errors.Join(errs...)
}

func clusterReconciler(clients clientGetter, clusterCache clustercache.ClusterCache, o Options) *cluster.Reconciler {
	return &cluster.Reconciler{
		Client: clients.GetClient(), APIReader: clients.GetAPIReader(), ClusterCache: clusterCache, WatchFilterValue: o.WatchFilterValue,
		RemoteConnectionGracePeriod: o.RemoteConnectionGracePeriod,
	}
}

func machineReconciler(clients clientGetter, clusterCache clustercache.ClusterCache, o Options) *machine.Reconciler {
	return &machine.Reconciler{
		Client: clients.GetClient(), APIReader: clients.GetAPIReader(), ClusterCache: clusterCache, WatchFilterValue: o.WatchFilterValue,
		RemoteConditionsGracePeriod: o.RemoteConditionsGracePeriod,
	}
}

// setupCoreWebhooks adds defaulting, validation and conversion of Cluster API's own types. Webhooks of types whose feature
// is off are there too: they are what rejects such objects.
func setupCoreWebhooks(mgr ctrl.Manager, clusterCache clustercache.ClusterCache) error {
	conversion.SetAPIVersionGetter(apiVersionGetter(mgr.GetClient()))
	c := mgr.GetClient()
	var errs []error
	for name, webhook := range map[string]interface{ SetupWebhookWithManager(ctrl.Manager) error }{
		"ClusterClass":              &admission.ClusterClass{Client: c},
		"Cluster":                   &admission.Cluster{Client: c, ClusterCacheReader: clusterCache},
		"Machine":                   &admission.Machine{},
		"MachineSet":                &admission.MachineSet{},
		"MachineDeployment":         &admission.MachineDeployment{},
		"MachineDrainRule":          &admission.MachineDrainRule{},
		"MachinePool":               &admission.MachinePool{},
		"ClusterResourceSet":        &admission.ClusterResourceSet{},
		"ClusterResourceSetBinding": &admission.ClusterResourceSetBinding{},
		"MachineHealthCheck":        &admission.MachineHealthCheck{},
		"ExtensionConfig":           &admission.ExtensionConfig{},
		// Claims are read live, since caching all of them would cost more than it saves.
		"IPAddress":      &admission.IPAddress{Client: mgr.GetAPIReader()},
		"IPAddressClaim": &admission.IPAddressClaim{},
	} {
		errs = append(errs, named(name+" webhook", webhook.SetupWebhookWithManager(mgr)))
	}
	return errors.Join(errs...)
}

func named(name string, err error) error {
	if err != nil {
		return fmt.Errorf("setting up %s: %w", name, err)
	}
	return nil
}
