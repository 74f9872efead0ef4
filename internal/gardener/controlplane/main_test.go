package controlplane

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	vpaautoscalingv1 "k8s.io/autoscaler/vertical-pod-autoscaler/pkg/apis/autoscaling.k8s.io/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	extensionscontroller "github.com/gardener/gardener/extensions/pkg/controller"
	"github.com/gardener/gardener/extensions/pkg/util"
	extensionssecretsmanager "github.com/gardener/gardener/extensions/pkg/util/secret/manager"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	resourcesv1alpha1 "github.com/gardener/gardener/pkg/apis/resources/v1alpha1"
	"github.com/gardener/gardener/pkg/utils/chart"
	gardenerimagevector "github.com/gardener/gardener/pkg/utils/imagevector"
	secretsmanager "github.com/gardener/gardener/pkg/utils/secrets/manager"

	"github.com/packetyard/packetyard/internal/controlplanetest"
	"github.com/packetyard/packetyard/internal/gardener/account"
	"github.com/packetyard/packetyard/internal/gardener/imagevector"
)

const (
	testToken   = "a-token-that-must-not-be-seen"
	testProject = "93125c2a-8b78-4d4f-a3c4-7367d6b7cca8"
	testAPIURL  = "https://packet.example.com/metal/v1"
	patience    = 2 * time.Minute
)

// shared is the API server that is seed and Shoot at once.
var shared struct {
	config *rest.Config
	client client.Client
}

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	gardener, err := controlplanetest.ModuleFolder("github.com/gardener/gardener")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var definitions []string
	for _, name := range []string{
		"extensions.gardener.cloud_clusters", "extensions.gardener.cloud_controlplanes", "resources.gardener.cloud_managedresources",
		"monitoring.coreos.com_servicemonitors", "monitoring.coreos.com_prometheusrules", "autoscaling.k8s.io_verticalpodautoscalers",
	} {
		definitions = append(definitions, filepath.Join(gardener, "example", "seed-crds", "10-crd-"+name+".yaml"))
	}
	os.Exit(controlplanetest.Run(m, controlplanetest.New(definitions...), func(suite *controlplanetest.Suite) (err error) {
		shared.config = suite.Config
		shared.config.QPS, shared.config.Burst = -1, 0
		shared.client, err = client.New(shared.config, client.Options{Scheme: testScheme()})
		return err
	}))
}

func testScheme() *runtime.Scheme {
	all := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		scheme.AddToScheme, extensionscontroller.AddToScheme, resourcesv1alpha1.AddToScheme,
		// Of what is in the ManagedResources.
		apiextensionsv1.AddToScheme, monitoringv1.AddToScheme, vpaautoscalingv1.AddToScheme,
	} {
		if err := add(all); err != nil {
			panic(err)
		}
	}
	return all
}

// shoot is a Shoot as far as the seed knows it.
type shoot struct {
	cp      *extensionsv1alpha1.ControlPlane
	cluster *extensionscontroller.Cluster
}

// newShoot makes a Shoot in a namespace of its own, with a Secret of these contents besides a good account.
func newShoot(t *testing.T, version string, secret map[string]string) *shoot {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "shoot--test--"}}
	create(t, namespace)
	data := map[string]string{account.APIToken: testToken, account.ProjectID: testProject, account.APIURL: testAPIURL}
	maps.Copy(data, secret)
	maps.DeleteFunc(data, func(_, value string) bool { return value == "" })
	create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "cloudprovider", Namespace: namespace.Name}, StringData: data})
	return &shoot{
		cp: &extensionsv1alpha1.ControlPlane{
			ObjectMeta: metav1.ObjectMeta{Name: "control-plane", Namespace: namespace.Name},
			Spec: extensionsv1alpha1.ControlPlaneSpec{
				DefaultSpec: extensionsv1alpha1.DefaultSpec{Type: account.Type},
				Region:      "da",
				SecretRef:   corev1.SecretReference{Name: "cloudprovider", Namespace: namespace.Name},
			},
		},
		cluster: &extensionscontroller.Cluster{
			ObjectMeta: metav1.ObjectMeta{Name: namespace.Name},
			Shoot: &gardencorev1beta1.Shoot{
				TypeMeta:   metav1.TypeMeta{APIVersion: "core.gardener.cloud/v1beta1", Kind: "Shoot"},
				ObjectMeta: metav1.ObjectMeta{Name: "test", Namespace: "garden-test"},
				Spec: gardencorev1beta1.ShootSpec{
					Kubernetes: gardencorev1beta1.Kubernetes{
						Version:               version,
						VerticalPodAutoscaler: &gardencorev1beta1.VerticalPodAutoscaler{Enabled: true},
					},
					Networking: &gardencorev1beta1.Networking{IPFamilies: []gardencorev1beta1.IPFamily{gardencorev1beta1.IPFamilyIPv4}},
					Provider: gardencorev1beta1.Provider{Workers: []gardencorev1beta1.Worker{{
						Name: "pool", Taints: []corev1.Taint{{Key: "special", Value: "yes", Effect: corev1.TaintEffectNoSchedule}},
					}}},
				},
				Status: gardencorev1beta1.ShootStatus{TechnicalID: namespace.Name},
			},
			CloudProfile: &gardencorev1beta1.CloudProfile{ObjectMeta: metav1.ObjectMeta{Name: "packet"}},
		},
	}
}

// configure sets the controlPlaneConfig, whose fields are JSON without the braces.
func (s *shoot) configure(fields string) {
	if fields != "" {
		fields = "," + fields
	}
	s.cp.Spec.ProviderConfig = &runtime.RawExtension{
		Raw: []byte(`{"apiVersion":"packet.provider.extensions.gardener.cloud/v1alpha1","kind":"ControlPlaneConfig"` + fields + `}`),
	}
}

