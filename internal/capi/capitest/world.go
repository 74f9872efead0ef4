package capitest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/capi/credentials"
	"github.com/packetyard/packetyard/internal/capi/endpoint"
	"github.com/packetyard/packetyard/internal/capi/manager"
	"github.com/packetyard/packetyard/internal/capi/packetcluster"
	"github.com/packetyard/packetyard/internal/capi/packetmachine"
	"github.com/packetyard/packetyard/pkg/packet"
)

// CredentialsSecret is the name of the Secret with the credentials, in the first namespace of a World.
const CredentialsSecret = "packet-api-credentials"

// Intervals of the controllers under test.
const (
	poll   = 50 * time.Millisecond
	resync = 300 * time.Millisecond
)

// World is a test's own Packet API, the network to it, and namespaces of the shared control plane. The controllers run in
// it between Run and its end. The test plays the part of Cluster API's core controllers, which set owners and a few fields.
type World struct {
	*Environment
	// Namespace is where the test's objects are, OtherNamespace where those of somebody else are.
	Namespace, OtherNamespace string
	API                       *apiservertest.Server
	// Packet asks the API directly.
	Packet  *packet.Client
	Network *Network
	// Intervals are those of the controllers; NewWorld makes them short.
	Intervals Intervals
	// Limits are those of the controllers' calls; NewWorld sets none.
	Limits Limits
	// Dial opens the connections by which API servers of machines are asked whether they are ready; without it, nobody
	// answers.
	Dial endpoint.Dial
	// Machines changes the controller of PacketMachines before it runs, for example its clock; it may be nil.
	Machines func(*packetmachine.Reconciler)

	t          testing.TB
	more       []Setup
	kubernetes Calls
}

// Intervals say how often controllers look, and how much they do at once.
type Intervals struct {
	// Poll is for what is changing, Resync for what is not, Endpoint for the holders of elastic IPs.
	Poll, Resync, Endpoint time.Duration
	// Listing is how long a listing of devices is shared.
	Listing time.Duration
	// Sync is how often every object is reconciled though nothing changed; the default of controller-runtime if zero.
	Sync time.Duration
	// Concurrency is how many objects of a kind are reconciled at a time.
	Concurrency int
}

// Limits say how many calls controllers may make: so many a second, and so many at once. There is no limit where they are
// zero.
type Limits struct {
	KubernetesQPS   float32
	KubernetesBurst int
	PacketQPS       float64
	PacketBurst     int
}

// Setup adds a controller to a manager that runs in a World.
type Setup func(ctx context.Context, mgr ctrl.Manager, accounts *credentials.Resolver) error

// Add has Run start another controller besides the usual ones.
func (w *World) Add(setup Setup) { w.more = append(w.more, setup) }

func nobodyAnswers(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("no machine of this test serves an API")
}

// NewWorld makes a world, with credentials.
func NewWorld(t testing.TB, e *Environment, options apiservertest.Options) *World {
	t.Helper()
	w := &World{Environment: e, Namespace: e.Namespace(t), OtherNamespace: e.Namespace(t), Dial: nobodyAnswers, t: t}
	w.Intervals = Intervals{Poll: poll, Resync: resync, Endpoint: 4 * poll, Listing: poll, Concurrency: 4}
	w.API = apiservertest.Start(t, options)
	w.Packet = w.API.Client(t)
	w.Network = newNetwork(t, w.API.URL)
	w.SetCredentials(w.API.Token)
	return w
}

// SetCredentials writes the Secret with the credentials.
func (w *World) SetCredentials(token string) {
	w.t.Helper()
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: CredentialsSecret},
		StringData: map[string]string{
			credentials.KeyAPIURL:    w.Network.URL,
			credentials.KeyAPIToken:  token,
			credentials.KeyProjectID: w.API.ProjectID,
		},
	}
	if err := client.IgnoreNotFound(w.Client.Delete(w.t.Context(), secret.DeepCopy())); err != nil {
		w.t.Fatalf("replacing the credentials: %v", err)
	}
	w.Create(secret)
}

