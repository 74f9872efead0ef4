package packetmachine_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sigs.k8s.io/cluster-api/util/conditions"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/apiserver"
	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/capi/capitest"
	"github.com/packetyard/packetyard/internal/capi/devices"
	"github.com/packetyard/packetyard/internal/capi/packetmachine"
	"github.com/packetyard/packetyard/internal/machines"
	"github.com/packetyard/packetyard/internal/machines/none"
	"github.com/packetyard/packetyard/pkg/packet"
)

// watch is a clock that runs ahead of the host's.
type watch struct{ ahead atomic.Int64 }

func (w *watch) Now() time.Time          { return time.Now().Add(time.Duration(w.ahead.Load())) }
func (w *watch) advance(d time.Duration) { w.ahead.Add(int64(d)) }

// run starts the controllers with a clock of their own.
func (w *watch) run(world *capitest.World) {
	world.Machines = func(r *packetmachine.Reconciler) { r.Now = w.Now }
	world.Run()
}

// still is a clock of the API server that stands still, so that no device gets any further.
type still struct{ now time.Time }

func (s still) Now() time.Time                     { return s.now }
func (still) After(time.Duration) <-chan time.Time { return nil }

// eventsOf counts the events of an object by their reasons.
func eventsOf(t *testing.T, w *capitest.World, machine *infrav1.PacketMachine) map[string]int {
	t.Helper()
	list := &eventsv1.EventList{}
	if err := w.Client.List(t.Context(), list, client.InNamespace(machine.Namespace)); err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, event := range list.Items {
		if event.Regarding.Name != machine.Name {
			continue
		}
		counts[event.Reason]++
		if event.Series != nil {
			counts[event.Reason] += int(event.Series.Count) - 1
		}
	}
	return counts
}

// told waits until an event was recorded, and sees to it that it stays the only one of its reason.
func told(t *testing.T, w *capitest.World, machine *infrav1.PacketMachine, reason string) {
	t.Helper()
	// Events are sent behind the back of whoever records them.
	w.Eventually(func() error {
		if counts := eventsOf(t, w, machine); counts[reason] == 0 {
			return fmt.Errorf("events are %v, want one with reason %s", counts, reason)
		}
		return nil
	})
	w.Touch(machine)
	w.Never(300*time.Millisecond, func() error {
		if n := eventsOf(t, w, machine)[reason]; n != 1 {
			return fmt.Errorf("%d events with reason %s, want 1", n, reason)
		}
		return nil
	})
}

func TestNetworkIsSetUpOnceTheDeviceIsActive(t *testing.T) {
	for name, test := range map[string]struct {
		network infrav1.PacketMachineNetwork
		kind    string
		on      map[string]int
	}{
		"hybrid-bonded": {infrav1.PacketMachineNetwork{
			Type: infrav1.NetworkTypeHybridBonded, VLANs: []infrav1.PacketMachineVLAN{{VXLAN: 1001}, {VXLAN: 1002, Native: ptr.To(true)}},
		}, packet.NetworkTypeHybridBonded, map[string]int{"bond0": 2}},
		"hybrid-unbonded": {infrav1.PacketMachineNetwork{
			Type: infrav1.NetworkTypeHybridUnbonded, VLANs: []infrav1.PacketMachineVLAN{{VXLAN: 1001, Port: "eth1"}},
		}, packet.NetworkTypeHybrid, map[string]int{"eth1": 1}},
		"layer2-bonded": {infrav1.PacketMachineNetwork{
			Type: infrav1.NetworkTypeLayer2Bonded, VLANs: []infrav1.PacketMachineVLAN{{VXLAN: 1001}},
		}, packet.NetworkTypeLayer2Bonded, map[string]int{"bond0": 1}},
		"layer2-individual": {infrav1.PacketMachineNetwork{
			Type: infrav1.NetworkTypeLayer2Individual, VLANs: []infrav1.PacketMachineVLAN{{VXLAN: 1001, Port: "eth0"}, {VXLAN: 1002, Port: "eth1"}},
		}, packet.NetworkTypeLayer2Individual, map[string]int{"eth0": 1, "eth1": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for _, number := range []int{1001, 1002} {
				if _, err := w.Packet.CreateVirtualNetwork(t.Context(), w.API.ProjectID, packet.VirtualNetworkCreate{Metro: "da", VXLAN: &number}); err != nil {
					t.Fatal(err)
				}
			}
			w.Run()
			_, machine := active(t, w, func(m *infrav1.PacketMachine) { m.Spec.Network = test.network })
			reaches(t, w, machine, infrav1.NetworkReadyCondition, metav1.ConditionTrue, infrav1.NetworkConfiguredReason)
			for _, port := range the(t, w).NetworkPorts {
				if port.Name == "bond0" && port.NetworkType != test.kind {
					t.Errorf("network type is %s, want %s", port.NetworkType, test.kind)
				}
				if len(port.VirtualNetworks) != test.on[port.Name] {
					t.Errorf("%s is in %d VLANs, want %d", port.Name, len(port.VirtualNetworks), test.on[port.Name])
				}
				if native := port.NativeVirtualNetwork != nil; native != (name == "hybrid-bonded" && port.Name == "bond0") {
					t.Errorf("%s has a native VLAN: %t", port.Name, native)
				}
			}
			changes := func() int {
				n := 0
				for _, request := range w.Network.Requests(http.MethodPost, "") {
					if strings.HasPrefix(request.Path, "/ports/") {
						n++
					}
				}
				return n
			}
			before := changes()
			w.Touch(machine)
			w.Never(700*time.Millisecond, func() error {
				if now := changes(); now != before {
					return fmt.Errorf("ports were changed %d more times", now-before)
				}
				return nil
			})
		})
	}
}

