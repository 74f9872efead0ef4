package apiserver_test

import (
	"net/http"
	"testing"

	metalv1 "github.com/equinix/equinix-sdk-go/services/metalv1"
	"github.com/packethost/packngo"

	"github.com/packetyard/packetyard/pkg/packet"
)

func deviceScenarios() map[string]scenario {
	return map[string]scenario{
		"devices":         deviceScenario,
		"devices, old":    oldDeviceScenario,
		"device details":  deviceDetailScenario,
		"device batches":  batchScenario,
		"device refusals": deviceRefusalScenario,
	}
}

// sdkOrder is what the SDK asks for in these scenarios.
func sdkOrder(hostname string) metalv1.CreateDeviceRequest {
	input := metalv1.NewDeviceCreateInMetroInput("da", "ubuntu_24_04", "c3.small.x86")
	input.SetHostname(hostname)
	return metalv1.DeviceCreateInMetroInputAsCreateDeviceRequest(input)
}

func deviceScenario(t *testing.T, r *rig) {
	ctx := t.Context()
	device, _, err := r.sdk.DevicesApi.CreateDevice(ctx, r.project).CreateDeviceRequest(sdkOrder("sdk")).
		Include([]string{"project", "plan"}).Exclude([]string{"facility"}).Execute()
	if err != nil {
		t.Fatal(err)
	}
	id := device.GetId()
	if device.GetHostname() != "sdk" || device.GetProject().Name == nil || device.Metro.GetCode() != "da" {
		t.Errorf("the device is %s in %v of %v", device.GetHostname(), device.Metro, device.Project)
	}
	waitForState(t, r.ours, id, packet.StateActive)
	shown, _, err := r.sdk.DevicesApi.FindDeviceById(ctx, id).Include([]string{"project", "ssh_keys", "hardware_reservation"}).Execute()
	if err != nil || shown.GetState() != metalv1.DEVICESTATE_ACTIVE || len(shown.GetProvisioningEvents()) != 10 || len(shown.GetNetworkPorts()) != 3 {
		t.Errorf("the device is %v, %v", shown, err)
	}
	list, _, err := r.sdk.DevicesApi.FindProjectDevices(ctx, r.project).Hostname("sdk").Type_("ondemand").Reserved(false).
		Categories([]metalv1.FindOrganizationDevicesCategoriesParameterInner{"compute", "storage"}).HasTerminationTime(false).Execute()
	if err != nil || len(list.GetDevices()) != 1 {
		t.Errorf("the list is %v, %v", list, err)
	}
	update := metalv1.NewDeviceUpdateInput()
	update.SetTags([]string{"x"})
	update.SetDescription("updated")
	if shown, _, err = r.sdk.DevicesApi.UpdateDevice(ctx, id).DeviceUpdateInput(*update).Execute(); err != nil ||
		shown.GetDescription() != "updated" || shown.GetTags()[0] != "x" {
		t.Errorf("the updated device is %v, %v", shown, err)
	}
	for _, action := range []struct {
		kind  metalv1.DeviceActionInputType
		state packet.DeviceState
	}{
		{metalv1.DEVICEACTIONINPUTTYPE_REBOOT, packet.StateActive},
		{metalv1.DEVICEACTIONINPUTTYPE_RESCUE, packet.StateActive},
		{metalv1.DEVICEACTIONINPUTTYPE_POWER_OFF, packet.StateInactive},
		{metalv1.DEVICEACTIONINPUTTYPE_POWER_ON, packet.StateActive},
		{metalv1.DEVICEACTIONINPUTTYPE_REINSTALL, packet.StateActive},
	} {
		if _, err := r.sdk.DevicesApi.PerformAction(ctx, id).DeviceActionInput(*metalv1.NewDeviceActionInput(action.kind)).Execute(); err != nil {
			t.Errorf("%s: %v", action.kind, err)
		}
		waitForState(t, r.ours, id, action.state)
	}
	if _, err := r.sdk.DevicesApi.DeleteDevice(ctx, id).ForceDelete(true).Execute(); err != nil {
		t.Error(err)
	}
	waitGone(t, r.ours, id)
}

