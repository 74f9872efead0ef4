package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gardener/machine-controller-manager/pkg/apis/machine/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/ccm/ccmtest"
	"github.com/packetyard/packetyard/internal/machines"
	"github.com/packetyard/packetyard/internal/machines/none"
	"github.com/packetyard/packetyard/internal/processtest"
	"github.com/packetyard/packetyard/pkg/packet"
)

const (
	// namespace, pool and clusterTag are the documentation's.
	namespace  = "machines"
	pool       = "workers"
	clusterTag = "kubernetes.io/cluster/my-cluster"
	roleTag    = "kubernetes.io/role/node"
	patience   = 2 * time.Minute
)

// world is a Packet project, a cluster with Machines, and machine-controller-manager between them, as the documentation says.
type world struct {
	t       testing.TB
	api     *apiservertest.Server
	packet  *packet.Client
	kube    client.Client
	network *ccmtest.Network
	config  string
	manager *processtest.Process
	driver  *processtest.Process
}

// newWorld applies what is documented. The providerSpec gets the fields that are given.
func newWorld(t testing.TB, options apiservertest.Options, fields func(w *world) map[string]any) *world {
	t.Helper()
	c := kubernetes(t)
	w := &world{t: t, api: apiservertest.Start(t, options), kube: c.client, config: filepath.Join(t.TempDir(), "kubeconfig")}
	w.packet = w.api.Client(t)
	w.network = ccmtest.NewNetwork(t, w.api.URL)
	if err := os.WriteFile(w.config, c.kubeconfig, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, object := range documented(t) {
		switch object.GetKind() + " " + object.GetName() {
		case "Deployment machine-controller-manager":
			// Nothing runs pods here: its containers are processes of this test.
			continue
		case "Secret packet":
			object.Object["stringData"] = map[string]any{"apiToken": w.api.Token, "projectID": w.api.ProjectID, "apiURL": w.network.URL}
		case "MachineClass " + pool:
			spec, _, err := unstructured.NestedMap(object.Object, "providerSpec")
			if err != nil {
				t.Fatal(err)
			}
			for name, value := range fields(w) {
				spec[name] = value
			}
			object.Object["providerSpec"] = spec
		}
		w.apply(object)
	}
	w.manager = start(t, theManager, w.flags()...)
	w.startDriver()
	return w
}

// apply makes an object, or what the test before left of it.
func (w *world) apply(object *unstructured.Unstructured) {
	w.t.Helper()
	if err := w.kube.Apply(w.t.Context(), client.ApplyConfigurationFromUnstructured(object), client.FieldOwner("test"), client.ForceOwnership); err != nil {
		w.t.Fatalf("applying %s %s: %v", object.GetKind(), object.GetName(), err)
	}
}

func (w *world) flags(more ...string) []string {
	return append([]string{"--target-kubeconfig=" + w.config, "--control-kubeconfig=" + w.config, "--namespace=" + namespace,
		"--address=127.0.0.1", fmt.Sprintf("--port=%d", processtest.FreePort(w.t)), "--leader-elect=false", "--kube-api-qps=100", "--kube-api-burst=200", "--v=2"}, more...)
}

// startDriver runs the program with the flags that Gardener gives it, but for times.
func (w *world) startDriver() {
	w.t.Helper()
	w.driver = start(w.t, theDriver, w.flags("--machine-creation-timeout=20m", "--machine-drain-timeout=2h", "--machine-health-timeout=10m",
		"--machine-safety-apiserver-statuscheck-timeout=30s", "--machine-safety-apiserver-statuscheck-period=1m", "--machine-safety-orphan-vms-period=5s",
		"--bootstrap-token-auth-extra-groups=system:bootstrappers:kubeadm:default-node-token")...)
}

// scale sets the number of Machines.
func (w *world) scale(machines int) {
	w.t.Helper()
	patch := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, machines))
	if err := w.kube.Patch(w.t.Context(), &v1alpha1.MachineDeployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: pool}}, patch); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) machines() []v1alpha1.Machine {
	w.t.Helper()
	list := &v1alpha1.MachineList{}
	if err := w.kube.List(w.t.Context(), list, client.InNamespace(namespace)); err != nil {
		w.t.Fatal(err)
	}
	return list.Items
}

