package apiserver_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/packetyard/packetyard/pkg/packet"
)

// TestSnapshotLostTheOrderOfLists is about devices that came back with a
// snapshot: they were listed by their IDs, and after those that had stayed.
func TestSnapshotLostTheOrderOfLists(t *testing.T) {
	server := startControlled(t)
	client := server.Client(t)
	var made []string
	for i := range 12 {
		made = append(made, activeDevice(t, client, server.ProjectID, order(fmt.Sprintf("node-%d", i))).ID)
	}
	saved := ask(t, server, "GET", "/_packetyard/snapshot", "", nil)
	for _, id := range []string{made[3], made[4], made[9]} {
		if err := client.DeleteDevice(t.Context(), id, false); err != nil {
			t.Fatal(err)
		}
		waitGone(t, client, id)
	}
	askControl[any](t, server, "PUT", "snapshot", saved.body)
	devices, err := client.Devices(t.Context(), server.ProjectID, packet.DeviceFilter{})
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, device := range devices {
		listed = append(listed, device.ID)
	}
	if !slices.Equal(listed, made) {
		t.Errorf("after the snapshot the list is %v, before it was %v", listed, made)
	}
}
