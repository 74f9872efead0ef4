package manager

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"

	"sigs.k8s.io/cluster-api/controllers/clustercache"
	coresetup "sigs.k8s.io/cluster-api/core/setup"
	"sigs.k8s.io/cluster-api/feature"
	"sigs.k8s.io/cluster-api/util/index"
	"sigs.k8s.io/cluster-api/version"

	"github.com/packetyard/packetyard/internal/capi/webhookcerts"
)

// cacheSyncTimeout is how long the first listing of everything may take.
const cacheSyncTimeout = 5 * time.Minute

// Manager is the process: made by New, run by Start.
type Manager struct {
	ctrl.Manager
	certificates *webhookcerts.Certificates
	// live has no cache, for what happens before the caches run.
	live client.Client
}

// New wires everything that the options ask for. Nothing runs and nothing was written when it returns.
func New(ctx context.Context, restConfig *rest.Config, o Options) (*Manager, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if err := checkGates(); err != nil {
		return nil, err
	}
	scheme, err := NewScheme()
	if err != nil {
		return nil, fmt.Errorf("registering types: %w", err)
	}
	restConfig = o.restConfig(restConfig)
	if err := version.CheckKubernetesVersion(restConfig, minimumKubernetesVersion()); err != nil {
		return nil, fmt.Errorf("checking the version of the API server: %w", err)
	}

	live, err := client.New(restConfig, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("making the client: %w", err)
	}
	certificates, err := webhookcerts.New(o.certificateOptions(live))
	if err != nil {
		return nil, err
	}
	options, err := o.managerOptions(scheme, certificates.GetCertificate)
	if err != nil {
		return nil, err
	}
	mgr, err := ctrl.NewManager(restConfig, options)
	if err != nil {
		return nil, fmt.Errorf("making the manager: %w", err)
	}
	m := &Manager{Manager: mgr, certificates: certificates, live: live}
	return m, m.setup(ctx, o)
}

// Start makes sure that the API server can call the webhooks and runs until the context ends.
func (m *Manager) Start(ctx context.Context) error {
	// This comes before the caches: changing a CustomResourceDefinition ends the watches on its objects.
	began, log := time.Now(), m.GetLogger()
	if err := m.certificates.Ensure(ctx); err != nil {
		return fmt.Errorf("providing webhook certificates: %w", err)
	}
	log.Info("Provided webhook certificates", "after", time.Since(began).String())
	warmUp(ctx, m.live, m.GetScheme())
	log.Info("The API server is ready for the caches", "after", time.Since(began).String())
	return m.Manager.Start(ctx)
}

func (m *Manager) setup(ctx context.Context, o Options) error {
	if err := errors.Join(
		m.AddHealthzCheck("webhook", m.GetWebhookServer().StartedChecker()),
		m.AddReadyzCheck("webhook", m.GetWebhookServer().StartedChecker()),
		m.AddReadyzCheck("webhook-certificates", m.certificates.Ready),
		m.certificates.SetupWithManager(m),
	); err != nil {
		return fmt.Errorf("setting up the webhook server: %w", err)
	}
	errs := []error{setupMigration(ctx, m, o)}
	if o.runs(ProviderInfrastructure) {
		errs = append(errs, setupInfrastructure(ctx, m, o), setupClusterSecrets(ctx, m, o))
	}
	if o.runsOnly(ProviderInfrastructure) {
		// Nothing of ours connects to workload clusters or caches Secrets: see its rights in config/rbac.
		return errors.Join(errs...)
	}
	secretClient, err := coresetup.CreateSecretCachingClient(m)
	if err != nil {
		return fmt.Errorf("making the client of cached Secrets: %w", err)
	}
	clusterCache, err := setupClusterCache(ctx, m, secretClient, o)
	if err != nil {
		return err
	}
	if o.runs(ProviderCore) || o.runs(ProviderControlPlane) {
		errs = append(errs, named("indexes", index.AddDefaultIndexes(ctx, m)))
	}
	if o.runs(ProviderCore) {
		errs = append(errs,
			setupCore(ctx, m, clusterCache, o),
			setupCoreWebhooks(m, clusterCache))
	}
	if o.runs(ProviderBootstrap) {
		errs = append(errs, setupBootstrap(ctx, m, clusterCache, secretClient, o))
	}
	if o.runs(ProviderControlPlane) {
		errs = append(errs, setupControlPlane(ctx, m, clusterCache, secretClient, o))
	}
	return errors.Join(errs...)
}

func setupClusterCache(ctx context.Context, mgr ctrl.Manager, secretClient client.Client, o Options) (clustercache.ClusterCache, error) {
	clusterCache, err := clustercache.SetupWithManager(ctx, mgr, clusterCacheOptions(secretClient, o), controllerOptions(o))
	if err != nil {
		return nil, fmt.Errorf("setting up the cache of workload clusters: %w", err)
	}
	o.setRetryInterval(clusterCache)
	return clusterCache, nil
}

// setRetryInterval sets how long a ClusterCache waits after a failed connection. That is a constant of 30s behind the public
// interface. The first try always fails, since it happens when the endpoint exists and the control plane does not, so it
// would cost every new cluster that long.
func (o *Options) setRetryInterval(clusterCache any) {
	if adjustable, ok := clusterCache.(interface {
		SetConnectionCreationRetryInterval(time.Duration)
	}); ok {
		adjustable.SetConnectionCreationRetryInterval(o.ClusterCacheRetryInterval)
	}
}

// checkGates refuses the features whose code is internal to upstream's own manager.
func checkGates() error {
	var errs []error
	if feature.Gates.Enabled(feature.RuntimeSDK) {
		errs = append(errs, fmt.Errorf("--feature-gates has %s=true, which this manager does not support", feature.RuntimeSDK))
	}
	if feature.Gates.Enabled(feature.InPlaceUpdates) {
		errs = append(errs, fmt.Errorf("--feature-gates has %s=true, which this manager does not support", feature.InPlaceUpdates))
	}
	return errors.Join(errs...)
}

func minimumKubernetesVersion() string {
	if feature.Gates.Enabled(feature.ClusterTopology) {
		return version.MinimumKubernetesVersionClusterTopology
	}
	return version.MinimumKubernetesVersion
}

func controllerOptions(o Options) controller.Options {
	return controller.Options{MaxConcurrentReconciles: o.Concurrency}
}
