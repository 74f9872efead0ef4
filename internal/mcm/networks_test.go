package mcm_test

import (
	"testing"
	"time"

	"github.com/gardener/machine-controller-manager/pkg/util/provider/driver"
	"github.com/gardener/machine-controller-manager/pkg/util/provider/machinecodes/codes"
	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/mcm"
	"github.com/packetyard/packetyard/pkg/packet"
)

// vlan is a virtual network of the project.
func (r *rig) vlan() string {
	r.t.Helper()
	network, err := r.client.CreateVirtualNetwork(r.t.Context(), r.api.ProjectID, packet.VirtualNetworkCreate{Metro: "ny"})
	if err != nil {
		r.t.Fatal(err)
	}
	return network.ID
}

func TestVirtualNetworksAreAssignedWhenTheDeviceIsActive(t *testing.T) {
	machinery := &hardware{hold: make(chan struct{})}
	r := newRig(t, apiservertest.Options{Driver: machinery})
	networks := []string{r.vlan(), r.vlan()}
	class := r.class(map[string]any{"vlans": networks})
	providerID := r.mustCreate(class, "node-0").ProviderID
	m := of("node-0", providerID)

	_, err := r.initialize(class, m)
	r.wants(err, codes.Uninitialized, "node-0", "active")
	status, err := r.status(class, m)
	r.wants(err, codes.Uninitialized, networks[0], networks[1])
	// MCM reads the response that comes with this error.
	if status == nil || status.ProviderID != providerID || status.NodeName != "node-0" {
		t.Fatalf("the status is %+v", status)
	}
	if sent := r.wire.count(assignPort); sent != 0 {
		t.Errorf("%d assignments were asked for before the device was active", sent)
	}

	close(machinery.hold)
	r.until(packet.StateActive)
	r.clock.advance(mcm.DefaultListingAge)
	// An assignment that was made and not heard of is none that fails.
	r.wire.breaks(assignPort, 1, fault{lose: true})
	_, err = r.initialize(class, m)
	r.wants(err, codes.Uninitialized, networks[0])
	r.wire.mend()
	if _, err := r.initialize(class, m); err != nil {
		t.Fatalf("initializing: %v", err)
	}
	if status, err := r.status(class, m); err != nil || len(status.Addresses) == 0 {
		t.Errorf("afterwards the status is %+v, %v", status, err)
	}
	device := r.device()
	for _, port := range device.NetworkPorts {
		if port.Type == packet.PortTypeBond && (len(port.VirtualNetworks) != 2 || port.NetworkType != packet.NetworkTypeHybridBonded) {
			t.Errorf("the bond is %s in %d virtual networks", port.NetworkType, len(port.VirtualNetworks))
		}
	}
}

func TestUnknownVirtualNetworkIsNamed(t *testing.T) {
	r := newRig(t, apiservertest.Options{})
	network := uuid.NewString()
	class := r.class(map[string]any{"vlans": []string{network}})
	m := of("node-0", r.mustCreate(class, "node-0").ProviderID)
	r.until(packet.StateActive)
	r.clock.advance(mcm.DefaultListingAge)
	_, err := r.initialize(class, m)
	r.wants(err, codes.Uninitialized, network, "no virtual network")
}

func TestInitializeMachine(t *testing.T) {
	r := newRig(t, apiservertest.Options{})
	class := r.class(nil)
	providerID := r.mustCreate(class, "node-0").ProviderID
	before := r.wire.count("")
	response, err := r.initialize(class, of("node-0", providerID))
	if err != nil || response.ProviderID != providerID || response.NodeName != "node-0" {
		t.Errorf("the response is %+v, %v", response, err)
	}
	if asked := r.wire.count("") - before; asked != 0 {
		t.Errorf("without virtual networks the API was asked %d times", asked)
	}
	// MCM may have failed to write the provider ID down.
	if response, err := r.initialize(class, machine("node-0")); err != nil || response.ProviderID != providerID {
		t.Errorf("without a provider ID the response is %+v, %v", response, err)
	}
	_, err = r.driver.InitializeMachine(t.Context(), &driver.InitializeMachineRequest{
		Machine: of("node-1", "packet://"+uuid.NewString()), MachineClass: r.class(map[string]any{"vlans": []string{r.vlan()}}), Secret: r.secret()})
	r.wants(err, codes.NotFound)
}

// inNetworks waits until the only device is in so many virtual networks.
func (r *rig) inNetworks(want int) {
	r.t.Helper()
	for {
		device := r.device()
		for _, port := range device.NetworkPorts {
			if port.Type == packet.PortTypeBond && len(port.VirtualNetworks) == want {
				return
			}
		}
		if r.t.Context().Err() != nil {
			r.t.Fatal(r.t.Context().Err())
		}
	}
}

// MCM does not ask for a machine any more whose node has joined, which may be before it asks again.
func TestNodeThatIsFasterThanMCMGetsItsVirtualNetworks(t *testing.T) {
	machinery := &hardware{hold: make(chan struct{})}
	r := newRig(t, apiservertest.Options{Driver: machinery})
	r.options.NetworkPoll = time.Millisecond
	r.restart()
	r.mustCreate(r.class(map[string]any{"vlans": []string{r.vlan(), r.vlan()}}), "node-0")
	r.wire.breaks(assignPort, 1, fault{drop: true})
	close(machinery.hold)
	r.inNetworks(2)
}

// The safety sweep finds what a driver that was killed left unfinished, and what the MachineClass says by now does not matter.
func TestVirtualNetworksAreAssignedAfterARestart(t *testing.T) {
	machinery := &hardware{hold: make(chan struct{})}
	r := newRig(t, apiservertest.Options{Driver: machinery})
	class := r.class(map[string]any{"vlans": []string{r.vlan()}})
	r.mustCreate(class, "node-0")
	r.options.NetworkPoll = time.Millisecond
	r.restart()
	close(machinery.hold)
	r.until(packet.StateActive)
	if listed := r.list(r.class(nil)); len(listed) != 1 {
		t.Errorf("listed are %v", listed)
	}
	r.inNetworks(1)
}

func TestPrivateAddressIsTakenFromTheBlockThatIsNamed(t *testing.T) {
	r := newRig(t, apiservertest.Options{})
	block, err := r.client.CreateIPReservation(t.Context(), r.api.ProjectID, packet.IPReservationCreate{Type: packet.IPTypePrivateIPv4, Quantity: 2, Metro: "ny"})
	if err != nil {
		t.Fatal(err)
	}
	class := r.class(map[string]any{"privateIPReservationIDs": []string{block.ID}})
	r.mustCreate(class, "node-0")
	inside, public := 0, 0
	for _, address := range r.device().IPAddresses {
		if address.Public {
			public++
		} else if address.ParentBlock != nil && address.Network == block.Network {
			inside++
		}
	}
	if inside != 1 || public != 2 {
		t.Errorf("the device has %d addresses of the block and %d public ones, want 1 and 2", inside, public)
	}
	_, err = r.create(class, machine("node-1"))
	r.wants(err, codes.ResourceExhausted, "node-1", block.ID)
}
