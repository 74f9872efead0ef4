package apiserver_test

import (
	"strings"
	"testing"

	metalv1 "github.com/equinix/equinix-sdk-go/services/metalv1"
	"github.com/google/uuid"
	"github.com/packethost/packngo"

	"github.com/packetyard/packetyard/pkg/packet"
)

func bgpScenarios() map[string]scenario {
	return map[string]scenario{
		"BGP by the SDK":  bgpBySDK,
		"BGP by packngo":  bgpByPackngo,
		"BGP is refused":  bgpIsRefused,
		"BGP of a global": globalBGP,
	}
}

func bgpBySDK(t *testing.T, r *rig) {
	ctx, bgp := t.Context(), r.sdk.BGPApi
	device := activeDevice(t, r.ours, r.project, order("sdk"))
	if config, _, err := bgp.FindBgpConfigByProject(ctx, r.project).Execute(); err != nil || config.GetId() != "" {
		t.Errorf("BGP that nobody asked for is %+v (%v), want one without an ID", config, err)
	}
	if _, err := bgp.RequestBgpConfig(ctx, r.project).BgpConfigRequestInput(
		*metalv1.NewBgpConfigRequestInput(65000, metalv1.BGPCONFIGREQUESTINPUTDEPLOYMENTTYPE_LOCAL)).Execute(); err != nil {
		t.Fatal(err)
	}
	config, _, err := bgp.FindBgpConfigByProject(ctx, r.project).Include([]string{"project"}).Execute()
	if err != nil || config.GetStatus() != metalv1.BGPCONFIGSTATUS_ENABLED || config.GetAsn() != 65000 || config.GetMaxPrefix() != 10 {
		t.Errorf("BGP is %+v (%v), want it enabled with AS 65000", config, err)
	}

	sessions := map[metalv1.BGPSessionInputAddressFamily]*metalv1.BgpSession{}
	for _, family := range []metalv1.BGPSessionInputAddressFamily{"ipv4", "ipv6"} {
		session, _, err := r.sdk.DevicesApi.CreateBgpSession(ctx, device.ID).BGPSessionInput(metalv1.BGPSessionInput{
			AddressFamily: &family, DefaultRoute: ptr(family == "ipv6"),
		}).Include([]string{"device"}).Execute()
		if err != nil {
			t.Fatal(err)
		}
		if session.GetStatus() != "unknown" || session.GetDefaultRoute() != (family == "ipv6") {
			t.Errorf("%s: the session is %+v", family, session)
		}
		sessions[family] = session
	}
	four := sessions["ipv4"].GetId()
	if _, err := bgp.UpdateBgpSession(ctx, four).Body(true).Execute(); err != nil {
		t.Error(err)
	}
	if session, _, err := bgp.FindBgpSessionById(ctx, four).Execute(); err != nil || !session.GetDefaultRoute() {
		t.Errorf("after the update the session is %+v (%v), want the default route", session, err)
	}
	if list, _, err := r.sdk.DevicesApi.FindBgpSessions(ctx, device.ID).Execute(); err != nil || len(list.BgpSessions) != 2 {
		t.Errorf("the device's sessions are %+v (%v), want both", list, err)
	}
	if list, _, err := bgp.FindProjectBgpSessions(ctx, r.project).Execute(); err != nil || len(list.BgpSessions) != 2 {
		t.Errorf("the project's sessions are %+v (%v), want both", list, err)
	}
	neighbors, _, err := r.sdk.DevicesApi.GetBgpNeighborData(ctx, device.ID).Execute()
	if err != nil || len(neighbors.BgpNeighbors) != 2 {
		t.Fatalf("the neighbours are %+v (%v), want one of each family", neighbors, err)
	}
	for _, neighbor := range neighbors.BgpNeighbors {
		want := map[int32]string{4: "0.0.0.0/0", 6: "::/0"}[neighbor.GetAddressFamily()]
		if len(neighbor.RoutesOut) != 1 || neighbor.RoutesOut[0].GetRoute() != want || len(neighbor.RoutesIn) == 0 || neighbor.GetCustomerIp() == "" {
			t.Errorf("the neighbour %+v does not announce %s, or takes no routes", neighbor, want)
		}
	}
	if list, _, err := bgp.FindGlobalBgpRanges(ctx, r.project).Execute(); err != nil || len(list.GlobalBgpRanges) != 0 {
		t.Errorf("the ranges of local BGP are %+v (%v), want none", list, err)
	}
	if _, err := bgp.DeleteBgpSession(ctx, four).Execute(); err != nil {
		t.Error(err)
	}
}

