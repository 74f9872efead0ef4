//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/go-logr/logr"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener/imagevector"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	"github.com/gardener/gardener/pkg/client/kubernetes"
	"github.com/gardener/gardener/pkg/component"
	"github.com/gardener/gardener/pkg/component/extensions/crds"
	"github.com/gardener/gardener/pkg/component/gardener/resourcemanager"
	"github.com/gardener/gardener/pkg/component/seed/system"
	"github.com/gardener/gardener/pkg/utils/kubernetes/health"
	secretsutils "github.com/gardener/gardener/pkg/utils/secrets"
	secretsmanager "github.com/gardener/gardener/pkg/utils/secrets/manager"
)

const (
	// gardenlet is who the secrets of gardenlet's components belong to.
	gardenlet = v1beta1constants.SecretManagerIdentityGardenlet
	// extensionName is that of the extension's Deployment, of its Service and of its webhooks' registration.
	extensionName = "gardener-extension-provider-packet"
)

// seed is a cluster of the yard that is a seed of the garden: what gardenlet deploys there is deployed by gardenlet's own
// components, and runs in pods.
type seed struct {
	*yard
	object *gardencorev1beta1.Seed
	// clients are gardenlet's.
	clients    kubernetes.Interface
	kubeconfig string
}

// newSeed makes a seed of a cluster. Its nodes have to run pods, and the build has to have the programs of the pods.
func newSeed(t *testing.T, y *yard, name, kubeconfig string) *seed {
	t.Helper()
	for _, program := range []string{"resource-manager", "machine-controller-manager", "machine-controller-manager-provider-packet", extensionName, "packet-cloud-controller-manager"} {
		if matches, err := filepath.Glob(filepath.Join(y.bin, "machine-image", "images", program)); err != nil || len(matches) == 0 {
			t.Fatalf("machines do not know the image %s (make e2e-build): %v", program, err)
		}
	}
	s := &seed{yard: y, kubeconfig: kubeconfig, clients: clientSet(t, kubeconfig)}
	s.object = &gardencorev1beta1.Seed{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: gardencorev1beta1.SeedSpec{
			Provider: gardencorev1beta1.SeedProvider{Type: "packet", Region: "da"},
			Networks: gardencorev1beta1.SeedNetworks{Pods: "10.244.0.0/16", Services: "10.96.0.0/12"},
			Settings: &gardencorev1beta1.SeedSettings{Scheduling: &gardencorev1beta1.SeedSettingScheduling{Visible: true}},
		},
		Status: gardencorev1beta1.SeedStatus{ClusterIdentity: ptr.To(name)},
	}
	t.Cleanup(func() {
		if t.Failed() {
			s.explain(t)
		}
	})
	return s
}

// explain logs what is needed to understand a failure on a seed.
func (s *seed) explain(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	say := func(arguments ...string) {
		output, err := s.tryKubectl(ctx, s.kubeconfig, arguments...)
		t.Logf("%s: kubectl %v: %v\n%s", s.object.Name, arguments, err, output)
	}
	say("get", "pods,managedresources", "--all-namespaces", "-o", "wide")
	say("get", "infrastructures.extensions.gardener.cloud,controlplanes.extensions.gardener.cloud,workers.extensions.gardener.cloud", "--all-namespaces",
		"-o", `jsonpath={range .items[*]}{.kind}: {.status.lastOperation} {.status.lastError}{"\n"}{end}`)
	pods := &corev1.PodList{}
	if err := s.clients.Client().List(ctx, pods); err != nil {
		t.Logf("listing the pods of %s: %v", s.object.Name, err)
	}
	for _, pod := range pods.Items {
		if pod.Labels["app.kubernetes.io/name"] == extensionName || pod.Namespace != "kube-system" && pod.Labels["role"] != "" {
			say("-n", pod.Namespace, "logs", pod.Name, "--all-containers", "--tail", "20")
		}
	}
}

func restConfig(t *testing.T, kubeconfig string) *rest.Config {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS, config.Burst = -1, 0
	return config
}

// clientSet is a client as Gardener's components want it, which reads nothing from a cache.
func clientSet(t *testing.T, kubeconfig string) kubernetes.Interface {
	t.Helper()
	clients, err := kubernetes.NewWithConfig(kubernetes.WithRESTConfig(restConfig(t, kubeconfig)),
		kubernetes.WithClientOptions(client.Options{Scheme: kubernetes.SeedScheme}), kubernetes.WithDisabledCachedClient())
	if err != nil {
		t.Fatal(err)
	}
	return clients
}

