package apiserver_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	metalv1 "github.com/equinix/equinix-sdk-go/services/metalv1"
	"github.com/packethost/packngo"
)

func spotScenarios() map[string]scenario {
	return map[string]scenario{"spot prices": spotPriceScenario, "spot market requests": spotRequestScenario}
}

func spotPriceScenario(t *testing.T, r *rig) {
	ctx := t.Context()
	_, _, err := r.sdk.SpotMarketApi.FindSpotMarketPrices(ctx).Facility("da11").Plan("c3.small.x86").Execute()
	expect(t, "prices", err)
	_, answer, _ := r.sdk.SpotMarketApi.FindSpotMarketPrices(ctx).Plan("c9").Execute()
	expectStatus(t, "prices of an unknown plan", answer, http.StatusUnprocessableEntity)
	_, _, err = r.sdk.SpotMarketApi.FindMetroSpotMarketPrices(ctx).Execute()
	expect(t, "prices in metros", err)
	_, answer, _ = r.sdk.SpotMarketApi.FindMetroSpotMarketPrices(ctx).Metro("xx").Execute()
	expectStatus(t, "prices in an unknown metro", answer, http.StatusUnprocessableEntity)
	until := time.Now()
	from := until.Add(-24 * time.Hour)
	history, _, err := r.sdk.SpotMarketApi.FindSpotMarketPricesHistory(ctx).Facility("da11").Plan("c3.small.x86").
		From(strconv.FormatInt(from.Unix(), 10)).Until(until.Format(time.RFC3339)).Execute()
	expect(t, "history", err)
	if points := len(history.PricesHistory.Datapoints); points < 24 || points > 25 {
		t.Errorf("a day has %d prices, want one for every hour", points)
	}
	_, answer, _ = r.sdk.SpotMarketApi.FindSpotMarketPricesHistory(ctx).Facility("da11").Plan("c3.small.x86").From("soon").Until("later").Execute()
	expectStatus(t, "history of no time", answer, http.StatusUnprocessableEntity)

	prices, _, err := r.packngo.SpotMarket.PricesByFacility()
	expect(t, "prices", err)
	inMetros, _, err := r.packngo.SpotMarket.PricesByMetro()
	expect(t, "prices in metros", err)
	if price := prices["da11"]["c3.small.x86"]; price <= 0 || inMetros["da"]["c3.small.x86"] <= 0 {
		t.Errorf("prices are %v, in metros %v", prices, inMetros)
	}
}

func spotRequestScenario(t *testing.T, r *rig) {
	ctx := t.Context()
	parameters := metalv1.SpotMarketRequestCreateInputInstanceParameters{
		Plan: metalv1.PtrString("c3.small.x86"), OperatingSystem: metalv1.PtrString("ubuntu_24_04"), Hostname: metalv1.PtrString("spot-{{index}}"),
	}
	input := metalv1.SpotMarketRequestCreateInput{
		DevicesMin: metalv1.PtrInt32(1), DevicesMax: metalv1.PtrInt32(2), MaxBidPrice: metalv1.PtrFloat32(10),
		Metro: metalv1.PtrString("da"), InstanceParameters: &parameters,
	}
	made, _, err := r.sdk.SpotMarketApi.CreateSpotMarketRequest(ctx, r.project).SpotMarketRequestCreateInput(input).Execute()
	expect(t, "create", err)
	if made.GetDevicesMax() != 2 || made.Metro.GetCode() != "da" {
		t.Errorf("made %+v, want two devices at most, in da", made)
	}
	_, answer, _ := r.sdk.SpotMarketApi.CreateSpotMarketRequest(ctx, r.project).
		SpotMarketRequestCreateInput(metalv1.SpotMarketRequestCreateInput{}).Execute()
	expectStatus(t, "create of nothing", answer, http.StatusUnprocessableEntity)
	list, _, err := r.sdk.SpotMarketApi.ListSpotMarketRequests(ctx, r.project).Execute()
	expect(t, "list", err)
	if len(list.SpotMarketRequests) != 1 || list.SpotMarketRequests[0].GetId() != made.GetId() {
		t.Errorf("requests are %+v, want the one that was made", list.SpotMarketRequests)
	}
	_, _, err = r.sdk.SpotMarketApi.FindSpotMarketRequestById(ctx, made.GetId()).Include([]string{"project"}).Execute()
	expect(t, "get", err)

	old, _, err := r.packngo.SpotMarketRequests.Get(made.GetId(), (&packngo.GetOptions{}).Including("devices"))
	expect(t, "get", err)
	if len(old.Devices) != 2 || old.Devices[0].Hostname != "spot-01" || old.Devices[1].Hostname != "spot-02" || !old.Devices[0].SpotInstance {
		t.Errorf("the request has the devices %+v, want two on the spot market, with their names", old.Devices)
	}
	_, err = r.sdk.SpotMarketApi.DeleteSpotMarketRequest(ctx, made.GetId()).ForceTermination(true).Execute()
	expect(t, "delete", err)
	for _, device := range old.Devices {
		waitGone(t, r.ours, device.ID)
	}

	low, _, err := r.packngo.SpotMarketRequests.Create(&packngo.SpotMarketRequestCreateRequest{
		DevicesMin: 1, DevicesMax: 1, MaxBidPrice: 0.01, FacilityIDs: []string{"da11"},
		Parameters: packngo.SpotMarketRequestInstanceParameters{Plan: "a3.large.x86", OperatingSystem: "ubuntu_24_04", Hostname: "low"},
	}, r.project)
	expect(t, "create", err)
	if len(low.Devices) != 0 || !strings.HasSuffix(low.Project.URL, r.project) {
		t.Errorf("a bid of a cent made the devices %+v, in %s, want none, in the project", low.Devices, low.Project.URL)
	}
	requests, _, err := r.packngo.SpotMarketRequests.List(r.project, nil)
	expect(t, "list", err)
	if len(requests) != 1 {
		t.Errorf("packngo lists %d requests, want one", len(requests))
	}
	_, err = r.packngo.SpotMarketRequests.Delete(low.ID, true)
	expect(t, "delete", err)
}
