package apiserver_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/pkg/packet"
)

// TestLayer2TakesAllAddresses has a device with more elastic addresses than
// etcd takes operations in one transaction go to layer 2 and back, and looks
// at what its machine is told.
func TestLayer2TakesAllAddresses(t *testing.T) {
	hardware := newRack()
	server := apiservertest.Start(t, apiservertest.Options{Driver: hardware})
	c := server.Client(t)
	ctx := t.Context()
	device, err := c.CreateDevice(ctx, server.ProjectID, order("flat"))
	must(t, "making a device", err)
	until(t, "the machine is there", func() bool { return hardware.addresses(device.ID) == 3 })
	startMetadata(t, server).from(device.IPAddresses[0].Address).post(t, "/phone-home", "", 204)
	device = waitForState(t, c, device.ID, packet.StateActive)
	own := slices.IndexFunc(device.IPAddresses, func(ip packet.IPAssignment) bool { return ip.Public && ip.AddressFamily == 4 })
	block, err := c.CreateIPReservation(ctx, server.ProjectID, packet.IPReservationCreate{Type: packet.IPTypePublicIPv4, Quantity: 128, Metro: "da"})
	must(t, "reserving", err)
	for address, left := netip.MustParseAddr(block.Network), 128; left > 0; left-- {
		_, err := c.AssignIP(ctx, device.ID, address.String())
		must(t, "assigning", err)
		address = address.Next()
	}
	until(t, "the machine has all addresses", func() bool { return hardware.addresses(device.ID) == 131 })

	port, err := c.ConvertLayer2(ctx, bond(device).ID)
	must(t, "converting to layer 2", err)
	if port.NetworkType != packet.NetworkTypeLayer2Bonded {
		t.Errorf("the bond is %q", port.NetworkType)
	}
	until(t, "the machine has no addresses", func() bool { return hardware.addresses(device.ID) == 0 })
	if _, err := c.IPReservation(ctx, block.ID); err != nil {
		t.Errorf("the project's own reservation: %v, want it to stay", err)
	}
	reservations, err := c.IPReservations(ctx, server.ProjectID)
	must(t, "listing reservations", err)
	for _, reservation := range reservations {
		if reservation.Management && reservation.Network == device.IPAddresses[own].Network && reservation.AddressFamily == 4 {
			t.Errorf("the device's own block is still reserved: %+v", reservation)
		}
	}

	_, err = c.ConvertLayer3(ctx, bond(device).ID, packet.PortConvertLayer3{RequestIPs: []packet.IPRequest{{AddressFamily: 4}}})
	must(t, "converting to layer 3 with a private address alone", err)
	until(t, "the machine has an address", func() bool { return hardware.addresses(device.ID) == 1 })
	_, err = c.ConvertLayer2(ctx, bond(device).ID)
	must(t, "converting to layer 2", err)
	_, err = c.ConvertLayer3(ctx, bond(device).ID, packet.PortConvertLayer3{})
	must(t, "converting to layer 3", err)
	device, err = c.Device(ctx, device.ID)
	must(t, "reading", err)
	checkAddresses(t, device)
	until(t, "the machine has its addresses", func() bool { return hardware.addresses(device.ID) == 3 })
}

