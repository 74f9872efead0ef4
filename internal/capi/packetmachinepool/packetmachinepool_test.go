package packetmachinepool_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util/conditions"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/capi/capitest"
	"github.com/packetyard/packetyard/internal/capi/credentials"
	"github.com/packetyard/packetyard/internal/capi/packetmachinepool"
	"github.com/packetyard/packetyard/pkg/packet"
)

var env *capitest.Environment

func TestMain(m *testing.M) {
	ctrl.SetLogger(klog.Background())
	os.Exit(capitest.Run(m, capitest.DefinitionsOnly, func(e *capitest.Environment) (func(), error) {
		env = e
		return e.RunCore()
	}))
}

// newWorld makes a world with a Cluster whose control plane runs.
func newWorld(t *testing.T) (*capitest.World, *clusterv1.Cluster) {
	t.Helper()
	w := capitest.NewWorld(t, env, apiservertest.Options{})
	w.Add(func(ctx context.Context, mgr ctrl.Manager, _ *credentials.Resolver) error {
		return (&packetmachinepool.Reconciler{
			Client: mgr.GetClient(), Reader: mgr.GetAPIReader(), Recorder: mgr.GetEventRecorder("packetmachinepool"),
		}).SetupWithManager(ctx, mgr, controller.Options{})
	})
	cluster := w.HostingItself("demo")
	w.Join()
	return w, cluster
}

// hasControlPlane makes the control plane machine and waits until it is one.
func hasControlPlane(t *testing.T, w *capitest.World, cluster *clusterv1.Cluster) {
	t.Helper()
	w.Bare(cluster, cluster.Namespace+"-master", true, nil)
	w.Eventually(func() error {
		if err := w.Get(cluster); err != nil {
			return err
		}
		if !conditions.IsTrue(cluster, clusterv1.ClusterControlPlaneInitializedCondition) {
			return fmt.Errorf("the control plane is not initialised: %+v", cluster.Status.Conditions)
		}
		return nil
	})
}

// newPool makes a MachinePool with its PacketMachinePool.
func newPool(w *capitest.World, cluster *clusterv1.Cluster, replicas int32, change ...func(*clusterv1.MachinePool, *infrav1.PacketMachinePool)) (*clusterv1.MachinePool, *infrav1.PacketMachinePool) {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: cluster.Namespace, Name: "workers-1"},
		StringData: map[string]string{"value": capitest.UserData},
	}
	w.Create(secret)
	pool := &infrav1.PacketMachinePool{
		ObjectMeta: metav1.ObjectMeta{Namespace: cluster.Namespace, Name: "workers"},
		Spec: infrav1.PacketMachinePoolSpec{Template: infrav1.PacketMachinePoolMachineTemplate{
			Spec: infrav1.PacketMachineSpec{OS: "ubuntu_24_04", MachineType: "c3.small.x86"},
		}},
	}
	machinePool := &clusterv1.MachinePool{
		ObjectMeta: metav1.ObjectMeta{Namespace: cluster.Namespace, Name: "workers"},
		Spec: clusterv1.MachinePoolSpec{
			ClusterName: cluster.Name, Replicas: &replicas,
			Template: clusterv1.MachineTemplateSpec{Spec: clusterv1.MachineSpec{
				ClusterName: cluster.Name, Version: "v1.36.0",
				Bootstrap: clusterv1.Bootstrap{DataSecretName: ptr.To("workers-1")},
				InfrastructureRef: clusterv1.ContractVersionedObjectReference{
					APIGroup: infrav1.GroupVersion.Group, Kind: "PacketMachinePool", Name: "workers",
				},
			}},
		},
	}
	for _, c := range change {
		c(machinePool, pool)
	}
	w.Create(pool)
	w.Create(machinePool)
	return machinePool, pool
}

