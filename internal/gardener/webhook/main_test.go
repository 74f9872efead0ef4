// Package webhook_test runs all webhooks of the extension as its manager does, registered in a real kube-apiserver, and has Gardener's
// own components create and update there what they create and update on a seed.
package webhook_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	ctrlwebhook "sigs.k8s.io/controller-runtime/pkg/webhook"

	extensionswebhook "github.com/gardener/gardener/extensions/pkg/webhook"
	webhookcmd "github.com/gardener/gardener/extensions/pkg/webhook/cmd"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	"github.com/gardener/gardener/pkg/client/kubernetes"
	gardenletfeatures "github.com/gardener/gardener/pkg/gardenlet/features"

	configv1alpha1 "github.com/packetyard/packetyard/api/config/v1alpha1"
	"github.com/packetyard/packetyard/internal/controlplanetest"
	"github.com/packetyard/packetyard/internal/gardener/account"
	"github.com/packetyard/packetyard/internal/gardener/webhook/cloudprovider"
	"github.com/packetyard/packetyard/internal/gardener/webhook/controlplane"
	"github.com/packetyard/packetyard/internal/gardener/webhook/seedprovider"
	"github.com/packetyard/packetyard/internal/gardener/webhook/shoot"
	"github.com/packetyard/packetyard/internal/processtest"
)

const (
	driverImage  = "registry.example.com/machine-controller-manager-provider-packet:v1.2.3"
	configAPIURL = "https://configured.example.com/metal/v1"
	patience     = 2 * time.Minute
)

// seed is the API server that plays both the seed and the shoots. Tests that use it do not run at the same time.
type seed struct {
	config *rest.Config
	// client is gardenlet's: live, with Gardener's scheme.
	client client.Client
	// cached is the extension's.
	cached client.Client
	// shootConfigs is what the extension puts into shoots.
	shootConfigs *atomic.Value
	// kubeconfig is for programs, and certificates the folder of a certificate that they may serve with.
	kubeconfig   []byte
	certificates string
}

// TestMain's environment is the only thing that is shared: a kube-apiserver takes too long to have one for each test.
var environment *seed

func TestMain(m *testing.M) {
	if os.Getenv(asResourceManager) != "" {
		os.Exit(runResourceManager())
	}
	ctrllog.SetLogger(logr.Discard())
	gardenletfeatures.RegisterFeatureGates()
	definitions, err := definitions()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	apiServer := controlplanetest.New(definitions...)
	apiServer.CRDInstallOptions = envtest.CRDInstallOptions{MaxTime: patience, PollInterval: 200 * time.Millisecond}
	os.Exit(controlplanetest.Run(m, apiServer, func(suite *controlplanetest.Suite) (err error) {
		if environment, err = startWebhooks(suite); err != nil {
			return fmt.Errorf("starting the webhooks: %w", err)
		}
		environment.kubeconfig = apiServer.KubeConfig
		return nil
	}))
}

// definitions are the files of the CustomResourceDefinitions of a seed that the components use.
func definitions() ([]string, error) {
	gardener, err := controlplanetest.ModuleFolder("github.com/gardener/gardener")
	if err != nil {
		return nil, err
	}
	druid, err := controlplanetest.ModuleFolder("github.com/gardener/etcd-druid/api")
	if err != nil {
		return nil, err
	}
	crds := filepath.Join(gardener, "example", "seed-crds")
	return []string{
		filepath.Join(crds, "10-crd-autoscaling.k8s.io_verticalpodautoscalers.yaml"),
		filepath.Join(crds, "10-crd-extensions.gardener.cloud_clusters.yaml"),
		filepath.Join(crds, "10-crd-extensions.gardener.cloud_infrastructures.yaml"),
		filepath.Join(crds, "10-crd-extensions.gardener.cloud_operatingsystemconfigs.yaml"),
		filepath.Join(crds, "10-crd-monitoring.coreos.com_prometheusrules.yaml"),
		filepath.Join(crds, "10-crd-monitoring.coreos.com_scrapeconfigs.yaml"),
		filepath.Join(crds, "10-crd-monitoring.coreos.com_servicemonitors.yaml"),
		filepath.Join(crds, "10-crd-resources.gardener.cloud_managedresources.yaml"),
		filepath.Join(gardener, "pkg/component/networking/istio/charts/istio/istio-crds/crd-all.gen.yaml"),
		filepath.Join(druid, "core/v1alpha1/crds/druid.gardener.cloud_etcds.yaml"),
	}, nil
}

