package packetmachine_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/capitest"
	"github.com/packetyard/packetyard/internal/capi/packetmachine"
)

// All machines of a project that work share one listing for each interval, and nothing is written: a thousand of them cost
// ten calls in ten minutes with an interval of one.
func TestSteadyMachinesCostOneListingPerInterval(t *testing.T) {
	const interval, intervals, count = 2 * time.Second, 4, 30
	w := newWorld(t)
	w.Machines = func(r *packetmachine.Reconciler) { r.ResyncInterval = interval }
	w.Run()
	cluster, _ := w.ReadyCluster(w.Namespace, "demo")
	var machines []*infrav1.PacketMachine
	for n := range count {
		_, machine := w.Machine(cluster, capitest.MachineOptions{
			Name: fmt.Sprintf("demo-%d", n), UserData: capitest.UserData, Change: func(m *infrav1.PacketMachine) {
				m.Spec.Network = infrav1.PacketMachineNetwork{Type: infrav1.NetworkTypeLayer3}
			},
		})
		machines = append(machines, machine)
	}
	for _, machine := range machines {
		becomesActive(t, w, machine)
	}
	devices := w.Devices()
	for n := range devices {
		w.Report(&devices[n], "succeeded", "", 1001)
	}
	for _, machine := range machines {
		reaches(t, w, machine, infrav1.BootstrapSucceededCondition, "True", infrav1.BootstrapSucceededReason)
	}
	// What was under way has ended when every machine has been looked at once more.
	w.Never(interval, func() error { return nil })
	for _, machine := range machines {
		if err := w.Get(machine); err != nil {
			t.Fatal(err)
		}
	}
	all := func() int { return len(w.Network.Requests(http.MethodGet, "")) }
	before := all()
	w.Never(intervals*interval, func() error { return nil })
	asked := all() - before
	t.Logf("%d requests for %d machines in %d intervals", asked, count, intervals)
	if asked > intervals+1 {
		t.Errorf("%d requests for %d machines in %d intervals", asked, count, intervals)
	}
	for _, machine := range machines {
		version := machine.ResourceVersion
		if err := w.Get(machine); err != nil {
			t.Fatal(err)
		}
		if machine.ResourceVersion != version {
			t.Error(errors.New("PacketMachine " + machine.Name + " was written though nothing changed"))
		}
	}
}
