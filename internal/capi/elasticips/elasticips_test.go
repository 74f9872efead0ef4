package elasticips_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/capi/elasticips"
	"github.com/packetyard/packetyard/pkg/packet"
)

var (
	ours   = elasticips.Owner{Namespace: "a", Cluster: "demo"}
	theirs = elasticips.Owner{Namespace: "b", Cluster: "demo"}
	inDA   = elasticips.Wanted{Type: packet.IPTypePublicIPv4, Metro: "da"}
)

func project(api elasticips.API, id string) *elasticips.Project {
	return elasticips.NewProject(api, id, packet.SystemClock{})
}

func TestReserveFindsBeforeItReserves(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	api, ctx := server.Client(t), t.Context()
	project := project(api, server.ProjectID)

	first, created, err := project.Reserve(ctx, ours, inDA)
	if err != nil || !created {
		t.Fatalf("reserving: %v, created %v", err, created)
	}
	again, created, err := project.Reserve(ctx, ours, inDA)
	if err != nil || created || again.ID != first.ID {
		t.Errorf("reserving again: %v, created %v, %s instead of %s", err, created, again.ID, first.ID)
	}
	other, created, err := project.Reserve(ctx, theirs, inDA)
	if err != nil || !created || other.Address == first.Address {
		t.Errorf("reserving for the same name in another namespace: %v, created %v", err, created)
	}
	// A device's own addresses are reservations too.
	if _, err := api.CreateDevice(ctx, server.ProjectID, packet.DeviceCreate{
		Plan: "c3.small.x86", OperatingSystem: "ubuntu_24_04", Metro: "da", Tags: packet.ClusterTags("a", "demo"),
	}); err != nil {
		t.Fatal(err)
	}
	if found, err := project.Find(ctx, ours); err != nil || len(found) != 1 || found[0].ID != first.ID {
		t.Errorf("found %d, %v, want the one that was reserved", len(found), err)
	}

	if remaining, err := project.Release(ctx, ours, ""); err != nil || len(remaining) != 1 {
		t.Errorf("releasing: %v, %v", remaining, err)
	}
	if remaining, err := project.Release(ctx, ours, ""); err != nil || len(remaining) != 0 {
		t.Errorf("releasing again: %v, %v", remaining, err)
	}
	if found, err := project.Find(ctx, theirs); err != nil || len(found) != 1 {
		t.Errorf("the other cluster has %d elastic IPs, %v", len(found), err)
	}
}

// Defect 4 of the predecessor: it read the first page of addresses alone, and reserved a second one for every cluster whose
// address was on a later page.
func TestDefect4AddressesOnLaterPagesAreFound(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	api, ctx := server.Client(t), t.Context()
	// The API lists the newest first, or not: ours is among the first and the last.
	first, _, err := project(api, server.ProjectID).Reserve(ctx, ours, inDA)
	if err != nil {
		t.Fatal(err)
	}
	for range 120 {
		if _, err := api.CreateIPReservation(ctx, server.ProjectID, packet.IPReservationCreate{Type: packet.IPTypePublicIPv4, Quantity: 1, Metro: "da"}); err != nil {
			t.Fatal(err)
		}
	}
	last, _, err := project(api, server.ProjectID).Reserve(ctx, theirs, inDA)
	if err != nil {
		t.Fatal(err)
	}
	for owner, want := range map[elasticips.Owner]string{ours: first.ID, theirs: last.ID} {
		again, created, err := project(api, server.ProjectID).Reserve(ctx, owner, inDA)
		if err != nil || created || again.ID != want {
			t.Errorf("%v: created %v, %v, want the reservation it has", owner, created, err)
		}
	}
}

// Defect 5 of the predecessor: looking for an address that did not exist gave the last one of the project, of whoever that was.
func TestDefect5ForeignAddressIsNeverTaken(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	api, ctx := server.Client(t), t.Context()
	for n, tags := range [][]string{nil, {packet.TagPrefixCluster + "demo"}, {packet.TagPrefixNamespace + "a"}, packet.ClusterTags("b", "demo")} {
		if _, err := api.CreateIPReservation(ctx, server.ProjectID, packet.IPReservationCreate{
			Type: packet.IPTypePublicIPv4, Quantity: 1, Metro: "da", Tags: tags, Details: fmt.Sprint(n),
		}); err != nil {
			t.Fatal(err)
		}
	}
	project := project(api, server.ProjectID)
	if found, err := project.Find(ctx, ours); err != nil || len(found) != 0 {
		t.Errorf("found %v, %v, want none", found, err)
	}
	if remaining, err := project.Release(ctx, ours, ""); err != nil || len(remaining) != 0 {
		t.Errorf("released %v, %v, want none", remaining, err)
	}
}