func oldDeviceScenario(t *testing.T, r *rig) {
	device, _, err := r.packngo.Devices.Create(&packngo.DeviceCreateRequest{
		Hostname: "old", Plan: "c3.small.x86", Facility: []string{"any"}, OS: "ubuntu_24_04", BillingCycle: "hourly", ProjectID: r.project,
		IPAddresses: []packngo.IPAddressCreateRequest{{AddressFamily: 4, Public: false}},
		CustomData:  `{"a":1}`,
	})
	if err != nil {
		t.Fatal(err)
	}
	waitForState(t, r.ours, device.ID, packet.StateActive)
	if device, _, err = r.packngo.Devices.Get(device.ID, &packngo.GetOptions{Includes: []string{"project"}}); err != nil ||
		device.Project.Name == "" || len(device.Network) != 1 {
		t.Errorf("the device is %+v, %v", device, err)
	}
	if list, _, err := r.packngo.Devices.List(r.project, &packngo.ListOptions{Search: "old"}); err != nil || len(list) != 1 {
		t.Errorf("the list is %v, %v", list, err)
	}
	locked := true
	if device, _, err = r.packngo.Devices.Update(device.ID, &packngo.DeviceUpdateRequest{Locked: &locked}); err != nil || !device.Locked {
		t.Errorf("the locked device is %+v, %v", device, err)
	}
	if _, err := r.packngo.Devices.Unlock(device.ID); err != nil {
		t.Error(err)
	}
	for name, step := range map[string]struct {
		act   func(string) (*packngo.Response, error)
		state packet.DeviceState
	}{
		"reboot": {r.packngo.Devices.Reboot, packet.StateActive},
		"rescue": {r.packngo.Devices.Rescue, packet.StateActive},
	} {
		if _, err := step.act(device.ID); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		waitForState(t, r.ours, device.ID, step.state)
	}
	if _, err := r.packngo.Devices.PowerOff(device.ID); err != nil {
		t.Error(err)
	}
	waitForState(t, r.ours, device.ID, packet.StateInactive)
	if _, err := r.packngo.Devices.PowerOn(device.ID); err != nil {
		t.Error(err)
	}
	waitForState(t, r.ours, device.ID, packet.StateActive)
	if _, err := r.packngo.Devices.Reinstall(device.ID, &packngo.DeviceReinstallFields{OperatingSystem: "debian_12", DeprovisionFast: true}); err != nil {
		t.Error(err)
	}
	waitForState(t, r.ours, device.ID, packet.StateActive)
	if events, _, err := r.packngo.Devices.ListEvents(device.ID, nil); err != nil || len(events) == 0 {
		t.Errorf("the events are %v, %v", events, err)
	}
	if _, err := r.packngo.Devices.Delete(device.ID, false); err != nil {
		t.Error(err)
	}
	waitGone(t, r.ours, device.ID)
}

func deviceDetailScenario(t *testing.T, r *rig) {
	ctx := t.Context()
	create := order("details")
	create.Userdata = "#!/bin/sh\n"
	device := activeDevice(t, r.ours, r.project, create)
	if _, err := r.sdk.DevicesApi.FindDeviceCustomdata(ctx, device.ID).Execute(); err != nil {
		t.Error(err)
	}
	if userdata, _, err := r.sdk.DevicesApi.FindDeviceUserdataByID(ctx, device.ID).Execute(); err != nil || userdata.GetUserdata() != create.Userdata {
		t.Errorf("user data is %v, %v", userdata, err)
	}
	if metadata, _, err := r.sdk.DevicesApi.FindDeviceMetadataByID(ctx, device.ID).Execute(); err != nil ||
		metadata.GetHostname() != "details" || len(metadata.Network.GetAddresses()) != 3 {
		t.Errorf("metadata is %v, %v", metadata, err)
	}
	if keys, _, err := r.sdk.SSHKeysApi.FindDeviceSSHKeys(ctx, device.ID).SearchString("x").Execute(); err != nil {
		t.Errorf("SSH keys are %v, %v", keys, err)
	}
	if health, _, err := r.sdk.DevicesApi.GetDeviceHealthRollup(ctx, device.ID).Execute(); err != nil ||
		health.GetHealthRollup() != metalv1.DEVICEHEALTHROLLUPHEALTHROLLUP_OK {
		t.Errorf("health is %v, %v", health, err)
	}
	set, _, err := r.sdk.DevicesApi.GetDeviceFirmwareSets(ctx, device.ID).Execute()
	if err != nil || set.Record.GetUuid() == "" {
		t.Errorf("the firmware set is %v, %v", set, err)
	}
	if sets, _, err := r.sdk.FirmwareSetsApi.GetProjectFirmwareSets(ctx, r.project).PerPage(5).Execute(); err != nil || len(sets.GetRecords()) != 5 {
		t.Errorf("the project's firmware sets are %v, %v", sets, err)
	}
	if sets, _, err := r.sdk.FirmwareSetsApi.GetOrganizationFirmwareSets(ctx, organizationOf(t, r.server)).Execute(); err != nil || len(sets.GetRecords()) == 0 {
		t.Errorf("the organization's firmware sets are %v, %v", sets, err)
	}
}

