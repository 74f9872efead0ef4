package apiserver_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/pkg/packet"
)

// inDallas makes a virtual network.
func inDallas(t testing.TB, c *packet.Client, projectID string) *packet.VirtualNetwork {
	t.Helper()
	network, err := c.CreateVirtualNetwork(t.Context(), projectID, packet.VirtualNetworkCreate{Metro: "da"})
	must(t, "making a virtual network", err)
	return network
}

// refusedWith checks that a request was refused with a text.
func refusedWith(t testing.TB, what string, err error, text string) {
	t.Helper()
	if !packet.IsUnprocessable(err) || !strings.Contains(err.Error(), text) {
		t.Errorf("%s: %v, want 422 with %q", what, err, text)
	}
}

// TestNoVXLANIsHandedOutTwice has many clients of two servers on one etcd make
// virtual networks without saying which, and give some back.
func TestNoVXLANIsHandedOutTwice(t *testing.T) {
	first, second := replicas(t)
	const workers, rounds = 16, 10
	var wait sync.WaitGroup
	for i := range workers {
		here, there := first.Client(t), second.Client(t)
		if i%2 == 1 {
			here, there = there, here
		}
		wait.Go(func() {
			for j := range rounds {
				network, err := here.CreateVirtualNetwork(t.Context(), first.ProjectID, packet.VirtualNetworkCreate{Metro: "da"})
				if err != nil {
					t.Errorf("making a virtual network: %v", err)
					return
				}
				if j%2 == 0 {
					continue
				}
				if err := there.DeleteVirtualNetwork(t.Context(), network.ID); err != nil {
					t.Errorf("the other server does not know a virtual network that was just made: %v", err)
				}
			}
		})
	}
	wait.Wait()
	networks, err := second.Client(t).VirtualNetworks(t.Context(), first.ProjectID)
	must(t, "listing", err)
	if want := workers * rounds / 2; len(networks) != want {
		t.Errorf("%d networks are left, want %d", len(networks), want)
	}
	seen := map[int]string{}
	for _, network := range networks {
		if other := seen[network.VXLAN]; other != "" {
			t.Errorf("both %s and %s have number %d", other, network.ID, network.VXLAN)
		}
		seen[network.VXLAN] = network.ID
		if network.VXLAN < 1000 || network.VXLAN > 1999 {
			t.Errorf("network %s was given number %d", network.ID, network.VXLAN)
		}
	}
}

// TestOneVXLANIsMadeOnce has many clients want the same number.
func TestOneVXLANIsMadeOnce(t *testing.T) {
	server, other := replicas(t)
	clients := []*packet.Client{server.Client(t), other.Client(t)}
	number := 77
	var won atomic.Int32
	var wait sync.WaitGroup
	for i := range 16 {
		wait.Go(func() {
			_, err := clients[i%2].CreateVirtualNetwork(t.Context(), server.ProjectID, packet.VirtualNetworkCreate{Metro: "da", VXLAN: &number})
			switch {
			case err == nil:
				won.Add(1)
			case !packet.IsUnprocessable(err):
				t.Errorf("making a virtual network: %v, want 422 for all but one", err)
			}
		})
	}
	wait.Wait()
	if won.Load() != 1 {
		t.Errorf("%d clients were given number 77, want 1", won.Load())
	}
}

// TestNumbersOfVirtualNetworksAreReused gives back a number, which is the
// lowest that is free then, and takes all that there are.
func TestNumbersOfVirtualNetworksAreReused(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	ctx := t.Context()
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			for range 50 {
				if _, err := c.CreateVirtualNetwork(ctx, server.ProjectID, packet.VirtualNetworkCreate{Metro: "da"}); err != nil {
					t.Errorf("making one of 1000 virtual networks: %v", err)
				}
			}
		})
	}
	wait.Wait()
	_, err := c.CreateVirtualNetwork(ctx, server.ProjectID, packet.VirtualNetworkCreate{Metro: "da"})
	refusedWith(t, "making one more", err, "all numbers from 1000 to 1999 have been taken")
	networks, err := c.VirtualNetworks(ctx, server.ProjectID)
	must(t, "listing", err)
	freed := networks[slices.IndexFunc(networks, func(v packet.VirtualNetwork) bool { return v.VXLAN == 1500 })]
	must(t, "deleting", c.DeleteVirtualNetwork(ctx, freed.ID))
	if again := inDallas(t, c, server.ProjectID); again.VXLAN != 1500 {
		t.Errorf("the next network has number %d, want the one that was freed", again.VXLAN)
	}
	if elsewhere, err := c.CreateVirtualNetwork(ctx, server.ProjectID, packet.VirtualNetworkCreate{Metro: "ny"}); err != nil || elsewhere.VXLAN != 1000 {
		t.Errorf("in another metro: %+v, %v", elsewhere, err)
	}
}