// Run starts the controllers; they run until the test ends or the returned function is called.
func (w *World) Run() (stop func()) {
	w.t.Helper()
	scheme, err := manager.NewScheme()
	if err != nil {
		w.t.Fatalf("registering types: %v", err)
	}
	namespaces := map[string]cache.Config{w.Namespace: {}, w.OtherNamespace: {}}
	every := w.Intervals
	var syncPeriod *time.Duration
	if every.Sync > 0 {
		syncPeriod = &every.Sync
	}
	config := rest.CopyConfig(w.Config)
	if limits := w.Limits; limits.KubernetesQPS > 0 {
		config.QPS, config.Burst = limits.KubernetesQPS, limits.KubernetesBurst
	}
	packetQPS := w.Limits.PacketQPS
	if packetQPS == 0 {
		packetQPS = -1
	}
	w.kubernetes.Of(config)
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme,
		Cache:  cache.Options{DefaultNamespaces: namespaces, SyncPeriod: syncPeriod},
		Client: client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}, &corev1.ConfigMap{}}}},
		// Several tests run the same controllers, one after the other, in one process. Those that kill controllers in the
		// midst of work meet a fault of controller-runtime's priority queue (v0.24.1): on its way down it may hand an item to
		// a worker that has just left, and waits for it with the queue locked.
		Controller: ctrlconfig.Controller{SkipNameValidation: ptr.To(true), UsePriorityQueue: ptr.To(false)},
		Metrics:    server.Options{BindAddress: "0"},
		// A machine that is busy with other tests too takes its time.
		GracefulShutdownTimeout: ptr.To(2 * time.Minute),
	})
	if err != nil {
		w.t.Fatalf("making a manager: %v", err)
	}
	accounts, err := credentials.NewResolver(credentials.Config{
		Reader: mgr.GetAPIReader(), Secret: client.ObjectKey{Namespace: w.Namespace, Name: CredentialsSecret},
		QPS: packetQPS, Burst: w.Limits.PacketBurst, ListingTTL: every.Listing,
	})
	if err != nil {
		w.t.Fatalf("making the accounts: %v", err)
	}
	secrets, err := credentials.NewSecretCache(mgr, w.Namespace, w.OtherNamespace)
	if err != nil {
		w.t.Fatal(err)
	}
	machines := &packetmachine.Reconciler{
		Client: mgr.GetClient(), Accounts: accounts, Recorder: mgr.GetEventRecorder("packetmachine"), PollInterval: every.Poll, ResyncInterval: every.Resync,
	}
	if w.Machines != nil {
		w.Machines(machines)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	if err := errors.Join(
		(&packetcluster.Reconciler{
			Client: mgr.GetClient(), Accounts: accounts, Secrets: secrets, Recorder: mgr.GetEventRecorder("packetcluster"), PollInterval: every.Poll,
		}).SetupWithManager(ctx, mgr, controller.Options{}),
		(&endpoint.Reconciler{
			Client: mgr.GetClient(), Accounts: accounts, Recorder: mgr.GetEventRecorder("packetclusterendpoint"),
			Interval: every.Endpoint, ListingAge: every.Resync, Dial: w.Dial,
		}).SetupWithManager(ctx, mgr, controller.Options{}),
		(&credentials.Guard{Client: mgr.GetClient(), Secrets: secrets}).SetupWithManager(ctx, mgr, controller.Options{}),
		machines.SetupWithManager(ctx, mgr, controller.Options{MaxConcurrentReconciles: every.Concurrency}),
	); err != nil {
		cancel()
		w.t.Fatalf("setting up the controllers: %v", err)
	}
	for _, setup := range w.more {
		if err := setup(ctx, mgr, accounts); err != nil {
			cancel()
			w.t.Fatalf("setting up a controller: %v", err)
		}
	}
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("running the controllers: %v", err)
		}
	}
	w.t.Cleanup(stop)
	return stop
}

