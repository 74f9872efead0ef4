package manager

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"sigs.k8s.io/cluster-api/bootstrap/kubeadm/reconcilers/kubeadmconfig"
	"sigs.k8s.io/cluster-api/feature"
	"sigs.k8s.io/cluster-api/util/flags"

	"github.com/packetyard/packetyard/internal/capi/packetmachine"
)

// Provider names a part of the manager that can be run on its own.
type Provider string

// The parts of the manager, as clusterctl names them.
const (
	ProviderCore           Provider = "core"
	ProviderBootstrap      Provider = "bootstrap"
	ProviderControlPlane   Provider = "control-plane"
	ProviderInfrastructure Provider = "infrastructure"
)

// AllProviders are what the manager runs unless it is told otherwise.
func AllProviders() []Provider {
	return []Provider{ProviderCore, ProviderBootstrap, ProviderControlPlane, ProviderInfrastructure}
}

// Names that the manifests in config/ use too.
const (
	// DefaultNamespace is where the manager runs.
	DefaultNamespace = "cluster-api-provider-packet-system"
	// DefaultWebhookService is the Service in front of the webhook server.
	DefaultWebhookService = "cluster-api-provider-packet-webhook-service"
	// DefaultWebhookSecret holds the certificates of the webhook server.
	DefaultWebhookSecret = "cluster-api-provider-packet-webhook-cert"

	leaderElectionID = "cluster-api-provider-packet-leader-election"
	controllerName   = "cluster-api-provider-packet"
)

// Options are everything that can be set by flags.
type Options struct {
	Providers []string
	// Namespace limits the manager to objects of one namespace; empty means all.
	Namespace        string
	WatchFilterValue string

	LeaderElection              bool
	LeaderElectionNamespace     string
	LeaderElectionLeaseDuration time.Duration
	LeaderElectionRenewDeadline time.Duration
	LeaderElectionRetryPeriod   time.Duration
	LeaderElectionResourceLock  string

	HealthAddress   string
	ProfilerAddress string
	Diagnostics     flags.ManagerOptions

	WebhookPort    int
	WebhookHost    string
	WebhookService string
	WebhookSecret  string
	// PodNamespace is where the Service and the Secrets of the manager are.
	PodNamespace string

	KubeAPIQPS   float32
	KubeAPIBurst int
	SyncPeriod   time.Duration

	ClusterCacheQPS           float32
	ClusterCacheBurst         int
	ClusterCacheTimeout       time.Duration
	ClusterCacheRetryInterval time.Duration

	RemoteConnectionGracePeriod time.Duration
	RemoteConditionsGracePeriod time.Duration

	// Concurrency is how many objects of a kind are reconciled at a time, for every controller but the slow ones.
	Concurrency int

	BootstrapTokenTTL time.Duration
	EtcdDialTimeout   time.Duration
	EtcdCallTimeout   time.Duration
	EtcdLogLevel      string

	SkipCRDMigrationPhases []string

	// EncryptionCheckInterval is how often the manager looks whether the bootstrap cluster encrypts at rest; never if 0.
	EncryptionCheckInterval time.Duration

	Packet PacketOptions
}

// PacketOptions are the settings of the infrastructure provider.
type PacketOptions struct {
	// CredentialsSecret is the Secret in PodNamespace that holds the credentials of clusters that bring none of their own.
	CredentialsSecret string
	// PollInterval is how often a device that is changing is looked at.
	PollInterval time.Duration
	// ResyncInterval is how often a device that is not changing is looked at.
	ResyncInterval time.Duration
	// ListingTTL is how long one listing of a project's devices and addresses is shared by all objects.
	ListingTTL time.Duration
	// QueuedTimeout, ProvisioningTimeout, BootstrapTimeout and DeletionTimeout are those of machines that bring none of their
	// own; see packetmachine.Timeouts.
	QueuedTimeout       time.Duration
	ProvisioningTimeout time.Duration
	BootstrapTimeout    time.Duration
	DeletionTimeout     time.Duration
	// QPS and Burst limit the calls to the Packet API, per token.
	QPS   float64
	Burst int
	// Timeout limits one call to the Packet API.
	Timeout time.Duration
}

// DefaultOptions returns what the flags default to.
func DefaultOptions() Options {
	o := Options{}
	o.AddFlags(pflag.NewFlagSet("defaults", pflag.ContinueOnError))
	return o
}