// running tells whether so many Machines run. Those that have a device get a node, as if it had booted.
func (w *world) running(want int) func() bool {
	return func() bool {
		running := 0
		for _, machine := range w.machines() {
			name := machine.Labels[v1alpha1.NodeLabelKey]
			if name != "" && machine.Spec.ProviderID != "" && machine.DeletionTimestamp == nil {
				w.join(name, machine.Spec.ProviderID)
			}
			if machine.Status.CurrentStatus.Phase == v1alpha1.MachineRunning {
				running++
			}
		}
		return running == want
	}
}

func (w *world) join(name, providerID string) {
	w.t.Helper()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{ProviderID: providerID}}
	err := w.kube.Create(w.t.Context(), node)
	if apierrors.IsAlreadyExists(err) {
		return
	}
	if err == nil {
		// MCM puts its finalizer on the node at the same time, which a patch does not mind.
		before := client.MergeFrom(node.DeepCopy())
		node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now()}}
		err = w.kube.Status().Patch(w.t.Context(), node, before)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// hostnames are those of all devices of the project.
func (w *world) hostnames() []string {
	w.t.Helper()
	devices, err := w.packet.Devices(w.t.Context(), w.api.ProjectID, packet.DeviceFilter{})
	if err != nil {
		w.t.Fatal(err)
	}
	names := []string{}
	for _, device := range devices {
		names = append(names, device.Hostname)
	}
	slices.Sort(names)
	return names
}

func isCreation(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/devices")
}

// With the real machine-controller-manager: machines of a MachineDeployment become devices, one each also where the driver is
// killed between a request and its answer; orphans go and others stay; the autoscaler hears that there is nothing to be had;
// and in the end nothing is left.
func TestMachineDeployment(t *testing.T) {
	w := newWorld(t, apiservertest.Options{}, func(*world) map[string]any { return nil })
	processtest.Until(t, patience, "two machines run", w.running(2))
	for _, machine := range w.machines() {
		if id, err := packet.DeviceID(machine.Spec.ProviderID); err != nil {
			t.Error(err)
		} else if device, err := w.packet.Device(t.Context(), id); err != nil || device.Hostname != machine.Name || !joins(device.Userdata, machine.Name) {
			t.Errorf("the device of %s is %+v, %v", machine.Name, device, err)
		}
	}

	w.killAtCreation()
	processtest.Until(t, patience, "three machines run", w.running(3))
	if names := w.hostnames(); len(names) != 3 {
		t.Errorf("three machines have the devices %q", names)
	}

	for hostname, tags := range map[string][]string{"orphan": {clusterTag, roleTag, "machine.sapcloud.io/name:orphan"}, "bastion": {clusterTag}} {
		if _, err := w.packet.CreateDevice(t.Context(), w.api.ProjectID, packet.DeviceCreate{Hostname: hostname, Plan: "c3.small.x86", OperatingSystem: "ubuntu_24_04", Metro: "ny", Tags: tags}); err != nil {
			t.Fatal(err)
		}
	}
	processtest.Until(t, patience, "the orphan is gone", func() bool { return !slices.Contains(w.hostnames(), "orphan") })
	if names := w.hostnames(); len(names) != 4 || !slices.Contains(names, "bastion") {
		t.Errorf("after the safety sweep there are %q", names)
	}

	w.network.Spoil(func(rw http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if isCreation(r) {
			ccmtest.Refuse(rw, http.StatusServiceUnavailable, "The metro ny has no provisionable c3.small.x86 servers matching your criteria")
		}
		return isCreation(r)
	})
	w.scale(4)
	processtest.Until(t, patience, "a machine tells that there is no server", func() bool {
		return slices.ContainsFunc(w.machines(), func(m v1alpha1.Machine) bool { return m.Status.LastOperation.ErrorCode == "ResourceExhausted" })
	})
	w.network.Spoil(nil)

	w.remove()
	if names := w.hostnames(); !slices.Equal(names, []string{"bastion"}) {
		t.Errorf("left over are %q", names)
	}
	nodes := &corev1.NodeList{}
	if err := w.kube.List(t.Context(), nodes); err != nil || len(nodes.Items) != 0 {
		t.Errorf("left over are %d nodes, %v", len(nodes.Items), err)
	}
	for _, process := range []*processtest.Process{w.driver, w.manager} {
		log := process.Log.String()
		for _, bad := range []string{w.api.Token, "kubeadm join", "forbidden"} {
			if strings.Contains(log, bad) {
				t.Errorf("a log has %q in it", bad)
			}
		}
	}
}