// secrets makes the Shoot's certificates, by Gardener's secrets manager.
func (s *shoot) secrets(t *testing.T) secretsmanager.Reader {
	t.Helper()
	configs := secretConfigs(s.cp.Namespace)
	manager, err := extensionssecretsmanager.SecretsManagerForCluster(t.Context(), logr.Discard(), clock.RealClock{}, shared.client, s.cluster, "test", configs)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := extensionssecretsmanager.GenerateAllSecrets(t.Context(), manager, configs); err != nil {
		t.Fatal(err)
	}
	return manager
}

// rendered is what the charts make for a Shoot.
type rendered struct{ seed, shoot, crds []*unstructured.Unstructured }

func (s *shoot) render(t *testing.T, scaledDown bool) rendered {
	t.Helper()
	values, err := s.seedValues(t, scaledDown)
	if err != nil {
		t.Fatal(err)
	}
	provider, secrets := s.provider(t), s.secrets(t)
	shootValues, err := provider.GetControlPlaneShootChartValues(t.Context(), s.cp, s.cluster, secrets, nil)
	if err != nil {
		t.Fatal(err)
	}
	crdValues, err := provider.GetControlPlaneShootCRDsChartValues(t.Context(), s.cp, s.cluster)
	if err != nil {
		t.Fatal(err)
	}
	return rendered{
		seed:  s.objects(t, controlPlaneChart(), s.cp.Namespace, values),
		shoot: s.objects(t, controlPlaneShootChart(), metav1.NamespaceSystem, shootValues),
		crds:  s.objects(t, controlPlaneShootCRDsChart(), metav1.NamespaceSystem, crdValues),
	}
}

func (s *shoot) provider(t *testing.T) *valuesProvider {
	t.Helper()
	dashboard, err := dashboard()
	if err != nil {
		t.Fatal(err)
	}
	return &valuesProvider{reader: shared.client, dashboard: dashboard}
}

func (s *shoot) seedValues(t *testing.T, scaledDown bool) (map[string]any, error) {
	t.Helper()
	return s.provider(t).GetControlPlaneChartValues(t.Context(), s.cp, s.cluster, s.secrets(t), map[string]string{"cloudprovider": "a-checksum"}, scaledDown)
}

// objects renders a chart with Gardener's renderer.
func (s *shoot) objects(t *testing.T, c *chart.Chart, namespace string, values map[string]any) []*unstructured.Unstructured {
	t.Helper()
	version := s.cluster.Shoot.Spec.Kubernetes.Version
	renderer, err := util.NewChartRendererForShoot(version)
	if err != nil {
		t.Fatal(err)
	}
	_, manifests, err := c.Render(renderer, namespace, images(t), version, version, values)
	if err != nil {
		t.Fatal(err)
	}
	var objects []*unstructured.Unstructured
	for document := range strings.SplitSeq(string(manifests), "\n---\n") {
		object := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict([]byte(document), &object.Object); err != nil {
			t.Fatalf("%v:\n%s", err, document)
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
	return objects
}

func images(t *testing.T) gardenerimagevector.ImageVector {
	t.Helper()
	vector, err := imagevector.Read("v0.0.0-test")
	if err != nil {
		t.Fatal(err)
	}
	return vector
}

// typed finds an object by its kind and name, and decodes it strictly.
func typed[T any](t *testing.T, objects []*unstructured.Unstructured, kind, name string) *T {
	t.Helper()
	for _, object := range objects {
		if object.GetKind() == kind && object.GetName() == name {
			into := new(T)
			if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, into, true); err != nil {
				t.Fatalf("%s %s: %v", kind, name, err)
			}
			return into
		}
	}
	t.Fatalf("there is no %s %s", kind, name)
	return nil
}

func has(objects []*unstructured.Unstructured, kind, name string) bool {
	for _, object := range objects {
		if object.GetKind() == kind && object.GetName() == name {
			return true
		}
	}
	return false
}

func create(t *testing.T, object client.Object) {
	t.Helper()
	if err := shared.client.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
}

// apply has the API server take objects, or, in a dry run, say whether it would.
func apply(ctx context.Context, objects []*unstructured.Unstructured, options ...client.ApplyOption) error {
	options = append(options, client.FieldOwner("test"), client.ForceOwnership)
	for _, object := range objects {
		if err := shared.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(object.DeepCopy()), options...); err != nil {
			return fmt.Errorf("%s %s/%s: %w", object.GetKind(), object.GetNamespace(), object.GetName(), err)
		}
	}
	return nil
}

// installMetalLB makes what MetalLB's objects need to be there: namespace and definitions.
func installMetalLB(t *testing.T, objects rendered) {
	t.Helper()
	for _, object := range objects.shoot {
		if object.GetKind() == "Namespace" {
			if err := apply(t.Context(), []*unstructured.Unstructured{object}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := apply(t.Context(), objects.crds); err != nil {
		t.Fatal(err)
	}
	for _, object := range objects.crds {
		await(t, "the definition "+object.GetName()+" is served", func(ctx context.Context) (bool, error) {
			current := object.DeepCopy()
			if err := shared.client.Get(ctx, client.ObjectKeyFromObject(current), current); err != nil {
				return false, err
			}
			conditions, _, err := unstructured.NestedSlice(current.Object, "status", "conditions")
			for _, condition := range conditions {
				condition := condition.(map[string]any)
				if condition["type"] == "Established" && condition["status"] == "True" {
					return true, err
				}
			}
			return false, err
		})
	}
}

// await looks until something is so.
func await(t *testing.T, what string, is func(context.Context) (bool, error)) {
	t.Helper()
	if err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, patience, true, is); err != nil {
		t.Fatalf("waiting until %s: %v", what, err)
	}
}