func TestUnknownVLANIsReportedAndFoundLater(t *testing.T) {
	w := newWorld(t)
	w.Run()
	_, machine := active(t, w, func(m *infrav1.PacketMachine) {
		m.Spec.Network = infrav1.PacketMachineNetwork{Type: infrav1.NetworkTypeHybridBonded, VLANs: []infrav1.PacketMachineVLAN{{VXLAN: 1001}}}
	})
	reaches(t, w, machine, infrav1.ReadyCondition, metav1.ConditionFalse, infrav1.NetworkVLANNotFoundReason)
	if message := conditions.GetMessage(machine, infrav1.NetworkReadyCondition); !strings.Contains(message, "1001") || !strings.Contains(message, "da") {
		t.Errorf("message is %q, want the VLAN and the metro", message)
	}
	number := 1001
	if _, err := w.Packet.CreateVirtualNetwork(t.Context(), w.API.ProjectID, packet.VirtualNetworkCreate{Metro: "da", VXLAN: &number}); err != nil {
		t.Fatal(err)
	}
	reaches(t, w, machine, infrav1.ReadyCondition, metav1.ConditionTrue, infrav1.DeviceActiveReason)
}

func TestDeletionProtectionLocksTheDevice(t *testing.T) {
	w := newWorld(t)
	w.Run()
	_, machine := active(t, w, func(m *infrav1.PacketMachine) { m.Spec.DeletionProtection = ptr.To(true) })
	id := the(t, w).ID
	if err := w.Packet.DeleteDevice(t.Context(), id, true); !packet.IsUnprocessable(err) {
		t.Fatalf("deleting a protected device: %v, want a refusal", err)
	}
	change := func(locked bool) {
		t.Helper()
		w.Eventually(func() error {
			if err := w.Get(machine); err != nil {
				return err
			}
			machine.Spec.DeletionProtection = &locked
			return w.Client.Update(t.Context(), machine)
		})
		w.Eventually(func() error {
			if device := the(t, w); device.Locked != locked {
				return fmt.Errorf("device is locked: %t", device.Locked)
			}
			return nil
		})
	}
	change(false)
	change(true)
	if err := w.Client.Delete(t.Context(), machine); err != nil {
		t.Fatal(err)
	}
	isGone(t, w, machine)
	if n := len(w.Devices()); n != 0 {
		t.Errorf("%d devices are left", n)
	}
}