// Defect 8 of the predecessor: the branch for a full project could not be reached.
func TestDefect8QuotaIsARefusalAndNothingIsPending(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	api, ctx := server.Client(t), t.Context()
	if _, err := api.CreateIPReservation(ctx, server.ProjectID, packet.IPReservationCreate{Type: packet.IPTypePublicIPv4, Quantity: 256, Metro: "da"}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := project(api, server.ProjectID).Reserve(ctx, ours, inDA); !packet.IsUnprocessable(err) || !strings.Contains(err.Error(), "quota") {
		t.Errorf("reserving over the quota: %v, want the API's refusal", err)
	}
	if found, err := project(api, server.ProjectID).Find(ctx, ours); err != nil || len(found) != 0 {
		t.Errorf("%d reservations are left, %v", len(found), err)
	}
}

func TestReserveDoesNotWaitForApproval(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	_, _, err := project(server.Client(t), server.ProjectID).Reserve(t.Context(), ours, elasticips.Wanted{Type: packet.IPTypePublicIPv4, Metro: "nowhere"})
	if !packet.IsUnprocessable(err) {
		t.Errorf("reserving in an unknown metro: %v, want the API's refusal", err)
	}
}

func TestGlobalAddress(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	project := project(server.Client(t), server.ProjectID)
	r, _, err := project.Reserve(t.Context(), ours, elasticips.Wanted{Type: packet.IPTypeGlobalIPv4, Metro: "da", Tags: []string{"mine"}})
	if err != nil || r.Type != packet.IPTypeGlobalIPv4 || !packet.HasTags(r.Tags, "mine") || r.Metro != nil {
		t.Fatalf("reserved %+v, %v, want a global address with the tag", r, err)
	}
	if found, err := project.Find(t.Context(), ours); err != nil || len(found) != 1 {
		t.Errorf("found %d, %v", len(found), err)
	}
	if remaining, err := project.Release(t.Context(), ours, ""); err != nil || len(remaining) != 1 {
		t.Errorf("released %v, %v", remaining, err)
	}
}

// A reservation whose answer was lost, and that was listed later than the next look, made two.
func TestSurplusIsReleasedAndNothingElse(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	api, ctx := server.Client(t), t.Context()
	used, _, err := project(api, server.ProjectID).Reserve(ctx, ours, inDA)
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := project(emptyProject{api}, server.ProjectID).Reserve(ctx, ours, inDA)
	if err != nil {
		t.Fatal(err)
	}
	byHand, err := api.CreateIPReservation(ctx, server.ProjectID, packet.IPReservationCreate{
		Type: packet.IPTypePublicIPv4, Quantity: 1, Metro: "da", Tags: packet.ClusterTags("a", "demo"), Details: "tagged by hand",
	})
	if err != nil {
		t.Fatal(err)
	}
	project := project(api, server.ProjectID)
	found, err := project.Find(ctx, ours)
	if err != nil || len(found) != 3 {
		t.Fatalf("found %d, %v, want 3", len(found), err)
	}
	if released, err := project.ReleaseSurplus(ctx, ours, found, used.Address); err != nil || len(released) != 1 || released[0] != second.Address {
		t.Errorf("released %v, %v, want %s", released, err, second.Address)
	}
	left, err := project.Find(ctx, ours)
	if err != nil || len(left) != 2 || left[0].ID == second.ID || left[1].ID == second.ID {
		t.Errorf("left are %v, %v, want %s and %s", left, err, used.Address, byHand.Address)
	}
}

// The address was never given back when the project of the credentials had changed meanwhile: the list of another project's
// reservations was taken for a proof that there was none.
func TestReleaseFindsTheElasticIPInAnotherProject(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	api, ctx := server.Client(t), t.Context()
	reservation, _, err := project(api, server.ProjectID).Reserve(ctx, ours, inDA)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := project(emptyProject{api}, server.ProjectID)
	// What is recorded is not released for another cluster.
	if remaining, err := elsewhere.Release(ctx, theirs, reservation.ID); err != nil || len(remaining) != 0 {
		t.Errorf("releasing for another cluster: %v, %v", remaining, err)
	}
	if remaining, err := elsewhere.Release(ctx, ours, reservation.ID); err != nil || len(remaining) != 1 {
		t.Errorf("releasing: %v, %v, want the one that is recorded", remaining, err)
	}
	if remaining, err := elsewhere.Release(ctx, ours, reservation.ID); err != nil || len(remaining) != 0 {
		t.Errorf("releasing again: %v, %v", remaining, err)
	}
	if found, err := project(api, server.ProjectID).Find(ctx, ours); err != nil || len(found) != 0 {
		t.Errorf("%d elastic IPs are left, %v", len(found), err)
	}
}

// emptyProject is an API whose credentials name a project without reservations.
type emptyProject struct{ *packet.Client }

func (emptyProject) IPReservations(context.Context, string, ...packet.QueryOption) ([]packet.IPReservation, error) {
	return nil, nil
}

func TestBroughtReservationIsLookedAt(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	api, ctx := server.Client(t), t.Context()
	reserve := func(create packet.IPReservationCreate) string {
		t.Helper()
		if create.Quantity == 0 {
			create.Quantity = 1
		}
		r, err := api.CreateIPReservation(ctx, server.ProjectID, create)
		if err != nil {
			t.Fatal(err)
		}
		return r.ID
	}
	good := reserve(packet.IPReservationCreate{Type: packet.IPTypePublicIPv4, Metro: "da"})
	taken := reserve(packet.IPReservationCreate{Type: packet.IPTypePublicIPv4, Metro: "da"})
	device, err := api.CreateDevice(ctx, server.ProjectID, packet.DeviceCreate{Plan: "c3.small.x86", OperatingSystem: "ubuntu_24_04", Metro: "da"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := api.IPReservation(ctx, taken)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api.AssignIP(ctx, device.ID, r.Address); err != nil {
		t.Fatal(err)
	}
	nobodys := func(string) bool { return false }
	project := project(api, server.ProjectID)
	if r, err := project.Brought(ctx, ours, good, inDA, nobodys); err != nil || r.ID != good {
		t.Errorf("a good one: %v", err)
	}
	if r, err := project.Brought(ctx, ours, taken, inDA, func(id string) bool { return id == device.ID }); err != nil || r.ID != taken {
		t.Errorf("one that a machine of the cluster has: %v", err)
	}
	for name, test := range map[string]struct{ id, want string }{
		"none":                     {"00000000-0000-4000-8000-000000000009", "does not exist in project " + server.ProjectID},
		"two addresses":            {reserve(packet.IPReservationCreate{Type: packet.IPTypePublicIPv4, Quantity: 2, Metro: "da"}), "a single IPv4 address"},
		"another metro":            {reserve(packet.IPReservationCreate{Type: packet.IPTypePublicIPv4, Metro: "sv"}), "routed to metro sv"},
		"another type":             {reserve(packet.IPReservationCreate{Type: packet.IPTypeGlobalIPv4}), "is of type global_ipv4"},
		"private":                  {reserve(packet.IPReservationCreate{Type: packet.IPTypePrivateIPv4, Metro: "da"}), "is of type private_ipv4"},
		"of another cluster":       {reserve(packet.IPReservationCreate{Type: packet.IPTypePublicIPv4, Metro: "da", Tags: packet.ClusterTags("b", "demo")}), "belongs to another cluster"},
		"with another's machine":   {taken, "is assigned to device " + device.ID},
		"a machine's own":          {strings.TrimPrefix(device.IPAddresses[0].ParentBlock.Href, "/metal/v1/ips/"), "devices get their own addresses from"},
		"an assignment, no block":  {device.IPAddresses[0].ID, "is an assignment"},
		"not even an ID of theirs": {"not-a-uuid", "not-a-uuid"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := project.Brought(ctx, ours, test.id, inDA, nobodys)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want it to mention %q", err, test.want)
			}
			var unusable *elasticips.UnusableError
			if errors.As(err, &unusable) && !strings.HasPrefix(err.Error(), "spec.elasticIP.reservationID: "+test.id) {
				t.Errorf("error is %v, want it to name field and value", err)
			}
		})
	}
}
