package apiserver_test

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	metalv1 "github.com/equinix/equinix-sdk-go/services/metalv1"
	"github.com/google/uuid"
	"github.com/packethost/packngo"

	"github.com/packetyard/packetyard/pkg/packet"
)

func addressScenarios() map[string]scenario {
	return map[string]scenario{
		"addresses by the SDK":    addressesBySDK,
		"addresses by packngo":    addressesByPackngo,
		"every type of addresses": everyTypeOfAddresses,
		"addresses are refused":   addressesAreRefused,
	}
}

// sdkRefused checks that the SDK got an error with a status.
func sdkRefused(t testing.TB, what string, answer *http.Response, err error, status int) {
	t.Helper()
	if err == nil || answer == nil || answer.StatusCode != status {
		t.Errorf("%s: %v with %+v, want an error with %d", what, err, answer, status)
	}
}

func packngoRefused(t testing.TB, what string, answer *packngo.Response, err error, status int) {
	t.Helper()
	if err == nil || answer == nil || answer.StatusCode != status {
		t.Errorf("%s: %v, want an error with %d", what, err, status)
	}
}

// reserve makes a reservation with the SDK.
func (r *rig) reserve(t testing.TB, input metalv1.IPReservationRequestInput) *metalv1.IPReservation {
	t.Helper()
	requested, _, err := r.sdk.IPAddressesApi.RequestIPReservation(t.Context(), r.project).
		RequestIPReservationRequest(metalv1.IPReservationRequestInputAsRequestIPReservationRequest(&input)).Execute()
	if err != nil {
		t.Fatalf("reserving %+v: %v", input, err)
	}
	if requested.IPReservation == nil {
		t.Fatalf("what was reserved is no IPReservation: %+v", requested)
	}
	return requested.IPReservation
}

func addressesBySDK(t *testing.T, r *rig) {
	ctx, ips := t.Context(), r.sdk.IPAddressesApi
	device := activeDevice(t, r.ours, r.project, order("sdk"))
	reservation := r.reserve(t, metalv1.IPReservationRequestInput{
		Type: "public_ipv4", Quantity: 4, Metro: ptr("da"), Tags: []string{"a"}, Details: ptr("for a test"),
		Customdata: map[string]any{"k": "v"},
	})
	if reservation.GetState() != "created" || reservation.GetCidr() != 30 || reservation.Metro.GetCode() != "da" || reservation.Facility != nil {
		t.Errorf("the reservation is %+v, want a /30 in da", reservation)
	}

	updated, _, err := ips.UpdateIPAddress(ctx, reservation.GetId()).IPAssignmentUpdateInput(metalv1.IPAssignmentUpdateInput{
		Tags: []string{"b", "c"}, Details: ptr("changed"), Customdata: map[string]any{"k": "w"},
	}).Include([]string{"project"}).Execute()
	if err != nil || updated.IPReservation == nil {
		t.Fatalf("updating: %+v, %v", updated, err)
	}
	if got := updated.IPReservation; !slices.Equal(got.Tags, []string{"b", "c"}) || got.GetDetails() != "changed" || got.Project.GetName() == "" {
		t.Errorf("after the update it is %+v", got)
	}

	available := func(cidr metalv1.FindIPAvailabilitiesCidrParameter) []string {
		t.Helper()
		list, _, err := ips.FindIPAvailabilities(ctx, reservation.GetId()).Cidr(cidr).Execute()
		if err != nil {
			t.Fatal(err)
		}
		return list.Available
	}
	if got := available("31"); len(got) != 2 || !strings.HasSuffix(got[0], "/31") {
		t.Errorf("the /31s in a new /30 are %v, want both", got)
	}
	assignment, _, err := r.sdk.DevicesApi.CreateIPAssignment(ctx, device.ID).IPAssignmentInput(metalv1.IPAssignmentInput{
		Address: reservation.GetNetwork(), Customdata: map[string]any{"of": "assignment"},
	}).Execute()
	if err != nil {
		t.Fatal(err)
	}
	if got := available("32"); len(got) != 3 || slices.Contains(got, reservation.GetNetwork()+"/32") {
		t.Errorf("the addresses left are %v, want the other three", got)
	}
	if got := available("31"); len(got) != 1 {
		t.Errorf("the /31s left are %v, want the one without the assigned address", got)
	}
	if _, _, err := ips.UpdateIPAddress(ctx, assignment.GetId()).IPAssignmentUpdateInput(metalv1.IPAssignmentUpdateInput{
		Customdata: map[string]any{"of": "it"},
	}).Execute(); err != nil {
		t.Errorf("updating an assignment's custom data: %v", err)
	}
	for what, call := range map[string]func() (*http.Response, error){
		"of a reservation":               ips.FindIPAddressCustomdata(ctx, reservation.GetId()).Execute,
		"of an assignment":               ips.FindIPAddressCustomdata(ctx, assignment.GetId()).Execute,
		"of a reservation of a project":  r.sdk.ProjectsApi.FindIPReservationCustomdata(ctx, r.project, reservation.GetId()).Execute,
		"of an assignment of a device":   r.sdk.DevicesApi.FindIPAssignmentCustomdata(ctx, device.ID, assignment.GetId()).Execute,
		"of an address of its own, none": r.sdk.DevicesApi.FindIPAssignmentCustomdata(ctx, device.ID, device.IPAddresses[0].ID).Execute,
	} {
		if _, err := call(); err != nil {
			t.Errorf("custom data %s: %v", what, err)
		}
	}

	list, _, err := ips.FindIPReservations(ctx, r.project).Types([]metalv1.FindIPReservationsTypesParameterInner{"public_ipv4"}).
		Include([]string{"assignments"}).Execute()
	if err != nil || len(list.IpAddresses) != 2 {
		t.Errorf("the public IPv4 blocks are %+v (%v), want the device's and the reserved", list, err)
	}
	if found, _, err := ips.FindIPAddressById(ctx, assignment.GetId()).Include([]string{"assigned_to"}).Execute(); err != nil || found.IPAssignment == nil {
		t.Errorf("the assignment is %+v, %v", found, err)
	}
	if _, _, err := r.sdk.DevicesApi.FindIPAssignments(ctx, device.ID).Include([]string{"parent_block"}).Execute(); err != nil {
		t.Error(err)
	}
	for _, id := range []string{assignment.GetId(), reservation.GetId()} {
		if _, err := ips.DeleteIPAddress(ctx, id).Execute(); err != nil {
			t.Errorf("deleting %s: %v", id, err)
		}
		answer, err := ips.DeleteIPAddress(ctx, id).Execute()
		sdkRefused(t, "deleting it again", answer, err, 404)
	}
}