// Create creates an object.
func (w *World) Create(object client.Object) {
	w.t.Helper()
	if err := w.Client.Create(w.t.Context(), object); err != nil {
		w.t.Fatalf("creating %T %s: %v", object, object.GetName(), err)
	}
}

// Get reads an object again.
func (w *World) Get(object client.Object) error {
	return w.Client.Get(w.t.Context(), client.ObjectKeyFromObject(object), object)
}

// Cluster makes a Cluster with a PacketCluster of the same name in metro da, as Cluster API would leave them.
func (w *World) Cluster(namespace, name string, change ...func(*infrav1.PacketCluster)) (*clusterv1.Cluster, *infrav1.PacketCluster) {
	w.t.Helper()
	cluster := &clusterv1.Cluster{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: clusterv1.ClusterSpec{InfrastructureRef: clusterv1.ContractVersionedObjectReference{
			APIGroup: infrav1.GroupVersion.Group, Kind: "PacketCluster", Name: name,
		}},
	}
	w.Create(cluster)
	infrastructure := &infrav1.PacketCluster{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name,
			Labels:          map[string]string{clusterv1.ClusterNameLabel: name},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(cluster, clusterv1.GroupVersion.WithKind("Cluster"))},
		},
		Spec: infrav1.PacketClusterSpec{Metro: "da"},
	}
	for _, c := range change {
		c(infrastructure)
	}
	w.Create(infrastructure)
	return cluster, infrastructure
}

// ReadyCluster is a Cluster whose infrastructure is provisioned, and which knows it.
func (w *World) ReadyCluster(namespace, name string) (*clusterv1.Cluster, *infrav1.PacketCluster) {
	w.t.Helper()
	cluster, infrastructure := w.Cluster(namespace, name)
	w.Eventually(func() error {
		if err := w.Get(infrastructure); err != nil {
			return err
		}
		if !ptr.Deref(infrastructure.Status.Initialization.Provisioned, false) {
			return fmt.Errorf("PacketCluster is not provisioned: %v", infrastructure.Status.Conditions)
		}
		return nil
	})
	w.SetStatus(cluster, func() {
		cluster.Status.Initialization.InfrastructureProvisioned = ptr.To(true)
	})
	return cluster, infrastructure
}

// Touch changes an object in a way that means nothing, so that it is reconciled.
func (w *World) Touch(object client.Object) {
	w.t.Helper()
	patch := fmt.Sprintf(`{"metadata":{"annotations":{"touched":%q}}}`, time.Now().String())
	if err := w.Client.Patch(w.t.Context(), object, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		w.t.Fatalf("touching %T %s: %v", object, object.GetName(), err)
	}
}

// SetStatus changes the status of an object.
func (w *World) SetStatus(object client.Object, change func()) {
	w.t.Helper()
	w.Eventually(func() error {
		if err := w.Get(object); err != nil {
			return err
		}
		change()
		return w.Client.Status().Update(w.t.Context(), object)
	})
}

// UserData is what machines get unless the test says otherwise.
const UserData = "#cloud-config\nruncmd: [\"true\"]\n"

// MachineOptions say what kind of machine to make.
type MachineOptions struct {
	Name         string
	ControlPlane bool
	// UserData is the bootstrap data; there is none yet if it is empty.
	UserData string
	Change   func(*infrav1.PacketMachine)
}

