package packetmachinepool_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util/conditions"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/capitest"
	"github.com/packetyard/packetyard/pkg/packet"
)

// replaced waits until none of the former machines is left and all is settled.
func replaced(t *testing.T, w *capitest.World, machinePool *clusterv1.MachinePool, pool *infrav1.PacketMachinePool, former []infrav1.PacketMachine) []infrav1.PacketMachine {
	t.Helper()
	w.Eventually(func() error {
		now, err := packetMachines(w, t.Context())
		if err != nil {
			return err
		}
		for _, name := range names(now) {
			if slices.Contains(names(former), name) {
				return fmt.Errorf("machine %s is still there: %v", name, pool.Status.Conditions)
			}
		}
		return nil
	})
	return settles(t, w, machinePool, pool, len(former))
}

func TestPoolReplacesMachinesOneByOne(t *testing.T) {
	w, cluster := newWorld(t)
	w.Run()
	hasControlPlane(t, w, cluster)
	machinePool, pool := newPool(w, cluster, 2)
	first := settles(t, w, machinePool, pool, 2)

	// A device more than the two is the most there may be at a time, those on their way out included.
	var tooMany atomic.Int32
	w.Network.Break(func(r *http.Request) capitest.Verdict {
		if capitest.IsCreation(r) && len(workers(w)) > 2 {
			tooMany.Add(1)
		}
		return capitest.Verdict{}
	})
	edit(t, w, pool, func(p *infrav1.PacketMachinePool) { p.Spec.Template.Spec.Tags = []string{"second"} })
	second := replaced(t, w, machinePool, pool, first)
	for _, device := range workers(w) {
		if !packet.HasTags(device.Tags, "second") {
			t.Errorf("device %s has the tags %v", device.Hostname, device.Tags)
		}
	}

	// Bootstrap data and version change together, as in an upgrade: one replacement for both.
	w.Create(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "workers-2"},
		StringData: map[string]string{"value": "#cloud-config\nruncmd: [\"false\"]\n"},
	})
	edit(t, w, machinePool, func(m *clusterv1.MachinePool) {
		m.Spec.Template.Spec.Bootstrap.DataSecretName = ptr.To("workers-2")
		m.Spec.Template.Spec.Version = "v1.36.1"
	})
	replaced(t, w, machinePool, pool, second)
	for _, device := range workers(w) {
		if device.Userdata == capitest.UserData {
			t.Errorf("device %s has the former user data", device.Hostname)
		}
	}
	if n := tooMany.Load(); n > 0 {
		t.Errorf("%d times there were more than three devices", n)
	}
	if creations := len(w.Network.Requests("POST", "/devices")); creations != 1+3*2 {
		t.Errorf("%d devices were asked for, want 7", creations)
	}

	// What needs no other device is changed in place.
	before := names(settles(t, w, machinePool, pool, 2))
	edit(t, w, pool, func(p *infrav1.PacketMachinePool) {
		p.Spec.Template.ObjectMeta.Labels = map[string]string{"team": "blue"}
		p.Spec.Template.Spec.DeletionProtection = ptr.To(true)
	})
	w.Eventually(func() error {
		now, err := packetMachines(w, t.Context())
		if err != nil {
			return err
		}
		for _, m := range now {
			if m.Labels["team"] != "blue" || !ptr.Deref(m.Spec.DeletionProtection, false) {
				return fmt.Errorf("PacketMachine %s has labels %v and protection %v", m.Name, m.Labels, m.Spec.DeletionProtection)
			}
		}
		return nil
	})
	if after := names(settles(t, w, machinePool, pool, 2)); !slices.Equal(before, after) {
		t.Errorf("machines %v became %v for a label", before, after)
	}
}

