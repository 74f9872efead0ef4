package manager

import (
	"crypto/tls"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"go.uber.org/zap/zapcore"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	"sigs.k8s.io/cluster-api/feature"
)

// noClients is a manager as far as reconcilers take their clients from it.
type noClients struct{}

func (noClients) GetClient() client.Client    { return nil }
func (noClients) GetAPIReader() client.Reader { return nil }

// process is what managerOptions makes of options.
func process(t *testing.T, o *Options) ctrl.Options {
	t.Helper()
	scheme, err := NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	options, err := o.managerOptions(scheme, nil)
	if err != nil {
		t.Fatal(err)
	}
	return options
}

// served is how the webhook server speaks TLS.
func served(t *testing.T, o *Options) *tls.Config {
	t.Helper()
	config := &tls.Config{} //nolint:gosec // The flags set the version.
	for _, set := range webhookServer(t, o).Options.TLSOpts {
		set(config)
	}
	return config
}

func webhookServer(t *testing.T, o *Options) *webhook.DefaultServer {
	t.Helper()
	server, ok := process(t, o).WebhookServer.(*webhook.DefaultServer)
	if !ok {
		t.Fatalf("the webhook server is a %T", process(t, o).WebhookServer)
	}
	return server
}

// retries is a ClusterCache as far as its retry interval goes.
type retries struct{ interval time.Duration }

func (r *retries) SetConnectionCreationRetryInterval(d time.Duration) { r.interval = d }

// effect is a value of a flag, and where it is seen.
type effect struct {
	value string
	see   func(t *testing.T, o *Options) any
}