// edit changes an object as a user does.
func edit[T client.Object](t *testing.T, w *capitest.World, object T, change func(T)) {
	t.Helper()
	w.Eventually(func() error {
		if err := w.Get(object); err != nil {
			return err
		}
		change(object)
		return w.Client.Update(t.Context(), object)
	})
}

// packetMachines lists those of the pool, by name.
func packetMachines(w *capitest.World, ctx context.Context) ([]infrav1.PacketMachine, error) {
	list := &infrav1.PacketMachineList{}
	err := w.Client.List(ctx, list, client.InNamespace(w.Namespace), client.HasLabels{clusterv1.MachinePoolNameLabel})
	return list.Items, err
}

// settles waits until a pool has a number of machines, each with a device, a Machine and a Node, and is ready.
func settles(t *testing.T, w *capitest.World, machinePool *clusterv1.MachinePool, pool *infrav1.PacketMachinePool, replicas int) []infrav1.PacketMachine {
	t.Helper()
	var found []infrav1.PacketMachine
	w.Eventually(func() (err error) {
		if err := w.Get(pool); err != nil {
			return err
		}
		if err := w.Get(machinePool); err != nil {
			return err
		}
		if found, err = packetMachines(w, t.Context()); err != nil {
			return err
		}
		state := fmt.Sprintf("%d PacketMachines, initialization %+v, status %d/%d/%d, %d provider IDs, MachinePool %d replicas with %d nodes, conditions %v", len(found), pool.Status.Initialization,
			ptr.Deref(pool.Status.Replicas, -1), ptr.Deref(pool.Status.ReadyReplicas, -1), ptr.Deref(pool.Status.UpToDateReplicas, -1),
			len(pool.Spec.ProviderIDList), ptr.Deref(machinePool.Status.Replicas, -1), len(machinePool.Status.NodeRefs), pool.Status.Conditions)
		for _, number := range []int{
			len(found), int(ptr.Deref(pool.Status.Replicas, -1)), int(ptr.Deref(pool.Status.ReadyReplicas, -1)), int(ptr.Deref(pool.Status.UpToDateReplicas, -1)),
			len(pool.Spec.ProviderIDList), int(ptr.Deref(machinePool.Status.Replicas, -1)), len(machinePool.Status.NodeRefs),
		} {
			if number != replicas {
				return fmt.Errorf("want %d machines: %s", replicas, state)
			}
		}
		if !conditions.IsTrue(pool, infrav1.ReadyCondition) || !ptr.Deref(pool.Status.Initialization.Provisioned, false) {
			return fmt.Errorf("not ready: %s", state)
		}
		return nil
	})
	return found
}

// workers are the devices of the pool.
func workers(w *capitest.World) []packet.Device {
	return slices.DeleteFunc(w.Devices(), func(d packet.Device) bool { return packet.HasTags(d.Tags, packet.TagRoleMaster) })
}

func names(machines []infrav1.PacketMachine) []string {
	var found []string
	for _, m := range machines {
		found = append(found, m.Name)
	}
	slices.Sort(found)
	return found
}

// isGone waits until an object does not exist.
func isGone(w *capitest.World, object client.Object) {
	w.Eventually(func() error {
		if err := w.Get(object); !apierrors.IsNotFound(err) {
			return fmt.Errorf("%T %s is still there: %w", object, object.GetName(), err)
		}
		return nil
	})
}

