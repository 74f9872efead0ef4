package apiserver_test

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	metalv1 "github.com/equinix/equinix-sdk-go/services/metalv1"
	"github.com/google/uuid"
	"github.com/packethost/packngo"
)

func usageScenarios() map[string]scenario {
	return map[string]scenario{"usages": usageScenario}
}

func usageScenario(t *testing.T, r *rig) {
	ctx := t.Context()
	device := activeDevice(t, r.ours, r.project, order("used"))
	usages, _, err := r.sdk.UsagesApi.FindDeviceUsages(ctx, device.ID).Execute()
	expect(t, "usages of the device", err)
	if len(usages.Usages) != 1 || usages.Usages[0].GetQuantity() != "1" || usages.Usages[0].GetTotal() != "0.75" {
		t.Errorf("the device's usages are %+v, want one begun hour for 0.75", usages.Usages)
	}
	usages, _, err = r.sdk.UsagesApi.FindDeviceUsages(ctx, device.ID).CreatedBefore("2020-01-01T00:00:00Z").Execute()
	expect(t, "usages before it was", err)
	if len(usages.Usages) != 0 {
		t.Errorf("the device's usages before it was are %+v, want none", usages.Usages)
	}
	ofProject, _, err := r.sdk.UsagesApi.FindProjectUsage(ctx, r.project).Execute()
	expect(t, "usages of the project", err)
	if len(ofProject.Usages) != 1 || ofProject.Usages[0].GetName() != "used" || ofProject.Usages[0].GetPlan() != "c3.small.x86" {
		t.Errorf("the project's usages are %+v, want the device", ofProject.Usages)
	}
	now := time.Now()
	unix := func(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }
	_, err = r.sdk.DevicesApi.FindInstanceBandwidth(ctx, device.ID).From(unix(now.Add(-time.Hour))).Until(unix(now)).Execute()
	expect(t, "bandwidth", err)
	_, err = r.sdk.DevicesApi.FindTraffic(ctx, device.ID).Direction(metalv1.FINDTRAFFICDIRECTIONPARAMETER_INBOUND).Execute()
	expect(t, "traffic", err)
	answer, _ := r.sdk.DevicesApi.FindInstanceBandwidth(ctx, device.ID).From("soon").Until("later").Execute()
	expectStatus(t, "bandwidth of no time", answer, http.StatusUnprocessableEntity)
	answer, _ = r.sdk.DevicesApi.FindTraffic(ctx, uuid.NewString()).Direction(metalv1.FINDTRAFFICDIRECTIONPARAMETER_INBOUND).Execute()
	expectStatus(t, "traffic of an unknown device", answer, http.StatusNotFound)
	_, _, err = r.sdk.OperatingSystemsApi.FindOperatingSystemVersion(ctx).Execute()
	expect(t, "versions of operating systems", err)

	bandwidth, _, err := r.packngo.Devices.GetBandwidth(device.ID, &packngo.BandwidthOpts{
		From: &packngo.Timestamp{Time: now.Add(-time.Hour)}, Until: &packngo.Timestamp{Time: now},
	})
	expect(t, "bandwidth", err)
	if points := len(bandwidth.Outbound.Datapoints); points < 12 || points > 13 {
		t.Errorf("an hour has %d datapoints, want one for every five minutes", points)
	}
}
