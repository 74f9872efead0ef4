package manager

import (
	"context"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"

	addonsv1 "sigs.k8s.io/cluster-api/api/addons/v1beta2"
	bootstrapv1 "sigs.k8s.io/cluster-api/api/bootstrap/kubeadm/v1beta2"
	controlplanev1 "sigs.k8s.io/cluster-api/api/controlplane/kubeadm/v1beta2"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"
	runtimev1 "sigs.k8s.io/cluster-api/api/runtime/v1beta2"
	"sigs.k8s.io/cluster-api/controllers/crdmigrator"
	"sigs.k8s.io/cluster-api/feature"
)

// setupMigration adds the controller that rewrites stored objects after an upgrade of their types. The role in
// config/rbac lists the same kinds.
func setupMigration(ctx context.Context, mgr ctrl.Manager, o Options) error {
	kinds := map[client.Object]crdmigrator.ByObjectConfig{}
	plain := crdmigrator.ByObjectConfig{}
	withStatus := crdmigrator.ByObjectConfig{UseStatusForStorageVersionMigration: true}
	if o.runs(ProviderCore) {
		kinds[&addonsv1.ClusterResourceSetBinding{}] = plain
		kinds[&addonsv1.ClusterResourceSet{}] = withStatus
		kinds[&clusterv1.Cluster{}] = withStatus
		kinds[&clusterv1.MachineDeployment{}] = withStatus
		kinds[&clusterv1.MachineDrainRule{}] = plain
		kinds[&clusterv1.MachineHealthCheck{}] = withStatus
		kinds[&clusterv1.Machine{}] = withStatus
		kinds[&clusterv1.MachineSet{}] = withStatus
		kinds[&ipamv1.IPAddress{}] = plain
		kinds[&ipamv1.IPAddressClaim{}] = withStatus
		if feature.Gates.Enabled(feature.ClusterTopology) {
			kinds[&clusterv1.ClusterClass{}] = withStatus
		}
		if feature.Gates.Enabled(feature.RuntimeSDK) {
			kinds[&runtimev1.ExtensionConfig{}] = withStatus
		}
		if feature.Gates.Enabled(feature.MachinePool) {
			kinds[&clusterv1.MachinePool{}] = withStatus
		}
	}
	if o.runs(ProviderBootstrap) {
		kinds[&bootstrapv1.KubeadmConfig{}] = withStatus
		kinds[&bootstrapv1.KubeadmConfigTemplate{}] = plain
	}
	if o.runs(ProviderControlPlane) {
		kinds[&controlplanev1.KubeadmControlPlane{}] = withStatus
		kinds[&controlplanev1.KubeadmControlPlaneTemplate{}] = plain
	}
	if len(kinds) == 0 {
		return nil
	}
	return named("CRDMigrator", (&crdmigrator.CRDMigrator{
		Client:                 mgr.GetClient(),
		APIReader:              mgr.GetAPIReader(),
		SkipCRDMigrationPhases: o.skippedPhases(),
		Config:                 kinds,
	}).SetupWithManager(ctx, mgr, controller.Options{MaxConcurrentReconciles: 1}))
}

func (o *Options) skippedPhases() []crdmigrator.Phase {
	var skip []crdmigrator.Phase
	for _, phase := range o.SkipCRDMigrationPhases {
		skip = append(skip, crdmigrator.Phase(phase))
	}
	return skip
}