func TestPoolScales(t *testing.T) {
	w, cluster := newWorld(t)
	w.Run()
	hasControlPlane(t, w, cluster)
	machinePool, pool := newPool(w, cluster, 3)
	three := settles(t, w, machinePool, pool, 3)

	// The contract: labels, owner, a Machine of the same name with the device's identity, the shared bootstrap data.
	for _, m := range three {
		if m.Labels[clusterv1.MachinePoolNameLabel] != "workers" || m.Labels[clusterv1.ClusterNameLabel] != "demo" {
			t.Errorf("PacketMachine %s has the labels %v", m.Name, m.Labels)
		}
		machine := &clusterv1.Machine{}
		if err := w.Client.Get(t.Context(), client.ObjectKey{Namespace: w.Namespace, Name: m.Name}, machine); err != nil {
			t.Fatal(err)
		}
		if machine.Spec.ProviderID != m.Spec.ProviderID || !metav1.IsControlledBy(machine, machinePool) {
			t.Errorf("Machine %s has provider ID %q and owners %v", machine.Name, machine.Spec.ProviderID, machine.OwnerReferences)
		}
		owners := 0
		for _, owner := range m.OwnerReferences {
			if owner.Kind == "PacketMachinePool" && owner.UID == pool.UID || owner.Kind == "Machine" && owner.UID == machine.UID {
				owners++
			}
		}
		if owners != 2 {
			t.Errorf("PacketMachine %s has the owners %v", m.Name, m.OwnerReferences)
		}
	}
	if pool.Status.InfrastructureMachineKind != "PacketMachine" {
		t.Errorf("kind of machines is %q", pool.Status.InfrastructureMachineKind)
	}
	for _, device := range workers(w) {
		if device.Userdata != capitest.UserData || !strings.HasPrefix(device.Hostname, "workers-") {
			t.Errorf("device %s has the user data %q", device.Hostname, device.Userdata)
		}
	}

	edit(t, w, machinePool, func(m *clusterv1.MachinePool) { m.Spec.Replicas = ptr.To[int32](5) })
	five := settles(t, w, machinePool, pool, 5)
	for _, name := range names(three) {
		if !slices.Contains(names(five), name) {
			t.Errorf("machine %s did not survive scaling up", name)
		}
	}

	// Somebody wants one of the oldest to go first.
	chosen := &clusterv1.Machine{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: three[0].Name}}
	edit(t, w, chosen, func(m *clusterv1.Machine) {
		if m.Annotations == nil {
			m.Annotations = map[string]string{}
		}
		m.Annotations[clusterv1.DeleteMachineAnnotation] = ""
	})
	edit(t, w, machinePool, func(m *clusterv1.MachinePool) { m.Spec.Replicas = ptr.To[int32](1) })
	one := settles(t, w, machinePool, pool, 1)
	if name := one[0].Name; name == chosen.Name || !slices.Contains(names(three), name) {
		t.Errorf("%s is left, want one of the oldest %v, and not %s", name, names(three), chosen.Name)
	}
	w.Eventually(func() error {
		if devices := workers(w); len(devices) != 1 {
			return fmt.Errorf("%d devices are left", len(devices))
		}
		return nil
	})
	edit(t, w, machinePool, func(m *clusterv1.MachinePool) { m.Spec.Replicas = ptr.To[int32](0) })
	settles(t, w, machinePool, pool, 0)

	if creations := len(w.Network.Requests("POST", "/devices")); creations != 6 {
		t.Errorf("%d devices were asked for, want 5 and the control plane's", creations)
	}
}

func TestPoolIsDeletedWithAllItsDevices(t *testing.T) {
	w, cluster := newWorld(t)
	w.Run()
	hasControlPlane(t, w, cluster)
	machinePool, pool := newPool(w, cluster, 2)
	settles(t, w, machinePool, pool, 2)
	if err := w.Client.Delete(t.Context(), machinePool); err != nil {
		t.Fatal(err)
	}
	isGone(w, pool)
	if devices := workers(w); len(devices) != 0 {
		t.Errorf("%d devices are left when the pool is gone", len(devices))
	}
	isGone(w, machinePool)
	machines := &clusterv1.MachineList{}
	if err := w.Client.List(t.Context(), machines, client.InNamespace(w.Namespace), client.HasLabels{clusterv1.MachinePoolNameLabel}); err != nil || len(machines.Items) != 0 {
		t.Errorf("%d Machines are left, %v", len(machines.Items), err)
	}
}