// AddFlags adds the flags of the manager. Flags that upstream's managers have keep their name and meaning.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	providers := make([]string, 0, len(AllProviders()))
	for _, provider := range AllProviders() {
		providers = append(providers, string(provider))
	}
	fs.StringSliceVar(&o.Providers, "providers", providers, "The parts to run, any of "+strings.Join(providers, ", ")+".")
	fs.StringVar(&o.Namespace, "namespace", "", "Namespace to watch. All namespaces if empty.")
	fs.StringVar(&o.WatchFilterValue, "watch-filter", "", "Value of the label cluster.x-k8s.io/watch-filter of the objects to watch. All objects if empty.")

	fs.BoolVar(&o.LeaderElection, "leader-elect", false, "Run the controllers in one replica at a time only.")
	fs.StringVar(&o.LeaderElectionNamespace, "leader-election-namespace", "", "Namespace of the leader election's Lease. The namespace of the manager's pod if empty.")
	fs.DurationVar(&o.LeaderElectionLeaseDuration, "leader-elect-lease-duration", 15*time.Second, "How long the others wait before they take over from a leader that went silent.")
	fs.DurationVar(&o.LeaderElectionRenewDeadline, "leader-elect-renew-deadline", 10*time.Second, "How long a leader tries to renew its lease before it gives up.")
	fs.DurationVar(&o.LeaderElectionRetryPeriod, "leader-elect-retry-period", 2*time.Second, "How long to wait between tries to acquire or renew the lease.")
	o.LeaderElectionResourceLock = resourcelock.LeasesResourceLock

	fs.StringVar(&o.HealthAddress, "health-addr", ":9440", "Address of /healthz and /readyz.")
	fs.StringVar(&o.ProfilerAddress, "profiler-address", "", "Address of pprof, for example localhost:6060. Off if empty.")
	flags.AddManagerOptions(fs, &o.Diagnostics)

	fs.IntVar(&o.WebhookPort, "webhook-port", 9443, "Port of the webhook server.")
	fs.StringVar(&o.WebhookHost, "webhook-host", "", "Address of the webhook server. All addresses if empty.")
	fs.StringVar(&o.WebhookService, "webhook-service", DefaultWebhookService, "Service that the API server calls the webhooks by.")
	fs.StringVar(&o.WebhookSecret, "webhook-secret", DefaultWebhookSecret, "Secret that the manager keeps the certificates of the webhooks in.")
	fs.StringVar(&o.PodNamespace, "pod-namespace", DefaultNamespace, "Namespace of the manager's own Service, Secrets and Lease.")

	fs.Float32Var(&o.KubeAPIQPS, "kube-api-qps", 100, "Requests per second to the API server that the manager works on, for each of --providers: one process has the limits of those that it replaces.")
	fs.IntVar(&o.KubeAPIBurst, "kube-api-burst", 200, "Requests to that API server that may be sent at once, for each of --providers.")
	fs.DurationVar(&o.SyncPeriod, "sync-period", 10*time.Minute, "How often every object is reconciled even if nothing changed.")

	fs.Float32Var(&o.ClusterCacheQPS, "clustercache-client-qps", 20, "Requests per second to the API server of each workload cluster.")
	fs.IntVar(&o.ClusterCacheBurst, "clustercache-client-burst", 30, "Requests to the API server of a workload cluster that may be sent at once.")
	fs.DurationVar(&o.ClusterCacheTimeout, "clustercache-client-timeout", 10*time.Second, "Time limit of a request to the API server of a workload cluster.")
	fs.DurationVar(&o.ClusterCacheRetryInterval, "clustercache-connection-retry-interval", time.Second, "How long to wait after a failed connection to a workload cluster. Upstream has 30s, which is most of the time a fast cluster takes to come up.")

	fs.DurationVar(&o.RemoteConnectionGracePeriod, "remote-connection-grace-period", 50*time.Second, "Time without a successful probe of a workload cluster after which its RemoteConnectionProbe condition is False.")
	fs.DurationVar(&o.RemoteConditionsGracePeriod, "remote-conditions-grace-period", 5*time.Minute, "Time without a successful probe of a workload cluster after which what was known about it is Unknown.")

	fs.IntVar(&o.Concurrency, "concurrency", 50, "How many objects of each kind are reconciled at the same time.")

	fs.DurationVar(&o.BootstrapTokenTTL, "bootstrap-token-ttl", kubeadmconfig.DefaultTokenTTL, "How long a kubeadm token is valid.")
	fs.DurationVar(&o.EtcdDialTimeout, "etcd-dial-timeout-duration", 10*time.Second, "Time limit of connecting to the etcd of a control plane.")
	fs.DurationVar(&o.EtcdCallTimeout, "etcd-call-timeout-duration", 15*time.Second, "Time limit of one operation on the etcd of a control plane.")
	fs.StringVar(&o.EtcdLogLevel, "etcd-client-log-level", "warn", "Log level of the etcd client: debug, info, warn or error.")

	fs.StringSliceVar(&o.SkipCRDMigrationPhases, "skip-crd-migration-phases", nil, "CRD migration phases to skip: StorageVersionMigration, CleanupManagedFields.")

	fs.DurationVar(&o.EncryptionCheckInterval, "encryption-check-interval", time.Hour, "How often to look whether the bootstrap cluster encrypts Secrets at rest. Never if 0.")

	fs.StringVar(&o.Packet.CredentialsSecret, "packet-credentials-secret", "packet-api-credentials", "Secret in the manager's namespace with the keys apiURL, apiToken and projectID.")
	fs.DurationVar(&o.Packet.PollInterval, "packet-poll-interval", time.Second, "How often devices that are being provisioned or deleted are looked at.")
	fs.DurationVar(&o.Packet.ResyncInterval, "packet-resync-interval", time.Minute, "How often devices that are active are looked at.")
	fs.DurationVar(&o.Packet.ListingTTL, "packet-listing-ttl", 900*time.Millisecond, "How long one listing of a project is shared by all the project's machines.")
	timeouts := packetmachine.DefaultTimeouts()
	fs.DurationVar(&o.Packet.QueuedTimeout, "packet-queued-timeout", timeouts.Queued, "Time until the Packet API begins with a device, after which its machine is not Ready. Never if 0. The spec.timeouts of a machine come before this and the next three.")
	fs.DurationVar(&o.Packet.ProvisioningTimeout, "packet-provisioning-timeout", timeouts.Provisioning, "Time from there until a device is active, after which its machine is not Ready. Never if 0.")
	fs.DurationVar(&o.Packet.BootstrapTimeout, "packet-bootstrap-timeout", timeouts.Bootstrap, "Time from there until a machine is a node, after which it is not Ready. Never if 0.")
	fs.DurationVar(&o.Packet.DeletionTimeout, "packet-deletion-timeout", timeouts.Deletion, "Time until a device that is to be deleted is gone, after which its machine says so. Never if 0.")
	fs.Float64Var(&o.Packet.QPS, "packet-api-qps", 20, "Requests per second to the Packet API, per token.")
	fs.IntVar(&o.Packet.Burst, "packet-api-burst", 40, "Requests to the Packet API that may be sent at once, per token.")
	fs.DurationVar(&o.Packet.Timeout, "packet-api-timeout", 30*time.Second, "Time limit of one call to the Packet API.")

	feature.MutableGates.AddFlag(fs)
}

