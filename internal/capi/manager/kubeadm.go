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

// clientGetter is what reconcilers get their clients from.
type clientGetter interface {
	GetClient() client.Client
	GetAPIReader() client.Reader
}

func setupBootstrap(ctx context.Context, mgr ctrl.Manager, clusterCache clustercache.ClusterCache, secretClient client.Client, o Options) error {
	return errors.Join(
		named("KubeadmConfig", kubeadmConfigReconciler(mgr, clusterCache, secretClient, o).SetupWithManager(ctx, mgr, controllerOptions(o))),
		named("KubeadmConfig webhook", (&bootstrapadmission.KubeadmConfig{}).SetupWebhookWithManager(mgr)),
		named("KubeadmConfigTemplate webhook", (&bootstrapadmission.KubeadmConfigTemplate{}).SetupWebhookWithManager(mgr)),
	)
}

func setupControlPlane(ctx context.Context, mgr ctrl.Manager, clusterCache clustercache.ClusterCache, secretClient client.Client, o Options) error {
	reconciler, err := kubeadmControlPlaneReconciler(mgr, clusterCache, secretClient, o)
	if err != nil {
		return err
	}
	controlplaneconversion.SetAPIVersionGetter(apiVersionGetter(mgr.GetClient()))
	options := controllerOptions(o)
	options.ReconciliationTimeout = controlPlaneReconciliationTimeout
	return errors.Join(
		named("KubeadmControlPlane", reconciler.SetupWithManager(ctx, mgr, options)),
		named("KubeadmControlPlane webhook", (&controlplaneadmission.KubeadmControlPlane{}).SetupWebhookWithManager(mgr)),
		named("KubeadmControlPlane scale webhook", (&controlplaneadmission.ScaleValidator{Client: mgr.GetClient()}).SetupWebhookWithManager(mgr)),
		named("KubeadmControlPlaneTemplate webhook", (&controlplaneadmission.KubeadmControlPlaneTemplate{}).SetupWebhookWithManager(mgr)),
	)
}

func kubeadmConfigReconciler(clients clientGetter, clusterCache clustercache.ClusterCache, secretClient client.Client, o Options) *kubeadmconfig.Reconciler {
	return &kubeadmconfig.Reconciler{
		Client:              clients.GetClient(),
		SecretCachingClient: secretClient,
		APIReader:           clients.GetAPIReader(),
		ClusterCache:        clusterCache,
		WatchFilterValue:    o.WatchFilterValue,
		TokenTTL:            o.BootstrapTokenTTL,
	}
}

func kubeadmControlPlaneReconciler(
	clients clientGetter, clusterCache clustercache.ClusterCache, secretClient client.Client, o Options,
) (*kubeadmcontrolplane.Reconciler, error) {
	level, err := zapcore.ParseLevel(o.EtcdLogLevel)
	if err != nil {
		return nil, fmt.Errorf("--etcd-client-log-level: %w", err)
	}
	logger, err := logutil.CreateDefaultZapLogger(level)
	if err != nil {
		return nil, fmt.Errorf("making the logger of the etcd client: %w", err)
	}
	return &kubeadmcontrolplane.Reconciler{
		Client:                      clients.GetClient(),
		APIReader:                   clients.GetAPIReader(),
		SecretCachingClient:         secretClient,
		ClusterCache:                clusterCache,
		EtcdDialTimeout:             o.EtcdDialTimeout,
		EtcdCallTimeout:             o.EtcdCallTimeout,
		EtcdLogger:                  logger,
		WatchFilterValue:            o.WatchFilterValue,
		RemoteConditionsGracePeriod: o.RemoteConditionsGracePeriod,
	}, nil
}
