package apiserver_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	metalv1 "github.com/equinix/equinix-sdk-go/services/metalv1"
	"github.com/google/uuid"
	"github.com/packethost/packngo"

	"github.com/packetyard/packetyard/pkg/packet"
)

func networkScenarios() map[string]scenario {
	return map[string]scenario{
		"virtual networks by the SDK":           virtualNetworksBySDK,
		"virtual networks by packngo":           virtualNetworksByPackngo,
		"ports by the SDK":                      portsBySDK,
		"ports by packngo":                      portsByPackngo,
		"network types by packngo":              networkTypesByPackngo,
		"VLAN batches by the SDK":               vlanBatchesBySDK,
		"VLAN batches by packngo":               vlanBatchesByPackngo,
		"metal gateways by the SDK":             metalGatewaysBySDK,
		"metal gateways by packngo":             metalGatewaysByPackngo,
		"elastic IPs of gateways by the SDK":    gatewayIPsBySDK,
		"VRFs by the SDK":                       vrfsBySDK,
		"VRFs by packngo":                       vrfsByPackngo,
		"VRF routes and neighbors by the SDK":   vrfRoutesBySDK,
		"Terraform's equinix_metal_port's ways": terraformsPorts,
	}
}

// must fails the test for an error of something that has to work.
func must(t testing.TB, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// network makes a virtual network in Dallas.
func (r *rig) network(t testing.TB) *metalv1.VirtualNetwork {
	t.Helper()
	network, _, err := r.sdk.VLANsApi.CreateVirtualNetwork(t.Context(), r.project).
		VirtualNetworkCreateInput(metalv1.VirtualNetworkCreateInput{Metro: ptr("da")}).Execute()
	must(t, "making a virtual network", err)
	return network
}

func virtualNetworksBySDK(t *testing.T, r *rig) {
	ctx, vlans := t.Context(), r.sdk.VLANsApi
	named, answer, err := vlans.CreateVirtualNetwork(ctx, r.project).VirtualNetworkCreateInput(metalv1.VirtualNetworkCreateInput{
		Metro: ptr("da"), Vxlan: ptr(int32(1234)), Description: ptr("for a test"), Tags: []string{"a"},
	}).Include([]string{"assigned_to", "metro"}).Execute()
	must(t, "creating", err)
	if named.GetVxlan() != 1234 || named.GetMetroCode() != "da" || named.Metro.GetCode() != "da" || named.GetDescription() != "for a test" ||
		named.AssignedTo.GetId() != r.project || named.Facility != nil || !strings.HasSuffix(answer.Header.Get("Location"), named.GetId()) {
		t.Errorf("the network is %+v, and is to be found at %q", named, answer.Header.Get("Location"))
	}
	first, second := r.network(t), r.network(t)
	if first.GetVxlan() != 1000 || second.GetVxlan() != 1001 {
		t.Errorf("networks without a number got %d and %d, want the lowest ones from 1000 on", first.GetVxlan(), second.GetVxlan())
	}
	metro, _, err := vlans.CreateVirtualNetwork(ctx, r.project).VirtualNetworkCreateInput(metalv1.VirtualNetworkCreateInput{
		Metro: ptr("932eecda-6808-44b9-a3be-3abef49796ef"), Vxlan: ptr(int32(1234)),
	}).Execute()
	must(t, "creating the same number in another metro, by its ID", err)
	facility, _, err := vlans.CreateVirtualNetwork(ctx, r.project).VirtualNetworkCreateInput(metalv1.VirtualNetworkCreateInput{Facility: ptr("ewr1")}).Execute()
	must(t, "creating in a facility", err)
	// Terraform's provider reads this key, and panics without it.
	if facility.Facility.AdditionalProperties["facility_code"] != "ewr1" || facility.GetMetroCode() != "ny" {
		t.Errorf("the network in a facility is %+v", facility)
	}

	for query, want := range map[string][]string{
		"":     {named.GetId(), first.GetId(), second.GetId(), metro.GetId(), facility.GetId()},
		"ny":   {metro.GetId(), facility.GetId()},
		"none": {},
	} {
		request := vlans.FindVirtualNetworks(ctx, r.project)
		if query != "" {
			request = request.Metro(query)
		}
		list, _, err := request.Execute()
		must(t, "listing", err)
		got := []string{}
		for _, network := range list.VirtualNetworks {
			got = append(got, network.GetId())
		}
		if !slices.Equal(got, want) {
			t.Errorf("in metro %q there are %v, want %v", query, got, want)
		}
	}

	updated, _, err := vlans.UpdateVirtualNetwork(ctx, named.GetId()).
		VirtualNetworkUpdateInput(metalv1.VirtualNetworkUpdateInput{Description: ptr("changed"), Tags: []string{}}).Execute()
	must(t, "updating", err)
	if updated.GetDescription() != "changed" || len(updated.Tags) != 0 || updated.GetVxlan() != 1234 {
		t.Errorf("after an update it is %+v", updated)
	}
	if got, _, err := vlans.GetVirtualNetwork(ctx, named.GetId()).Execute(); err != nil || got.GetDescription() != "changed" {
		t.Errorf("reading: %+v, %v", got, err)
	}
	_, err = vlans.DeleteVirtualNetwork(ctx, named.GetId()).Execute()
	must(t, "deleting", err)

	for what, input := range map[string]metalv1.VirtualNetworkCreateInput{
		"a number that is taken": {Metro: ptr("da"), Vxlan: ptr(int32(1000))},
		"no metro":               {},
		"a metro that is none":   {Metro: ptr("zz")},
		"number 1":               {Metro: ptr("da"), Vxlan: ptr(int32(1))},
		"number 4000":            {Metro: ptr("da"), Vxlan: ptr(int32(4000))},
	} {
		_, answer, err := vlans.CreateVirtualNetwork(ctx, r.project).VirtualNetworkCreateInput(input).Execute()
		sdkRefused(t, what, answer, err, http.StatusUnprocessableEntity)
	}
	_, answer, err = vlans.UpdateVirtualNetwork(ctx, uuid.NewString()).VirtualNetworkUpdateInput(metalv1.VirtualNetworkUpdateInput{}).Execute()
	sdkRefused(t, "updating none", answer, err, http.StatusNotFound)
	_, answer, err = vlans.GetVirtualNetwork(ctx, named.GetId()).Execute()
	sdkRefused(t, "reading a deleted one", answer, err, http.StatusNotFound)
	answer, err = vlans.DeleteVirtualNetwork(ctx, named.GetId()).Execute()
	sdkRefused(t, "deleting a deleted one", answer, err, http.StatusNotFound)
}

func virtualNetworksByPackngo(t *testing.T, r *rig) {
	networks := r.packngo.ProjectVirtualNetworks
	created, _, err := networks.Create(&packngo.VirtualNetworkCreateRequest{ProjectID: r.project, Metro: "da", Description: "by packngo"})
	must(t, "creating", err)
	inFacility, _, err := networks.Create(&packngo.VirtualNetworkCreateRequest{ProjectID: r.project, Facility: "da11"})
	must(t, "creating in a facility", err)
	list, _, err := networks.List(r.project, nil)
	must(t, "listing", err)
	if len(list.VirtualNetworks) != 2 {
		t.Errorf("%d networks, want 2", len(list.VirtualNetworks))
	}
	// What Terraform's provider includes and dereferences.
	for _, id := range []string{created.ID, inFacility.ID} {
		network, _, err := networks.Get(id, &packngo.GetOptions{Includes: []string{"assigned_to", "facility", "metro"}})
		must(t, "reading", err)
		if network.Project.ID != r.project || network.Metro.Code != "da" || network.MetroCode != "da" {
			t.Errorf("the network is %+v", network)
		}
		if inside := id == inFacility.ID; inside && (network.Facility.Code != "da11" || network.Facility.Metro.Code != "da" || network.FacilityCode != "da11") ||
			!inside && network.Facility != nil {
			t.Errorf("the network's facility is %+v", network.Facility)
		}
	}
	_, err = networks.Delete(created.ID)
	must(t, "deleting", err)
	if _, _, err := networks.Get(created.ID, nil); err == nil {
		t.Error("a deleted network is still there")
	}
}

// bond is the bond of a device.
func bond(device *packet.Device) packet.Port { return device.NetworkPorts[0] }

func portsBySDK(t *testing.T, r *rig) {
	ctx, ports := t.Context(), r.sdk.PortsApi
	device := activeDevice(t, r.ours, r.project, order("sdk"))
	bond0, eth1 := device.NetworkPorts[0].ID, device.NetworkPorts[2].ID
	first, second := r.network(t), r.network(t)
	includes := []string{"virtual_networks", "native_virtual_network"}
	assign := func(vnid string) metalv1.PortAssignInput { return metalv1.PortAssignInput{Vnid: &vnid} }
	is := func(what string, port *metalv1.Port, err error, kind metalv1.PortNetworkType) {
		t.Helper()
		must(t, what, err)
		if port.GetNetworkType() != kind {
			t.Errorf("%s: the port is %q, want %q", what, port.GetNetworkType(), kind)
		}
	}

	port, _, err := ports.FindPortById(ctx, bond0).Execute()
	is("at first", port, err, metalv1.PORTNETWORKTYPE_LAYER3)
	port, _, err = ports.AssignPort(ctx, bond0).PortAssignInput(assign(first.GetId())).Include(includes).Execute()
	is("with a network", port, err, metalv1.PORTNETWORKTYPE_HYBRID_BONDED)
	if len(port.VirtualNetworks) != 1 || port.VirtualNetworks[0].GetVxlan() != first.GetVxlan() {
		t.Errorf("the port's networks are %+v", port.VirtualNetworks)
	}
	_, answer, err := ports.AssignNativeVlan(ctx, bond0).Vnid(first.GetId()).Execute()
	sdkRefused(t, "a native VLAN among one", answer, err, http.StatusUnprocessableEntity)
	_, _, err = ports.AssignPort(ctx, bond0).PortAssignInput(assign("1001")).Execute()
	must(t, "assigning by number", err)
	_, answer, err = ports.AssignPort(ctx, bond0).PortAssignInput(assign(second.GetId())).Execute()
	sdkRefused(t, "assigning again", answer, err, http.StatusUnprocessableEntity)
	port, _, err = ports.AssignNativeVlan(ctx, bond0).Vnid("1001").Include(includes).Execute()
	must(t, "making one the native VLAN", err)
	if port.NativeVirtualNetwork.GetId() != second.GetId() {
		t.Errorf("the native VLAN is %+v", port.NativeVirtualNetwork)
	}

	list, _, err := ports.FindPortVlanAssignments(ctx, bond0).Execute()
	must(t, "listing assignments", err)
	if len(list.VlanAssignments) != 2 || list.VlanAssignments[0].GetVlan() != 1000 || !list.VlanAssignments[1].GetNative() {
		t.Fatalf("the assignments are %+v", list.VlanAssignments)
	}
	// The document has these expanded unless told otherwise.
	if list.VlanAssignments[0].VirtualNetwork.AdditionalProperties["vxlan"] == nil || list.VlanAssignments[0].Port.AdditionalProperties["name"] != "bond0" {
		t.Errorf("an assignment is of %+v to %+v", list.VlanAssignments[0].Port, list.VlanAssignments[0].VirtualNetwork)
	}
	one, _, err := ports.FindPortVlanAssignmentByPortIdAndAssignmentId(ctx, bond0, list.VlanAssignments[1].GetId()).Execute()
	must(t, "reading an assignment", err)
	if one.GetVlan() != 1001 || one.GetState() != metalv1.PORTVLANASSIGNMENTSTATE_ASSIGNED {
		t.Errorf("the assignment is %+v", one)
	}
	_, answer, err = ports.FindPortVlanAssignmentByPortIdAndAssignmentId(ctx, eth1, one.GetId()).Execute()
	sdkRefused(t, "an assignment of another port", answer, err, http.StatusNotFound)

	port, _, err = ports.DeleteNativeVlan(ctx, bond0).Execute()
	must(t, "removing the native VLAN", err)
	if port.NativeVirtualNetwork != nil {
		t.Errorf("the native VLAN is still %+v", port.NativeVirtualNetwork)
	}
	_, answer, err = ports.DeleteNativeVlan(ctx, bond0).Execute()
	sdkRefused(t, "removing it again", answer, err, http.StatusUnprocessableEntity)

	answer, err = r.sdk.VLANsApi.DeleteVirtualNetwork(ctx, first.GetId()).Execute()
	sdkRefused(t, "deleting a network in use", answer, err, http.StatusUnprocessableEntity)
	_, answer, err = ports.ConvertLayer3(ctx, bond0).PortConvertLayer3Input(metalv1.PortConvertLayer3Input{}).Execute()
	sdkRefused(t, "converting to what it is", answer, err, http.StatusUnprocessableEntity)
	for _, network := range []*metalv1.VirtualNetwork{first, second} {
		port, _, err = ports.UnassignPort(ctx, bond0).PortAssignInput(assign(network.GetId())).Execute()
		must(t, "unassigning", err)
	}
	is("without networks", port, nil, metalv1.PORTNETWORKTYPE_LAYER3)
	_, answer, err = ports.UnassignPort(ctx, bond0).PortAssignInput(assign("1000")).Execute()
	sdkRefused(t, "unassigning again", answer, err, http.StatusUnprocessableEntity)

	port, _, err = ports.DisbondPort(ctx, eth1).Execute()
	must(t, "disbonding", err)
	if port.Data.GetBonded() || port.NetworkType != nil {
		t.Errorf("eth1 is %+v", port)
	}
	port, _, err = ports.FindPortById(ctx, bond0).Execute()
	is("with one interface", port, err, metalv1.PORTNETWORKTYPE_HYBRID)
	_, _, err = ports.AssignPort(ctx, eth1).PortAssignInput(assign(first.GetId())).Execute()
	must(t, "assigning to eth1", err)
	_, answer, err = ports.BondPort(ctx, eth1).Execute()
	sdkRefused(t, "bonding with a network", answer, err, http.StatusUnprocessableEntity)
	_, _, err = ports.UnassignPort(ctx, eth1).PortAssignInput(assign("1000")).Execute()
	must(t, "unassigning from eth1", err)
	_, _, err = ports.BondPort(ctx, eth1).BulkEnable(true).Execute()
	must(t, "bonding", err)

	port, _, err = ports.ConvertLayer2(ctx, bond0).PortAssignInput(assign(first.GetId())).Execute()
	is("in layer 2", port, err, metalv1.PORTNETWORKTYPE_LAYER2_BONDED)
	if device, err := r.ours.Device(ctx, device.ID); err != nil || len(device.IPAddresses) != 0 {
		t.Errorf("in layer 2 the device has %+v, %v", device.IPAddresses, err)
	}
	_, answer, err = ports.ConvertLayer2(ctx, bond0).PortAssignInput(metalv1.PortAssignInput{}).Execute()
	sdkRefused(t, "converting again", answer, err, http.StatusUnprocessableEntity)
	_, answer, err = ports.DisbondPort(ctx, bond0).BulkDisable(true).Execute()
	sdkRefused(t, "disbonding with a network", answer, err, http.StatusUnprocessableEntity)
	_, answer, err = ports.ConvertLayer3(ctx, bond0).PortConvertLayer3Input(metalv1.PortConvertLayer3Input{}).Execute()
	sdkRefused(t, "converting with a network", answer, err, http.StatusUnprocessableEntity)
	_, _, err = ports.UnassignPort(ctx, bond0).PortAssignInput(assign("1000")).Execute()
	must(t, "unassigning in layer 2", err)
	_, _, err = ports.DisbondPort(ctx, bond0).BulkDisable(true).Execute()
	must(t, "disbonding all", err)
	port, _, err = ports.FindPortById(ctx, bond0).Execute()
	is("without interfaces", port, err, metalv1.PORTNETWORKTYPE_LAYER2_INDIVIDUAL)
	port, _, err = ports.ConvertLayer3(ctx, bond0).PortConvertLayer3Input(metalv1.PortConvertLayer3Input{
		RequestIps: []metalv1.PortConvertLayer3InputRequestIpsInner{
			{AddressFamily: ptr(int32(4)), Public: ptr(true)}, {AddressFamily: ptr(int32(4)), Public: ptr(false)}, {AddressFamily: ptr(int32(6)), Public: ptr(true)},
		},
	}).Execute()
	is("in layer 3 again", port, err, metalv1.PORTNETWORKTYPE_LAYER3)
	again, err := r.ours.Device(ctx, device.ID)
	must(t, "reading the device", err)
	checkAddresses(t, again)

	_, answer, err = ports.AssignPort(ctx, eth1).PortAssignInput(assign("1000")).Execute()
	sdkRefused(t, "assigning to a bonded interface", answer, err, http.StatusUnprocessableEntity)
	_, answer, err = ports.AssignPort(ctx, bond0).PortAssignInput(assign("3999")).Execute()
	sdkRefused(t, "assigning what is none", answer, err, http.StatusUnprocessableEntity)
	_, answer, err = ports.ConvertLayer2(ctx, eth1).PortAssignInput(metalv1.PortAssignInput{}).Execute()
	sdkRefused(t, "converting an interface", answer, err, http.StatusUnprocessableEntity)
}

func portsByPackngo(t *testing.T, r *rig) {
	ports := r.packngo.Ports
	device := activeDevice(t, r.ours, r.project, order("packngo"))
	bond0, eth1 := device.NetworkPorts[0].ID, device.NetworkPorts[2].ID
	first, second := r.network(t).GetId(), r.network(t).GetId()
	options := &packngo.GetOptions{Includes: []string{"virtual_networks", "native_virtual_network"}}

	port, _, err := ports.ConvertToLayerTwo(bond0)
	must(t, "converting to layer 2", err)
	if port.NetworkType != packngo.NetworkTypeL2Bonded {
		t.Errorf("the port is %q", port.NetworkType)
	}
	_, _, err = ports.Disbond(bond0, true)
	must(t, "disbonding", err)
	for _, id := range []string{first, second} {
		_, _, err = ports.Assign(eth1, id)
		must(t, "assigning", err)
	}
	_, _, err = ports.AssignNative(eth1, first)
	must(t, "making one the native VLAN", err)
	port, _, err = ports.Get(eth1, options)
	must(t, "reading", err)
	if port.Data.Bonded || len(port.AttachedVirtualNetworks) != 2 || port.AttachedVirtualNetworks[1].ID != second || port.NativeVirtualNetwork.ID != first {
		t.Errorf("eth1 is %+v", port)
	}
	assignments, _, err := r.packngo.VLANAssignments.List(eth1, nil)
	must(t, "listing assignments", err)
	if len(assignments) != 2 || !assignments[0].Native || assignments[0].VirtualNetwork.ID != first || assignments[0].Port.ID != eth1 {
		t.Errorf("the assignments are %+v", assignments)
	}
	one, _, err := r.packngo.VLANAssignments.Get(eth1, assignments[1].ID, nil)
	must(t, "reading an assignment", err)
	if one.VLAN != 1001 || one.State != packngo.VLANAssignmentAssigned {
		t.Errorf("the assignment is %+v", one)
	}
	_, _, err = ports.UnassignNative(eth1)
	must(t, "removing the native VLAN", err)
	for _, id := range []string{first, second} {
		_, _, err = ports.Unassign(eth1, id)
		must(t, "unassigning", err)
	}
	_, answer, err := ports.Unassign(eth1, first)
	packngoRefused(t, "unassigning again", answer, err, http.StatusUnprocessableEntity)
	if err == nil || !strings.Contains(err.Error(), "Virtual network 1000 not assigned") {
		t.Errorf("it is refused with %v, and Terraform's provider looks for other words", err)
	}
	_, _, err = ports.Bond(bond0, false)
	must(t, "bonding", err)
	port, _, err = ports.ConvertToLayerThree(bond0, []packngo.AddressRequest{{AddressFamily: 4, Public: true}, {AddressFamily: 4}, {AddressFamily: 6, Public: true}})
	must(t, "converting to layer 3", err)
	if port.NetworkType != packngo.NetworkTypeL3 {
		t.Errorf("the port is %q", port.NetworkType)
	}
}

// networkTypesByPackngo goes through the conversions of whole devices that
// packngo makes of several operations.
func networkTypesByPackngo(t *testing.T, r *rig) {
	device := activeDevice(t, r.ours, r.project, order("types"))
	for _, kind := range []string{
		packngo.NetworkTypeHybrid, packngo.NetworkTypeL2Bonded, packngo.NetworkTypeL2Individual, packngo.NetworkTypeL3,
		packngo.NetworkTypeL2Individual, packngo.NetworkTypeHybrid, packngo.NetworkTypeL3, packngo.NetworkTypeL2Bonded, packngo.NetworkTypeHybrid,
	} {
		converted, err := r.packngo.DevicePorts.DeviceToNetworkType(device.ID, kind) //nolint:staticcheck // Older versions of Terraform's provider use it.
		must(t, "converting to "+kind, err)
		if addresses := len(converted.Network); (addresses == 0) != strings.HasPrefix(kind, "layer2") {
			t.Errorf("as %s the device has %d addresses", kind, addresses)
		}
	}
}

func vlanBatchesBySDK(t *testing.T, r *rig) {
	ctx, ports := t.Context(), r.sdk.PortsApi
	device := activeDevice(t, r.ours, r.project, order("batch"))
	bond0 := bond(device).ID
	first, second := r.network(t), r.network(t)
	assigned, unassigned := metalv1.PORTVLANASSIGNMENTBATCHVLANASSIGNMENTSINNERSTATE_ASSIGNED, metalv1.PORTVLANASSIGNMENTBATCHVLANASSIGNMENTSINNERSTATE_UNASSIGNED
	input := func(entries ...metalv1.PortVlanAssignmentBatchCreateInputVlanAssignmentsInner) metalv1.PortVlanAssignmentBatchCreateInput {
		return metalv1.PortVlanAssignmentBatchCreateInput{VlanAssignments: entries}
	}
	entry := func(vlan string, state metalv1.PortVlanAssignmentBatchVlanAssignmentsInnerState, native *bool) metalv1.PortVlanAssignmentBatchCreateInputVlanAssignmentsInner {
		return metalv1.PortVlanAssignmentBatchCreateInputVlanAssignmentsInner{Vlan: &vlan, State: &state, Native: native}
	}

	batch, answer, err := ports.CreatePortVlanAssignmentBatch(ctx, bond0).
		PortVlanAssignmentBatchCreateInput(input(entry(first.GetId(), assigned, nil), entry("1001", assigned, ptr(true)))).Execute()
	must(t, "creating a batch", err)
	if answer.StatusCode != http.StatusCreated || batch.GetQuantity() != 2 || batch.VlanAssignments[1].GetId() != second.GetId() {
		t.Errorf("%d with %+v", answer.StatusCode, batch)
	}
	batch, _, err = ports.FindPortVlanAssignmentBatchByPortIdAndBatchId(ctx, bond0, batch.GetId()).Include([]string{"port"}).Execute()
	must(t, "reading a batch", err)
	if batch.GetState() != metalv1.PORTVLANASSIGNMENTBATCHSTATE_COMPLETED || batch.Port.NativeVirtualNetwork == nil || len(batch.Port.VirtualNetworks) != 2 {
		t.Errorf("the batch is %+v", batch)
	}
	_, _, err = ports.CreatePortVlanAssignmentBatch(ctx, bond0).
		PortVlanAssignmentBatchCreateInput(input(entry("1000", unassigned, nil), entry(second.GetId(), assigned, ptr(false)))).Execute()
	must(t, "creating another batch", err)
	// metal-cli promises that what is so already can be said again.
	_, _, err = ports.CreatePortVlanAssignmentBatch(ctx, bond0).
		PortVlanAssignmentBatchCreateInput(input(entry("1000", unassigned, nil), entry("1001", assigned, nil))).Execute()
	must(t, "creating the same batch again", err)
	port, _, err := ports.FindPortById(ctx, bond0).Include([]string{"virtual_networks"}).Execute()
	must(t, "reading the port", err)
	if len(port.VirtualNetworks) != 1 || port.VirtualNetworks[0].GetId() != second.GetId() || port.NativeVirtualNetwork != nil {
		t.Errorf("after both the port is %+v", port)
	}
	list, _, err := ports.FindPortVlanAssignmentBatches(ctx, bond0).Execute()
	must(t, "listing batches", err)
	if len(list.Batches) != 3 {
		t.Errorf("%d batches, want 3", len(list.Batches))
	}

	for what, refused := range map[string]metalv1.PortVlanAssignmentBatchCreateInput{
		"nothing":                       input(),
		"a network that is none":        input(entry("1000", assigned, nil), entry("3000", assigned, nil)),
		"one to unassign that is none":  input(entry("1000", assigned, nil), entry("3000", unassigned, nil)),
		"two native VLANs":              input(entry("1000", assigned, ptr(true)), entry("1001", assigned, ptr(true))),
		"a native VLAN that is alone":   input(entry("1001", assigned, ptr(true))),
		"nothing that it is to be done": input(metalv1.PortVlanAssignmentBatchCreateInputVlanAssignmentsInner{}),
	} {
		_, answer, err := ports.CreatePortVlanAssignmentBatch(ctx, bond0).PortVlanAssignmentBatchCreateInput(refused).Execute()
		sdkRefused(t, what, answer, err, http.StatusUnprocessableEntity)
	}
	if after, _, err := ports.FindPortById(ctx, bond0).Execute(); err != nil || len(after.VirtualNetworks) != 1 {
		t.Errorf("refused batches left %+v, %v", after, err)
	}
	_, answer, err = ports.FindPortVlanAssignmentBatchByPortIdAndBatchId(ctx, device.NetworkPorts[1].ID, batch.GetId()).Execute()
	sdkRefused(t, "a batch of another port", answer, err, http.StatusNotFound)
}

func vlanBatchesByPackngo(t *testing.T, r *rig) {
	device := activeDevice(t, r.ours, r.project, order("batch"))
	bond0, network := bond(device).ID, r.network(t)
	batch, _, err := r.packngo.VLANAssignments.CreateBatch(bond0, &packngo.VLANAssignmentBatchCreateRequest{
		VLANAssignments: []packngo.VLANAssignmentCreateRequest{{VLAN: network.GetId(), State: packngo.VLANAssignmentAssigned}},
	}, nil)
	must(t, "creating a batch", err)
	batch, _, err = r.packngo.VLANAssignments.GetBatch(bond0, batch.ID, nil)
	must(t, "reading a batch", err)
	if batch.State != packngo.VLANAssignmentBatchCompleted || batch.VLANAssignments[0].VirtualNetworkID != network.GetId() {
		t.Errorf("the batch is %+v", batch)
	}
	list, _, err := r.packngo.VLANAssignments.ListBatch(bond0, nil)
	must(t, "listing batches", err)
	if len(list) != 1 {
		t.Errorf("%d batches, want 1", len(list))
	}
}

// terraformsPorts goes the ways of the provider's port resource, which tells
// from network_type what is left to be done.
func terraformsPorts(t *testing.T, r *rig) {
	ctx, ports := t.Context(), r.sdk.PortsApi
	device := activeDevice(t, r.ours, r.project, order("terraform"))
	bond0 := bond(device).ID
	find := func() *metalv1.Port {
		t.Helper()
		port, _, err := ports.FindPortById(ctx, bond0).Include([]string{"virtual_networks", "native_virtual_network"}).Execute()
		must(t, "reading", err)
		return port
	}
	layer2 := []metalv1.PortNetworkType{metalv1.PORTNETWORKTYPE_LAYER2_BONDED, metalv1.PORTNETWORKTYPE_LAYER2_INDIVIDUAL}

	// layer2 = true, bonded = false: disbonded first, and converted unless it
	// looks converted.
	_, _, err := ports.DisbondPort(ctx, bond0).Execute()
	must(t, "disbonding", err)
	if port := find(); port.Data.GetBonded() || slices.Contains(layer2, port.GetNetworkType()) {
		t.Fatalf("disbonded it is %+v, and would keep its addresses", port)
	}
	_, _, err = ports.ConvertLayer2(ctx, bond0).PortAssignInput(metalv1.PortAssignInput{}).Execute()
	must(t, "converting", err)
	if port := find(); port.GetNetworkType() != metalv1.PORTNETWORKTYPE_LAYER2_INDIVIDUAL {
		t.Errorf("it is %q", port.GetNetworkType())
	}
	// reset_on_delete: bonded first, then converted.
	_, _, err = ports.BondPort(ctx, bond0).Execute()
	must(t, "bonding", err)
	if port := find(); port.GetNetworkType() != metalv1.PORTNETWORKTYPE_LAYER2_BONDED {
		t.Errorf("bonded it is %q", port.GetNetworkType())
	}
	_, _, err = ports.ConvertLayer3(ctx, bond0).PortConvertLayer3Input(metalv1.PortConvertLayer3Input{}).Execute()
	must(t, "converting back", err)
	if port := find(); port.GetNetworkType() != metalv1.PORTNETWORKTYPE_LAYER3 || !port.Data.GetBonded() {
		t.Errorf("in the end it is %+v", port)
	}

	// equinix_metal_port_vlan_attachment looks for the network's number in the
	// device's ports.
	network := r.network(t)
	_, _, err = ports.AssignPort(ctx, bond0).PortAssignInput(metalv1.PortAssignInput{Vnid: network.Id}).Execute()
	must(t, "assigning", err)
	shown, _, err := r.sdk.DevicesApi.FindDeviceById(ctx, device.ID).Include([]string{"virtual_networks,project,native_virtual_network"}).Execute()
	must(t, "reading the device", err)
	if networks := shown.NetworkPorts[0].VirtualNetworks; len(networks) != 1 || networks[0].GetVxlan() != network.GetVxlan() {
		t.Errorf("the device's bond has %+v", networks)
	}
	// equinix_metal_vlan finds the ports to free by their references.
	used, _, err := r.packngo.ProjectVirtualNetworks.Get(network.GetId(), &packngo.GetOptions{Includes: []string{"instances", "virtual_networks", "metal_gateway"}})
	must(t, "reading the network", err)
	if len(used.Instances) != 1 || used.Instances[0].NetworkPorts[0].ID != bond0 ||
		!strings.HasSuffix(used.Instances[0].NetworkPorts[0].AttachedVirtualNetworks[0].Href, "/"+network.GetId()) {
		t.Errorf("the network is used by %+v", used.Instances)
	}
}

func (r *rig) gateway(t testing.TB, input metalv1.MetalGatewayCreateInput) *metalv1.MetalGateway {
	t.Helper()
	created, _, err := r.sdk.MetalGatewaysApi.CreateMetalGateway(t.Context(), r.project).
		CreateMetalGatewayRequest(metalv1.CreateMetalGatewayRequest{MetalGatewayCreateInput: &input}).Execute()
	must(t, "making a gateway", err)
	if created.MetalGateway == nil {
		t.Fatalf("the gateway is %+v, no MetalGateway", created)
	}
	return created.MetalGateway
}

func metalGatewaysBySDK(t *testing.T, r *rig) {
	ctx, gateways := t.Context(), r.sdk.MetalGatewaysApi
	network := r.network(t)
	reservation := r.reserve(t, metalv1.IPReservationRequestInput{Type: "public_ipv4", Quantity: 8, Metro: ptr("da")})
	public := r.gateway(t, metalv1.MetalGatewayCreateInput{VirtualNetworkId: network.GetId(), IpReservationId: reservation.Id})
	private := r.gateway(t, metalv1.MetalGatewayCreateInput{VirtualNetworkId: network.GetId(), PrivateIpv4SubnetSize: ptr(int32(16))})
	if public.GetState() != metalv1.METALGATEWAYSTATE_READY || public.IpReservation.GetId() != reservation.GetId() {
		t.Errorf("the gateway is %+v", public)
	}
	// Terraform's provider computes the size from these.
	if got := private.IpReservation; got.GetPublic() || got.GetCidr() != 28 || got.GetAddressFamily() != 4 || got.GetType() != "private_ipv4" {
		t.Errorf("the gateway has %+v", got)
	}
	list, _, err := gateways.FindMetalGatewaysByProject(ctx, r.project).Include([]string{"ip_reservation", "virtual_network"}).Execute()
	must(t, "listing", err)
	if len(list.MetalGateways) != 2 || list.MetalGateways[1].MetalGateway.VirtualNetwork.GetVxlan() != network.GetVxlan() {
		t.Errorf("the gateways are %+v", list.MetalGateways)
	}

	device := activeDevice(t, r.ours, r.project, order("behind"))
	_, err = r.ours.AssignPort(ctx, bond(device).ID, network.GetId())
	must(t, "assigning", err)
	found, _, err := gateways.FindMetalGatewayById(ctx, public.GetId()).Include([]string{"project", "ip_reservation", "virtual_network", "vrf"}).Execute()
	must(t, "reading", err)
	if got := found.MetalGateway; got == nil || got.GetState() != metalv1.METALGATEWAYSTATE_ACTIVE || got.Project.GetId() != r.project {
		t.Errorf("with a port on its network it is %+v", found)
	}
	shown, _, err := r.sdk.VLANsApi.GetVirtualNetwork(ctx, network.GetId()).Execute()
	must(t, "reading the network", err)
	if len(shown.MetalGateways) != 2 || shown.MetalGateways[0].GetGatewayAddress() != gatewayAddress(reservation) || len(shown.Instances) != 1 {
		t.Errorf("the network is %+v, want a gateway with %s", shown, gatewayAddress(reservation))
	}
	held, _, err := r.sdk.IPAddressesApi.FindIPAddressById(ctx, reservation.GetId()).Execute()
	must(t, "reading the reservation", err)
	if held.IPReservation.MetalGateway.GetId() != public.GetId() {
		t.Errorf("the reservation is said to be of %+v", held.IPReservation.MetalGateway)
	}
	_, err = r.ours.UnassignPort(ctx, bond(device).ID, network.GetId())
	must(t, "unassigning", err)

	answer, err := r.sdk.IPAddressesApi.DeleteIPAddress(ctx, reservation.GetId()).Execute()
	sdkRefused(t, "deleting the reservation", answer, err, http.StatusUnprocessableEntity)
	answer, err = r.sdk.VLANsApi.DeleteVirtualNetwork(ctx, network.GetId()).Execute()
	sdkRefused(t, "deleting the network", answer, err, http.StatusUnprocessableEntity)
	small := r.reserve(t, metalv1.IPReservationRequestInput{Type: "public_ipv4", Quantity: 4, Metro: ptr("da")})
	elsewhere := r.reserve(t, metalv1.IPReservationRequestInput{Type: "public_ipv4", Quantity: 8, Metro: ptr("ny")})
	for what, input := range map[string]metalv1.MetalGatewayCreateInput{
		"a reservation that has one":      {VirtualNetworkId: network.GetId(), IpReservationId: reservation.Id},
		"a reservation that is too small": {VirtualNetworkId: network.GetId(), IpReservationId: small.Id},
		"a reservation elsewhere":         {VirtualNetworkId: network.GetId(), IpReservationId: elsewhere.Id},
		"a reservation that is none":      {VirtualNetworkId: network.GetId(), IpReservationId: ptr(uuid.NewString())},
		"a network that is none":          {VirtualNetworkId: uuid.NewString(), PrivateIpv4SubnetSize: ptr(int32(8))},
		"no addresses":                    {VirtualNetworkId: network.GetId()},
		"7 addresses":                     {VirtualNetworkId: network.GetId(), PrivateIpv4SubnetSize: ptr(int32(7))},
	} {
		_, answer, err := gateways.CreateMetalGateway(ctx, r.project).CreateMetalGatewayRequest(metalv1.CreateMetalGatewayRequest{MetalGatewayCreateInput: &input}).Execute()
		sdkRefused(t, what, answer, err, http.StatusUnprocessableEntity)
	}

	for _, gateway := range []*metalv1.MetalGateway{public, private} {
		deleted, _, err := gateways.DeleteMetalGateway(ctx, gateway.GetId()).Execute()
		must(t, "deleting", err)
		if deleted.MetalGateway.GetState() != metalv1.METALGATEWAYSTATE_DELETING {
			t.Errorf("while it is deleted it is %+v", deleted.MetalGateway)
		}
		_, answer, err = gateways.FindMetalGatewayById(ctx, gateway.GetId()).Execute()
		sdkRefused(t, "reading a deleted one", answer, err, http.StatusNotFound)
	}
	_, answer, err = r.sdk.IPAddressesApi.FindIPAddressById(ctx, private.IpReservation.GetId()).Execute()
	sdkRefused(t, "the reservation that was made for a gateway", answer, err, http.StatusNotFound)
	_, err = r.sdk.IPAddressesApi.DeleteIPAddress(ctx, reservation.GetId()).Execute()
	must(t, "deleting the reservation", err)
	_, err = r.sdk.VLANsApi.DeleteVirtualNetwork(ctx, network.GetId()).Execute()
	must(t, "deleting the network", err)
}

// gatewayAddress is what a gateway has of a block of eight addresses.
func gatewayAddress(block *metalv1.IPReservation) string {
	return block.GetGateway() + "/29"
}

func metalGatewaysByPackngo(t *testing.T, r *rig) {
	network := r.network(t)
	created, _, err := r.packngo.MetalGateways.Create(r.project, &packngo.MetalGatewayCreateRequest{VirtualNetworkID: network.GetId(), PrivateIPv4SubnetSize: 8})
	must(t, "creating", err)
	found, _, err := r.packngo.MetalGateways.Get(created.ID, &packngo.GetOptions{Includes: []string{"virtual_network", "project"}})
	must(t, "reading", err)
	if found.State != packngo.MetalGatewayReady || found.VirtualNetwork.ID != network.GetId() || found.IPReservation.CIDR != 29 || found.Project.ID != r.project {
		t.Errorf("the gateway is %+v", found)
	}
	list, _, err := r.packngo.MetalGateways.List(r.project, nil)
	must(t, "listing", err)
	if len(list) != 1 {
		t.Errorf("%d gateways, want 1", len(list))
	}
	_, err = r.packngo.MetalGateways.Delete(created.ID)
	must(t, "deleting", err)
}

func gatewayIPsBySDK(t *testing.T, r *rig) {
	ctx, gateways := t.Context(), r.sdk.MetalGatewaysApi
	gateway := r.gateway(t, metalv1.MetalGatewayCreateInput{VirtualNetworkId: r.network(t).GetId(), PrivateIpv4SubnetSize: ptr(int32(8))})
	reservation := r.reserve(t, metalv1.IPReservationRequestInput{Type: "public_ipv4", Quantity: 4, Metro: ptr("da")})
	// The first address of a machine behind the gateway.
	hop := gateway.IpReservation.GetAddress()
	input := metalv1.MetalGatewayElasticIpCreateInput{
		Address: reservation.GetNetwork() + "/31", NextHop: hop, Customdata: map[string]any{"k": "v"}, Tags: []string{"a"},
	}
	created, _, err := gateways.CreateMetalGatewayElasticIp(ctx, gateway.GetId()).MetalGatewayElasticIpCreateInput(input).Execute()
	must(t, "creating", err)
	if created.GetNextHop() != hop || created.GetCidr() != 31 || !strings.HasSuffix(created.AssignedTo.GetHref(), "/metal-gateways/"+gateway.GetId()) {
		t.Errorf("the elastic IP is %+v", created)
	}
	list, _, err := gateways.GetMetalGatewayElasticIps(ctx, gateway.GetId()).Execute()
	must(t, "listing", err)
	if len(list.IpAddresses) != 1 || list.IpAddresses[0].GetId() != created.GetId() {
		t.Errorf("the elastic IPs are %+v", list.IpAddresses)
	}
	if found, _, err := r.sdk.IPAddressesApi.FindIPAddressById(ctx, created.GetId()).Execute(); err != nil || found.IPAssignment.GetNextHop() != hop {
		t.Errorf("reading: %+v, %v", found, err)
	}

	for what, refused := range map[string]metalv1.MetalGatewayElasticIpCreateInput{
		"an address that is taken":   input,
		"an address of nobody":       {Address: "203.0.113.1", NextHop: hop},
		"a next hop elsewhere":       {Address: reservation.GetNetwork(), NextHop: "192.168.0.1"},
		"a next hop that is none":    {Address: reservation.GetNetwork(), NextHop: "nowhere"},
		"the gateway as next hop":    {Address: reservation.GetNetwork(), NextHop: gateway.IpReservation.GetGateway()},
		"an address that is no such": {Address: "somewhere", NextHop: hop},
	} {
		_, answer, err := gateways.CreateMetalGatewayElasticIp(ctx, gateway.GetId()).MetalGatewayElasticIpCreateInput(refused).Execute()
		sdkRefused(t, what, answer, err, http.StatusUnprocessableEntity)
	}
	_, answer, err := gateways.CreateMetalGatewayElasticIp(ctx, uuid.NewString()).MetalGatewayElasticIpCreateInput(input).Execute()
	sdkRefused(t, "creating on no gateway", answer, err, http.StatusNotFound)

	_, _, err = gateways.DeleteMetalGateway(ctx, gateway.GetId()).Execute()
	must(t, "deleting the gateway", err)
	_, answer, err = r.sdk.IPAddressesApi.FindIPAddressById(ctx, created.GetId()).Execute()
	sdkRefused(t, "an elastic IP of a deleted gateway", answer, err, http.StatusNotFound)
}

// vrf makes a VRF in Dallas.
func (r *rig) vrf(t testing.TB, ranges ...string) *metalv1.Vrf {
	t.Helper()
	vrf, _, err := r.sdk.VRFsApi.CreateVrf(t.Context(), r.project).VrfCreateInput(metalv1.VrfCreateInput{
		Name: uuid.NewString(), Metro: "da", LocalAsn: ptr(int64(65100)), IpRanges: ranges, BgpDynamicNeighborsEnabled: ptr(true),
	}).Execute()
	must(t, "making a VRF", err)
	return vrf
}

// vrfReservation makes a reservation in a VRF.
func (r *rig) vrfReservation(t testing.TB, vrf *metalv1.Vrf, network string, cidr int32) (*metalv1.VrfIpReservation, *http.Response, error) {
	t.Helper()
	requested, answer, err := r.sdk.IPAddressesApi.RequestIPReservation(t.Context(), r.project).RequestIPReservationRequest(
		metalv1.VrfIpReservationCreateInputAsRequestIPReservationRequest(
			&metalv1.VrfIpReservationCreateInput{Type: "vrf", VrfId: vrf.GetId(), Network: network, Cidr: cidr, Tags: []string{"a"}})).Execute()
	if err != nil {
		return nil, answer, err
	}
	if requested.VrfIpReservation == nil {
		t.Fatalf("what was reserved is %+v, no VrfIpReservation", requested)
	}
	return requested.VrfIpReservation, answer, nil
}

func vrfsBySDK(t *testing.T, r *rig) {
	ctx, vrfs := t.Context(), r.sdk.VRFsApi
	vrf := r.vrf(t, "10.0.0.0/16", "2001:db8:1::/60")
	other := r.vrf(t, "10.0.0.0/16")
	list, _, err := vrfs.FindVrfs(ctx, r.project).Metro("da").Execute()
	must(t, "listing", err)
	if len(list.Vrfs) != 2 || !slices.Equal(list.Vrfs[0].IpRanges, vrf.IpRanges) {
		t.Errorf("the VRFs are %+v", list.Vrfs)
	}
	found, _, err := vrfs.FindVrfById(ctx, vrf.GetId()).Include([]string{"project", "metro"}).Execute()
	must(t, "reading", err)
	if found.Project.GetId() != r.project || found.Metro.GetCode() != "da" || found.GetLocalAsn() != 65100 {
		t.Errorf("the VRF is %+v", found)
	}

	block, _, err := r.vrfReservation(t, vrf, "10.0.1.0", 24)
	must(t, "reserving", err)
	_, _, err = r.vrfReservation(t, vrf, "2001:db8:1::", 64)
	must(t, "reserving IPv6", err)
	twin, _, err := r.vrfReservation(t, other, "10.0.1.0", 24)
	must(t, "reserving the same in another VRF", err)
	if block.GetCidr() != 24 || block.GetNetwork() != "10.0.1.0" || !strings.HasSuffix(block.Vrf.GetHref(), vrf.GetId()) {
		t.Errorf("the reservation is %+v", block)
	}
	ips, _, err := vrfs.FindVrfIpReservations(ctx, vrf.GetId()).Execute()
	must(t, "listing reservations", err)
	if len(ips.IpAddresses) != 2 {
		t.Errorf("the VRF has %+v", ips.IpAddresses)
	}
	one, _, err := vrfs.FindVrfIpReservation(ctx, vrf.GetId(), block.GetId()).Include([]string{"vrf"}).Execute()
	must(t, "reading a reservation", err)
	if one.Vrf.GetName() != vrf.GetName() {
		t.Errorf("the reservation is %+v", one)
	}
	_, answer, err := vrfs.FindVrfIpReservation(ctx, vrf.GetId(), twin.GetId()).Execute()
	sdkRefused(t, "a reservation of another VRF", answer, err, http.StatusNotFound)
	all, _, err := r.sdk.IPAddressesApi.FindIPReservations(ctx, r.project).Types([]metalv1.FindIPReservationsTypesParameterInner{"vrf"}).Execute()
	must(t, "listing all reservations", err)
	if len(all.IpAddresses) != 3 || all.IpAddresses[0].VrfIpReservation == nil {
		t.Errorf("the project has %+v", all.IpAddresses)
	}
	if routes, _, err := vrfs.GetVrfLearnedRoutes(ctx, vrf.GetId()).Execute(); err != nil || len(routes.LearnedRoutes) != 0 {
		t.Errorf("learned routes: %+v, %v", routes, err)
	}
	if neighbors, _, err := vrfs.GetVrfBGPNeighbors(ctx, vrf.GetId()).Execute(); err != nil || len(neighbors.BgpNeighbors) != 0 {
		t.Errorf("BGP neighbors: %+v, %v", neighbors, err)
	}

	for what, refused := range map[string]struct {
		network string
		cidr    int32
	}{
		"what is reserved":    {"10.0.1.128", 25},
		"outside the ranges":  {"10.1.0.0", 24},
		"no network":          {"10.0.2.1", 24},
		"a /30":               {"10.0.2.0", 30},
		"nothing":             {"", 24},
		"another IPv6 subnet": {"2001:db8:1:1::", 64},
	} {
		_, answer, err := r.vrfReservation(t, vrf, refused.network, refused.cidr)
		sdkRefused(t, "reserving "+what, answer, err, http.StatusUnprocessableEntity)
	}
	for what, input := range map[string]metalv1.VrfCreateInput{
		"a name that is taken": {Name: vrf.GetName(), Metro: "da"},
		"no name":              {Metro: "da"},
		"no metro":             {Name: "x"},
		"overlapping ranges":   {Name: "x", Metro: "da", IpRanges: []string{"10.0.0.0/16", "10.0.1.0/24"}},
		"a range that is none": {Name: "x", Metro: "da", IpRanges: []string{"10.0.0.1/16"}},
		"a range that is huge": {Name: "x", Metro: "da", IpRanges: []string{"10.0.0.0/7"}},
		"a number over all":    {Name: "x", Metro: "da", LocalAsn: ptr(int64(1) << 32)},
	} {
		_, answer, err := vrfs.CreateVrf(ctx, r.project).VrfCreateInput(input).Execute()
		sdkRefused(t, what, answer, err, http.StatusUnprocessableEntity)
	}
	_, answer, err = vrfs.UpdateVrf(ctx, vrf.GetId()).VrfUpdateInput(metalv1.VrfUpdateInput{Name: ptr(other.GetName())}).Execute()
	sdkRefused(t, "taking another's name", answer, err, http.StatusUnprocessableEntity)

	updated, _, err := vrfs.UpdateVrf(ctx, vrf.GetId()).VrfUpdateInput(metalv1.VrfUpdateInput{
		Name: ptr("changed"), Description: ptr("for a test"), LocalAsn: ptr(int32(65200)), IpRanges: []string{"2001:db8:1::/60"}, Tags: []string{"b"},
	}).Execute()
	must(t, "updating", err)
	if updated.GetName() != "changed" || updated.GetLocalAsn() != 65200 || len(updated.IpRanges) != 1 {
		t.Errorf("after an update it is %+v", updated)
	}
	_, answer, err = r.sdk.IPAddressesApi.FindIPAddressById(ctx, block.GetId()).Execute()
	sdkRefused(t, "a reservation out of a range that is no more", answer, err, http.StatusNotFound)
	_, err = vrfs.DeleteVrf(ctx, vrf.GetId()).Execute()
	must(t, "deleting", err)
	answer, err = vrfs.DeleteVrf(ctx, vrf.GetId()).Execute()
	sdkRefused(t, "deleting again", answer, err, http.StatusNotFound)
	_, err = r.sdk.IPAddressesApi.DeleteIPAddress(ctx, twin.GetId()).Execute()
	must(t, "deleting a reservation", err)
}

func vrfsByPackngo(t *testing.T, r *rig) {
	vrf, _, err := r.packngo.VRFs.Create(r.project, &packngo.VRFCreateRequest{Metro: "da", Name: "by packngo", LocalASN: 65000, IPRanges: []string{"192.168.0.0/16"}})
	must(t, "creating", err)
	found, _, err := r.packngo.VRFs.Get(vrf.ID, nil)
	must(t, "reading", err)
	if found.Name != "by packngo" || found.Metro.Code != "da" {
		t.Errorf("the VRF is %+v", found)
	}
	list, _, err := r.packngo.VRFs.List(r.project, nil)
	must(t, "listing", err)
	if len(list) != 1 {
		t.Errorf("%d VRFs, want 1", len(list))
	}
	block, _, err := r.packngo.ProjectIPs.Create(r.project, &packngo.IPReservationCreateRequest{
		Type: packngo.VRFIPRange, VRFID: vrf.ID, Network: "192.168.4.0", CIDR: 22,
	})
	must(t, "reserving", err)
	block, _, err = r.packngo.ProjectIPs.Get(block.ID, &packngo.GetOptions{Includes: []string{"facility", "metro", "project", "vrf"}})
	must(t, "reading a reservation", err)
	if block.VRF.ID != vrf.ID || block.CIDR != 22 {
		t.Errorf("the reservation is %+v", block)
	}
	ips, _, err := r.packngo.VRFs.ListIPs(vrf.ID, nil)
	must(t, "listing reservations", err)
	if len(ips) != 1 || ips[0].Type != packngo.VRFIPRange {
		t.Errorf("the VRF has %+v", ips)
	}
	updated, _, err := r.packngo.VRFs.Update(vrf.ID, &packngo.VRFUpdateRequest{Description: ptr("changed")})
	must(t, "updating", err)
	if updated.Description != "changed" || len(updated.IPRanges) != 1 {
		t.Errorf("after an update it is %+v", updated)
	}
	_, err = r.packngo.VRFs.Delete(vrf.ID)
	must(t, "deleting", err)
}

func vrfRoutesBySDK(t *testing.T, r *rig) {
	ctx, vrfs, gateways := t.Context(), r.sdk.VRFsApi, r.sdk.MetalGatewaysApi
	vrf, network := r.vrf(t, "192.168.0.0/16"), r.network(t)
	block, _, err := r.vrfReservation(t, vrf, "192.168.1.0", 24)
	must(t, "reserving", err)
	created, _, err := gateways.CreateMetalGateway(ctx, r.project).CreateMetalGatewayRequest(metalv1.CreateMetalGatewayRequest{
		VrfMetalGatewayCreateInput: &metalv1.VrfMetalGatewayCreateInput{VirtualNetworkId: network.GetId(), IpReservationId: block.GetId()},
	}).Include([]string{"project", "ip_reservation", "virtual_network", "vrf"}).Execute()
	must(t, "making a gateway", err)
	gateway := created.VrfMetalGateway
	if gateway == nil || gateway.Vrf.GetId() != vrf.GetId() || gateway.IpReservation.GetCidr() != 24 || gateway.VirtualNetwork.GetId() != network.GetId() {
		t.Fatalf("the gateway is %+v", created)
	}
	answer, err := vrfs.DeleteVrf(ctx, vrf.GetId()).Execute()
	sdkRefused(t, "deleting a VRF with a gateway", answer, err, http.StatusUnprocessableEntity)

	route, _, err := vrfs.CreateVrfRoute(ctx, vrf.GetId()).
		VrfRouteCreateInput(metalv1.VrfRouteCreateInput{Prefix: "0.0.0.0/0", NextHop: "192.168.1.254", Tags: []string{"a"}}).Execute()
	must(t, "making a route", err)
	if route.GetStatus() != metalv1.VRFROUTESTATUS_ACTIVE || !strings.HasSuffix(route.MetalGateway.GetHref(), gateway.GetId()) {
		t.Errorf("the route is %+v", route)
	}
	for what, input := range map[string]metalv1.VrfRouteCreateInput{
		"a second default route":  {Prefix: "0.0.0.0/0", NextHop: "192.168.1.253"},
		"another prefix":          {Prefix: "10.0.0.0/8", NextHop: "192.168.1.254"},
		"a next hop elsewhere":    {Prefix: "0.0.0.0/0", NextHop: "192.168.2.1"},
		"a next hop that is none": {Prefix: "0.0.0.0/0", NextHop: "nowhere"},
	} {
		_, answer, err := vrfs.CreateVrfRoute(ctx, vrf.GetId()).VrfRouteCreateInput(input).Execute()
		sdkRefused(t, what, answer, err, http.StatusUnprocessableEntity)
	}
	routes, _, err := vrfs.GetVrfRoutes(ctx, vrf.GetId()).Execute()
	must(t, "listing routes", err)
	if len(routes.Routes) != 1 {
		t.Errorf("the routes are %+v", routes.Routes)
	}
	found, _, err := vrfs.FindVrfRouteById(ctx, route.GetId()).Include([]string{"metal_gateway", "virtual_network", "vrf"}).Execute()
	must(t, "reading a route", err)
	if found.Vrf.GetId() != vrf.GetId() || found.VirtualNetwork.GetVxlan() != network.GetVxlan() || found.MetalGateway.GetId() != gateway.GetId() {
		t.Errorf("the route is %+v", found)
	}
	updated, _, err := vrfs.UpdateVrfRouteById(ctx, route.GetId()).VrfRouteUpdateInput(metalv1.VrfRouteUpdateInput{Tags: []string{"b"}}).Execute()
	must(t, "updating a route", err)
	if !slices.Equal(updated.Tags, []string{"b"}) {
		t.Errorf("after an update it is %+v", updated)
	}
	_, answer, err = vrfs.UpdateVrfRouteById(ctx, route.GetId()).VrfRouteUpdateInput(metalv1.VrfRouteUpdateInput{NextHop: ptr("192.168.1.3")}).Execute()
	sdkRefused(t, "leading a route elsewhere", answer, err, http.StatusUnprocessableEntity)
	events, _, err := r.sdk.EventsApi.FindVrfRouteEvents(ctx, route.GetId()).Execute()
	must(t, "listing events", err)
	// The document says that this is one event, and the service sent a list.
	if list, _ := events.AdditionalProperties["events"].([]any); len(list) != 2 {
		t.Errorf("the events are %+v, want two", events)
	} else {
		id, _ := list[0].(map[string]any)["id"].(string)
		event, _, err := r.sdk.EventsApi.FindEventById(ctx, id).Execute()
		must(t, "reading an event", err)
		if event.GetType() != packet.EventRouteRedeployed {
			t.Errorf("the newest event is %+v", event)
		}
	}

	neighbor, _, err := gateways.CreateBgpDynamicNeighbor(ctx, gateway.GetId()).
		BgpDynamicNeighborCreateInput(metalv1.BgpDynamicNeighborCreateInput{BgpNeighborRange: "192.168.1.128/25", BgpNeighborAsn: 65001, Tags: []string{"a"}}).Execute()
	must(t, "making a dynamic neighbor", err)
	if neighbor.GetState() != metalv1.BGPDYNAMICNEIGHBORSTATE_READY || neighbor.GetBgpNeighborAsn() != 65001 {
		t.Errorf("the neighbor is %+v", neighbor)
	}
	for what, input := range map[string]metalv1.BgpDynamicNeighborCreateInput{
		"an overlapping range":  {BgpNeighborRange: "192.168.1.192/26", BgpNeighborAsn: 65001},
		"a range elsewhere":     {BgpNeighborRange: "10.0.0.0/25", BgpNeighborAsn: 65001},
		"a range that is none":  {BgpNeighborRange: "everything", BgpNeighborAsn: 65001},
		"a number that is none": {BgpNeighborRange: "192.168.1.0/25", BgpNeighborAsn: 0},
	} {
		_, answer, err := gateways.CreateBgpDynamicNeighbor(ctx, gateway.GetId()).BgpDynamicNeighborCreateInput(input).Execute()
		sdkRefused(t, what, answer, err, http.StatusUnprocessableEntity)
	}
	neighbors, _, err := gateways.GetBgpDynamicNeighbors(ctx, gateway.GetId()).Execute()
	must(t, "listing neighbors", err)
	if len(neighbors.BgpDynamicNeighbors) != 1 {
		t.Errorf("the neighbors are %+v", neighbors.BgpDynamicNeighbors)
	}
	one, _, err := vrfs.BgpDynamicNeighborsIdGet(ctx, neighbor.GetId()).Execute()
	must(t, "reading a neighbor", err)
	if one.GetBgpNeighborRange() != "192.168.1.128/25" {
		t.Errorf("the neighbor is %+v", one)
	}
	gone, _, err := vrfs.DeleteBgpDynamicNeighborById(ctx, neighbor.GetId()).Execute()
	must(t, "deleting a neighbor", err)
	if gone.GetState() != metalv1.BGPDYNAMICNEIGHBORSTATE_DELETING {
		t.Errorf("while it is deleted it is %+v", gone)
	}
	dropped, _, err := vrfs.DeleteVrfRouteById(ctx, route.GetId()).Execute()
	must(t, "deleting a route", err)
	if dropped.GetStatus() != metalv1.VRFROUTESTATUS_DELETING {
		t.Errorf("while it is deleted it is %+v", dropped)
	}
	deleted, _, err := gateways.DeleteMetalGateway(ctx, gateway.GetId()).Include([]string{"vrf"}).Execute()
	must(t, "deleting the gateway", err)
	if deleted.VrfMetalGateway.GetState() != metalv1.METALGATEWAYSTATE_DELETING {
		t.Errorf("while it is deleted it is %+v", deleted)
	}
}
