package hardware_test

import (
	"net"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver/hardware"
)

func TestWhatFollowsFromAnID(t *testing.T) {
	const id, other = "e73ca385-c612-479d-be05-d56400547e37", "62de6ee9-a2d2-4ddb-8348-5a5d7d47d680"
	if got := hardware.ShortID(id); got != "e73ca385" {
		t.Errorf("the short ID is %q", got)
	}
	created := time.Date(2026, 6, 30, 23, 0, 0, 0, time.FixedZone("west", -3*3600))
	if got, want := hardware.IQN(id, created), "iqn.2026-07.net.packet:device.e73ca385"; got != want {
		t.Errorf("the IQN is %q, want %q, as months are in UTC", got, want)
	}
	seen := map[string]bool{}
	for _, device := range []string{id, other} {
		for port := range hardware.Interfaces() {
			mac, err := net.ParseMAC(hardware.MAC(device, port))
			if err != nil || mac[0] != 2 {
				t.Errorf("port %d has the address %v (%v), want a locally administered one", port, mac, err)
			}
			if seen[mac.String()] {
				t.Errorf("%v is there twice", mac)
			}
			seen[mac.String()] = true
		}
		for _, port := range append(hardware.Interfaces(), hardware.Bond) {
			portID := hardware.PortID(device, port)
			if seen[portID] {
				t.Errorf("port ID %s is there twice", portID)
			}
			seen[portID] = true
			if parsed, err := uuid.Parse(portID); err != nil || parsed.Version() != 4 || parsed.Variant() != uuid.RFC4122 {
				t.Errorf("port ID %s is no random UUID (%v), and clients check that", portID, err)
			}
			if got := hardware.DeviceOfPort(portID, port); got != device {
				t.Errorf("port %s of %s is said to be of %s", port, device, got)
			}
		}
	}
	if got, want := hardware.PortID(id, hardware.Bond), hardware.PortID(string([]byte(id)), "bond0"); got != want {
		t.Errorf("the same port has the IDs %s and %s", got, want)
	}
}
