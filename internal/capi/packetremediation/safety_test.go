package packetremediation_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util/conditions"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/capitest"
	"github.com/packetyard/packetyard/pkg/packet"
)

func isAction(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/actions")
}

// happened counts the events of a type of a machine's device.
func happened(t *testing.T, w *capitest.World, machine *clusterv1.Machine, kind string) int {
	t.Helper()
	id, err := packet.DeviceID(machine.Spec.ProviderID)
	if err != nil {
		t.Fatal(err)
	}
	events, err := w.Packet.DeviceEvents(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, event := range events {
		if event.Type == kind {
			count++
		}
	}
	return count
}

// TestARebootIsNotRepeatedAfterAKill kills the controllers when the API has rebooted the device and nobody knows yet.
func TestARebootIsNotRepeatedAfterAKill(t *testing.T) {
	w, cluster, stop := newWorld(t, 1)
	machine := bare(w, cluster, "worker", false)
	becomesNode(t, w, machine)
	var once sync.Once
	killed := make(chan struct{})
	w.Network.Break(func(r *http.Request) capitest.Verdict {
		if !isAction(r) {
			return capitest.Verdict{}
		}
		return capitest.Verdict{Lose: true, After: func() {
			once.Do(func() {
				stop()
				close(killed)
			})
		}}
	})
	remediation := heal(w, machine, infrav1.PacketRemediationStrategy{})
	<-killed
	w.Network.Break(nil)
	if err := w.Get(remediation); err != nil || remediation.Status.Progress != infrav1.RemediationBegun {
		t.Fatalf("%v, the try is not on record: %+v", err, remediation.Status)
	}
	w.Run()
	says(w, remediation, infrav1.RemediationWaitingReason)
	asked(t, w, packet.ActionReboot)
	if n := ptr.Deref(remediation.Status.Tries, 0); n != 1 {
		t.Errorf("%d tries are on record, want 1", n)
	}
}

// TestALostStatusCostsOneRebootAtMost is what clusterctl move does to a remediation that is under way.
func TestALostStatusCostsOneRebootAtMost(t *testing.T) {
	w, cluster, stop := newWorld(t, 1)
	machine := bare(w, cluster, "worker", false)
	becomesNode(t, w, machine)
	remediation := heal(w, machine, infrav1.PacketRemediationStrategy{RetryLimit: ptr.To[int32](5)})
	says(w, remediation, infrav1.RemediationWaitingReason)
	stop()
	w.SetStatus(remediation, func() { remediation.Status = infrav1.PacketRemediationStatus{Tries: ptr.To[int32](0)} })
	w.Run()
	says(w, remediation, infrav1.RemediationWaitingReason)
	w.Never(time.Second, func() error {
		if n := len(actions(t, w)); n > 2 {
			return fmt.Errorf("%d reboots", n)
		}
		return nil
	})
	asked(t, w, packet.ActionReboot, packet.ActionReboot)
}

// TestEachTryIsOneActionWhateverBreaks counts what happened to the device while the API fails one call in five and loses one
// answer in ten.
func TestEachTryIsOneActionWhateverBreaks(t *testing.T) {
	w, cluster, stop := newWorld(t, 1)
	machine := bare(w, cluster, "worker", false)
	becomesNode(t, w, machine)
	var calls, answers atomic.Int32
	w.Network.Break(func(r *http.Request) capitest.Verdict {
		// Actions are few, so their answers have a count of their own: the first of each kind is lost.
		if isAction(r) && answers.Add(1)%2 == 1 {
			return capitest.Verdict{Lose: true}
		}
		if calls.Add(1)%5 == 0 {
			return capitest.Verdict{Status: http.StatusServiceUnavailable, Body: `{"errors":["try again"]}`}
		}
		return capitest.Verdict{}
	})
	remediation := heal(w, machine, infrav1.PacketRemediationStrategy{
		Steps:      []infrav1.PacketRemediationStep{infrav1.RemediationReboot, infrav1.RemediationPowerCycle},
		RetryLimit: ptr.To[int32](2), Timeout: seconds(1),
	})
	w.Eventually(func() error {
		if n := len(actions(t, w)); n < 2 {
			return fmt.Errorf("%d actions so far", n)
		}
		return nil
	})
	stop()
	w.Run()
	says(w, remediation, infrav1.RemediationExhaustedReason)
	if n := happened(t, w, machine, packet.EventPowerRebooted); n != 2 {
		t.Errorf("the device was rebooted %d times, want 2", n)
	}
	for _, kind := range []string{packet.EventPoweredOff, packet.EventPoweredOn} {
		if n := happened(t, w, machine, kind); n != 2 {
			t.Errorf("event %s happened %d times, want 2", kind, n)
		}
	}
	// The Machine is its owner's now. It has none, so it stays as it is.
	w.Eventually(func() error {
		if err := w.Get(machine); err != nil {
			return err
		}
		if !conditions.IsFalse(machine, clusterv1.MachineOwnerRemediatedCondition) || !conditions.IsFalse(machine, clusterv1.MachineHealthCheckSucceededCondition) {
			return fmt.Errorf("conditions of the Machine are %v", machine.Status.Conditions)
		}
		return nil
	})
}

// TestATryIsNotTakenForTheOneBefore has the second power cycle begin in the second in which the first one ended, and its first
// call refused. By time alone, the end of the first cycle would be the end of the second.
func TestATryIsNotTakenForTheOneBefore(t *testing.T) {
	w, cluster, _ := newWorld(t, 1)
	machine := bare(w, cluster, "worker", false)
	becomesNode(t, w, machine)
	var asks atomic.Int32
	w.Network.Break(func(r *http.Request) capitest.Verdict {
		if isAction(r) && asks.Add(1) == 3 {
			return capitest.Verdict{Status: http.StatusServiceUnavailable, Body: `{"errors":["try again"]}`}
		}
		return capitest.Verdict{}
	})
	remediation := heal(w, machine, infrav1.PacketRemediationStrategy{
		Steps:      []infrav1.PacketRemediationStep{infrav1.RemediationPowerCycle},
		RetryLimit: ptr.To[int32](2), Timeout: &metav1.Duration{Duration: time.Millisecond},
	})
	says(w, remediation, infrav1.RemediationExhaustedReason)
	for _, kind := range []string{packet.EventPoweredOff, packet.EventPoweredOn} {
		if n := happened(t, w, machine, kind); n != 2 {
			t.Errorf("event %s happened %d times, want 2", kind, n)
		}
	}
}

func TestARefusedStepGivesWayToTheNext(t *testing.T) {
	w, cluster, _ := newWorld(t, 1)
	machine := bare(w, cluster, "worker", false)
	becomesNode(t, w, machine)
	w.Network.Break(capitest.First(1, isAction, capitest.Verdict{Status: http.StatusUnprocessableEntity, Body: `{"errors":["Not today"]}`}))
	remediation := heal(w, machine, infrav1.PacketRemediationStrategy{
		Steps: []infrav1.PacketRemediationStep{infrav1.RemediationReboot, infrav1.RemediationPowerCycle}, RetryLimit: ptr.To[int32](3),
	})
	says(w, remediation, infrav1.RemediationWaitingReason)
	asked(t, w, packet.ActionReboot, packet.ActionPowerOff, packet.ActionPowerOn)
}

func TestADeviceIsNotLeftOff(t *testing.T) {
	w, cluster, _ := newWorld(t, 1)
	machine := bare(w, cluster, "worker", false)
	becomesNode(t, w, machine)
	var on atomic.Bool
	w.Network.Break(func(r *http.Request) capitest.Verdict {
		if isAction(r) && on.Load() {
			return capitest.Verdict{Status: http.StatusServiceUnavailable, Body: `{"errors":["try again"]}`}
		}
		return capitest.Verdict{After: func() { on.Store(on.Load() || isAction(r)) }}
	})
	remediation := heal(w, machine, infrav1.PacketRemediationStrategy{Steps: []infrav1.PacketRemediationStep{infrav1.RemediationPowerCycle}})
	id, err := packet.DeviceID(machine.Spec.ProviderID)
	if err != nil {
		t.Fatal(err)
	}
	is := func(state packet.DeviceState) {
		w.Eventually(func() error {
			device, err := w.Packet.Device(t.Context(), id)
			if err != nil {
				return err
			}
			if device.State != state {
				return fmt.Errorf("device is %s, want %s", device.State, state)
			}
			return nil
		})
	}
	is(packet.StateInactive)
	if err := w.Client.Delete(t.Context(), remediation); err != nil {
		t.Fatal(err)
	}
	w.Never(500*time.Millisecond, func() error { return w.Get(remediation) })
	w.Network.Break(nil)
	isGone(w, remediation)
	is(packet.StateActive)
}

func TestNothingIsDoneToAMachineThatIsBeingDeleted(t *testing.T) {
	w, cluster, _ := newWorld(t, 1)
	machine := bare(w, cluster, "worker", false)
	becomesNode(t, w, machine)
	w.Eventually(func() error {
		if err := w.Get(machine); err != nil {
			return err
		}
		machine.Annotations = map[string]string{clusterv1.PreTerminateDeleteHookAnnotationPrefix + "/test": ""}
		return w.Client.Update(t.Context(), machine)
	})
	if err := w.Client.Delete(t.Context(), machine); err != nil {
		t.Fatal(err)
	}
	remediation := heal(w, machine, infrav1.PacketRemediationStrategy{})
	says(w, remediation, infrav1.RemediationNoMachineReason)
	asked(t, w)
}

// TestOneControlPlaneMachineAtATime begins to heal all three at the same moment.
func TestOneControlPlaneMachineAtATime(t *testing.T) {
	w, cluster, _ := newWorld(t, 3)
	machines := &clusterv1.MachineList{}
	if err := w.Client.List(t.Context(), machines); err != nil {
		t.Fatal(err)
	}
	var healed []*infrav1.PacketRemediation
	for n := range machines.Items {
		if machines.Items[n].Namespace == cluster.Namespace {
			healed = append(healed, heal(w, &machines.Items[n], infrav1.PacketRemediationStrategy{
				Steps: []infrav1.PacketRemediationStep{infrav1.RemediationReinstall, infrav1.RemediationReboot},
			}))
		}
	}
	for len(healed) > 0 {
		var acting int
		w.Eventually(func() error {
			waiting := 0
			acting = -1
			for n, remediation := range healed {
				if err := w.Get(remediation); err != nil {
					return err
				}
				switch conditions.GetReason(remediation, infrav1.ReadyCondition) {
				case infrav1.RemediationWaitingReason:
					acting = n
				case infrav1.RemediationDeferredReason:
					waiting++
				}
			}
			if acting < 0 || waiting != len(healed)-1 {
				return fmt.Errorf("%d of %d wait for their turn, and the one that is healed is number %d", waiting, len(healed), acting)
			}
			return nil
		})
		if got := len(actions(t, w)); got != 4-len(healed) {
			t.Fatalf("%d actions with %d to go", got, len(healed))
		}
		// This one is healthy again.
		if err := w.Client.Delete(t.Context(), healed[acting]); err != nil {
			t.Fatal(err)
		}
		isGone(w, healed[acting])
		healed = slices.Delete(healed, acting, acting+1)
		for _, remediation := range healed {
			w.Touch(remediation)
		}
	}
	// None of them was reinstalled.
	asked(t, w, packet.ActionReboot, packet.ActionReboot, packet.ActionReboot)
}

func TestQuorumIsNotEndangered(t *testing.T) {
	w, cluster, _ := newWorld(t, 3)
	first := &clusterv1.Machine{ObjectMeta: metav1.ObjectMeta{Namespace: cluster.Namespace, Name: w.Namespace + "-master-0"}}
	second := &clusterv1.Machine{ObjectMeta: metav1.ObjectMeta{Namespace: cluster.Namespace, Name: w.Namespace + "-master-1"}}
	w.SetNodeReady(second.Name, corev1.ConditionFalse)
	w.Eventually(func() error {
		if err := w.Get(second); err != nil {
			return err
		}
		if conditions.IsTrue(second, clusterv1.MachineNodeReadyCondition) {
			return fmt.Errorf("conditions of the Machine are %v", second.Status.Conditions)
		}
		return nil
	})
	if err := w.Get(first); err != nil {
		t.Fatal(err)
	}
	remediation := heal(w, first, infrav1.PacketRemediationStrategy{})
	says(w, remediation, infrav1.RemediationDeferredReason)
	asked(t, w)
	if message := conditions.GetMessage(remediation, infrav1.ReadyCondition); !strings.Contains(message, "3 members and needs 2") {
		t.Errorf("message is %q", message)
	}
	w.SetNodeReady(second.Name, corev1.ConditionTrue)
	becomesNode(t, w, second)
	w.Touch(remediation)
	asked(t, w, packet.ActionReboot)
}
