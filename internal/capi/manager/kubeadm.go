package manager

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/logutil"
	"go.uber.org/zap/zapcore"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sigs.k8s.io/cluster-api/bootstrap/kubeadm/reconcilers/kubeadmconfig"
	bootstrapadmission "sigs.k8s.io/cluster-api/bootstrap/kubeadm/webhooks/admission"
	"sigs.k8s.io/cluster-api/controllers/clustercache"
	"sigs.k8s.io/cluster-api/controlplane/kubeadm/reconcilers/kubeadmcontrolplane"
	controlplaneadmission "sigs.k8s.io/cluster-api/controlplane/kubeadm/webhooks/admission"
	controlplaneconversion "sigs.k8s.io/cluster-api/controlplane/kubeadm/webhooks/conversion"
)

// controlPlaneReconciliationTimeout is longer than the default of a minute, because the reconciler talks to every etcd
// member and waits for those that do not answer.
const controlPlaneReconciliationTimeout = 3 * time.Minute

func setupBootstrap(ctx context.Context, mgr ctrl.Manager, clusterCache clustercache.ClusterCache, secretClient client.Client, o Options) error {
	return errors.Join(
		named("KubeadmConfig", (&kubeadmconfig.Reconciler{
			Client:              mgr.GetClient(),
			SecretCachingClient: secretClient,
			APIReader:           mgr.GetAPIReader(),
			ClusterCache:        clusterCache,
			WatchFilterValue:    o.WatchFilterValue,
			TokenTTL:            o.BootstrapTokenTTL,
		}).SetupWithManager(ctx, mgr, controllerOptions(o))),
		named("KubeadmConfig webhook", (&bootstrapadmission.KubeadmConfig{}).SetupWebhookWithManager(mgr)),
		named("KubeadmConfigTemplate webhook", (&bootstrapadmission.KubeadmConfigTemplate{}).SetupWebhookWithManager(mgr)),
	)
}

func setupControlPlane(ctx context.Context, mgr ctrl.Manager, clusterCache clustercache.ClusterCache, secretClient client.Client, o Options) error {
	level, err := zapcore.ParseLevel(o.EtcdLogLevel)
	if err != nil {
		return fmt.Errorf("--etcd-client-log-level: %w", err)
	}
	logger, err := logutil.CreateDefaultZapLogger(level)
	if err != nil {
		return fmt.Errorf("making the logger of the etcd client: %w", err)
	}
	controlplaneconversion.SetAPIVersionGetter(apiVersionGetter(mgr.GetClient()))
	options := controllerOptions(o)
	options.ReconciliationTimeout = controlPlaneReconciliationTimeout
	return errors.Join(
		named("KubeadmControlPlane", (&kubeadmcontrolplane.Reconciler{
			Client:                      mgr.GetClient(),
			APIReader:                   mgr.GetAPIReader(),
			SecretCachingClient:         secretClient,
			ClusterCache:                clusterCache,
			EtcdDialTimeout:             o.EtcdDialTimeout,
			EtcdCallTimeout:             o.EtcdCallTimeout,
			EtcdLogger:                  logger,
			WatchFilterValue:            o.WatchFilterValue,
			RemoteConditionsGracePeriod: o.RemoteConditionsGracePeriod,
		}).SetupWithManager(ctx, mgr, options)),
		named("KubeadmControlPlane webhook", (&controlplaneadmission.KubeadmControlPlane{}).SetupWebhookWithManager(mgr)),
		named("KubeadmControlPlane scale webhook", (&controlplaneadmission.ScaleValidator{Client: mgr.GetClient()}).SetupWebhookWithManager(mgr)),
		named("KubeadmControlPlaneTemplate webhook", (&controlplaneadmission.KubeadmControlPlaneTemplate{}).SetupWebhookWithManager(mgr)),
	)
}
