package loadbalancers

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	servicehelper "k8s.io/cloud-provider/service/helpers"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/ccm/bgp"
	"github.com/packetyard/packetyard/internal/controlplanetest"
	"github.com/packetyard/packetyard/pkg/packet"
)

// kubernetesAPI is the control plane that all tests share.
var kubernetesAPI *rest.Config

func TestMain(m *testing.M) {
	environment := controlplanetest.New(filepath.Join("testdata", "crds"))
	// With both families, of which the first is a Service's unless it says otherwise.
	environment.ControlPlane.GetAPIServer().Configure().Set("service-cluster-ip-range", "10.96.0.0/16,fd00:96::/112")
	os.Exit(controlplanetest.Run(m, environment, func(suite *controlplanetest.Suite) error {
		kubernetesAPI = suite.Config
		kubernetesAPI.QPS, kubernetesAPI.Burst = -1, -1
		return nil
	}))
}

// world is a test's own Packet API, the way to it, a namespace of the shared
// control plane, and load balancers between them.
type world struct {
	*LoadBalancers
	t         testing.TB
	api       *apiservertest.Server
	packet    *packet.Client
	network   *network
	kube      kubernetes.Interface
	dynamic   dynamic.Interface
	namespace string
	events    *record.FakeRecorder
	// configure changes the configuration of all that are started.
	configure []func(*Config)
	// stop ends what run began, end the informers.
	stop func()
	end  <-chan struct{}
	// timeout is how long a request to the Packet API may take, 0 for as long as usual.
	timeout time.Duration
	// wrap, if set, is between the load balancers and both APIs.
	wrap    func(http.RoundTripper) http.RoundTripper
	factory informers.SharedInformerFactory
}

// newWorld makes a world with load balancers in metro da.
func newWorld(t testing.TB, configure ...func(*Config)) *world {
	t.Helper()
	w := &world{t: t, api: apiservertest.Start(t, apiservertest.Options{}), configure: configure, stop: func() {}}
	w.packet = w.api.Client(t)
	w.network = newNetwork(t, w.api.URL)
	var err error
	if w.kube, err = kubernetes.NewForConfig(kubernetesAPI); err != nil {
		t.Fatal(err)
	}
	if w.dynamic, err = dynamic.NewForConfig(kubernetesAPI); err != nil {
		t.Fatal(err)
	}
	namespace, err := w.kube.CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.namespace = namespace.Name
	w.factory = informers.NewSharedInformerFactory(w.kube, 0)
	end := make(chan struct{})
	w.end = end
	t.Cleanup(func() { w.stop(); close(end); w.removeServices() })
	w.restart()
	return w
}