func TestPoolReplacesWithinItsSize(t *testing.T) {
	w, cluster := newWorld(t)
	w.Run()
	hasControlPlane(t, w, cluster)
	machinePool, pool := newPool(w, cluster, 2, func(_ *clusterv1.MachinePool, p *infrav1.PacketMachinePool) {
		p.Spec.Strategy.RollingUpdate.MaxSurge = ptr.To(intstr.FromInt32(0))
		p.Spec.Strategy.RollingUpdate.MaxUnavailable = ptr.To(intstr.FromString("50%"))
	})
	first := settles(t, w, machinePool, pool, 2)
	var tooMany atomic.Int32
	w.Network.Break(func(r *http.Request) capitest.Verdict {
		if capitest.IsCreation(r) && len(workers(w)) > 1 {
			tooMany.Add(1)
		}
		return capitest.Verdict{}
	})
	edit(t, w, pool, func(p *infrav1.PacketMachinePool) { p.Spec.Template.Spec.Tags = []string{"second"} })
	replaced(t, w, machinePool, pool, first)
	if n := tooMany.Load(); n > 0 {
		t.Errorf("%d times there were more than two devices", n)
	}
}

func TestPoolLeavesOutdatedMachinesWithOnDelete(t *testing.T) {
	w, cluster := newWorld(t)
	w.Run()
	hasControlPlane(t, w, cluster)
	machinePool, pool := newPool(w, cluster, 2, func(_ *clusterv1.MachinePool, p *infrav1.PacketMachinePool) {
		p.Spec.Strategy.Type = infrav1.PoolStrategyOnDelete
	})
	first := settles(t, w, machinePool, pool, 2)
	edit(t, w, pool, func(p *infrav1.PacketMachinePool) { p.Spec.Template.Spec.Tags = []string{"second"} })
	w.Eventually(func() error {
		if err := w.Get(pool); err != nil {
			return err
		}
		if reason := conditions.GetReason(pool, infrav1.MachinesUpToDateCondition); reason != infrav1.MachinesOutdatedReason {
			return fmt.Errorf("reason is %s", reason)
		}
		return nil
	})
	machine := &clusterv1.Machine{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: first[0].Name}}
	if err := w.Client.Delete(t.Context(), machine); err != nil {
		t.Fatal(err)
	}
	w.Eventually(func() error {
		if err := w.Get(pool); err != nil {
			return err
		}
		if n := ptr.Deref(pool.Status.UpToDateReplicas, 0); n != 1 || ptr.Deref(pool.Status.ReadyReplicas, 0) != 2 {
			return fmt.Errorf("%d machines are up to date: %v", n, pool.Status.Conditions)
		}
		return nil
	})
	now, err := packetMachines(w, t.Context())
	if err != nil || !slices.Contains(names(now), first[1].Name) {
		t.Errorf("machine %s is not among %v, %v", first[1].Name, names(now), err)
	}
}

func TestPoolReplacesWhatAHealthCheckGaveUp(t *testing.T) {
	w, cluster := newWorld(t)
	w.Run()
	hasControlPlane(t, w, cluster)
	machinePool, pool := newPool(w, cluster, 2)
	first := settles(t, w, machinePool, pool, 2)
	w.Create(&clusterv1.MachineHealthCheck{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "workers"},
		Spec: clusterv1.MachineHealthCheckSpec{
			ClusterName: cluster.Name,
			Selector:    metav1.LabelSelector{MatchLabels: map[string]string{clusterv1.MachinePoolNameLabel: "workers"}},
			Checks: clusterv1.MachineHealthCheckChecks{UnhealthyNodeConditions: []clusterv1.UnhealthyNodeCondition{
				{Type: corev1.NodeReady, Status: corev1.ConditionUnknown, TimeoutSeconds: ptr.To[int32](0)},
			}},
		},
	})
	w.SetNodeReady(first[0].Name, corev1.ConditionUnknown)
	isGone(w, &infrav1.PacketMachine{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: first[0].Name}})
	now := settles(t, w, machinePool, pool, 2)
	if !slices.Contains(names(now), first[1].Name) {
		t.Errorf("machine %s was healthy and is not among %v", first[1].Name, names(now))
	}
}