// TestDeletedDevicesFreeTheirNetworks deletes a device whose ports have all
// that ports can have.
func TestDeletedDevicesFreeTheirNetworks(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	ctx := t.Context()
	device := activeDevice(t, c, server.ProjectID, order("gone"))
	eth1 := device.NetworkPorts[2].ID
	_, err := c.DisbondPort(ctx, eth1)
	must(t, "disbonding", err)
	first, second := inDallas(t, c, server.ProjectID), inDallas(t, c, server.ProjectID)
	for range 30 {
		for _, state := range []string{"assigned", "unassigned"} {
			answer, _ := raw(t, server, http.MethodPost, "/ports/"+eth1+"/vlan-assignments/batches",
				`{"vlan_assignments":[{"vlan":"1000","state":"`+state+`"},{"vlan":"`+second.ID+`","state":"`+state+`"}]}`)
			if answer.StatusCode != http.StatusCreated {
				t.Fatalf("a batch: %d", answer.StatusCode)
			}
		}
	}
	_, list := raw(t, server, http.MethodGet, "/ports/"+eth1+"/vlan-assignments/batches", "")
	if batches, _ := list["batches"].([]any); len(batches) != 20 {
		t.Errorf("%d batches are kept, want the last 20", len(batches))
	}
	for _, port := range []string{bond(device).ID, eth1} {
		_, err = c.AssignPort(ctx, port, first.ID)
		must(t, "assigning", err)
	}
	refusedWith(t, "deleting a network in use", c.DeleteVirtualNetwork(ctx, first.ID), "Cannot delete Virtual Network when port is assigned")

	must(t, "deleting the device", c.DeleteDevice(ctx, device.ID, false))
	waitGone(t, c, device.ID)
	if _, err := c.Port(ctx, eth1); !packet.IsNotFound(err) {
		t.Errorf("a port of a device that is gone: %v, want 404", err)
	}
	network, err := c.VirtualNetwork(ctx, first.ID)
	must(t, "reading the network", err)
	if len(network.Instances) != 0 {
		t.Errorf("the network still has %+v", network.Instances)
	}
	for _, id := range []string{first.ID, second.ID} {
		must(t, "deleting a network", c.DeleteVirtualNetwork(ctx, id))
	}
}

