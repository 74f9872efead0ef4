package elasticips_test

import (
	"context"
	"testing"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/capi/elasticips"
	"github.com/packetyard/packetyard/pkg/packet"
)

func TestReserveFindsBeforeItReserves(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	api, ctx := server.Client(t), t.Context()
	ours, theirs := elasticips.Owner{Namespace: "a", Cluster: "demo"}, elasticips.Owner{Namespace: "b", Cluster: "demo"}

	first, created, err := elasticips.Reserve(ctx, api, server.ProjectID, ours, "da", "")
	if err != nil || !created {
		t.Fatalf("reserving: %v, created %v", err, created)
	}
	again, created, err := elasticips.Reserve(ctx, api, server.ProjectID, ours, "da", "")
	if err != nil || created || again.ID != first.ID {
		t.Errorf("reserving again: %v, created %v, %s instead of %s", err, created, again.ID, first.ID)
	}
	other, created, err := elasticips.Reserve(ctx, api, server.ProjectID, theirs, "da", "")
	if err != nil || !created || other.Address == first.Address {
		t.Errorf("reserving for the same name in another namespace: %v, created %v", err, created)
	}
	// A device's own addresses are reservations too.
	if _, err := api.CreateDevice(ctx, server.ProjectID, packet.DeviceCreate{
		Plan: "c3.small.x86", OperatingSystem: "ubuntu_24_04", Metro: "da", Tags: packet.ClusterTags("a", "demo"),
	}); err != nil {
		t.Fatal(err)
	}
	if found, err := elasticips.Find(ctx, api, server.ProjectID, ours); err != nil || len(found) != 1 || found[0].ID != first.ID {
		t.Errorf("found %d, %v, want the one that was reserved", len(found), err)
	}

	if remaining, err := elasticips.Release(ctx, api, server.ProjectID, ours, ""); err != nil || len(remaining) != 1 {
		t.Errorf("releasing: %v, %v", remaining, err)
	}
	if remaining, err := elasticips.Release(ctx, api, server.ProjectID, ours, ""); err != nil || len(remaining) != 0 {
		t.Errorf("releasing again: %v, %v", remaining, err)
	}
	if found, err := elasticips.Find(ctx, api, server.ProjectID, theirs); err != nil || len(found) != 1 {
		t.Errorf("the other cluster has %d elastic IPs, %v", len(found), err)
	}
}

func TestReserveDoesNotWaitForApproval(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	_, _, err := elasticips.Reserve(t.Context(), server.Client(t), server.ProjectID, elasticips.Owner{Namespace: "a", Cluster: "demo"}, "nowhere", "")
	if !packet.IsUnprocessable(err) {
		t.Errorf("reserving in an unknown metro: %v, want the API's refusal", err)
	}
}

// The address was never given back when the project of the credentials had changed meanwhile: the list of another project's
// reservations was taken for a proof that there was none.
func TestReleaseFindsTheElasticIPInAnotherProject(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	api, ctx := server.Client(t), t.Context()
	ours := elasticips.Owner{Namespace: "a", Cluster: "demo"}
	reservation, _, err := elasticips.Reserve(ctx, api, server.ProjectID, ours, "da", "")
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := emptyProject{api}
	// What is recorded is not released for another cluster.
	theirs := elasticips.Owner{Namespace: "b", Cluster: "demo"}
	if remaining, err := elasticips.Release(ctx, elsewhere, server.ProjectID, theirs, reservation.ID); err != nil || len(remaining) != 0 {
		t.Errorf("releasing for another cluster: %v, %v", remaining, err)
	}
	if remaining, err := elasticips.Release(ctx, elsewhere, server.ProjectID, ours, reservation.ID); err != nil || len(remaining) != 1 {
		t.Errorf("releasing: %v, %v, want the one that is recorded", remaining, err)
	}
	if remaining, err := elasticips.Release(ctx, elsewhere, server.ProjectID, ours, reservation.ID); err != nil || len(remaining) != 0 {
		t.Errorf("releasing again: %v, %v", remaining, err)
	}
	if found, err := elasticips.Find(ctx, api, server.ProjectID, ours); err != nil || len(found) != 0 {
		t.Errorf("%d elastic IPs are left, %v", len(found), err)
	}
}

// emptyProject is an API whose credentials name a project without reservations.
type emptyProject struct{ *packet.Client }

func (emptyProject) IPReservations(context.Context, string, ...packet.QueryOption) ([]packet.IPReservation, error) {
	return nil, nil
}
