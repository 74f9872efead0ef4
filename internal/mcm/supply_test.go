package mcm_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/gardener/machine-controller-manager/pkg/util/provider/machinecodes/codes"
	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver"
	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
)

// reserved is a rig with reserved servers, and their IDs.
func reserved(t *testing.T, quantity int) (*rig, []string) {
	t.Helper()
	r := newRig(t, apiservertest.Options{Configure: func(c *apiserver.Config) {
		c.HardwareReservations = []apiserver.HardwareReservation{{Plan: plan, Metro: "ny", Quantity: quantity}}
	}})
	all, err := r.client.HardwareReservations(t.Context(), r.api.ProjectID)
	if err != nil || len(all) != quantity {
		t.Fatalf("there are %d reservations, %v", len(all), err)
	}
	var ids []string
	for _, reservation := range all {
		ids = append(ids, reservation.ID)
	}
	return r, ids
}

func TestReservationsAreTriedInOrder(t *testing.T) {
	r, ids := reserved(t, 3)
	class := r.class(map[string]any{"reservationIDs": []string{ids[2], uuid.NewString(), ids[0]}, "spotPriceMax": "9"})
	for n, want := range []string{ids[2], ids[0], ""} {
		r.mustCreate(class, fmt.Sprintf("node-%d", n))
		if sent := r.lastCreate(); sent.HardwareReservationID != want || sent.SpotInstance != (want == "") {
			t.Errorf("machine %d is on %q (spot: %t), want %q", n, sent.HardwareReservationID, sent.SpotInstance, want)
		}
	}
	if sent := r.wire.count(createDevice); sent != 3 {
		t.Errorf("%d devices were asked for, want 3", sent)
	}
}

func TestNextAvailableReservation(t *testing.T) {
	r, _ := reserved(t, 1)
	class := r.class(map[string]any{"reservationIDs": []string{"next-available"}, "reservedDevicesOnly": true})
	r.mustCreate(class, "node-0")
	_, err := r.create(class, machine("node-1"))
	r.wants(err, codes.ResourceExhausted, "node-1", "no hardware reservation")
	r.device()
}

func TestReservedDevicesOnlyAsksForNothingThatIsTaken(t *testing.T) {
	r, ids := reserved(t, 1)
	class := r.class(map[string]any{"reservationIDs": ids, "reservedDevicesOnly": true})
	r.mustCreate(class, "node-0")
	_, err := r.create(class, machine("node-1"))
	r.wants(err, codes.ResourceExhausted, ids[0], "not provisionable")
	if sent := r.wire.count(createDevice); sent != 1 {
		t.Errorf("%d devices were asked for, want 1", sent)
	}
}

// A reservation of another plan is left out; what is wrong with the request itself is told at once.
func TestReservationOfAnotherPlan(t *testing.T) {
	r := newRig(t, apiservertest.Options{Configure: func(c *apiserver.Config) {
		c.HardwareReservations = []apiserver.HardwareReservation{{Plan: "m3.large.x86", Metro: "ny"}}
	}})
	all, err := r.client.HardwareReservations(t.Context(), r.api.ProjectID)
	if err != nil {
		t.Fatal(err)
	}
	r.mustCreate(r.class(map[string]any{"reservationIDs": []string{all[0].ID}}), "node-0")
	if device := r.device(); device.Plan.Slug != plan || device.HardwareReservation != nil {
		t.Errorf("the device is of plan %s", device.Plan.Slug)
	}
	_, err = r.create(r.class(map[string]any{"reservationIDs": []string{"next-available"}, "OS": "windows_95"}), machine("node-1"))
	r.wants(err, codes.InvalidArgument, "operating_system", "windows_95")
	if sent := r.wire.count(createDevice); sent != 3 {
		t.Errorf("%d devices were asked for, want 3", sent)
	}
}

// Machines that are made at once do not ask for the same reservation.
func TestReservationsAreSharedOut(t *testing.T) {
	const machines = 20
	r, ids := reserved(t, machines)
	class := r.class(map[string]any{"reservationIDs": ids, "reservedDevicesOnly": true})
	var group sync.WaitGroup
	for n := range machines {
		group.Go(func() {
			if _, err := r.create(class, machine(fmt.Sprintf("node-%d", n))); err != nil {
				t.Errorf("machine %d: %v", n, err)
			}
		})
	}
	group.Wait()
	if sent := r.wire.count(createDevice); sent != machines {
		t.Errorf("%d devices were asked for, want %d", sent, machines)
	}
	if asked := r.wire.count(listReserved); asked > 2 {
		t.Errorf("the reservations were listed %d times", asked)
	}
}