func addressesByPackngo(t *testing.T, r *rig) {
	device := activeDevice(t, r.ours, r.project, order("packngo"))
	reservation, _, err := r.packngo.ProjectIPs.Create(r.project, &packngo.IPReservationCreateRequest{
		Type: packngo.PublicIPv4, Quantity: 2, Metro: ptr("da"), Tags: []string{"a"}, CustomData: map[string]any{"k": "v"},
		FailOnApprovalRequired: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if reservation.State != packngo.IPReservationStateCreated || reservation.CIDR != 31 || reservation.Metro.Code != "da" {
		t.Errorf("the reservation is %+v, want a /31 in da", reservation)
	}
	updated, _, err := r.packngo.ProjectIPs.Update(reservation.ID, &packngo.IPAddressUpdateRequest{Tags: &[]string{"b"}, Description: ptr("d")}, nil)
	if err != nil || !slices.Equal(updated.Tags, []string{"b"}) || *updated.Description != "d" {
		t.Errorf("after the update it is %+v (%v)", updated, err)
	}
	available, _, err := r.packngo.ProjectIPs.AvailableAddresses(reservation.ID, &packngo.AvailableRequest{CIDR: 32})
	if err != nil || len(available) != 2 {
		t.Errorf("available are %v (%v), want both addresses", available, err)
	}
	assignment, _, err := r.packngo.DeviceIPs.Assign(device.ID, &packngo.AddressStruct{Address: available[1]})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.packngo.DeviceIPs.Get(assignment.ID, nil); err != nil {
		t.Error(err)
	}
	if list, _, err := r.packngo.DeviceIPs.List(device.ID, nil); err != nil || len(list) != 4 {
		t.Errorf("the device has %+v (%v), want four addresses", list, err)
	}
	if list, _, err := r.packngo.ProjectIPs.List(r.project, (&packngo.ListOptions{}).Filter("types", "private_ipv4")); err != nil || len(list) != 1 {
		t.Errorf("the private blocks are %+v (%v), want the project's /25", list, err)
	}
	if _, _, err := r.packngo.ProjectIPs.Get(reservation.ID, nil); err != nil {
		t.Error(err)
	}
	answer, err := r.packngo.DeviceIPs.Unassign(uuid.NewString())
	packngoRefused(t, "unassigning what is not", answer, err, 404)
	if _, err := r.packngo.DeviceIPs.Unassign(assignment.ID); err != nil {
		t.Error(err)
	}
	if _, err := r.packngo.ProjectIPs.Delete(reservation.ID); err != nil {
		t.Error(err)
	}
}

func everyTypeOfAddresses(t *testing.T, r *rig) {
	device := activeDevice(t, r.ours, r.project, order("types"))
	for kind, want := range map[string]struct {
		quantity, cidr, family int32
		public, global         bool
	}{
		"public_ipv4":  {8, 29, 4, true, false},
		"global_ipv4":  {1, 32, 4, true, true},
		"private_ipv4": {16, 28, 4, false, false},
		"public_ipv6":  {1, 128, 6, true, false},
	} {
		input := metalv1.IPReservationRequestInput{Type: kind, Quantity: want.quantity}
		if !want.global {
			input.Metro = ptr("da")
		}
		reservation := r.reserve(t, input)
		if string(reservation.GetType()) != kind || reservation.GetCidr() != want.cidr || reservation.GetAddressFamily() != want.family ||
			reservation.GetPublic() != want.public || reservation.GetGlobalIp() != want.global || (reservation.Metro == nil) != want.global {
			t.Errorf("%s: the reservation is %+v", kind, reservation)
		}
		assignment, _, err := r.sdk.DevicesApi.CreateIPAssignment(t.Context(), device.ID).
			IPAssignmentInput(metalv1.IPAssignmentInput{Address: reservation.GetAddress()}).Execute()
		if err != nil {
			t.Errorf("%s: assigning %s: %v", kind, reservation.GetAddress(), err)
			continue
		}
		if assignment.GetPublic() != want.public || assignment.GetGlobalIp() != want.global || assignment.GetManagement() || assignment.Metro.GetCode() != "da" {
			t.Errorf("%s: the assignment is %+v", kind, assignment)
		}
	}

	// What is over the quota has no addresses, and is a reservation all the same.
	r.reserve(t, metalv1.IPReservationRequestInput{Type: "public_ipv4", Quantity: 128, Metro: ptr("da")})
	pending := r.reserve(t, metalv1.IPReservationRequestInput{Type: "public_ipv4", Quantity: 256, Metro: ptr("da")})
	if pending.GetState() != "pending" || pending.Address != nil || pending.Cidr != nil {
		t.Errorf("over the quota the reservation is %+v, want it pending", pending)
	}
	if found, _, err := r.sdk.IPAddressesApi.FindIPAddressById(t.Context(), pending.GetId()).Execute(); err != nil || found.IPReservation == nil {
		t.Errorf("what is pending is %+v, %v", found, err)
	}

	// Of the project's /56 whole subnets are assigned, as Terraform's users do.
	var six *packet.IPReservation
	reservations, err := r.ours.IPReservations(t.Context(), r.project)
	if err != nil {
		t.Fatal(err)
	}
	for i := range reservations {
		if reservations[i].Management && reservations[i].AddressFamily == 6 {
			six = &reservations[i]
		}
	}
	block := netip.MustParsePrefix(six.Network + "/56")
	raw := block.Addr().As16()
	raw[7] = 2
	subnet := netip.PrefixFrom(netip.AddrFrom16(raw), 64)
	assignment, _, err := r.sdk.DevicesApi.CreateIPAssignment(t.Context(), device.ID).
		IPAssignmentInput(metalv1.IPAssignmentInput{Address: subnet.String()}).Execute()
	if err != nil || assignment.GetCidr() != 64 || assignment.GetManagement() {
		t.Errorf("a /64 of the project's /56: %+v, %v", assignment, err)
	}
	free, err := r.ours.AvailableSubnets(t.Context(), six.ID, 64)
	if err != nil || len(free) != 254 || slices.Contains(free, subnet.String()) {
		t.Errorf("%d /64s are free (%v), want 256 without the devices' and the assigned", len(free), err)
	}
}

func addressesAreRefused(t *testing.T, r *rig) {
	ctx, ips := t.Context(), r.sdk.IPAddressesApi
	device := activeDevice(t, r.ours, r.project, order("refused"))
	_, answer, err := ips.RequestIPReservation(ctx, r.project).RequestIPReservationRequest(
		metalv1.IPReservationRequestInputAsRequestIPReservationRequest(&metalv1.IPReservationRequestInput{Type: "odd", Quantity: 3})).Execute()
	sdkRefused(t, "reserving nonsense", answer, err, 422)
	_, answer, err = r.sdk.DevicesApi.CreateIPAssignment(ctx, device.ID).IPAssignmentInput(metalv1.IPAssignmentInput{Address: "nine"}).Execute()
	sdkRefused(t, "assigning nonsense", answer, err, 422)
	_, answer, err = ips.FindIPAvailabilities(ctx, uuid.NewString()).Cidr("32").Execute()
	sdkRefused(t, "what is free in nothing", answer, err, 404)
	_, answer, err = ips.UpdateIPAddress(ctx, uuid.NewString()).IPAssignmentUpdateInput(metalv1.IPAssignmentUpdateInput{Details: ptr("x")}).Execute()
	sdkRefused(t, "updating nothing", answer, err, 404)
	own := device.IPAddresses[0]
	_, answer, err = ips.UpdateIPAddress(ctx, own.ID).IPAssignmentUpdateInput(metalv1.IPAssignmentUpdateInput{Tags: []string{"x"}}).Execute()
	sdkRefused(t, "tags of an assignment", answer, err, 422)
	answer, err = ips.DeleteIPAddress(ctx, own.ID).Execute()
	sdkRefused(t, "taking a device's own address", answer, err, 422)
	// IDs that exist, in a place where they do not belong.
	answer, err = r.sdk.ProjectsApi.FindIPReservationCustomdata(ctx, r.project, own.ID).Execute()
	sdkRefused(t, "an assignment as a reservation", answer, err, 404)
	answer, err = r.sdk.DevicesApi.FindIPAssignmentCustomdata(ctx, device.ID, own.ParentBlock.Href[len("/metal/v1/ips/"):]).Execute()
	sdkRefused(t, "a reservation as an assignment", answer, err, 404)
	_, answer, err = ips.FindIPAvailabilities(ctx, own.ID).Cidr("32").Execute()
	sdkRefused(t, "what is free in an assignment", answer, err, 404)
}
