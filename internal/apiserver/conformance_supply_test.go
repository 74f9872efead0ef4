package apiserver_test

import (
	"testing"

	metalv1 "github.com/equinix/equinix-sdk-go/services/metalv1"
	"github.com/google/uuid"
	"github.com/packethost/packngo"

	"github.com/packetyard/packetyard/internal/apiserver"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

func supplyScenarios() map[string]scenario {
	return map[string]scenario{
		"capacity":              capacityScenario,
		"hardware reservations": hardwareReservationScenario,
	}
}

func capacityScenario(t *testing.T, r *rig) {
	ctx := t.Context()
	if err := r.server.SetCapacity(ctx, apiserver.Capacity{Plan: "c3.small.x86", Servers: 3}); err != nil {
		t.Fatal(err)
	}
	organization := organizationOf(t, r.server)
	for name, list := range map[string]func() (*metalv1.CapacityList, error){
		"da": func() (*metalv1.CapacityList, error) {
			list, _, err := r.sdk.CapacityApi.FindCapacityForMetro(ctx).Execute()
			return list, err
		},
		"da11": func() (*metalv1.CapacityList, error) {
			list, _, err := r.sdk.CapacityApi.FindCapacityForFacility(ctx).Execute()
			return list, err
		},
		"sv": func() (*metalv1.CapacityList, error) {
			list, _, err := r.sdk.CapacityApi.FindOrganizationCapacityPerMetro(ctx, organization).Execute()
			return list, err
		},
		"sv15": func() (*metalv1.CapacityList, error) {
			list, _, err := r.sdk.CapacityApi.FindOrganizationCapacityPerFacility(ctx, organization).Execute()
			return list, err
		},
	} {
		report, err := list()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		plans := report.GetCapacity()[name]
		small, medium := plans["c3.small.x86"], plans["c3.medium.x86"]
		if small.GetLevel() != packet.CapacityCritical || medium.GetLevel() != packet.CapacityNormal {
			t.Errorf("%s has %v and %v", name, small, medium)
		}
	}
	ask := func(metro, facility, plan, quantity string) metalv1.CapacityInput {
		server := metalv1.NewServerInfo()
		if metro != "" {
			server.SetMetro(metro)
		}
		if facility != "" {
			server.SetFacility(facility)
		}
		server.SetPlan(plan)
		server.SetQuantity(quantity)
		input := metalv1.NewCapacityInput()
		input.SetServers([]metalv1.ServerInfo{*server})
		return *input
	}
	for quantity, available := range map[string]bool{"3": true, "4": false} {
		metros, _, err := r.sdk.CapacityApi.CheckCapacityForMetro(ctx).CapacityInput(ask("da", "", "c3.small.x86", quantity)).Execute()
		if err != nil || metros.GetServers()[0].GetAvailable() != available || metros.GetServers()[0].GetQuantity() != quantity {
			t.Errorf("%s in a metro: %v, %v", quantity, metros, err)
		}
		facilities, _, err := r.sdk.CapacityApi.CheckCapacityForFacility(ctx).CapacityInput(ask("", "da11", "c3.small.x86", quantity)).Execute()
		if err != nil || facilities.GetServers()[0].GetAvailable() != available {
			t.Errorf("%s in a facility: %v, %v", quantity, facilities, err)
		}
	}
	if _, _, err := r.sdk.CapacityApi.CheckCapacityForMetro(ctx).CapacityInput(ask("xx", "", "c9", "x")).Execute(); err == nil {
		t.Error("what does not exist was checked in a metro")
	}
	if _, _, err := r.sdk.CapacityApi.CheckCapacityForFacility(ctx).CapacityInput(ask("", "xx", "c9", "x")).Execute(); err == nil {
		t.Error("what does not exist was checked in a facility")
	}

	if report, _, err := r.packngo.CapacityService.ListMetros(); err != nil || (*report)["da"]["c3.small.x86"].Level != packet.CapacityCritical {
		t.Errorf("the metros have %v, %v", report, err)
	}
	if report, _, err := r.packngo.CapacityService.List(); err != nil || (*report)["da11"]["c3.small.x86"].Level != packet.CapacityCritical {
		t.Errorf("the facilities have %v, %v", report, err)
	}
	for quantity, available := range map[int]bool{3: true, 4: false} {
		metros, _, err := r.packngo.CapacityService.CheckMetros(&packngo.CapacityInput{Servers: []packngo.ServerInfo{{Metro: "da", Plan: "c3.small.x86", Quantity: quantity}}})
		if err != nil || metros.Servers[0].Available != available || metros.Servers[0].Quantity != quantity {
			t.Errorf("%d in a metro: %v, %v", quantity, metros, err)
		}
		facilities, _, err := r.packngo.CapacityService.Check(&packngo.CapacityInput{Servers: []packngo.ServerInfo{{Facility: "da11", Plan: "c3.small.x86", Quantity: quantity}}})
		if err != nil || facilities.Servers[0].Available != available {
			t.Errorf("%d in a facility: %v, %v", quantity, facilities, err)
		}
	}
}

func hardwareReservationScenario(t *testing.T, r *rig) {
	ctx := t.Context()
	ids := reserveHardware(t, r.server, small(func(v *apiserver.HardwareReservation) { v.Quantity = 2 }),
		small(func(v *apiserver.HardwareReservation) { v.Spare = true }))
	other := uuid.NewString()
	err := r.server.Change(ctx, func(tx *store.Tx) error {
		project, _ := tx.Projects.Get(r.project)
		copied := *project.Value
		copied.ID, copied.Name = other, "other"
		tx.Projects.Create(tx, &copied)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	input := metalv1.NewDeviceCreateInMetroInput("da", "ubuntu_24_04", "c3.small.x86")
	input.SetHardwareReservationId(ids[0])
	device, _, err := r.sdk.DevicesApi.CreateDevice(ctx, r.project).
		CreateDeviceRequest(metalv1.DeviceCreateInMetroInputAsCreateDeviceRequest(input)).Include([]string{"hardware_reservation"}).Execute()
	if err != nil || device.HardwareReservation.GetId() != ids[0] || device.HardwareReservation.GetProvisionable() {
		t.Errorf("the device is %v, %v", device, err)
	}
	shown, _, err := r.sdk.HardwareReservationsApi.FindHardwareReservationById(ctx, ids[0]).Include([]string{"device"}).Execute()
	if err != nil || shown.Device.GetId() != device.GetId() || shown.GetProvisionable() {
		t.Errorf("the reservation is %v, %v", shown, err)
	}
	list, _, err := r.sdk.HardwareReservationsApi.FindProjectHardwareReservations(ctx, r.project).
		State(metalv1.FINDPROJECTHARDWARERESERVATIONSSTATEPARAMETER_ACTIVE).
		Provisionable(metalv1.FINDPROJECTHARDWARERESERVATIONSPROVISIONABLEPARAMETER_ONLY).Execute()
	if err != nil || len(list.GetHardwareReservations()) != 1 {
		t.Errorf("the provisionable ones are %v, %v", list, err)
	}
	spare, _, err := r.sdk.HardwareReservationsApi.ActivateHardwareReservation(ctx, ids[2]).
		ActivateHardwareReservationRequest(*metalv1.NewActivateHardwareReservationRequest()).Execute()
	if err != nil || spare.GetSpare() {
		t.Errorf("the spare is %v, %v", spare, err)
	}
	if _, _, err := r.sdk.HardwareReservationsApi.ActivateHardwareReservation(ctx, ids[2]).Execute(); err == nil {
		t.Error("a spare was activated twice")
	}
	move := metalv1.NewMoveHardwareReservationRequest()
	move.SetProjectId(other)
	if moved, _, err := r.sdk.HardwareReservationsApi.MoveHardwareReservation(ctx, ids[2]).
		MoveHardwareReservationRequest(*move).Include([]string{"project"}).Execute(); err != nil || moved.Project.GetId() != other {
		t.Errorf("the moved one is %v, %v", moved, err)
	}
	if _, _, err := r.sdk.HardwareReservationsApi.MoveHardwareReservation(ctx, ids[0]).MoveHardwareReservationRequest(*move).Execute(); err == nil {
		t.Error("a reservation with a device was moved")
	}

	if list, _, err := r.packngo.HardwareReservations.List(r.project, nil); err != nil || len(list) != 2 {
		t.Errorf("the reservations are %v, %v", list, err)
	}
	if shown, _, err := r.packngo.HardwareReservations.Get(ids[1], &packngo.GetOptions{Includes: []string{"project"}}); err != nil ||
		!shown.Provisionable || shown.Plan.Slug != "c3.small.x86" || shown.Project.ID != r.project {
		t.Errorf("the reservation is %v, %v", shown, err)
	}
	if moved, _, err := r.packngo.HardwareReservations.Move(ids[1], other); err != nil || moved.ID != ids[1] {
		t.Errorf("the moved one is %v, %v", moved, err)
	}
}