func TestPoolReplacesAMachineWhoseDeviceIsGone(t *testing.T) {
	w, cluster := newWorld(t)
	w.Run()
	hasControlPlane(t, w, cluster)
	machinePool, pool := newPool(w, cluster, 1)
	first := settles(t, w, machinePool, pool, 1)
	id, err := packet.DeviceID(first[0].Spec.ProviderID)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Packet.DeleteDevice(t.Context(), id, true); err != nil {
		t.Fatal(err)
	}
	// As long as its node works, the Packet API alone is not believed: the account may be another one by mistake.
	w.Eventually(func() error {
		if err := w.Get(&first[0]); err != nil {
			return err
		}
		if reason := conditions.GetReason(&first[0], infrav1.DeviceReadyCondition); reason != infrav1.DeviceNotFoundReason {
			return fmt.Errorf("reason is %s", reason)
		}
		return nil
	})
	w.Never(time.Second, func() error { return w.Get(&first[0]) })
	w.SetNodeReady(first[0].Name, corev1.ConditionUnknown)
	replaced(t, w, machinePool, pool, first)
}

func TestPoolSpreadsOverFailureDomains(t *testing.T) {
	w, cluster := newWorld(t)
	w.Run()
	hasControlPlane(t, w, cluster)
	machinePool, pool := newPool(w, cluster, 4, func(m *clusterv1.MachinePool, _ *infrav1.PacketMachinePool) {
		m.Spec.FailureDomains = []string{"da", "ny"}
	})
	settles(t, w, machinePool, pool, 4)
	if in := metros(w); in["da"] != 2 || in["ny"] != 2 {
		t.Errorf("devices are in %v, want two in each", in)
	}
	edit(t, w, machinePool, func(m *clusterv1.MachinePool) { m.Spec.Replicas = ptr.To[int32](2) })
	settles(t, w, machinePool, pool, 2)
	w.Eventually(func() error {
		if in := metros(w); in["da"] != 1 || in["ny"] != 1 {
			return fmt.Errorf("devices are in %v, want one in each", in)
		}
		return nil
	})
}

func metros(w *capitest.World) map[string]int {
	in := map[string]int{}
	for _, device := range workers(w) {
		in[device.Metro.Code]++
	}
	return in
}

func TestPoolThatSomethingElseScales(t *testing.T) {
	w, cluster := newWorld(t)
	w.Run()
	hasControlPlane(t, w, cluster)
	machinePool, pool := newPool(w, cluster, 2, func(m *clusterv1.MachinePool, _ *infrav1.PacketMachinePool) {
		m.Annotations = map[string]string{clusterv1.ReplicasManagedByAnnotation: "somebody"}
	})
	first := settles(t, w, machinePool, pool, 2)
	if err := w.Client.Delete(t.Context(), &clusterv1.Machine{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: first[0].Name}}); err != nil {
		t.Fatal(err)
	}
	settles(t, w, machinePool, pool, 1)
	w.Eventually(func() error {
		if err := w.Get(machinePool); err != nil {
			return err
		}
		if n := *machinePool.Spec.Replicas; n != 1 {
			return fmt.Errorf("the MachinePool says %d replicas", n)
		}
		return nil
	})
}

func TestPausedPoolDoesNothing(t *testing.T) {
	w, cluster := newWorld(t)
	w.Run()
	hasControlPlane(t, w, cluster)
	machinePool, pool := newPool(w, cluster, 1)
	settles(t, w, machinePool, pool, 1)
	edit(t, w, pool, func(p *infrav1.PacketMachinePool) { p.Annotations = map[string]string{clusterv1.PausedAnnotation: ""} })
	w.Eventually(func() error {
		if err := w.Get(pool); err != nil {
			return err
		}
		if !conditions.IsTrue(pool, clusterv1.PausedCondition) {
			return fmt.Errorf("conditions are %v", pool.Status.Conditions)
		}
		return nil
	})
	edit(t, w, machinePool, func(m *clusterv1.MachinePool) { m.Spec.Replicas = ptr.To[int32](2) })
	w.Never(time.Second, func() error {
		if found, err := packetMachines(w, t.Context()); err != nil || len(found) != 1 {
			return fmt.Errorf("%d machines, %w", len(found), err)
		}
		return nil
	})
	edit(t, w, pool, func(p *infrav1.PacketMachinePool) { delete(p.Annotations, clusterv1.PausedAnnotation) })
	settles(t, w, machinePool, pool, 2)
}

