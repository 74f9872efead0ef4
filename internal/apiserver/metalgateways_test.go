package apiserver_test

import (
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/pkg/packet"
)

// TestAReservationIsForDevicesOrForAGateway has clients assign an address out
// of a reservation and make a gateway of it at the same time.
func TestAReservationIsForDevicesOrForAGateway(t *testing.T) {
	server, other := replicas(t)
	c, assigning := server.Client(t), other.Client(t)
	ctx := t.Context()
	device := activeDevice(t, c, server.ProjectID, order("rival"))
	network := inDallas(t, c, server.ProjectID)
	for range 15 {
		block, err := c.CreateIPReservation(ctx, server.ProjectID, packet.IPReservationCreate{Type: packet.IPTypePublicIPv4, Quantity: 8, Metro: "da"})
		must(t, "reserving", err)
		var gateway *packet.MetalGateway
		var made, assigned error
		var wait sync.WaitGroup
		wait.Go(func() {
			gateway, made = c.CreateMetalGateway(ctx, server.ProjectID, packet.MetalGatewayCreate{VirtualNetworkID: network.ID, IPReservationID: block.ID})
		})
		wait.Go(func() { _, assigned = assigning.AssignIP(ctx, device.ID, block.Address) })
		wait.Wait()
		if (made == nil) == (assigned == nil) {
			t.Fatalf("making a gateway: %v; assigning: %v; want exactly one to be done", made, assigned)
		}
		if made == nil {
			refusedWith(t, "deleting the reservation", c.DeleteIP(ctx, block.ID), "Cannot delete with associated metal gateway")
			must(t, "deleting the gateway", c.DeleteMetalGateway(ctx, gateway.ID))
		}
		must(t, "deleting the reservation", c.DeleteIP(ctx, block.ID))
	}
}

// TestAReservationHasOneGateway has many clients make gateways of one
// reservation.
func TestAReservationHasOneGateway(t *testing.T) {
	server, other := replicas(t)
	c := server.Client(t)
	clients := []*packet.Client{c, other.Client(t)}
	ctx := t.Context()
	network := inDallas(t, c, server.ProjectID)
	block, err := c.CreateIPReservation(ctx, server.ProjectID, packet.IPReservationCreate{Type: packet.IPTypePublicIPv4, Quantity: 8, Metro: "da"})
	must(t, "reserving", err)
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			_, err := clients[i%2].CreateMetalGateway(ctx, server.ProjectID, packet.MetalGatewayCreate{VirtualNetworkID: network.ID, IPReservationID: block.ID})
			if err != nil && !packet.IsUnprocessable(err) {
				t.Errorf("making a gateway: %v, want 422 for all but one", err)
			}
		})
	}
	wait.Wait()
	gateways, err := c.MetalGateways(ctx, server.ProjectID)
	must(t, "listing", err)
	if len(gateways) != 1 {
		t.Errorf("%d gateways, want 1", len(gateways))
	}
}

// TestAGatewayGoesWithItsElasticAddresses deletes one that has more than etcd
// takes operations in one transaction.
func TestAGatewayGoesWithItsElasticAddresses(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	ctx := t.Context()
	network := inDallas(t, c, server.ProjectID)
	gateway, err := c.CreateMetalGateway(ctx, server.ProjectID, packet.MetalGatewayCreate{VirtualNetworkID: network.ID, PrivateIPv4SubnetSize: 8})
	must(t, "making a gateway", err)
	block, err := c.CreateIPReservation(ctx, server.ProjectID, packet.IPReservationCreate{Type: packet.IPTypePublicIPv4, Quantity: 128, Metro: "da"})
	must(t, "reserving", err)
	for address, left := netip.MustParseAddr(block.Network), 128; left > 0; left-- {
		answer, object := raw(t, server, http.MethodPost, "/metal-gateways/"+gateway.ID+"/ips",
			`{"address":"`+address.String()+`","next_hop":"`+gateway.IPReservation.Address+`"}`)
		if answer.StatusCode != http.StatusCreated {
			t.Fatalf("%d %v", answer.StatusCode, object)
		}
		address = address.Next()
	}
	device := activeDevice(t, c, server.ProjectID, order("late"))
	_, err = c.AssignIP(ctx, device.ID, block.Network)
	refusedWith(t, "assigning what a gateway has", err, "already")
	must(t, "deleting the gateway", c.DeleteMetalGateway(ctx, gateway.ID))
	_, err = c.AssignIP(ctx, device.ID, block.Network)
	must(t, "assigning what a gateway had", err)
	left, err := c.IPReservation(ctx, block.ID)
	must(t, "reading the reservation", err)
	if len(left.Assignments) != 1 {
		t.Errorf("%d addresses are assigned, want the device's", len(left.Assignments))
	}
}

// TestShownGatewaysAreUpToDate changes what gateways, networks and
// reservations say of each other, which are kept as they were shown last.
func TestShownGatewaysAreUpToDate(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	ctx := t.Context()
	device := activeDevice(t, c, server.ProjectID, order("seen"))
	network := inDallas(t, c, server.ProjectID)
	gateway, err := c.CreateMetalGateway(ctx, server.ProjectID, packet.MetalGatewayCreate{VirtualNetworkID: network.ID, PrivateIPv4SubnetSize: 8})
	must(t, "making a gateway", err)
	states := func() string {
		t.Helper()
		shown, err := c.MetalGateway(ctx, gateway.ID)
		must(t, "reading the gateway", err)
		vlan, err := c.VirtualNetwork(ctx, network.ID)
		must(t, "reading the network", err)
		block, err := c.IPReservation(ctx, gateway.IPReservation.ID)
		must(t, "reading the reservation", err)
		return strings.Join([]string{
			shown.State, vlan.MetalGateways[0].State, block.MetalGateway.State, shown.IPReservation.MetalGateway.State, string(rune('0' + len(vlan.Instances))),
		}, " ")
	}
	if got := states(); got != "ready ready ready ready 0" {
		t.Errorf("at first they are %s", got)
	}
	_, err = c.AssignPort(ctx, bond(device).ID, network.ID)
	must(t, "assigning", err)
	if got := states(); got != "active active active active 1" {
		t.Errorf("with a port they are %s", got)
	}
	_, err = c.UnassignPort(ctx, bond(device).ID, network.ID)
	must(t, "unassigning", err)
	if got := states(); got != "ready ready ready ready 0" {
		t.Errorf("without it they are %s", got)
	}
	answer, object := raw(t, server, http.MethodPatch, "/ips/"+gateway.IPReservation.ID, `{"details":"seen"}`)
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("%d %v", answer.StatusCode, object)
	}
	shown, err := c.MetalGateway(ctx, gateway.ID)
	must(t, "reading the gateway", err)
	if shown.IPReservation.Details == nil || *shown.IPReservation.Details != "seen" {
		t.Errorf("the gateway shows its reservation as it was: %+v", shown.IPReservation)
	}
	must(t, "deleting the gateway", c.DeleteMetalGateway(ctx, gateway.ID))
	vlan, err := c.VirtualNetwork(ctx, network.ID)
	must(t, "reading the network", err)
	if len(vlan.MetalGateways) != 0 {
		t.Errorf("the network still has %+v", vlan.MetalGateways)
	}
}