// prepare deploys what Gardener has on each seed, as far as extensions need it.
func (s *seed) prepare(t *testing.T) {
	t.Helper()
	s.applyDefinitions(t, s.kubeconfig)
	c := s.clients.Client()
	// The files have no more than the extension needs. gardenlet reads kinds of other extensions, too.
	definitions, err := crds.NewCRD(c, true, true)
	if err != nil {
		t.Fatal(err)
	}
	deployComponent(t, "the definitions of extensions' resources", definitions)
	if err := c.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: v1beta1constants.GardenNamespace, Labels: map[string]string{v1beta1constants.GardenRole: v1beta1constants.GardenNamespace},
	}}); err != nil {
		t.Fatal(err)
	}
	// Whoever installs gardenlet brings the class along: gardenlet's own are deployed by gardener-resource-manager, which is of this one.
	if err := c.Create(t.Context(), &schedulingv1.PriorityClass{
		ObjectMeta: metav1.ObjectMeta{Name: v1beta1constants.PriorityClassNameSeedSystemCritical}, Value: 999998950,
	}); err != nil {
		t.Fatal(err)
	}
	secrets := newSecrets(t, c, v1beta1constants.GardenNamespace)
	generate(t, secrets, &secretsutils.CertificateSecretConfig{Name: v1beta1constants.SecretNameCASeed, CommonName: "kubernetes", CertType: secretsutils.CACert})
	deployComponent(t, "gardener-resource-manager", resourcemanager.New(c, v1beta1constants.GardenNamespace, secrets, resourcemanager.Values{
		Image: image(t, imagevector.ContainerImageNameGardenerResourceManager), Replicas: ptr.To(int32(1)), ClusterIdentity: s.object.Status.ClusterIdentity,
		ResponsibilityMode: resourcemanager.ForRuntime, ResourceClass: ptr.To(v1beta1constants.SeedResourceManagerClass),
		RuntimeKubernetesVersion: semver.MustParse(s.clients.Version()), SecretNameServerCA: v1beta1constants.SecretNameCASeed,
		ConcurrentSyncs: ptr.To(20), HealthSyncPeriod: &metav1.Duration{Duration: time.Minute}, MaxConcurrentNetworkPolicyWorkers: ptr.To(20),
		DefaultSeccompProfileEnabled: true, HighAvailabilityConfigWebhookEnabled: true, LogLevel: "info", LogFormat: "json",
		PriorityClassName: v1beta1constants.PriorityClassNameSeedSystemCritical,
	}))
	deployComponent(t, "the priority classes", system.New(c, v1beta1constants.GardenNamespace, system.Values{ManagePriorityClasses: true}))
}

// applyDefinitions applies the definitions of Gardener's resources.
func (y *yard) applyDefinitions(t *testing.T, kubeconfig string) {
	t.Helper()
	definitions, err := filepath.Glob(filepath.Join(y.bin, "gardener", "20-crd-*.yaml"))
	if err != nil || len(definitions) == 0 {
		t.Fatalf("the build has no definitions of Gardener's resources (make e2e-build): %v", err)
	}
	for _, definition := range definitions {
		y.kubectl(t, kubeconfig, "apply", "--server-side", "-f", definition)
	}
	y.kubectl(t, kubeconfig, "wait", "--for=condition=Established", "crd", "--all")
}

// ready waits until the extension's pods are Ready and the seed's API server asks its webhooks.
func (s *seed) ready(t *testing.T, namespace string) {
	t.Helper()
	c := s.clients.Client()
	eventually(t, "the extension is Ready on "+s.object.Name, func(ctx context.Context) error {
		deployment := &appsv1.Deployment{}
		if err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: extensionName}, deployment); err != nil {
			return err
		}
		return health.CheckDeployment(deployment)
	})
	eventually(t, "its webhooks are registered on "+s.object.Name, func(ctx context.Context) error {
		config := &admissionregistrationv1.MutatingWebhookConfiguration{}
		if err := c.Get(ctx, client.ObjectKey{Name: extensionName}, config); err != nil {
			return err
		}
		for _, webhook := range config.Webhooks {
			if service := webhook.ClientConfig.Service; service == nil || service.Namespace != namespace || service.Name != extensionName {
				return fmt.Errorf("%s is asked at %+v", webhook.Name, webhook.ClientConfig)
			}
		}
		return nil
	})
}

// image is what Gardener runs a program from. Gardener's own programs have the tag of their release.
func image(t *testing.T, name string) string {
	t.Helper()
	found, err := imagevector.Containers().FindImage(name)
	if err != nil {
		t.Fatal(err)
	}
	found.WithOptionalTag(gardenerVersion)
	return found.String()
}

// newSecrets is gardenlet's manager of the secrets of a namespace.
func newSecrets(t *testing.T, c client.Client, namespace string) secretsmanager.Interface {
	t.Helper()
	secrets, err := secretsmanager.New(t.Context(), logr.Discard(), clock.RealClock{}, c, gardenlet, secretsmanager.WithNamespaces(namespace))
	if err != nil {
		t.Fatal(err)
	}
	return secrets
}

func generate(t *testing.T, secrets secretsmanager.Interface, config secretsutils.ConfigInterface) *corev1.Secret {
	t.Helper()
	secret, err := secrets.Generate(t.Context(), config, secretsmanager.Persist(), secretsmanager.Rotate(secretsmanager.KeepOld))
	if err != nil {
		t.Fatalf("making the secret %s: %v", config.GetName(), err)
	}
	return secret
}

// deployComponent deploys one of Gardener's components and waits until it is there.
func deployComponent(t *testing.T, what string, component component.DeployWaiter) {
	t.Helper()
	tryAgain(t, "deploying "+what, component.Deploy)
	if err := component.Wait(t.Context()); err != nil {
		t.Fatalf("waiting for %s: %v", what, err)
	}
}

// tryAgain does what gardenlet does until it succeeds, too: others write the same objects at the same time.
func tryAgain(t *testing.T, what string, do func(context.Context) error) {
	t.Helper()
	eventually(t, what, func(ctx context.Context) error {
		err := do(ctx)
		if err != nil && !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) {
			t.Fatalf("%s: %v", what, err)
		}
		return err
	})
}