// Machine makes a Machine with a PacketMachine of the same name, as Cluster API would leave them.
func (w *World) Machine(cluster *clusterv1.Cluster, options MachineOptions) (*clusterv1.Machine, *infrav1.PacketMachine) {
	w.t.Helper()
	labels := map[string]string{clusterv1.ClusterNameLabel: cluster.Name}
	if options.ControlPlane {
		labels[clusterv1.MachineControlPlaneLabel] = ""
	}
	machine := &clusterv1.Machine{
		ObjectMeta: metav1.ObjectMeta{Namespace: cluster.Namespace, Name: options.Name, Labels: labels},
		Spec: clusterv1.MachineSpec{
			ClusterName: cluster.Name,
			InfrastructureRef: clusterv1.ContractVersionedObjectReference{
				APIGroup: infrav1.GroupVersion.Group, Kind: "PacketMachine", Name: options.Name,
			},
			Bootstrap: clusterv1.Bootstrap{ConfigRef: clusterv1.ContractVersionedObjectReference{
				APIGroup: "bootstrap.cluster.x-k8s.io", Kind: "KubeadmConfig", Name: options.Name,
			}},
		},
	}
	if options.UserData != "" {
		w.Create(&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: cluster.Namespace, Name: options.Name + "-bootstrap"},
			StringData: map[string]string{"value": options.UserData},
		})
		machine.Spec.Bootstrap.DataSecretName = ptr.To(options.Name + "-bootstrap")
	}
	w.Create(machine)
	infrastructure := &infrav1.PacketMachine{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: cluster.Namespace, Name: options.Name, Labels: labels,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(machine, clusterv1.GroupVersion.WithKind("Machine"))},
		},
		Spec: infrav1.PacketMachineSpec{OS: "ubuntu_24_04", MachineType: "c3.small.x86"},
	}
	if options.Change != nil {
		options.Change(infrastructure)
	}
	w.Create(infrastructure)
	return machine, infrastructure
}

// Report is what the machine of a device says about its user data.
func (w *World) Report(device *packet.Device, state, message string, code int) {
	w.t.Helper()
	var address string
	for _, ip := range device.IPAddresses {
		if ip.Management && ip.Public && ip.AddressFamily == 4 {
			address = ip.Address
		}
	}
	body := fmt.Sprintf(`{"state":%q,"code":%d,"message":%q}`, state, code, message)
	request := httptest.NewRequestWithContext(w.t.Context(), http.MethodPost, "http://metadata.packet.net/events", strings.NewReader(body))
	request.RemoteAddr = address + ":40000"
	request.Header.Set("Content-Type", "application/json")
	answer := httptest.NewRecorder()
	w.API.MetadataHandler().ServeHTTP(answer, request)
	if answer.Code/100 != 2 {
		w.t.Fatalf("reporting user state: %d %s", answer.Code, answer.Body)
	}
}

// Devices are all devices of the project.
func (w *World) Devices() []packet.Device {
	w.t.Helper()
	devices, err := w.Packet.Devices(w.t.Context(), w.API.ProjectID, packet.DeviceFilter{})
	if err != nil {
		w.t.Fatalf("listing devices: %v", err)
	}
	return devices
}

// ElasticIPs are all elastic addresses of the project.
func (w *World) ElasticIPs() []packet.IPReservation {
	w.t.Helper()
	reservations, err := w.Packet.IPReservations(w.t.Context(), w.API.ProjectID)
	if err != nil {
		w.t.Fatalf("listing addresses: %v", err)
	}
	var elastic []packet.IPReservation
	for _, reservation := range reservations {
		if !reservation.Management {
			elastic = append(elastic, reservation)
		}
	}
	return elastic
}

// Eventually asks again until there is no error.
func (w *World) Eventually(ask func() error) {
	w.t.Helper()
	const limit = 2 * time.Minute
	var err error
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); <-time.After(20 * time.Millisecond) {
		if err = ask(); err == nil {
			return
		}
	}
	w.t.Fatalf("not within %s: %v", limit, err)
}

// Never fails the test if a condition is seen while some time passes.
func (w *World) Never(during time.Duration, seen func() error) {
	w.t.Helper()
	for deadline := time.Now().Add(during); time.Now().Before(deadline); <-time.After(20 * time.Millisecond) {
		if err := seen(); err != nil {
			w.t.Fatal(err)
		}
	}
}