// effects are those of all flags but the ones that are fields of our own reconcilers; see readElsewhere.
var effects = map[string]effect{
	"providers": {"infrastructure", func(_ *testing.T, o *Options) any { return o.runs(ProviderCore) }},
	"namespace": {"one", func(t *testing.T, o *Options) any { return len(process(t, o).Cache.DefaultNamespaces) }},
	"watch-filter": {"some", func(_ *testing.T, o *Options) any {
		return clusterReconciler(noClients{}, nil, *o).WatchFilterValue + kubeadmConfigReconciler(noClients{}, nil, nil, *o).WatchFilterValue
	}},
	"leader-elect":                {"true", func(t *testing.T, o *Options) any { return process(t, o).LeaderElection }},
	"leader-election-namespace":   {"leases", func(t *testing.T, o *Options) any { return process(t, o).LeaderElectionNamespace }},
	"leader-elect-lease-duration": {"25s", func(t *testing.T, o *Options) any { return *process(t, o).LeaseDuration }},
	"leader-elect-renew-deadline": {"20s", func(t *testing.T, o *Options) any { return *process(t, o).RenewDeadline }},
	"leader-elect-retry-period":   {"3s", func(t *testing.T, o *Options) any { return *process(t, o).RetryPeriod }},
	"health-addr":                 {":1", func(t *testing.T, o *Options) any { return process(t, o).HealthProbeBindAddress }},
	"profiler-address":            {"localhost:6060", func(t *testing.T, o *Options) any { return process(t, o).PprofBindAddress }},
	"diagnostics-address":         {":1", func(t *testing.T, o *Options) any { return process(t, o).Metrics.BindAddress }},
	"insecure-diagnostics":        {"true", func(t *testing.T, o *Options) any { return process(t, o).Metrics.SecureServing }},
	"tls-min-version":             {"VersionTLS13", func(t *testing.T, o *Options) any { return served(t, o).MinVersion }},
	"tls-cipher-suites": {"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", func(t *testing.T, o *Options) any {
		return len(served(t, o).CipherSuites)
	}},
	"tls-curve-preferences":       {"23", func(t *testing.T, o *Options) any { return len(served(t, o).CurvePreferences) }},
	"webhook-port":                {"1", func(t *testing.T, o *Options) any { return webhookServer(t, o).Options.Port }},
	"webhook-host":                {"127.0.0.1", func(t *testing.T, o *Options) any { return webhookServer(t, o).Options.Host }},
	"webhook-service":             {"other", func(_ *testing.T, o *Options) any { return o.certificateOptions(nil).Service }},
	"webhook-secret":              {"other", func(_ *testing.T, o *Options) any { return o.certificateOptions(nil).Secret }},
	"pod-namespace":               {"other", func(_ *testing.T, o *Options) any { return o.certificateOptions(nil).Service }},
	"kube-api-qps":                {"7", func(_ *testing.T, o *Options) any { return o.restConfig(&rest.Config{}).QPS }},
	"kube-api-burst":              {"7", func(_ *testing.T, o *Options) any { return o.restConfig(&rest.Config{}).Burst }},
	"sync-period":                 {"1m", func(t *testing.T, o *Options) any { return *process(t, o).Cache.SyncPeriod }},
	"clustercache-client-qps":     {"7", func(_ *testing.T, o *Options) any { return clusterCacheOptions(nil, *o).Client.QPS }},
	"clustercache-client-burst":   {"7", func(_ *testing.T, o *Options) any { return clusterCacheOptions(nil, *o).Client.Burst }},
	"clustercache-client-timeout": {"7s", func(_ *testing.T, o *Options) any { return clusterCacheOptions(nil, *o).Client.Timeout }},
	"clustercache-connection-retry-interval": {"7s", func(_ *testing.T, o *Options) any {
		seen := &retries{}
		o.setRetryInterval(seen)
		return seen.interval
	}},
	"remote-connection-grace-period": {"40s", func(_ *testing.T, o *Options) any {
		return clusterReconciler(noClients{}, nil, *o).RemoteConnectionGracePeriod
	}},
	"remote-conditions-grace-period": {"6m", func(_ *testing.T, o *Options) any {
		return machineReconciler(noClients{}, nil, *o).RemoteConditionsGracePeriod
	}},
	"concurrency":                {"7", func(_ *testing.T, o *Options) any { return controllerOptions(*o).MaxConcurrentReconciles }},
	"bootstrap-token-ttl":        {"7m", func(_ *testing.T, o *Options) any { return kubeadmConfigReconciler(noClients{}, nil, nil, *o).TokenTTL }},
	"etcd-dial-timeout-duration": {"7s", func(t *testing.T, o *Options) any { return controlPlane(t, o).dial }},
	"etcd-call-timeout-duration": {"7s", func(t *testing.T, o *Options) any { return controlPlane(t, o).call }},
	"etcd-client-log-level":      {"debug", func(t *testing.T, o *Options) any { return controlPlane(t, o).debug }},
	"skip-crd-migration-phases":  {"StorageVersionMigration", func(_ *testing.T, o *Options) any { return len(o.skippedPhases()) }},
	"packet-credentials-secret":  {"other", func(_ *testing.T, o *Options) any { return o.credentialsConfig(nil).Secret }},
	"packet-listing-ttl":         {"7s", func(_ *testing.T, o *Options) any { return o.credentialsConfig(nil).ListingTTL }},
	"packet-api-qps":             {"7", func(_ *testing.T, o *Options) any { return o.credentialsConfig(nil).QPS }},
	"packet-api-burst":           {"7", func(_ *testing.T, o *Options) any { return o.credentialsConfig(nil).Burst }},
	"packet-api-timeout":         {"7s", func(_ *testing.T, o *Options) any { return o.credentialsConfig(nil).Timeout }},
	"feature-gates":              {"RuntimeSDK=true", func(*testing.T, *Options) any { return checkGates() == nil }},
}

type etcd struct {
	dial, call time.Duration
	debug      bool
}

func controlPlane(t *testing.T, o *Options) etcd {
	t.Helper()
	r, err := kubeadmControlPlaneReconciler(noClients{}, nil, nil, *o)
	if err != nil {
		t.Fatal(err)
	}
	return etcd{r.EtcdDialTimeout, r.EtcdCallTimeout, r.EtcdLogger.Core().Enabled(zapcore.DebugLevel)}
}

