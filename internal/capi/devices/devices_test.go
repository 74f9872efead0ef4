package devices_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/capi/devices"
	"github.com/packetyard/packetyard/pkg/packet"
)

func newFinder(t *testing.T, server *apiservertest.Server) *devices.Finder {
	t.Helper()
	return devices.NewFinder(packet.NewDeviceCache(server.Client(t), server.ProjectID, packet.DeviceFilter{}, 0, packet.SystemClock{}))
}

func newSupply(t *testing.T, server *apiservertest.Server) *devices.Supply {
	t.Helper()
	return devices.NewSupply(server.Client(t), server.ProjectID, packet.SystemClock{})
}

func request(id devices.Identity) devices.Request {
	return devices.Request{
		Identity: id, Hostname: id.Machine, Place: devices.PlaceOf("da"), UserData: []byte("#!/bin/sh\n"),
		Spec: infrav1.PacketMachineSpec{OS: "ubuntu_24_04", MachineType: "c3.small.x86"},
	}
}

func TestFind(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	finder, api := newFinder(t, server), server.Client(t)
	ours := devices.Identity{Namespace: "ns", Cluster: "demo", Machine: "m"}
	if found, err := finder.Find(t.Context(), ours); found.Device != nil || found.Surplus != nil || err != nil {
		t.Fatalf("found %+v, %v in an empty project", found, err)
	}

	var created []*packet.Device
	for _, id := range []devices.Identity{ours, ours, {Namespace: "other", Cluster: "demo", Machine: "m"}, {Namespace: "ns", Cluster: "demo", Machine: "m2"}} {
		made, err := devices.Create(t.Context(), api, newSupply(t, server), request(id))
		if err != nil {
			t.Fatal(err)
		}
		created = append(created, made.Device)
	}
	// The API tells times by the second, so that two devices of one second are
	// told apart by their IDs.
	first, second := created[0].ID, created[1].ID
	if created[0].CreatedAt.Equal(created[1].CreatedAt.Time) && second < first {
		first, second = second, first
	}

	found, err := finder.Find(t.Context(), ours)
	if err != nil {
		t.Fatal(err)
	}
	device, surplus := found.Device, found.Surplus
	if device.ID != first || len(surplus) != 1 || surplus[0].ID != second {
		t.Errorf("by tags: found %s and %d more, want the older %s and the younger %s", device.ID, len(surplus), first, second)
	}
	recorded := ours
	recorded.DeviceID = second
	if found, err = finder.Find(t.Context(), recorded); err != nil || found.Device.ID != second || len(found.Surplus) != 1 || found.Surplus[0].ID != first {
		t.Errorf("by ID: found %+v, %v, want the recorded %s", found, err, second)
	}
	// What was recorded and is gone is not replaced by another one with the same tags.
	recorded.DeviceID = "00000000-0000-4000-8000-000000000001"
	if found, err = finder.Find(t.Context(), recorded); err != nil || found.Device != nil || len(found.Surplus) != 2 {
		t.Errorf("by the ID of a device that is gone: found %+v, %v", found, err)
	}
	if all, _, err := finder.All(t.Context(), recorded); err != nil || len(all) != 2 {
		t.Errorf("all devices of the machine are %d, %v, want 2", len(all), err)
	}
	if all, err := finder.OfCluster(t.Context(), "ns", "demo"); err != nil || len(all) != 3 {
		t.Errorf("all devices of the cluster are %d, %v, want 3", len(all), err)
	}
}