// TestPoolEndsTheSameWhateverBreaks scales while the API fails one call in five, some of them after it has carried them out,
// and the controllers are killed again and again.
func TestPoolEndsTheSameWhateverBreaks(t *testing.T) {
	w, cluster := newWorld(t)
	stop := w.Run()
	hasControlPlane(t, w, cluster)
	machinePool, pool := newPool(w, cluster, 0)
	settles(t, w, machinePool, pool, 0)
	var calls atomic.Int32
	w.Network.Break(func(*http.Request) capitest.Verdict {
		switch n := calls.Add(1); {
		case n%10 == 0:
			return capitest.Verdict{Lose: true}
		case n%5 == 0:
			return capitest.Verdict{Status: http.StatusServiceUnavailable, Body: `{"errors":["try again"]}`}
		default:
			return capitest.Verdict{}
		}
	})
	for _, replicas := range []int32{3, 5, 1, 4} {
		edit(t, w, machinePool, func(m *clusterv1.MachinePool) { m.Spec.Replicas = &replicas })
		for range 3 {
			// Somewhere in the middle of things.
			w.Eventually(moreThan(&calls, calls.Load()+4))
			stop()
			stop = w.Run()
		}
		settles(t, w, machinePool, pool, int(replicas))
	}
	machines := map[string]int{}
	for _, device := range workers(w) {
		machines[device.Hostname]++
	}
	for name, devices := range machines {
		if devices != 1 {
			t.Errorf("machine %s has %d devices", name, devices)
		}
	}
	w.Eventually(func() error {
		if n := len(workers(w)); n != 4 {
			return fmt.Errorf("%d devices, want 4", n)
		}
		return nil
	})
}

// TestPoolRebuildsItsStatus takes all status away, as clusterctl move does, and expects nothing but the status to come back.
func TestPoolRebuildsItsStatus(t *testing.T) {
	w, cluster := newWorld(t)
	stop := w.Run()
	hasControlPlane(t, w, cluster)
	machinePool, pool := newPool(w, cluster, 2)
	before := settles(t, w, machinePool, pool, 2)
	stop()
	w.SetStatus(pool, func() { pool.Status = infrav1.PacketMachinePoolStatus{Replicas: ptr.To[int32](0)} })
	for n := range before {
		machine := &before[n]
		w.SetStatus(machine, func() { machine.Status = infrav1.PacketMachineStatus{InstanceStatus: "unknown"} })
	}
	w.Run()
	after := settles(t, w, machinePool, pool, 2)
	if !slices.Equal(names(before), names(after)) {
		t.Errorf("machines %v became %v", names(before), names(after))
	}
	if creations := len(w.Network.Requests("POST", "/devices")); creations != 3 {
		t.Errorf("%d devices were asked for, want 3", creations)
	}
}

// TestPoolDeletesMachinesWithoutPacketMachine is about what Cluster API makes of a PacketMachine that goes too early.
func TestPoolDeletesMachinesWithoutPacketMachine(t *testing.T) {
	w, cluster := newWorld(t)
	w.Run()
	hasControlPlane(t, w, cluster)
	machinePool, pool := newPool(w, cluster, 1)
	settles(t, w, machinePool, pool, 1)
	orphan := &clusterv1.Machine{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: w.Namespace, Name: "workers-orphan",
			Labels:          map[string]string{clusterv1.ClusterNameLabel: cluster.Name, clusterv1.MachinePoolNameLabel: "workers"},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(machinePool, clusterv1.GroupVersion.WithKind("MachinePool"))},
		},
		Spec: clusterv1.MachineSpec{
			ClusterName: cluster.Name, Bootstrap: clusterv1.Bootstrap{DataSecretName: ptr.To("")},
			InfrastructureRef: clusterv1.ContractVersionedObjectReference{APIGroup: infrav1.GroupVersion.Group, Kind: "PacketMachine", Name: "workers-orphan"},
		},
	}
	w.Create(orphan)
	isGone(w, orphan)
	var kept client.Object = pool
	if err := w.Get(kept); err != nil {
		t.Error(err)
	}
	settles(t, w, machinePool, pool, 1)
}

func moreThan(counter *atomic.Int32, limit int32) func() error {
	return func() error {
		if n := counter.Load(); n <= limit {
			return fmt.Errorf("%d calls so far", n)
		}
		return nil
	}
}