func TestTagsThatAreAddedLaterReachTheDevice(t *testing.T) {
	w := newWorld(t)
	w.Run()
	_, machine := active(t, w, func(m *infrav1.PacketMachine) { m.Spec.Tags = []string{"one"} })
	w.Eventually(func() error {
		if err := w.Get(machine); err != nil {
			return err
		}
		machine.Spec.Tags = []string{"two"}
		return w.Client.Update(t.Context(), machine)
	})
	want := append(packet.MachineTags(w.Namespace, "demo", "demo-0"), packet.TagRoleNode, "one", "two")
	w.Eventually(func() error {
		if tags := the(t, w).Tags; !packet.HasTags(tags, want...) {
			return fmt.Errorf("tags are %v, want %v", tags, want)
		}
		return nil
	})
}

func TestLockOfSomebodyElseIsRespected(t *testing.T) {
	w := newWorld(t)
	w.Run()
	_, machine := active(t, w, nil)
	id, locked := the(t, w).ID, true
	if _, err := w.Packet.UpdateDevice(t.Context(), id, packet.DeviceUpdate{Locked: &locked}); err != nil {
		t.Fatal(err)
	}
	if err := w.Client.Delete(t.Context(), machine); err != nil {
		t.Fatal(err)
	}
	reaches(t, w, machine, infrav1.ReadyCondition, metav1.ConditionFalse, infrav1.DeviceLockedReason)
	locked = false
	if _, err := w.Packet.UpdateDevice(t.Context(), id, packet.DeviceUpdate{Locked: &locked}); err != nil {
		t.Fatal(err)
	}
	isGone(t, w, machine)
}