// TestNoNetworkGoesWhileItIsAssigned has clients assign and delete networks
// at the same time: a network that a port has must be there.
func TestNoNetworkGoesWhileItIsAssigned(t *testing.T) {
	server, other := replicas(t)
	c, deleting := server.Client(t), other.Client(t)
	ctx := t.Context()
	device := activeDevice(t, c, server.ProjectID, order("racing"))
	for range 20 {
		network := inDallas(t, c, server.ProjectID)
		var assigned, deleted error
		var wait sync.WaitGroup
		wait.Go(func() { _, assigned = c.AssignPort(ctx, bond(device).ID, network.ID) })
		wait.Go(func() { deleted = deleting.DeleteVirtualNetwork(ctx, network.ID) })
		wait.Wait()
		if (assigned == nil) == (deleted == nil) {
			t.Fatalf("assigning: %v; deleting: %v; want exactly one to be done", assigned, deleted)
		}
		if assigned != nil {
			continue
		}
		refusedWith(t, "deleting", deleted, "Cannot delete Virtual Network when port is assigned")
		_, err := c.UnassignPort(ctx, bond(device).ID, network.ID)
		must(t, "unassigning", err)
		must(t, "deleting", c.DeleteVirtualNetwork(ctx, network.ID))
	}
}

func TestVirtualNetworksSurviveARestart(t *testing.T) {
	options := apiservertest.Options{DataDir: t.TempDir(), Token: "stays", ProjectID: "6d6bd3c6-7a8c-4c0c-8bd3-3f6c2a4f9d11"}
	server := apiservertest.Start(t, options)
	c := server.Client(t)
	device := activeDevice(t, c, server.ProjectID, order("stays"))
	network := inDallas(t, c, server.ProjectID)
	_, err := c.AssignPort(t.Context(), bond(device).ID, network.ID)
	must(t, "assigning", err)
	gateway, err := c.CreateMetalGateway(t.Context(), server.ProjectID, packet.MetalGatewayCreate{VirtualNetworkID: network.ID, PrivateIPv4SubnetSize: 8})
	must(t, "making a gateway", err)
	answer := func(server *apiservertest.Server) string {
		t.Helper()
		var all strings.Builder
		for _, path := range []string{
			"/virtual-networks/" + network.ID, "/ports/" + bond(device).ID, "/metal-gateways/" + gateway.ID, "/devices/" + device.ID,
			"/ports/" + bond(device).ID + "/vlan-assignments",
		} {
			status, text := send(t, server, server.Token, http.MethodGet, path, nil)
			if status != http.StatusOK {
				t.Errorf("%s: %d", path, status)
			}
			all.WriteString(text)
		}
		return all.String()
	}
	before := answer(server)
	server.Stop(t)
	if after := answer(apiservertest.Start(t, options)); after != before {
		t.Errorf("after a restart:\n%s\nbefore:\n%s", after, before)
	}
}

// TestNetworksKeepTheBlocksOfTheirMetro has the first network in a metro give
// the project its blocks there, and the last one take them along.
func TestNetworksKeepTheBlocksOfTheirMetro(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	first, second := inDallas(t, c, server.ProjectID), inDallas(t, c, server.ProjectID)
	for _, step := range []struct {
		deletes string
		want    int
	}{{"", 2}, {first.ID, 2}, {second.ID, 0}} {
		if step.deletes != "" {
			must(t, "deleting", c.DeleteVirtualNetwork(t.Context(), step.deletes))
		}
		if blocks := ipBlocks(t, c, server.ProjectID, isManagement); len(blocks) != step.want {
			t.Errorf("the project has the blocks %+v, want %d", blocks, step.want)
		}
	}
}
