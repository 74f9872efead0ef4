package packetmachine_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/cluster-api/util/conditions"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/capitest"
	"github.com/packetyard/packetyard/internal/capi/packetmachine"
)

// askedAbout counts the calls that were about the events of one device, and those about all of the project.
func askedAbout(w *capitest.World) (single, listings int) {
	for _, request := range w.Network.Requests(http.MethodGet, "/events") {
		if strings.HasPrefix(request.Path, "/devices/") {
			single++
		} else {
			listings++
		}
	}
	return single, listings
}

// A machine that booted was asked about every two seconds with a call of its own: a thousand of them asked for 500 calls a
// second, while the manager sends 20, so that creations and deletions waited behind them.
func TestBootingMachinesCostACallEach(t *testing.T) {
	const count = 12
	w := newWorld(t)
	w.Run()
	cluster, _ := w.ReadyCluster(w.Namespace, "demo")
	var machines []*infrav1.PacketMachine
	for n := range count {
		_, machine := w.Machine(cluster, capitest.MachineOptions{Name: fmt.Sprintf("demo-%d", n), UserData: capitest.UserData})
		machines = append(machines, machine)
	}
	for _, machine := range machines {
		becomesActive(t, w, machine)
		reaches(t, w, machine, infrav1.BootstrapSucceededCondition, "Unknown", infrav1.BootstrapRunningReason)
	}
	devices := w.Devices()
	for n := range devices {
		w.Report(&devices[n], "running", "", 1000)
		if n%2 == 0 {
			w.Report(&devices[n], "succeeded", "", 1001)
		} else {
			w.Report(&devices[n], "failed", "kubeadm broke on "+devices[n].Hostname, 1002)
		}
	}
	for n := range devices {
		machine := &infrav1.PacketMachine{}
		machine.Namespace, machine.Name = w.Namespace, devices[n].Hostname
		if n%2 == 0 {
			reaches(t, w, machine, infrav1.BootstrapSucceededCondition, "True", infrav1.BootstrapSucceededReason)
			continue
		}
		reaches(t, w, machine, infrav1.BootstrapSucceededCondition, "False", infrav1.BootstrapFailedReason)
		if message := conditions.GetMessage(machine, infrav1.BootstrapSucceededCondition); !strings.Contains(message, "kubeadm broke on "+machine.Name) {
			t.Errorf("%s: %q does not have what the machine said", machine.Name, message)
		}
	}
	if single, listings := askedAbout(w); single > 0 || listings == 0 {
		t.Errorf("%d calls for the events of single devices and %d for all, want none and some", single, listings)
	}
}

// A machine is called late only after its own events were read: a listing of everything can have missed one.
func TestALateMachineIsAskedOnceMore(t *testing.T) {
	w := newWorld(t)
	late := &watch{}
	late.run(w)
	cluster, _ := w.ReadyCluster(w.Namespace, "demo")
	_, machine := w.Machine(cluster, capitest.MachineOptions{Name: "demo-0", UserData: capitest.UserData})
	reaches(t, w, machine, infrav1.BootstrapSucceededCondition, "Unknown", infrav1.BootstrapRunningReason)
	late.advance(packetmachine.DefaultTimeouts().Bootstrap + time.Minute)
	w.Touch(machine)
	reaches(t, w, machine, infrav1.BootstrapSucceededCondition, "False", infrav1.BootstrapTimedOutReason)
	// It is looked at on and on, and not asked again.
	for range 3 {
		w.Touch(machine)
		w.Never(100*time.Millisecond, func() error { return nil })
	}
	if single, _ := askedAbout(w); single != 1 {
		t.Errorf("%d calls for the events of the late device, want one", single)
	}
}