// startWebhooks registers the webhooks in mode url, as the extension does when it runs outside of the seed.
func startWebhooks(suite *controlplanetest.Suite) (*seed, error) {
	certificates, err := os.MkdirTemp("", "webhooks-")
	if err != nil {
		return nil, err
	}
	suite.Cleanup(func() error { return os.RemoveAll(certificates) })
	port, err := processtest.FindPort()
	if err != nil {
		return nil, err
	}
	mgr, err := manager.New(suite.Config, manager.Options{
		Scheme:        kubernetes.SeedScheme,
		Metrics:       server.Options{BindAddress: "0"},
		WebhookServer: ctrlwebhook.NewServer(ctrlwebhook.Options{Host: "127.0.0.1", Port: port, CertDir: certificates}),
	})
	if err != nil {
		return nil, err
	}
	options := webhookcmd.NewAddToManagerOptions(account.Name, "extension-controlplane-shoot-webhooks", map[string]string{v1beta1constants.LabelShootProvider: account.Type}, nil,
		&webhookcmd.ServerOptions{Mode: extensionswebhook.ModeURL, URL: fmt.Sprintf("127.0.0.1:%d", port)},
		webhookcmd.NewSwitchOptions(switches()...))
	if err := options.Complete(); err != nil {
		return nil, err
	}
	ctx := context.Background()
	shootConfigs, err := options.Completed().AddToManager(ctx, mgr, nil)
	if err != nil {
		return nil, err
	}
	live, err := client.New(suite.Config, client.Options{Scheme: kubernetes.SeedScheme})
	if err != nil {
		return nil, err
	}
	suite.Go(mgr.Start)
	s := &seed{config: suite.Config, client: live, cached: mgr.GetClient(), shootConfigs: shootConfigs, certificates: certificates}
	return s, s.untilRegistered(ctx)
}

func switches() []webhookcmd.NameToFactory {
	return []webhookcmd.NameToFactory{
		webhookcmd.Switch("controlplane", func(mgr manager.Manager) (*extensionswebhook.Webhook, error) {
			return controlplane.New(mgr, controlplane.Options{MachineDriverImage: driverImage})
		}),
		webhookcmd.Switch("resourcemanager", controlplane.NewResourceManager),
		webhookcmd.Switch("cloudprovider", func(mgr manager.Manager) (*extensionswebhook.Webhook, error) {
			return cloudprovider.New(mgr, cloudprovider.Options{APIURL: configAPIURL})
		}),
		webhookcmd.Switch("seedprovider", func(mgr manager.Manager) (*extensionswebhook.Webhook, error) {
			return seedprovider.New(mgr, seedprovider.Options{Storage: configv1alpha1.ETCDStorage{
				ClassName: ptr.To("fast"), Capacity: ptr.To(resource.MustParse("25Gi")),
			}})
		}),
		webhookcmd.Switch("shoot", func(mgr manager.Manager) (*extensionswebhook.Webhook, error) {
			return shoot.New(mgr, shoot.Options{})
		}),
	}
}

// untilRegistered waits until the API server asks the webhooks, which is some time after they are registered: it is seen by what would
// become of a Deployment.
func (s *seed) untilRegistered(ctx context.Context) error {
	namespace := shootNamespace("registered")
	if err := s.client.Create(ctx, namespace); err != nil {
		return err
	}
	return wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		labels := map[string]string{v1beta1constants.LabelExtensionProviderMutatedByControlplaneWebhook: "true"}
		deployment := &appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Name: v1beta1constants.DeploymentNameKubeControllerManager, Namespace: namespace.Name, Labels: labels},
			Spec: appsv1.DeploymentSpec{
				Selector: &metav1.LabelSelector{MatchLabels: labels},
				Template: corev1.PodTemplateSpec{
					ObjectMeta: metav1.ObjectMeta{Labels: labels},
					Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: v1beta1constants.DeploymentNameKubeControllerManager, Image: "none"}}},
				},
			},
		}
		if err := s.client.Create(ctx, deployment, client.DryRunAll); err != nil {
			return false, nil //nolint:nilerr // The API server knows of the webhook before the webhook listens.
		}
		return len(deployment.Spec.Template.Spec.Containers[0].Command) > 0, nil
	})
}

func shootNamespace(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shoot--test--" + name, Labels: map[string]string{
		v1beta1constants.GardenRole:         v1beta1constants.GardenRoleShoot,
		v1beta1constants.LabelShootProvider: account.Type,
		v1beta1constants.LabelSeedProvider:  account.Type,
	}}}
}