// Defects 13 and 17 of the former provider: --leader-election-namespace was read and used nowhere, and the limits of calls to
// the API server had no flags at all, so that they were 5 per second. Every flag must have an effect.
func TestCAPPDefect13EveryFlagHasAnEffect(t *testing.T) {
	read := fieldsReadElsewhere(t)
	all := pflag.NewFlagSet("all", pflag.ContinueOnError)
	(&Options{}).AddFlags(all)
	all.VisitAll(func(flag *pflag.Flag) {
		e, known := effects[flag.Name]
		if !known {
			if !read[fieldName(flag.Name)] {
				t.Errorf("--%s has no effect that this test knows: no code of this package reads a field %s; add the flag to effects", flag.Name, fieldName(flag.Name))
			}
			return
		}
		t.Run(flag.Name, func(t *testing.T) {
			before := DefaultOptions()
			was := fmt.Sprint(e.see(t, &before))
			after := Options{}
			flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
			after.AddFlags(flags)
			if flag.Name == "feature-gates" {
				defer func() { _ = feature.MutableGates.Set("RuntimeSDK=false") }()
			}
			if err := flags.Parse([]string{"--" + flag.Name + "=" + e.value}); err != nil {
				t.Fatal(err)
			}
			if is := fmt.Sprint(e.see(t, &after)); is == was {
				t.Errorf("--%s=%s changes nothing: %s", flag.Name, e.value, is)
			}
		})
	})
	for name := range effects {
		if all.Lookup(name) == nil {
			t.Errorf("there is no flag --%s any more", name)
		}
	}
}

// Defect 17: see above. The defaults are those of Cluster API's own managers.
func TestCAPPDefect17TheLimitsOfTheAPIServerAreBound(t *testing.T) {
	o := DefaultOptions()
	o.Providers = []string{string(ProviderInfrastructure)}
	if c := o.restConfig(&rest.Config{QPS: 5, Burst: 10}); c.QPS != 100 || c.Burst != 200 {
		t.Errorf("the limits are %v per second and bursts of %d, want 100 and 200", c.QPS, c.Burst)
	}
}

// Four providers in one process shared the limit that each of upstream's has: a hundred clusters, of two hundred writes each, would
// have waited for it for three minutes.
func TestProvidersInOneProcessSharedOneLimit(t *testing.T) {
	o := DefaultOptions()
	if c := o.restConfig(&rest.Config{}); c.QPS != 400 || c.Burst != 800 {
		t.Errorf("the limits of %v are %v per second and bursts of %d, want 400 and 800", o.Providers, c.QPS, c.Burst)
	}
	o.KubeAPIQPS, o.KubeAPIBurst = 7.5, 15
	if c := o.restConfig(&rest.Config{}); c.QPS != 30 || c.Burst != 60 {
		t.Errorf("four times 7.5 per second and bursts of 15 are %v and %d", c.QPS, c.Burst)
	}
}

// Profiles had two addresses, of which the second could not be used.
func TestCAPPDefect13ProfilesHaveOneAddress(t *testing.T) {
	o := DefaultOptions()
	o.ProfilerAddress = "localhost:6060"
	options := process(t, &o)
	if options.PprofBindAddress != "localhost:6060" || options.Metrics.BindAddress == options.PprofBindAddress {
		t.Errorf("profiles are at %q and metrics at %q", options.PprofBindAddress, options.Metrics.BindAddress)
	}
}

// Managers of single providers can share a namespace, so they must not share a Lease.
func TestEachProviderHasItsLease(t *testing.T) {
	seen := map[string]string{}
	for _, providers := range [][]string{{"core"}, {"bootstrap"}, {"control-plane"}, {"infrastructure"}, {"core", "bootstrap", "control-plane", "infrastructure"}} {
		o := DefaultOptions()
		o.Providers = providers
		id := process(t, &o).LeaderElectionID
		if other, taken := seen[id]; taken {
			t.Errorf("%v and %s share Lease %s", providers, other, id)
		}
		seen[id] = fmt.Sprint(providers)
	}
}

// fieldName is what a flag of ours is called in the options: packet-poll-interval is PollInterval.
func fieldName(flag string) string {
	name := ""
	for part := range strings.SplitSeq(strings.TrimPrefix(flag, "packet-"), "-") {
		name += strings.ToUpper(part[:1]) + part[1:]
	}
	return name
}

// fieldsReadElsewhere are the fields that this package selects outside of where flags are added and checked.
func fieldsReadElsewhere(t *testing.T) map[string]bool {
	t.Helper()
	read := map[string]bool{}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || name == "options.go" {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(node ast.Node) bool {
			if selector, ok := node.(*ast.SelectorExpr); ok {
				read[selector.Sel.Name] = true
			}
			return true
		})
	}
	return read
}