// Validate tells everything that is wrong with the options.
func (o *Options) Validate() error {
	var errs []error
	if len(o.Providers) == 0 {
		errs = append(errs, errors.New("--providers is empty: nothing would run"))
	}
	for _, provider := range o.Providers {
		if !slices.Contains(AllProviders(), Provider(provider)) {
			errs = append(errs, fmt.Errorf("--providers has %q, allowed are %v", provider, AllProviders()))
		}
	}
	if o.RemoteConditionsGracePeriod <= o.RemoteConnectionGracePeriod {
		errs = append(errs, fmt.Errorf("--remote-conditions-grace-period %s must be longer than --remote-connection-grace-period %s",
			o.RemoteConditionsGracePeriod, o.RemoteConnectionGracePeriod))
	}
	// The ClusterCache needs up to 5 x (10s + 5s) to notice that a connection is dead.
	if o.RemoteConditionsGracePeriod < 2*time.Minute {
		errs = append(errs, fmt.Errorf("--remote-conditions-grace-period is %s, it must be at least 2m", o.RemoteConditionsGracePeriod))
	}
	for name, value := range map[string]time.Duration{
		"packet-poll-interval":                   o.Packet.PollInterval,
		"packet-resync-interval":                 o.Packet.ResyncInterval,
		"clustercache-connection-retry-interval": o.ClusterCacheRetryInterval,
		"clustercache-client-timeout":            o.ClusterCacheTimeout,
		"bootstrap-token-ttl":                    o.BootstrapTokenTTL,
	} {
		if value <= 0 {
			errs = append(errs, fmt.Errorf("--%s is %s, it must be positive", name, value))
		}
	}
	for name, value := range map[string]time.Duration{
		"packet-queued-timeout":       o.Packet.QueuedTimeout,
		"packet-provisioning-timeout": o.Packet.ProvisioningTimeout,
		"packet-bootstrap-timeout":    o.Packet.BootstrapTimeout,
		"packet-deletion-timeout":     o.Packet.DeletionTimeout,
	} {
		if value < 0 {
			errs = append(errs, fmt.Errorf("--%s is %s, it must be positive, or 0 for never", name, value))
		}
	}
	if o.EncryptionCheckInterval < 0 {
		errs = append(errs, fmt.Errorf("--encryption-check-interval is %s, it must be positive, or 0 for never", o.EncryptionCheckInterval))
	}
	if o.Concurrency < 1 {
		errs = append(errs, fmt.Errorf("--concurrency is %d, it must be at least 1", o.Concurrency))
	}
	if o.PodNamespace == "" {
		errs = append(errs, errors.New("--pod-namespace is empty: the manager would not find its own Secrets"))
	}
	return errors.Join(errs...)
}

func (o *Options) runsOnly(provider Provider) bool {
	return o.runs(provider) && len(o.Providers) == 1
}

func (o *Options) runs(provider Provider) bool {
	return slices.Contains(o.Providers, string(provider))
}