// removeServices keeps this test's Services from being seen by the next.
func (w *world) removeServices() {
	ctx := context.Background()
	services, err := w.kube.CoreV1().Services(w.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		w.t.Errorf("cleaning up: %v", err)
		return
	}
	for _, service := range services.Items {
		if len(service.Finalizers) > 0 {
			_, err = w.kube.CoreV1().Services(w.namespace).Patch(ctx, service.Name, types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
		}
		err = errors.Join(err, w.kube.CoreV1().Services(w.namespace).Delete(ctx, service.Name, metav1.DeleteOptions{}))
		if err != nil && !apierrors.IsNotFound(err) {
			w.t.Errorf("cleaning up: %v", err)
		}
	}
}

// restart makes load balancers that know nothing yet, as after the death of
// the process.
func (w *world) restart() {
	w.t.Helper()
	w.stop()
	w.stop = func() {}
	transport := &http.Transport{MaxIdleConnsPerHost: 8}
	wrap := w.wrap
	if wrap == nil {
		wrap = func(next http.RoundTripper) http.RoundTripper { return next }
	}
	wrapped := rest.CopyConfig(kubernetesAPI)
	wrapped.Wrap(wrap)
	kube, err := kubernetes.NewForConfig(wrapped)
	if err != nil {
		w.t.Fatal(err)
	}
	resources, err := dynamic.NewForConfig(wrapped)
	if err != nil {
		w.t.Fatal(err)
	}
	client, err := packet.NewClient(packet.Config{
		BaseURL: w.network.url, Token: w.api.Token, QPS: -1, Retries: -1, Timeout: w.timeout,
		HTTPClient: &http.Client{Transport: wrap(transport)},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(transport.CloseIdleConnections)
	w.events = record.NewFakeRecorder(10000)
	config := Config{
		API: client, ProjectID: w.api.ProjectID, Kubernetes: kube, Dynamic: resources,
		Services: w.factory.Core().V1().Services(), Nodes: w.factory.Core().V1().Nodes(), Recorder: w.events,
		BGP: bgp.New(bgp.Config{Annotations: bgp.DefaultAnnotations()}), Setting: Setting{Implementation: Empty}, Metro: "da",
	}
	for _, configure := range w.configure {
		configure(&config)
	}
	if w.LoadBalancers, err = New(config); err != nil {
		w.t.Fatal(err)
	}
	// The informers are the service controller's, and stay.
	w.factory.Start(w.end)
	w.until("the caches are filled", func() bool {
		return !slices.ContainsFunc(w.informers, func(synced cache.InformerSynced) bool { return !synced() })
	})
}

// with changes a Service before it is made.
type with func(*corev1.Service)

func annotated(pairs ...string) with {
	return func(service *corev1.Service) {
		if service.Annotations == nil {
			service.Annotations = map[string]string{}
		}
		for i := 0; i < len(pairs); i += 2 {
			service.Annotations[pairs[i]] = pairs[i+1]
		}
	}
}

func withPort(port int32) with {
	return func(service *corev1.Service) { service.Spec.Ports[0].Port = port }
}

func withAddress(address string) with {
	return func(service *corev1.Service) { service.Spec.LoadBalancerIP = address }
}

// service makes a Service of type LoadBalancer.
func (w *world) service(name string, changes ...with) *corev1.Service {
	w.t.Helper()
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 80}}},
	}
	for _, change := range changes {
		change(service)
	}
	made, err := w.kube.CoreV1().Services(w.namespace).Create(w.t.Context(), service, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return w.seen(made)
}

// seen returns when the load balancers' cache has a version of a Service, or a later one.
func (w *world) seen(service *corev1.Service) *corev1.Service {
	w.t.Helper()
	w.until("the cache has Service "+service.Name, func() bool {
		cached, err := w.services.Services(service.Namespace).Get(service.Name)
		return err == nil && cached.UID == service.UID && len(cached.ResourceVersion) >= len(service.ResourceVersion) &&
			(len(cached.ResourceVersion) > len(service.ResourceVersion) || cached.ResourceVersion >= service.ResourceVersion)
	})
	return service
}

