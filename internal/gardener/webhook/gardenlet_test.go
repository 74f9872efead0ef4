package webhook_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	"github.com/gardener/gardener/pkg/client/kubernetes"
	secretsmanager "github.com/gardener/gardener/pkg/utils/secrets/manager"
	fakesecretsmanager "github.com/gardener/gardener/pkg/utils/secrets/manager/fake"

	"github.com/packetyard/packetyard/internal/gardener/account"
)

// gardenlet is what Gardener's components are given to deploy the control plane of one Shoot.
type gardenlet struct {
	*seed
	namespace string
	secrets   secretsmanager.Interface
}

// newGardenlet makes the namespace and the Cluster of a Shoot of this provider type, and the Secrets that others than the components
// under test generate.
func newGardenlet(t *testing.T, name, provider string, change func(*gardencorev1beta1.CloudProfile, *gardencorev1beta1.Shoot)) *gardenlet {
	t.Helper()
	ctx := t.Context()
	namespace := shootNamespace(name)
	namespace.Labels[v1beta1constants.LabelShootProvider] = provider
	namespace.Labels[v1beta1constants.LabelSeedProvider] = provider
	if err := environment.client.Create(ctx, namespace); err != nil {
		t.Fatal(err)
	}
	g := &gardenlet{seed: environment, namespace: namespace.Name, secrets: fakesecretsmanager.New(environment.client, namespace.Name)}
	for _, secret := range []string{
		v1beta1constants.SecretNameCACluster, v1beta1constants.SecretNameCAClient, v1beta1constants.SecretNameCAETCD, v1beta1constants.SecretNameCAETCDPeer,
		v1beta1constants.SecretNameCAFrontProxy, v1beta1constants.SecretNameCAKubelet, v1beta1constants.SecretNameCAVPN, "etcd-client", "vpn-seed-server-tlsauth",
		"service-account-key-bundle", v1beta1constants.SecretNameServiceAccountKey, v1beta1constants.SecretNameGenericTokenKubeconfig,
		v1beta1constants.SecretNameCAClient + "-current", v1beta1constants.SecretNameCAKubelet + "-current", v1beta1constants.SecretNameServiceAccountKey + "-current",
	} {
		g.create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: secret, Namespace: g.namespace}})
	}
	profile := &gardencorev1beta1.CloudProfile{
		TypeMeta:   metav1.TypeMeta{APIVersion: gardencorev1beta1.SchemeGroupVersion.String(), Kind: "CloudProfile"},
		ObjectMeta: metav1.ObjectMeta{Name: "packet"},
	}
	shoot := &gardencorev1beta1.Shoot{
		TypeMeta:   metav1.TypeMeta{APIVersion: gardencorev1beta1.SchemeGroupVersion.String(), Kind: "Shoot"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "garden-test"},
		Spec: gardencorev1beta1.ShootSpec{
			Provider:   gardencorev1beta1.Provider{Type: provider},
			Kubernetes: gardencorev1beta1.Kubernetes{Version: "1.36.1"},
		},
		Status: gardencorev1beta1.ShootStatus{TechnicalID: namespace.Name},
	}
	if change != nil {
		change(profile, shoot)
	}
	g.setCluster(t, profile, shoot)
	return g
}

// setCluster writes the Cluster, and waits until the extension sees it.
func (g *gardenlet) setCluster(t *testing.T, profile *gardencorev1beta1.CloudProfile, shoot *gardencorev1beta1.Shoot) {
	t.Helper()
	cluster := &extensionsv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: g.namespace}}
	cluster.Spec.CloudProfile = raw(t, profile)
	cluster.Spec.Shoot = raw(t, shoot)
	cluster.Spec.Seed = ptr.To(raw(t, &gardencorev1beta1.Seed{TypeMeta: metav1.TypeMeta{APIVersion: gardencorev1beta1.SchemeGroupVersion.String(), Kind: "Seed"}}))
	g.create(t, cluster)
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		return g.cached.Get(ctx, client.ObjectKeyFromObject(cluster), &extensionsv1alpha1.Cluster{}) == nil, nil
	})
	if err != nil {
		t.Fatalf("the extension does not see the Cluster: %v", err)
	}
}

func raw(t *testing.T, object any) runtime.RawExtension {
	t.Helper()
	data, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return runtime.RawExtension{Raw: data}
}

func (g *gardenlet) create(t *testing.T, object client.Object) {
	t.Helper()
	if err := g.client.Create(t.Context(), object); err != nil {
		t.Fatalf("creating %T %s: %v", object, object.GetName(), err)
	}
}

// get reads an object of the Shoot's namespace by its name.
func get[T any, P interface {
	*T
	client.Object
}](t *testing.T, g *gardenlet, name string) P {
	t.Helper()
	object := P(new(T))
	if err := g.client.Get(t.Context(), client.ObjectKey{Namespace: g.namespace, Name: name}, object); err != nil {
		t.Fatal(err)
	}
	return object
}

// deploy deploys a component twice, as gardenlet does all day long.
func deploy(t *testing.T, component interface{ Deploy(context.Context) error }) {
	t.Helper()
	for range 2 {
		if err := component.Deploy(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// clientSet is gardenlet's client in the form that some components want.
func (g *gardenlet) clientSet(t *testing.T) kubernetes.Interface {
	t.Helper()
	set, err := kubernetes.NewWithConfig(kubernetes.WithRESTConfig(g.config), kubernetes.WithClientOptions(client.Options{Scheme: kubernetes.SeedScheme}), kubernetes.WithDisabledCachedClient())
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func newPacketGardenlet(t *testing.T, name string) *gardenlet {
	t.Helper()
	return newGardenlet(t, name, account.Type, nil)
}