func TestFindFailsWhenTheAPIDoes(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	api, err := packet.NewClient(packet.Config{BaseURL: server.URL, Token: "wrong", Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	finder := devices.NewFinder(packet.NewDeviceCache(api, server.ProjectID, packet.DeviceFilter{}, 0, packet.SystemClock{}))
	if _, err := finder.Find(t.Context(), devices.Identity{Namespace: "ns", Cluster: "c", Machine: "m"}); !packet.IsUnauthorized(err) {
		t.Errorf("finding with a wrong token: %v", err)
	}
}

func TestPlaceOf(t *testing.T) {
	for code, want := range map[string]devices.Place{
		"da": {Metro: "da"}, "da11": {Facility: "da11"}, "ewr1": {Facility: "ewr1"},
	} {
		if got := devices.PlaceOf(code); got != want || got.String() != code {
			t.Errorf("PlaceOf(%s) is %+v, want %+v", code, got, want)
		}
	}
}

func TestStatus(t *testing.T) {
	device := &packet.Device{
		Hostname: "m", State: packet.StateProvisioning, Metro: &packet.Metro{Code: "da"}, Facility: &packet.Facility{Code: "da11"},
		IPAddresses: []packet.IPAssignment{
			{Address: "198.18.1.1", Public: true, Management: true}, {Address: "10.0.0.1", Management: true},
			{Address: "198.18.9.9", Public: true},
		},
		ProvisioningEvents: []packet.Event{
			{Body: "Provisioning started", CreatedAt: &packet.Timestamp{}}, {Body: "Network configured", CreatedAt: &packet.Timestamp{}}, {Body: "later"},
		},
	}
	want := clusterv1.MachineAddresses{
		{Type: clusterv1.MachineHostName, Address: "m"}, {Type: clusterv1.MachineExternalIP, Address: "198.18.1.1"},
		{Type: clusterv1.MachineInternalIP, Address: "10.0.0.1"},
	}
	if got := devices.Addresses(device); !slices.Equal(got, want) {
		t.Errorf("addresses are %v, want %v", got, want)
	}
	if !devices.HasAddress(device, "198.18.9.9") || devices.HasAddress(device, "198.18.1.1") {
		t.Error("elastic addresses are not told from those of the device")
	}
	if got := devices.Progress(device); got != "device is provisioning: Network configured" {
		t.Errorf("progress is %q", got)
	}
	if got := devices.Where(device); got != "da" {
		t.Errorf("place is %q, want da", got)
	}
	device.Metro = nil
	if got := devices.Where(device); got != "da11" {
		t.Errorf("place is %q, want da11", got)
	}
	for state, want := range map[packet.DeviceState][2]bool{
		packet.StateQueued: {true, false}, packet.StateActive: {false, false}, packet.StateReinstalling: {true, false},
		packet.StateDeprovisioning: {false, true}, packet.StateDeleted: {false, true}, packet.StateInactive: {false, false},
	} {
		device.State = state
		if got := [2]bool{devices.Installing(device), devices.Leaving(device)}; got != want {
			t.Errorf("%s: installing and leaving are %v, want %v", state, got, want)
		}
	}
}

// A device on its way out, of an earlier machine of the same name, was taken for the new machine's: it went, and the machine
// was left without one.
func TestDeviceThatIsLeavingIsNotAdopted(t *testing.T) {
	id := devices.Identity{Namespace: "ns", Cluster: "demo", Machine: "m"}
	var list packet.DeviceList
	for n, state := range []packet.DeviceState{packet.StateDeprovisioning, packet.StateActive} {
		list.Devices = append(list.Devices, packet.Device{
			ID: fmt.Sprintf("00000000-0000-4000-8000-00000000000%d", n), State: state, Tags: packet.MachineTags("ns", "demo", "m"),
		})
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(list)
	}))
	defer server.Close()
	api, err := packet.NewClient(packet.Config{BaseURL: server.URL, Token: "token"})
	if err != nil {
		t.Fatal(err)
	}
	leaving, active := list.Devices[0].ID, list.Devices[1].ID
	finder := devices.NewFinder(packet.NewDeviceCache(api, "00000000-0000-4000-8000-0000000000aa", packet.DeviceFilter{}, 0, packet.SystemClock{}))
	found, err := finder.Find(t.Context(), id)
	if err != nil || found.Device == nil || found.Device.ID != active || len(found.Surplus) != 1 || found.Surplus[0].ID != leaving {
		t.Errorf("found %+v, %v, want the active one", found, err)
	}
	list.Devices = list.Devices[:1]
	if found, err = finder.Find(t.Context(), id); err != nil || found.Device != nil {
		t.Errorf("found %+v, %v, want none", found, err)
	}
	// A deletion waits for it all the same.
	if all, _, err := finder.All(t.Context(), id); err != nil || len(all) != 1 {
		t.Errorf("all devices of the machine are %v, %v, want the one that is leaving", all, err)
	}
	// One that was recorded is the machine's to its end.
	id.DeviceID = leaving
	if found, err = finder.Find(t.Context(), id); err != nil || found.Device == nil {
		t.Errorf("by ID: found %+v, %v, want the recorded one", found, err)
	}
}