func (w *world) live(name string) *corev1.Service {
	w.t.Helper()
	service, err := w.kube.CoreV1().Services(w.namespace).Get(w.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return service
}

// change changes a Service as its user would.
func (w *world) change(name string, change func(*corev1.Service)) *corev1.Service {
	w.t.Helper()
	service := w.live(name)
	change(service)
	changed, err := w.kube.CoreV1().Services(w.namespace).Update(w.t.Context(), service, metav1.UpdateOptions{FieldManager: "kubectl-edit"})
	if err != nil {
		w.t.Fatal(err)
	}
	return w.seen(changed)
}

// sync does once with a Service what the service controller does.
func (w *world) sync(name string) error {
	w.t.Helper()
	service := w.live(name)
	if service.DeletionTimestamp != nil || service.Spec.Type != corev1.ServiceTypeLoadBalancer {
		if err := w.EnsureLoadBalancerDeleted(w.t.Context(), "", service); err != nil {
			return err
		}
		if service.DeletionTimestamp == nil {
			service = w.live(name)
		}
		w.finish(service, &corev1.LoadBalancerStatus{}, false)
		return nil
	}
	if !servicehelper.HasLBFinalizer(service) {
		w.finish(service, &service.Status.LoadBalancer, true)
	}
	status, err := w.EnsureLoadBalancer(w.t.Context(), "", service, nil)
	if err != nil {
		return err
	}
	w.finish(service, status, true)
	return nil
}

// finish writes status and finalizer of a Service.
func (w *world) finish(service *corev1.Service, status *corev1.LoadBalancerStatus, finalizer bool) {
	w.t.Helper()
	updated := service.DeepCopy()
	updated.Status.LoadBalancer = *status
	updated.Finalizers = slices.DeleteFunc(updated.Finalizers, func(name string) bool { return name == servicehelper.LoadBalancerCleanupFinalizer })
	if finalizer {
		updated.Finalizers = append(updated.Finalizers, servicehelper.LoadBalancerCleanupFinalizer)
	}
	after, err := servicehelper.PatchService(w.kube.CoreV1(), service, updated)
	if err != nil {
		w.t.Fatal(err)
	}
	if finalizer || service.DeletionTimestamp == nil {
		w.seen(after)
	}
}

// address syncs a Service until it agrees with itself and gives its addresses.
func (w *world) address(name string) string {
	w.t.Helper()
	for range 2 {
		if err := w.sync(name); err != nil {
			w.t.Fatalf("Service %s: %v", name, err)
		}
	}
	return shown(w.live(name))
}

func shown(service *corev1.Service) string { return formatAddresses(statusAddresses(service)) }

// remove deletes a Service as its user would, and syncs it.
func (w *world) remove(name string) {
	w.t.Helper()
	w.deleteService(name)
	if err := w.syncIfThere(name); err != nil {
		w.t.Fatal(err)
	}
}

// deleteService deletes a Service, which stays as long as it has a finalizer.
func (w *world) deleteService(name string) {
	w.t.Helper()
	if err := w.kube.CoreV1().Services(w.namespace).Delete(w.t.Context(), name, metav1.DeleteOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

// syncIfThere syncs a Service unless it is gone, and waits until it is gone
// from the cache too if that makes it go.
func (w *world) syncIfThere(name string) error {
	w.t.Helper()
	gone := func() bool {
		_, err := w.kube.CoreV1().Services(w.namespace).Get(w.t.Context(), name, metav1.GetOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			w.t.Fatal(err)
		}
		return err != nil
	}
	if !gone() {
		if err := w.sync(name); err != nil {
			return err
		}
	}
	if gone() {
		w.until("Service "+name+" is gone from the cache", func() bool {
			_, err := w.services.Services(w.namespace).Get(name)
			return apierrors.IsNotFound(err)
		})
	}
	return nil
}

// elastic are the project's elastic reservations, as the API itself tells.
func (w *world) elastic() []packet.IPReservation {
	w.t.Helper()
	all, err := w.packet.IPReservations(w.t.Context(), w.api.ProjectID)
	if err != nil {
		w.t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(r packet.IPReservation) bool { return r.Management })
}

func (w *world) elasticAddresses() []string {
	w.t.Helper()
	var addresses []string
	for _, reservation := range w.elastic() {
		addresses = append(addresses, reservation.Address)
	}
	slices.Sort(addresses)
	return addresses
}

// reserve reserves addresses as somebody else would.
func (w *world) reserveByHand(create packet.IPReservationCreate) *packet.IPReservation {
	w.t.Helper()
	if create.Type == "" {
		create.Type = packet.IPTypePublicIPv4
	}
	if create.Type != packet.IPTypeGlobalIPv4 && create.Metro == "" {
		create.Metro = "da"
	}
	create.Quantity = max(create.Quantity, 1)
	reservation, err := w.packet.CreateIPReservation(w.t.Context(), w.api.ProjectID, create)
	if err != nil {
		w.t.Fatal(err)
	}
	w.config.Reservations.Forget()
	return reservation
}

// reasons are the events so far, as type and reason with the times that they came.
func (w *world) reasons() map[string]int {
	reasons := map[string]int{}
	for {
		select {
		case event := <-w.events.Events:
			parts := strings.SplitN(event, " ", 3)
			reasons[parts[1]]++
		default:
			return reasons
		}
	}
}

// until asks again and again for as long as something may take that goes on by itself.
func (w *world) until(what string, done func() bool) {
	w.t.Helper()
	deadline := time.After(60 * time.Second)
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for !done() {
		select {
		case <-deadline:
			w.t.Fatalf("waited in vain until %s", what)
		case <-again.C:
		}
	}
}

func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
