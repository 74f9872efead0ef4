package ccm

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/record"
	cloudprovider "k8s.io/cloud-provider"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/apiserver/lifecycle"
	"github.com/packetyard/packetyard/pkg/packet"
)

// until asks again and again for as long as the API server may take to carry
// out what it has accepted.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for !done() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		case <-again.C:
		}
	}
}

// The life of a node's device on the real API server, as the framework sees it.
func TestNodesOfTheAPIServer(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	client := server.Client(t)
	ctx := t.Context()

	// More than the API's default page, so that the last is on a later one.
	var devices []*packet.Device
	for i := range 12 {
		device, err := client.CreateDevice(ctx, server.ProjectID, packet.DeviceCreate{
			Hostname: fmt.Sprintf("node-%d", i), Plan: "c3.small.x86", OperatingSystem: "ubuntu_24_04", Metro: "da",
		})
		if err != nil {
			t.Fatal(err)
		}
		devices = append(devices, device)
	}
	until(t, "all devices are active", func() bool {
		list, err := client.Devices(ctx, server.ProjectID, packet.DeviceFilter{})
		if err != nil {
			t.Fatal(err)
		}
		return len(list) == 12 && !slices.ContainsFunc(list, func(d packet.Device) bool { return d.State != packet.StateActive })
	})
	// An elastic address, which is not the node's.
	reservation, err := client.CreateIPReservation(ctx, server.ProjectID, packet.IPReservationCreate{Type: packet.IPTypePublicIPv4, Quantity: 1, Metro: "da"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.AssignIP(ctx, devices[0].ID, reservation.Address); err != nil {
		t.Fatal(err)
	}

	clock := &steppedClock{now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	instances, _ := newCloudForClient(client, testConfig(server.ProjectID), clock).InstancesV2()
	initialised := make([]*corev1.Node, len(devices))
	for i, device := range devices {
		got, err := instances.InstanceMetadata(ctx, node(device.Hostname, "", uninitialised))
		if err != nil {
			t.Fatal(err)
		}
		if got.ProviderID != packet.ProviderID(device.ID) || got.InstanceType != "c3.small.x86" || got.Region != "da" || got.Zone == "" {
			t.Errorf("%s: got %+v", device.Hostname, got)
		}
		checkAddresses(t, device.Hostname, got.NodeAddresses, reservation.Address)
		initialised[i] = node(device.Hostname, got.ProviderID)
	}
	again, err := instances.InstanceMetadata(ctx, initialised[0])
	if err != nil {
		t.Fatal(err)
	}
	checkAddresses(t, "node-0, later", again.NodeAddresses, reservation.Address)

	n := initialised[11]
	state := func() (exists, down bool, err error) {
		clock.advance(listingTTL)
		exists, err = instances.InstanceExists(ctx, n)
		if err != nil || !exists {
			return exists, false, err
		}
		down, err = instances.InstanceShutdown(ctx, n)
		return exists, down, err
	}
	if exists, down, err := state(); !exists || down || err != nil {
		t.Errorf("a running device: exists %v, shut down %v, %v", exists, down, err)
	}
	if err := client.DeviceAction(ctx, devices[11].ID, packet.DeviceAction{Type: packet.ActionPowerOff}); err != nil {
		t.Fatal(err)
	}
	until(t, "the device is switched off", func() bool {
		exists, down, err := state()
		if err != nil || !exists {
			t.Fatal(exists, err)
		}
		return down
	})
	if err := client.DeleteDevice(ctx, devices[11].ID, true); err != nil {
		t.Fatal(err)
	}
	until(t, "the device is gone", func() bool {
		exists, _, err := state()
		if err != nil && !errors.Is(err, cloudprovider.InstanceNotFound) {
			t.Fatal(err)
		}
		return !exists
	})

	server.Stop(t)
	if exists, down, err := state(); err == nil || errors.Is(err, cloudprovider.InstanceNotFound) {
		t.Errorf("without an API: exists %v, shut down %v, %v", exists, down, err)
	}
}

// checkAddresses wants the name, one private and one public IPv4 address, and
// not the elastic one.
func checkAddresses(t *testing.T, name string, addresses []corev1.NodeAddress, elastic string) {
	t.Helper()
	var types []corev1.NodeAddressType
	for _, address := range addresses {
		types = append(types, address.Type)
		if address.Address == elastic {
			t.Errorf("%s has the elastic address %s", name, elastic)
		}
		if ip, err := netip.ParseAddr(address.Address); address.Type != corev1.NodeHostName &&
			(err != nil || !ip.Is4() || ip.IsPrivate() != (address.Type == corev1.NodeInternalIP)) {
			t.Errorf("%s has %s %s", name, address.Type, address.Address)
		}
	}
	if want := []corev1.NodeAddressType{corev1.NodeHostName, corev1.NodeInternalIP, corev1.NodeExternalIP}; !slices.Equal(types, want) {
		t.Errorf("%s has addresses of types %v, want %v", name, types, want)
	}
}

// A device of the real API server that is reinstalled: its node hears of it, and
// goes on.
func TestAReinstallationOnTheAPIServer(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{Profile: lifecycle.Fast})
	client := server.Client(t)
	ctx := t.Context()
	device, err := client.CreateDevice(ctx, server.ProjectID, packet.DeviceCreate{
		Hostname: "node-1", Plan: "c3.small.x86", OperatingSystem: "ubuntu_24_04", Metro: "da",
	})
	if err != nil {
		t.Fatal(err)
	}
	clock := &steppedClock{now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	provider := newCloudForClient(client, testConfig(server.ProjectID), clock)
	recorder := record.NewFakeRecorder(10)
	provider.devices.notices.recordTo(recorder)
	n := node("node-1", packet.ProviderID(device.ID), withUID("1"))
	state := func() packet.DeviceState {
		clock.advance(statusAgePerPage)
		if exists, err := provider.devices.InstanceExists(ctx, n); err != nil || !exists {
			t.Fatal(exists, err)
		}
		found, err := provider.devices.find(ctx, n, lastKnown)
		if err != nil {
			t.Fatal(err)
		}
		return found.State
	}
	until(t, "the device is active", func() bool { return state() == packet.StateActive })
	if err := client.DeviceAction(ctx, device.ID, packet.DeviceAction{Type: packet.ActionReinstall}); err != nil {
		t.Fatal(err)
	}
	until(t, "the device is being reinstalled", func() bool { return state() == packet.StateReinstalling })
	until(t, "the device is active again", func() bool { return state() == packet.StateActive })
	got := events(recorder)
	if len(got) != 2 || !strings.HasPrefix(got[0], "Warning "+ReasonReinstalling) || !strings.HasPrefix(got[1], "Normal "+ReasonReinstalled) {
		t.Errorf("the events are %q", got)
	}
}
