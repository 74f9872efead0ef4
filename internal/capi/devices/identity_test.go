package devices_test

import (
	"testing"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/capi/devices"
)

// A machine of the same name, made anew, took over a device that was made for its predecessor and listed too late. The
// token in that device's user data was void, so it never became a node.
func TestDeviceOfAnEarlierMachineOfThatNameIsNotAdopted(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	finder, api, supply := newFinder(t, server), server.Client(t), newSupply(t, server)
	earlier := devices.Identity{Namespace: "ns", Cluster: "demo", Machine: "m", Bootstrap: devices.Fingerprint([]byte("token one"))}
	now := earlier
	now.Bootstrap = devices.Fingerprint([]byte("token two"))
	old, err := devices.Create(t.Context(), api, supply, request(earlier))
	if err != nil {
		t.Fatal(err)
	}
	found, err := finder.Find(t.Context(), now)
	if err != nil || found.Device != nil || len(found.Surplus) != 0 || len(found.Foreign) != 1 || found.Foreign[0].ID != old.Device.ID {
		t.Errorf("found %+v, %v, want the old device as a foreign one", found, err)
	}
	if ours, foreign, err := finder.All(t.Context(), now); err != nil || len(ours) != 0 || len(foreign) != 1 {
		t.Errorf("to delete are %v besides %v, %v, want none besides one", ours, foreign, err)
	}
	// Who made it finds it, and so does who does not know what it was made from.
	unknown := now
	unknown.Bootstrap = ""
	for _, id := range []devices.Identity{earlier, unknown} {
		if found, err := finder.Find(t.Context(), id); err != nil || found.Device == nil || found.Device.ID != old.Device.ID {
			t.Errorf("found %+v, %v, want the device", found, err)
		}
	}
	// One on record knows by itself which others are its machine's.
	mine, err := devices.Create(t.Context(), api, supply, request(now))
	if err != nil {
		t.Fatal(err)
	}
	unknown.DeviceID = mine.Device.ID
	if found, err := finder.Find(t.Context(), unknown); err != nil || found.Device == nil || len(found.Surplus) != 0 || len(found.Foreign) != 1 {
		t.Errorf("found %+v, %v, want the recorded device and a foreign one", found, err)
	}
}
