package worker

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	machinev1alpha1 "github.com/gardener/machine-controller-manager/pkg/apis/machine/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	controllerconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/gardener/gardener/extensions/pkg/controller"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"

	"github.com/packetyard/packetyard/api/packet/v1alpha1"
	"github.com/packetyard/packetyard/internal/apiserver"
	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/pkg/packet"
	"github.com/packetyard/packetyard/pkg/packetserver"
)

// world is a Shoot's namespace in the seed, the controller as the extension runs it, a Packet API, and what stands in for
// machine-controller-manager.
type world struct {
	t         testing.TB
	client    client.Client
	namespace string
	cluster   *controller.Cluster
	profile   *v1alpha1.CloudProfileConfig
	worker    *extensionsv1alpha1.Worker
	api       *apiservertest.Server
	packet    *packet.Client
	control   *packetserver.Control
	// kube counts the controller's requests to the seed, not those of the test.
	kube *requests
	mcm  *machines
}

func testScheme(t testing.TB) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(
		clientgoscheme.AddToScheme(scheme), extensionsv1alpha1.AddToScheme(scheme), machinev1alpha1.AddToScheme(scheme),
	); err != nil {
		t.Fatal(err)
	}
	metav1.AddToGroupVersion(scheme, machinev1alpha1.SchemeGroupVersion)
	return scheme
}

// newWorld makes a world with a Worker that nobody has asked to reconcile yet.
func newWorld(t testing.TB, pools ...extensionsv1alpha1.WorkerPool) *world {
	t.Helper()
	w := &world{t: t, cluster: testCluster(), profile: testProfile(), kube: &requests{}}
	w.api = apiservertest.Start(t, apiservertest.Options{Configure: func(c *apiserver.Config) { c.Control = true }})
	w.packet = w.api.Client(t)
	w.control = packetserver.NewControl(strings.TrimSuffix(w.api.URL, "/metal/v1"), w.api.Token)
	w.profile.APIURL = &w.api.URL

	var err error
	if w.client, err = client.New(kubernetesAPI, client.Options{Scheme: testScheme(t)}); err != nil {
		t.Fatal(err)
	}
	w.newSeed(pools...)
	return w
}

// newSeed moves a world into a new namespace, with a controller of its own, as if it were on another seed.
func (w *world) newSeed(pools ...extensionsv1alpha1.WorkerPool) {
	w.t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "shoot--test--"}}
	w.create(namespace)
	w.namespace = namespace.Name
	w.cluster.ObjectMeta.Name = namespace.Name
	if w.cluster.Shoot.Status.TechnicalID == testTechnicalID {
		w.cluster.Shoot.Status.TechnicalID = namespace.Name
	}
	w.create(&corev1.Secret{ObjectMeta: w.named("cloudprovider"), Data: map[string][]byte{
		"apiToken": []byte(w.api.Token), "projectID": []byte(w.api.ProjectID),
	}})
	for _, pool := range pools {
		w.create(&corev1.Secret{ObjectMeta: w.named(pool.UserDataSecretRef.Name), Data: map[string][]byte{
			pool.UserDataSecretRef.Key: []byte("#cloud-config"),
		}})
		break // the pools of a test share their user data
	}
	w.create(&appsv1.Deployment{ObjectMeta: w.named("machine-controller-manager"), Spec: appsv1.DeploymentSpec{
		Replicas: ptr.To[int32](1),
		Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"role": "machine-controller-manager"}},
		Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"role": "machine-controller-manager"}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "mcm", Image: "mcm"}}},
		},
	}})
	w.create(&extensionsv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: w.namespace}, Spec: w.clusterSpec()})
	w.worker = testWorker(pools...)
	w.worker.Namespace = w.namespace
	w.worker.Spec.SecretRef.Namespace = w.namespace
	w.worker.Spec.InfrastructureProviderStatus = encoded(w.t, &v1alpha1.InfrastructureStatus{SSHKeyID: testSSHKey, Metro: "ny"})
	w.create(w.worker)

	w.start()
}

// start runs the controller and the stand-in until the test ends.
func (w *world) start() {
	w.t.Helper()
	config := rest.CopyConfig(kubernetesAPI)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return w.kube.count(next) })
	extension := w.manager(config)
	if err := AddToManager(w.t.Context(), extension, AddOptions{
		Controller: controllerOptions(), ExtensionClasses: []extensionsv1alpha1.ExtensionClass{"shoot", "garden"},
	}); err != nil {
		w.t.Fatal(err)
	}
	standIn := w.manager(rest.CopyConfig(kubernetesAPI))
	w.mcm = &machines{client: standIn.GetClient(), world: w}
	if err := w.mcm.addTo(standIn); err != nil {
		w.t.Fatal(err)
	}
	for _, mgr := range []manager.Manager{extension, standIn} {
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() {
			if err := mgr.Start(ctx); err != nil {
				w.t.Errorf("running a manager: %v", err)
			}
		})
		w.t.Cleanup(func() { cancel(); running.Wait() })
	}
}

func (w *world) manager(config *rest.Config) manager.Manager {
	w.t.Helper()
	mgr, err := manager.New(config, manager.Options{
		Scheme:     testScheme(w.t),
		Metrics:    metricsserver.Options{BindAddress: "0"},
		Cache:      cache.Options{DefaultNamespaces: map[string]cache.Config{w.namespace: {}}},
		Controller: controllerconfig.Controller{SkipNameValidation: ptr.To(true)},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return mgr
}

func (w *world) named(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: w.namespace}
}

func (w *world) create(object client.Object) {
	w.t.Helper()
	if err := w.client.Create(w.t.Context(), object); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) clusterSpec() extensionsv1alpha1.ClusterSpec {
	w.cluster.CloudProfile.Spec.ProviderConfig = encoded(w.t, w.profile)
	raw := func(object any) runtime.RawExtension {
		data, err := json.Marshal(object)
		if err != nil {
			w.t.Fatal(err)
		}
		return runtime.RawExtension{Raw: data}
	}
	return extensionsv1alpha1.ClusterSpec{CloudProfile: raw(w.cluster.CloudProfile), Shoot: raw(w.cluster.Shoot), Seed: nil}
}