// joins tells whether user data has what MCM puts in: a token, and the name of the machine.
func joins(userdata, machine string) bool {
	return regexp.MustCompile(`--token '[a-z0-9]{6}\.[a-z0-9]{16}'`).MatchString(userdata) && strings.Contains(userdata, "--node-name '"+machine+"'")
}

// hardware is a driver of machines that are not ready before the test says so.
type hardware struct {
	none.Driver
	ready chan struct{}
}

func (h *hardware) Provision(ctx context.Context, _ machines.Spec) error {
	select {
	case <-h.ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// With the real machine-controller-manager: a machine waits for its device to be active, and is put into its virtual network
// also if its node joins first, after which MCM does not ask any more.
func TestMachinesInVirtualNetworks(t *testing.T) {
	machinery := &hardware{ready: make(chan struct{})}
	var network *packet.VirtualNetwork
	w := newWorld(t, apiservertest.Options{Driver: machinery}, func(w *world) map[string]any {
		var err error
		if network, err = w.packet.CreateVirtualNetwork(t.Context(), w.api.ProjectID, packet.VirtualNetworkCreate{Metro: "ny"}); err != nil {
			t.Fatal(err)
		}
		return map[string]any{"vlans": []any{network.ID}}
	})
	processtest.Until(t, patience, "two machines wait", func() bool {
		waiting := 0
		for _, machine := range w.machines() {
			if machine.Status.LastOperation.ErrorCode == "Uninitialized" {
				waiting++
			}
		}
		return waiting == 2
	})
	close(machinery.ready)
	processtest.Until(t, patience, "two machines run", w.running(2))
	devices, err := w.packet.Devices(t.Context(), w.api.ProjectID, packet.DeviceFilter{})
	if err != nil || len(devices) != 2 {
		t.Fatalf("there are %d devices, %v", len(devices), err)
	}
	for _, device := range devices {
		processtest.Until(t, patience, device.Hostname+" is in its virtual network", func() bool {
			shown, err := w.packet.Device(t.Context(), device.ID)
			if err != nil {
				t.Fatal(err)
			}
			networks := shown.NetworkPorts[0].VirtualNetworks
			return len(networks) == 1 && strings.HasSuffix(networks[0].Href, network.ID)
		})
	}
	w.remove()
	if names := w.hostnames(); len(names) != 0 {
		t.Errorf("left over are %q", names)
	}
}

// remove deletes the MachineDeployment and waits for its machines to be gone.
func (w *world) remove() {
	w.t.Helper()
	if err := w.kube.Delete(w.t.Context(), &v1alpha1.MachineDeployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: pool}}); err != nil {
		w.t.Fatal(err)
	}
	processtest.Until(w.t, patience, "all machines are gone", func() bool { return len(w.machines()) == 0 })
	// The test after this one makes another of the same name, which must not be this one on its way out.
	processtest.Until(w.t, patience, "the MachineDeployment is gone", func() bool {
		left := &v1alpha1.MachineDeploymentList{}
		if err := w.kube.List(w.t.Context(), left, client.InNamespace(namespace)); err != nil {
			w.t.Fatal(err)
		}
		return len(left.Items) == 0
	})
}

// killAtCreation asks for one more machine and kills the driver when the API has made its device and nobody knows yet.
func (w *world) killAtCreation() {
	w.t.Helper()
	before := w.driver
	var once sync.Once
	w.network.Spoil(func(_ http.ResponseWriter, r *http.Request, pass http.Handler) bool {
		if isCreation(r) {
			once.Do(func() {
				pass.ServeHTTP(httptest.NewRecorder(), r)
				before.Kill()
			})
		}
		return isCreation(r)
	})
	w.scale(3)
	<-before.Done
	w.network.Spoil(nil)
	if names := w.hostnames(); len(names) != 3 {
		w.t.Fatalf("after the driver was killed there are %q", names)
	}
	w.startDriver()
}