func TestOutbidSpotInstanceIsReported(t *testing.T) {
	w := newWorld(t)
	w.Run()
	cluster, _ := w.ReadyCluster(w.Namespace, "demo")
	// A device that the provider asked for with a bid, and that was outbid since.
	device, err := w.Packet.CreateDevice(t.Context(), w.API.ProjectID, packet.DeviceCreate{
		Hostname: "demo-0", Plan: "c3.small.x86", OperatingSystem: "ubuntu_24_04", Metro: "da", SpotInstance: true, SpotPriceMax: 100,
		TerminationTime: packet.NewTimestamp(time.Now().Add(2 * time.Minute)), Tags: packet.MachineTags(w.Namespace, "demo", "demo-0"),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, machine := w.Machine(cluster, capitest.MachineOptions{
		Name: "demo-0", UserData: capitest.UserData,
		Change: func(m *infrav1.PacketMachine) { m.Spec.Spot.MaxPrice = "100" },
	})
	reaches(t, w, machine, infrav1.ReadyCondition, metav1.ConditionFalse, infrav1.DeviceSpotTerminatingReason)
	if err := w.Packet.DeleteDevice(t.Context(), device.ID, true); err != nil {
		t.Fatal(err)
	}
	reaches(t, w, machine, infrav1.ReadyCondition, metav1.ConditionFalse, infrav1.DeviceNotFoundReason)
	w.Never(500*time.Millisecond, func() error {
		if err := w.Get(machine); err != nil {
			return err
		}
		if message := conditions.GetMessage(machine, infrav1.ReadyCondition); !strings.Contains(message, "outbid") {
			return fmt.Errorf("message is %q, want the reason", message)
		}
		return nil
	})
	told(t, w, machine, infrav1.DeviceSpotTerminatingReason)
	told(t, w, machine, infrav1.DeviceNotFoundReason)
}

func TestTimeouts(t *testing.T) {
	for reason, test := range map[string]struct {
		condition string
		options   apiservertest.Options
		after     time.Duration
	}{
		infrav1.DeviceQueuedTimedOutReason:       {infrav1.DeviceReadyCondition, apiservertest.Options{Clock: still{time.Now()}, Profile: "realistic"}, 31 * time.Minute},
		infrav1.DeviceProvisioningTimedOutReason: {infrav1.DeviceReadyCondition, apiservertest.Options{Profile: "realistic"}, 61 * time.Minute},
		infrav1.BootstrapTimedOutReason:          {infrav1.BootstrapSucceededCondition, apiservertest.Options{}, 31 * time.Minute},
	} {
		t.Run(reason, func(t *testing.T) {
			clock, w := &watch{}, capitest.NewWorld(t, env, test.options)
			clock.run(w)
			cluster, _ := w.ReadyCluster(w.Namespace, "demo")
			owner, machine := w.Machine(cluster, capitest.MachineOptions{Name: "demo-0", UserData: capitest.UserData})
			w.Eventually(func() error {
				if err := w.Get(machine); err != nil {
					return err
				}
				if state := machine.Status.InstanceStatus; state == "" || reason == infrav1.DeviceProvisioningTimedOutReason && state != "provisioning" ||
					reason == infrav1.BootstrapTimedOutReason && state != "active" {
					return fmt.Errorf("device is %q", state)
				}
				return nil
			})
			clock.advance(test.after)
			w.Touch(machine)
			reaches(t, w, machine, test.condition, metav1.ConditionFalse, reason)
			reaches(t, w, machine, infrav1.ReadyCondition, metav1.ConditionFalse, reason)
			told(t, w, machine, reason)
			if reason == infrav1.BootstrapTimedOutReason {
				// Nothing is terminal: what was only late is ready when it comes.
				w.SetStatus(owner, func() { owner.Status.NodeRef.Name = "demo-0" })
				reaches(t, w, machine, infrav1.ReadyCondition, metav1.ConditionTrue, infrav1.DeviceActiveReason)
			}
		})
	}
}

// stuck is a driver whose machines cannot be ended until they are let go.
type stuck struct {
	none.Driver
	free chan struct{}
}

func (s stuck) Deprovision(ctx context.Context, _ string) error {
	select {
	case <-s.free:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestDeletionTimesOutAndGoesOn(t *testing.T) {
	driver := stuck{free: make(chan struct{})}
	clock, w := &watch{}, capitest.NewWorld(t, env, apiservertest.Options{Driver: driver})
	clock.run(w)
	_, machine := active(t, w, func(m *infrav1.PacketMachine) {
		m.Spec.Timeouts.Deletion = &metav1.Duration{Duration: time.Hour}
	})
	if err := w.Client.Delete(t.Context(), machine); err != nil {
		t.Fatal(err)
	}
	reaches(t, w, machine, infrav1.ReadyCondition, metav1.ConditionFalse, infrav1.DeviceDeletingReason)
	clock.advance(61 * time.Minute)
	reaches(t, w, machine, infrav1.ReadyCondition, metav1.ConditionFalse, infrav1.DeviceDeletionTimedOutReason)
	the(t, w)
	close(driver.free)
	isGone(t, w, machine)
}

// What the API refuses is asked for again only when waiting or a change can have helped.
func TestRefusalsAreNotRepeatedInVain(t *testing.T) {
	clock, w := &watch{}, newWorld(t)
	if err := w.API.SetCapacity(t.Context(), apiserver.Capacity{Plan: "m3.large.x86", Servers: 0}); err != nil {
		t.Fatal(err)
	}
	clock.run(w)
	cluster, _ := w.ReadyCluster(w.Namespace, "demo")
	make := func(name, plan string, reason devices.Refusal) *infrav1.PacketMachine {
		_, machine := w.Machine(cluster, capitest.MachineOptions{
			Name: name, UserData: capitest.UserData, Change: func(m *infrav1.PacketMachine) { m.Spec.MachineType = plan },
		})
		reaches(t, w, machine, infrav1.ReadyCondition, metav1.ConditionFalse, string(reason))
		return machine
	}
	waits, hopeless := make("waits", "m3.large.x86", devices.NoCapacity), make("hopeless", "no.such.plan", devices.PlanUnknown)
	if message := conditions.GetMessage(waits, infrav1.ReadyCondition); !strings.Contains(message, "m3.large.x86") || !strings.Contains(message, "tried again") {
		t.Errorf("message is %q, want the API's words and what to do", message)
	}
	asked := func(name string) (n int) {
		for _, request := range w.Network.Requests(http.MethodPost, "/devices") {
			if strings.Contains(request.Body, `"hostname":"`+name+`"`) {
				n++
			}
		}
		return n
	}
	stays := func(name string, want int) {
		t.Helper()
		w.Never(400*time.Millisecond, func() error {
			w.Touch(waits)
			w.Touch(hopeless)
			if n := asked(name); n != want {
				return fmt.Errorf("%s was asked for %d times, want %d", name, n, want)
			}
			return nil
		})
	}
	stays("waits", 1)
	stays("hopeless", 1)
	clock.advance(31 * time.Second)
	w.Eventually(func() error {
		w.Touch(waits)
		if n := asked("waits"); n != 2 {
			return fmt.Errorf("asked %d times, want 2", n)
		}
		return nil
	})
	clock.advance(31 * time.Second)
	stays("waits", 2)
	stays("hopeless", 1)
	told(t, w, waits, string(devices.NoCapacity))
	if err := w.API.ResetCapacity(t.Context()); err != nil {
		t.Fatal(err)
	}
	clock.advance(5 * time.Minute)
	w.Touch(waits)
	becomesActive(t, w, waits)
	if err := w.Client.Delete(t.Context(), hopeless); err != nil {
		t.Fatal(err)
	}
	isGone(t, w, hopeless)
}

// Whoever deletes the credentials before the machines has to be told why these stay.
func TestDeletionWithoutCredentialsSaysSo(t *testing.T) {
	w := newWorld(t)
	w.Run()
	_, machine := active(t, w, nil)
	w.SetCredentials("")
	if err := w.Client.Delete(t.Context(), machine); err != nil {
		t.Fatal(err)
	}
	w.Eventually(func() error {
		w.Touch(machine)
		if err := w.Get(machine); err != nil {
			return err
		}
		if message := conditions.GetMessage(machine, infrav1.ReadyCondition); !strings.Contains(message, capitest.CredentialsSecret) {
			return fmt.Errorf("message is %q, want the name of the Secret", message)
		}
		return nil
	})
	the(t, w)
	w.SetCredentials(w.API.Token)
	isGone(t, w, machine)
}

// broken is a driver that cannot make machines.
type broken struct{ none.Driver }

func (broken) Provision(context.Context, machines.Spec) error { return errors.New("GRUB says no") }

func TestFailureDomainIsObeyedAndReported(t *testing.T) {
	w := newWorld(t)
	w.Run()
	cluster, _ := w.ReadyCluster(w.Namespace, "demo")
	owner, machine := w.Machine(cluster, capitest.MachineOptions{Name: "demo-0"})
	owner.Spec.FailureDomain = "ny"
	if err := w.Client.Update(t.Context(), owner); err != nil {
		t.Fatal(err)
	}
	w.Create(bootstrap(w.Namespace, "late"))
	owner.Spec.Bootstrap.DataSecretName = ptr.To("late")
	if err := w.Client.Update(t.Context(), owner); err != nil {
		t.Fatal(err)
	}
	becomesActive(t, w, machine)
	if code := the(t, w).Metro.Code; code != "ny" || machine.Status.FailureDomain != "ny" {
		t.Errorf("device is in %s, failure domain is %s, want ny", code, machine.Status.FailureDomain)
	}
}

func TestConflictWithADeviceOfTheSameNameIsReported(t *testing.T) {
	w := newWorld(t)
	w.Run()
	cluster, _ := w.ReadyCluster(w.Namespace, "demo")
	theirs, err := w.Packet.CreateDevice(t.Context(), w.API.ProjectID, packet.DeviceCreate{
		Hostname: "demo-0", Plan: "c3.small.x86", OperatingSystem: "ubuntu_24_04", Metro: "da",
		Tags: append(packet.MachineTags(w.Namespace, "demo", "demo-0"), devices.TagPrefixBootstrap+devices.Fingerprint([]byte("other"))),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, machine := w.Machine(cluster, capitest.MachineOptions{Name: "demo-0", UserData: capitest.UserData})
	reaches(t, w, machine, infrav1.ReadyCondition, metav1.ConditionFalse, infrav1.DeviceConflictReason)
	if message := conditions.GetMessage(machine, infrav1.ReadyCondition); !strings.Contains(message, theirs.ID) {
		t.Errorf("message is %q, want the device", message)
	}
	if err := w.Packet.DeleteDevice(t.Context(), theirs.ID, true); err != nil {
		t.Fatal(err)
	}
	w.Eventually(func() error {
		w.Touch(machine)
		if err := w.Get(machine); err != nil {
			return err
		}
		if !conditions.IsTrue(machine, infrav1.DeviceReadyCondition) {
			return fmt.Errorf("conditions are %v", machine.Status.Conditions)
		}
		return nil
	})
	if tags := the(t, w).Tags; !slices.Contains(tags, devices.TagPrefixBootstrap+devices.Fingerprint([]byte(capitest.UserData))) {
		t.Errorf("tags are %v", tags)
	}
}
