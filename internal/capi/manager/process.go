package manager

import (
	"crypto/tls"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	"sigs.k8s.io/cluster-api/controllers/remote"
	"sigs.k8s.io/cluster-api/feature"
	"sigs.k8s.io/cluster-api/util/apiwarnings"
	"sigs.k8s.io/cluster-api/util/flags"

	"github.com/packetyard/packetyard/internal/capi/webhookcerts"
)

// restConfig is how the manager talks to the API server. Upstream's providers are processes with limits of their own, and one
// cluster takes about two hundred writes of all of them together.
func (o *Options) restConfig(base *rest.Config) *rest.Config {
	c := rest.CopyConfig(base)
	providers := max(len(o.Providers), 1)
	c.QPS, c.Burst = o.KubeAPIQPS*float32(providers), o.KubeAPIBurst*providers
	c.UserAgent = remote.DefaultClusterAPIUserAgent(controllerName)
	c.WarningHandler = apiwarnings.DefaultHandler(klog.Background().WithName("API Server Warning"))
	return c
}

// certificateOptions are where the certificates of the webhooks are kept, and what they are for.
func (o *Options) certificateOptions(live client.Client) webhookcerts.Options {
	return webhookcerts.Options{
		Client:  live,
		Secret:  client.ObjectKey{Namespace: o.PodNamespace, Name: o.WebhookSecret},
		Service: client.ObjectKey{Namespace: o.PodNamespace, Name: o.WebhookService},
	}
}

// leaderElectionID is the name of the Lease. Each provider that runs alone has one of its own, since `clusterctl init
// --target-namespace` can put all of them into one namespace.
func (o *Options) leaderElectionID() string {
	if len(o.Providers) == 1 {
		return leaderElectionID + "-" + o.Providers[0]
	}
	return leaderElectionID
}

// managerOptions are everything about the process that is no controller: caches, leader election, health, metrics, profiles
// and the webhook server, which gets its certificate for every connection.
func (o *Options) managerOptions(
	scheme *runtime.Scheme, certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error),
) (ctrl.Options, error) {
	tlsOptions, metricsOptions, err := flags.GetManagerOptions(o.Diagnostics)
	if err != nil {
		return ctrl.Options{}, fmt.Errorf("reading the TLS flags: %w", err)
	}
	caches, err := cacheOptions(scheme, *o)
	if err != nil {
		return ctrl.Options{}, err
	}
	leaderElectionNamespace := o.LeaderElectionNamespace
	if leaderElectionNamespace == "" {
		leaderElectionNamespace = o.PodNamespace
	}
	return ctrl.Options{
		Scheme: scheme,
		Controller: config.Controller{
			UsePriorityQueue: ptr.To(feature.Gates.Enabled(feature.PriorityQueue)),
			CacheSyncTimeout: cacheSyncTimeout,
		},
		LeaderElection:             o.LeaderElection,
		LeaderElectionID:           o.leaderElectionID(),
		LeaderElectionNamespace:    leaderElectionNamespace,
		LeaderElectionResourceLock: o.LeaderElectionResourceLock,
		// The process ends right after the manager stops, so the lease can be given back: the next start need not wait.
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 &o.LeaderElectionLeaseDuration,
		RenewDeadline:                 &o.LeaderElectionRenewDeadline,
		RetryPeriod:                   &o.LeaderElectionRetryPeriod,
		HealthProbeBindAddress:        o.HealthAddress,
		PprofBindAddress:              o.ProfilerAddress,
		Metrics:                       *metricsOptions,
		Cache:                         caches,
		Client:                        clientOptions(),
		WebhookServer: webhook.NewServer(webhook.Options{
			Host:    o.WebhookHost,
			Port:    o.WebhookPort,
			TLSOpts: append(tlsOptions, func(c *tls.Config) { c.GetCertificate = certificate }),
		}),
	}, nil
}