func batchScenario(t *testing.T, r *rig) {
	ctx := t.Context()
	entry := metalv1.NewInstancesBatchCreateInputBatchesInner("da", "ubuntu_24_04", "c3.small.x86", nil)
	entry.SetHostname("sdk-{{index}}")
	entry.SetQuantity(2)
	input := metalv1.NewInstancesBatchCreateInput()
	input.SetBatches([]metalv1.InstancesBatchCreateInputBatchesInner{*entry})
	made, _, err := r.sdk.BatchesApi.CreateDeviceBatch(ctx, r.project).InstancesBatchCreateInput(*input).Execute()
	if err != nil {
		t.Fatal(err)
	}
	batch := made.GetBatches()[0]
	if batch.GetState() != packet.BatchCompleted || len(batch.GetDevices()) != 2 || batch.GetQuantity() != 2 {
		t.Errorf("the batch is %v", batch)
	}
	if _, _, err := r.sdk.BatchesApi.FindBatchById(ctx, batch.GetId()).Execute(); err != nil {
		t.Error(err)
	}
	if list, _, err := r.sdk.BatchesApi.FindBatchesByProject(ctx, r.project).Execute(); err != nil || len(list.GetBatches()) != 1 {
		t.Errorf("the batches are %v, %v", list, err)
	}
	entry.SetPlan("c9")
	input.SetBatches([]metalv1.InstancesBatchCreateInputBatchesInner{*entry})
	if _, _, err := r.sdk.BatchesApi.CreateDeviceBatch(ctx, r.project).InstancesBatchCreateInput(*input).Execute(); err == nil {
		t.Error("a batch of an unknown plan was made")
	}
	if _, err := r.sdk.BatchesApi.DeleteBatch(ctx, batch.GetId()).RemoveAssociatedInstances(true).Execute(); err != nil {
		t.Error(err)
	}

	old, _, err := r.packngo.Batches.Create(r.project, &packngo.BatchCreateRequest{Batches: []packngo.BatchCreateDevice{{
		DeviceCreateRequest: packngo.DeviceCreateRequest{
			Hostname: "old", Plan: "c3.small.x86", Facility: []string{"da11"}, OS: "ubuntu_24_04", BillingCycle: "hourly",
		},
		Quantity: 2,
	}}})
	if err != nil || len(old) != 1 || old[0].State != packet.BatchCompleted || old[0].Quantity != 2 {
		t.Fatalf("the batches are %+v, %v", old, err)
	}
	if batch, _, err := r.packngo.Batches.Get(old[0].ID, &packngo.GetOptions{Includes: []string{"devices"}}); err != nil ||
		len(batch.Devices) != 2 || batch.Devices[0].Hostname != "old" {
		t.Errorf("the batch is %+v, %v", batch, err)
	}
	if list, _, err := r.packngo.Batches.List(r.project, nil); err != nil || len(list) != 1 {
		t.Errorf("the batches are %v, %v", list, err)
	}
	if _, err := r.packngo.Batches.Delete(old[0].ID, true); err != nil {
		t.Error(err)
	}
}

// deviceRefusalScenario has the SDK send what is refused for its body.
func deviceRefusalScenario(t *testing.T, r *rig) {
	ctx := t.Context()
	device := activeDevice(t, r.ours, r.project, order("refusals"))
	wrong := metalv1.NewDeviceCreateInMetroInput("xx", "dos", "c9")
	_, answer, err := r.sdk.DevicesApi.CreateDevice(ctx, r.project).
		CreateDeviceRequest(metalv1.DeviceCreateInMetroInputAsCreateDeviceRequest(wrong)).Execute()
	if err == nil || answer.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("a device of nothing that exists: %v", err)
	}
	update := metalv1.NewDeviceUpdateInput()
	update.SetHostname("a_b")
	if _, answer, err = r.sdk.DevicesApi.UpdateDevice(ctx, device.ID).DeviceUpdateInput(*update).Execute(); err == nil || answer.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("a host name that is none: %v", err)
	}
	action := metalv1.NewDeviceActionInput(metalv1.DEVICEACTIONINPUTTYPE_POWER_ON)
	if answer, err = r.sdk.DevicesApi.PerformAction(ctx, device.ID).DeviceActionInput(*action).Execute(); err == nil || answer.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("switching on what is on: %v", err)
	}
}