func bgpByPackngo(t *testing.T, r *rig) {
	device := activeDevice(t, r.ours, r.project, order("packngo"))
	if _, err := r.packngo.BGPConfig.Create(r.project, packngo.CreateBGPConfigRequest{
		DeploymentType: "local", Asn: 65000, Md5: "C0ntrol4Plane",
	}); err != nil {
		t.Fatal(err)
	}
	if config, _, err := r.packngo.BGPConfig.Get(r.project, nil); err != nil || config.Md5 != "C0ntrol4Plane" || config.Status != "enabled" {
		t.Errorf("BGP is %+v (%v)", config, err)
	}
	session, _, err := r.packngo.BGPSessions.Create(device.ID, packngo.CreateBGPSessionRequest{AddressFamily: "ipv4"})
	if err != nil {
		t.Fatal(err)
	}
	_, answer, err := r.packngo.BGPSessions.Create(device.ID, packngo.CreateBGPSessionRequest{AddressFamily: "ipv4"})
	packngoRefused(t, "a second session", answer, err, 422)
	updated, _, err := r.packngo.BGPSessions.Update(session.ID, packngo.UpdateBGPSessionRequest{DefaultRoute: true})
	if err != nil || updated.ID != session.ID || !*updated.DefaultRoute {
		t.Errorf("after the update the session is %+v (%v), want the default route", updated, err)
	}
	if list, _, err := r.packngo.Devices.ListBGPSessions(device.ID, nil); err != nil || len(list) != 1 {
		t.Errorf("the device's sessions are %+v (%v)", list, err)
	}
	if list, _, err := r.packngo.Projects.ListBGPSessions(r.project, nil); err != nil || len(list) != 1 {
		t.Errorf("the project's sessions are %+v (%v)", list, err)
	}
	neighbors, _, err := r.packngo.Devices.ListBGPNeighbors(device.ID, nil)
	if err != nil || len(neighbors) != 1 || neighbors[0].Md5Password != "C0ntrol4Plane" || !neighbors[0].Multihop {
		t.Errorf("the neighbours are %+v (%v)", neighbors, err)
	}
	if _, _, err := r.packngo.BGPSessions.Get(session.ID, nil); err != nil {
		t.Error(err)
	}
	if _, err := r.packngo.BGPSessions.Delete(session.ID); err != nil {
		t.Error(err)
	}
	_, answer, err = r.packngo.BGPSessions.Get(session.ID, nil)
	packngoRefused(t, "a session that is gone", answer, err, 404)
}

func bgpIsRefused(t *testing.T, r *rig) {
	ctx, bgp := t.Context(), r.sdk.BGPApi
	create := order("refused")
	create.IPAddresses = []packet.IPAddressCreate{{AddressFamily: 4}}
	device := activeDevice(t, r.ours, r.project, create)
	_, answer, err := r.sdk.DevicesApi.CreateBgpSession(ctx, device.ID).
		BGPSessionInput(metalv1.BGPSessionInput{AddressFamily: ptr(metalv1.BGPSessionInputAddressFamily("ipv4"))}).Execute()
	sdkRefused(t, "a session before BGP is enabled", answer, err, 422)
	answer, err = bgp.RequestBgpConfig(ctx, r.project).BgpConfigRequestInput(metalv1.BgpConfigRequestInput{DeploymentType: "local", Asn: -1}).Execute()
	sdkRefused(t, "a wrong AS", answer, err, 422)
	if err := r.ours.RequestBGPConfig(ctx, r.project, packet.BGPConfigRequest{DeploymentType: packet.BGPLocal, ASN: 65000}); err != nil {
		t.Fatal(err)
	}
	answer, err = bgp.RequestBgpConfig(ctx, r.project).BgpConfigRequestInput(metalv1.BgpConfigRequestInput{DeploymentType: "local", Asn: 65001}).Execute()
	sdkRefused(t, "another config", answer, err, 422)
	_, answer, err = r.sdk.DevicesApi.CreateBgpSession(ctx, device.ID).
		BGPSessionInput(metalv1.BGPSessionInput{AddressFamily: ptr(metalv1.BGPSessionInputAddressFamily("ipv6"))}).Execute()
	sdkRefused(t, "an IPv6 session of a device without IPv6", answer, err, 422)
	answer, err = bgp.UpdateBgpSession(ctx, uuid.NewString()).Body(true).Execute()
	sdkRefused(t, "updating nothing", answer, err, 404)
}

// globalBGP asks for BGP with a number of the project's own, which takes a
// review that is over at once where no time passes.
func globalBGP(t *testing.T, r *rig) {
	if err := r.ours.RequestBGPConfig(t.Context(), r.project, packet.BGPConfigRequest{
		DeploymentType: packet.BGPGlobal, ASN: 64496, UseCase: "a test",
	}); err != nil {
		t.Fatal(err)
	}
	config, _, err := r.sdk.BGPApi.FindBgpConfigByProject(t.Context(), r.project).Execute()
	if err != nil || config.GetDeploymentType() != metalv1.BGPCONFIGDEPLOYMENTTYPE_GLOBAL || config.GetAsn() != 64496 {
		t.Errorf("BGP is %+v (%v), want it global with AS 64496", config, err)
	}
	if href := config.Project.GetHref(); !strings.HasSuffix(href, r.project) {
		t.Errorf("it is of %q, want the project", href)
	}
}
