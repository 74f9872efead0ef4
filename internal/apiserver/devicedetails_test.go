package apiserver_test

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/pkg/packet"
)

func TestDeviceDetails(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	create := order("detailed")
	create.Userdata = "#!/bin/sh\ntrue\n"
	create.CustomData = json.RawMessage(`{"a":{"b":1}}`)
	create.Tags = []string{"x"}
	device := activeDevice(t, c, server.ProjectID, create)
	get := func(path string) map[string]any {
		t.Helper()
		answer, object := raw(t, server, "GET", "/devices/"+device.ID+path, "")
		if answer.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %v", path, answer.StatusCode, object)
		}
		return object
	}
	if got := get("/customdata"); !reflect.DeepEqual(got, map[string]any{"a": map[string]any{"b": 1.0}}) {
		t.Errorf("customdata is %v", got)
	}
	if got := get("/userdata"); got["userdata"] != create.Userdata {
		t.Errorf("userdata is %v", got)
	}
	metadata := get("/metadata")
	network := metadata["network"].(map[string]any)
	if metadata["hostname"] != "detailed" || metadata["plan"] != "c3.small.x86" || metadata["state"] != "active" || metadata["reserved"] != false {
		t.Errorf("metadata is %v", metadata)
	}
	if list := network["addresses"].([]any); len(list) != 3 || list[0] != device.IPAddresses[0].Address {
		t.Errorf("its addresses are %v, want those of the device", list)
	}
	if bonding := network["network"].(map[string]any)["bonding"].(map[string]any); bonding["mode"] != 4.0 {
		t.Errorf("its bonding is %v", bonding)
	}

	health := func(want string) {
		t.Helper()
		if got := get("/diagnostics/health/rollup"); got["health_rollup"] != want || got["updated_at"] == nil {
			t.Errorf("health is %v, want %s", got, want)
		}
	}
	health(packet.HealthOK)
	act(t, c, device.ID, packet.DeviceAction{Type: packet.ActionPowerOff})
	waitForState(t, c, device.ID, packet.StateInactive)
	health(packet.HealthWarning)

	// Without any of it a device has empty data, and not none.
	bare := activeDevice(t, c, server.ProjectID, order("bare"))
	for path, want := range map[string]string{"/customdata": `{}`, "/userdata": `{"userdata":""}`} {
		_, object := raw(t, server, "GET", "/devices/"+bare.ID+path, "")
		if got, err := json.Marshal(object); err != nil || string(got) != want {
			t.Errorf("%s of a bare device is %s (%v), want %s", path, got, err, want)
		}
	}
}

func TestFirmwareSets(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	device := activeDevice(t, c, server.ProjectID, order("firm"))
	record := func(id string) map[string]any {
		t.Helper()
		_, object := raw(t, server, "GET", "/devices/"+id+"/firmware-sets", "")
		set, ok := object["record"].(map[string]any)
		if !ok {
			t.Fatalf("the firmware set is %v", object)
		}
		return set
	}
	own := record(device.ID)
	if own["name"] != "FWSet-c3.small.x86-v1" || len(own["component_firmware"].([]any)) == 0 {
		t.Errorf("the plan's set is %v", own)
	}
	for page, seen := 1, map[string]bool{}; ; page++ {
		_, object := raw(t, server, "GET", "/projects/"+server.ProjectID+"/firmware-sets?per_page=5&page="+string(rune('0'+page)), "")
		for _, set := range object["records"].([]any) {
			seen[set.(map[string]any)["uuid"].(string)] = true
		}
		if float64(page) == object["total_pages"].(float64) {
			if total := object["total_record_count"]; float64(len(seen)) != total {
				t.Errorf("%d sets on %d pages, want %v", len(seen), page, total)
			}
			break
		}
	}
	set := func(uuid string) error {
		_, err := c.UpdateDevice(t.Context(), device.ID, packet.DeviceUpdate{FirmwareSetID: &uuid})
		return err
	}
	if err := set(own["uuid"].(string)); err != nil {
		t.Error(err)
	}
	other := order("other")
	other.Plan = "m3.small.x86"
	foreign := record(activeDevice(t, c, server.ProjectID, other).ID)["uuid"].(string)
	for _, uuid := range []string{foreign, device.ID, "x"} {
		if err := set(uuid); err == nil || !strings.Contains(err.Error(), "is no firmware set for plan") {
			t.Errorf("set %s: %v", uuid, err)
		}
	}
	if err := set(""); err != nil {
		t.Error(err)
	}
}