// TestPortRules goes through what ports are not to do, and what a port is
// afterwards.
func TestPortRules(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	ctx := t.Context()
	device := activeDevice(t, c, server.ProjectID, order("rules"))
	bond0, eth0, eth1 := device.NetworkPorts[0].ID, device.NetworkPorts[1].ID, device.NetworkPorts[2].ID
	network := inDallas(t, c, server.ProjectID)
	far, err := c.CreateVirtualNetwork(ctx, server.ProjectID, packet.VirtualNetworkCreate{Metro: "ny"})
	must(t, "making a network elsewhere", err)
	inFacility, err := c.CreateVirtualNetwork(ctx, server.ProjectID, packet.VirtualNetworkCreate{Facility: "dfw2"})
	must(t, "making a network in another facility", err)

	_, err = c.AssignPort(ctx, bond0, far.ID)
	refusedWith(t, "a network elsewhere", err, `is a virtual network in metro "ny", and the device is in "da"`)
	_, err = c.AssignPort(ctx, bond0, inFacility.ID)
	refusedWith(t, "a network in another facility", err, `is a virtual network in facility "dfw2", and the device is in "da11"`)
	_, err = c.AssignPort(ctx, bond0, "")
	refusedWith(t, "no network", err, "vnid can't be blank")
	_, err = c.AssignPort(ctx, bond0, network.ID)
	must(t, "assigning", err)
	_, err = c.AssignPort(ctx, bond0, "1000")
	refusedWith(t, "assigning again", err, "Virtual network 1000 already assigned")
	_, err = c.UnassignPort(ctx, bond0, far.ID)
	refusedWith(t, "unassigning what is not assigned", err, "Virtual network 1000 not assigned")
	_, err = c.UnassignPort(ctx, bond0, "nothing")
	refusedWith(t, "unassigning what does not exist", err, "Virtual network nothing not assigned")
	_, err = c.ConvertLayer3(ctx, bond0, packet.PortConvertLayer3{})
	refusedWith(t, "converting to layer 3", err, "bond0 is already configured for Layer 3")
	_, err = c.DisbondPort(ctx, bond0)
	refusedWith(t, "disbonding with a network on the bond", err, "must first be unassigned from port bond0")
	_, err = c.DisbondPort(ctx, eth1)
	must(t, "disbonding one", err)
	_, err = c.DisbondPort(ctx, eth0)
	refusedWith(t, "disbonding the other", err, "must first be unassigned from port bond0")
	if port, err := c.Port(ctx, bond0); err != nil || port.NetworkType != packet.NetworkTypeHybrid {
		t.Errorf("the bond is %+v, %v", port, err)
	}
	_, err = c.BondPort(ctx, bond0)
	must(t, "bonding all", err)
	if port, err := c.Port(ctx, bond0); err != nil || port.NetworkType != packet.NetworkTypeHybridBonded {
		t.Errorf("the bond is %+v, %v", port, err)
	}
	_, err = c.ConvertLayer2(ctx, bond0)
	must(t, "converting to layer 2", err)
	_, err = c.ConvertLayer2(ctx, bond0)
	refusedWith(t, "converting again", err, "bond0 is already configured for Layer 2")
	_, err = c.ConvertLayer3(ctx, bond0, packet.PortConvertLayer3{RequestIPs: []packet.IPRequest{{AddressFamily: 5}, {AddressFamily: 6}}})
	refusedWith(t, "addresses that do not exist", err, "request_ips[0].address_family 5 is not one of: 4, 6")
	_, err = c.ConvertLayer3(ctx, bond0, packet.PortConvertLayer3{})
	refusedWith(t, "converting with a network", err, "must first be unassigned from port bond0")
	if device, err := c.Device(ctx, device.ID); err != nil || len(device.IPAddresses) != 0 {
		t.Errorf("what was refused gave the device %+v, %v", device.IPAddresses, err)
	}

	frozen := true
	_, err = c.UpdateDevice(ctx, device.ID, packet.DeviceUpdate{NetworkFrozen: &frozen})
	must(t, "freezing", err)
	for what, change := range map[string]func() (*packet.Port, error){
		"bonding":               func() (*packet.Port, error) { return c.BondPort(ctx, bond0) },
		"disbonding":            func() (*packet.Port, error) { return c.DisbondPort(ctx, eth1) },
		"converting to layer 3": func() (*packet.Port, error) { return c.ConvertLayer3(ctx, bond0, packet.PortConvertLayer3{}) },
	} {
		_, err := change()
		refusedWith(t, what+" a frozen port", err, "network_frozen")
	}
	for path, body := range map[string]string{
		"/bond?bulk_enable=maybe": ``,
		"/bond":                   `{"bulk_enable":"yes"}`,
		"/disbond":                `{"bulk_disable":1}`,
	} {
		if answer, object := raw(t, server, http.MethodPost, "/ports/"+eth0+path, body); answer.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("%s with %s: %d %v", path, body, answer.StatusCode, object)
		}
	}
	var types []string
	events, err := c.DeviceEvents(ctx, device.ID)
	must(t, "listing events", err)
	for _, event := range events[:len(events)-10] {
		types = append(types, event.Type)
	}
	want := []string{packet.EventPortConverted, packet.EventPortBonded, packet.EventPortDisbonded, packet.EventPortVLANAssigned}
	if !slices.Equal(types, want) {
		t.Errorf("the events, newest first, are %v, want %v", types, want)
	}
}

// TestPortsWaitForTheInstallation changes a port before there is a machine.
func TestPortsWaitForTheInstallation(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{Driver: newRack()})
	c := server.Client(t)
	device, err := c.CreateDevice(t.Context(), server.ProjectID, order("early"))
	must(t, "making a device", err)
	_, err = c.ConvertLayer2(t.Context(), bond(device).ID)
	refusedWith(t, "converting", err, "Cannot change port bond0 while its device is")
}

// TestPortChangesAtTheSameTime has many clients assign networks to one port,
// each one of its own.
func TestPortChangesAtTheSameTime(t *testing.T) {
	server, other := replicas(t)
	c := server.Client(t)
	clients := []*packet.Client{c, other.Client(t)}
	ctx := t.Context()
	device := activeDevice(t, c, server.ProjectID, order("busy"))
	const count = 24
	var wait sync.WaitGroup
	for i := range count {
		c := clients[i%2]
		wait.Go(func() {
			network, err := c.CreateVirtualNetwork(ctx, server.ProjectID, packet.VirtualNetworkCreate{Metro: "da"})
			if err == nil {
				_, err = c.AssignPort(ctx, bond(device).ID, network.ID)
			}
			if err != nil {
				t.Errorf("assigning: %v", err)
			}
		})
	}
	wait.Wait()
	port, err := c.Port(ctx, bond(device).ID)
	must(t, "reading", err)
	if len(port.VirtualNetworks) != count {
		t.Errorf("the port has %d networks, want %d", len(port.VirtualNetworks), count)
	}
}

// TestLargestVLANBatch fills a batch, all of which is one transaction.
func TestLargestVLANBatch(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	device := activeDevice(t, c, server.ProjectID, order("batch"))
	var entries []string
	for i := range 51 {
		inDallas(t, c, server.ProjectID)
		entries = append(entries, fmt.Sprintf(`{"vlan":"%d"}`, 1000+i))
	}
	path := "/ports/" + bond(device).ID + "/vlan-assignments/batches"
	post := func(entries []string) int {
		t.Helper()
		answer, object := raw(t, server, http.MethodPost, path, `{"vlan_assignments":[`+strings.Join(entries, ",")+`]}`)
		if answer.StatusCode == http.StatusCreated && object["state"] != "completed" {
			t.Errorf("the batch is %v", object)
		}
		return answer.StatusCode
	}
	if status := post(entries); status != http.StatusUnprocessableEntity {
		t.Errorf("a batch of 51: %d", status)
	}
	if status := post(entries[:50]); status != http.StatusCreated {
		t.Errorf("a batch of 50: %d", status)
	}
	if port, err := c.Port(t.Context(), bond(device).ID); err != nil || len(port.VirtualNetworks) != 50 {
		t.Errorf("the port has %d networks (%v), want 50", len(port.VirtualNetworks), err)
	}
	for i := range entries[:50] {
		entries[i] = strings.Replace(entries[i], "}", `,"state":"unassigned"}`, 1)
	}
	if status := post(entries[:50]); status != http.StatusCreated {
		t.Errorf("a batch of 50 to unassign: %d", status)
	}
}

// TestNoAddressComesToADeviceInLayer2 has clients of one server assign
// addresses to a device while one of another converts it, after which one
// could be left that nothing takes.
func TestNoAddressComesToADeviceInLayer2(t *testing.T) {
	server, other := replicas(t)
	c, converting := server.Client(t), other.Client(t)
	ctx := t.Context()
	device := activeDevice(t, c, server.ProjectID, order("late"))
	block, err := c.CreateIPReservation(ctx, server.ProjectID, packet.IPReservationCreate{Type: packet.IPTypePublicIPv4, Quantity: 8, Metro: "da"})
	must(t, "reserving", err)
	for range 15 {
		var wait sync.WaitGroup
		for address, left := netip.MustParseAddr(block.Network), 8; left > 0; left-- {
			text := address.String()
			wait.Go(func() {
				// What was assigned and taken away at once is not found when it is shown.
				if _, err := c.AssignIP(ctx, device.ID, text); err != nil && !packet.IsNotFound(err) {
					refusedWith(t, "assigning", err, "Cannot assign an address to a device in layer 2")
				}
			})
			address = address.Next()
		}
		wait.Go(func() {
			if _, err := converting.ConvertLayer2(ctx, bond(device).ID); err != nil {
				t.Errorf("converting: %v", err)
			}
		})
		wait.Wait()
		if ips, err := c.DeviceIPs(ctx, device.ID); err != nil || len(ips) != 0 {
			t.Fatalf("in layer 2 the device has %+v, %v", ips, err)
		}
		_, err = c.ConvertLayer3(ctx, bond(device).ID, packet.PortConvertLayer3{})
		must(t, "converting back", err)
	}
}
