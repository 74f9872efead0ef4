package apiserver_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/packetyard/packetyard/internal/apiserver"
	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/pkg/packet"
)

// ipBlocks lists the reservations of a project that a condition holds for.
func ipBlocks(t testing.TB, c *packet.Client, projectID string, holds func(*packet.IPReservation) bool) []packet.IPReservation {
	t.Helper()
	all, err := c.IPReservations(t.Context(), projectID)
	if err != nil {
		t.Fatal(err)
	}
	var chosen []packet.IPReservation
	for i := range all {
		if holds(&all[i]) {
			chosen = append(chosen, all[i])
		}
	}
	return chosen
}

func isManagement(r *packet.IPReservation) bool { return r.Management }

// reserveIPs makes a reservation of addresses in da.
func reserveIPs(t testing.TB, c *packet.Client, projectID, kind string, quantity int) *packet.IPReservation {
	t.Helper()
	create := packet.IPReservationCreate{Type: kind, Quantity: quantity}
	if kind != packet.IPTypeGlobalIPv4 {
		create.Metro = "da"
	}
	reservation, err := c.CreateIPReservation(t.Context(), projectID, create)
	if err != nil {
		t.Fatalf("reserving %d of %s: %v", quantity, kind, err)
	}
	return reservation
}

// TestFirstUseOfAMetroMakesItsBlocks reserves an address before there is any
// device, and finds the project's /25 and /56 in the metro.
func TestFirstUseOfAMetroMakesItsBlocks(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	if got := ipBlocks(t, c, server.ProjectID, isManagement); len(got) != 0 {
		t.Fatalf("an unused project has %+v", got)
	}
	first := reserveIPs(t, c, server.ProjectID, packet.IPTypePublicIPv4, 1)
	made := ipBlocks(t, c, server.ProjectID, isManagement)
	if len(made) != 2 || made[0].CIDR != 25 || made[0].Public || made[1].CIDR != 56 || made[1].AddressFamily != 6 || made[0].Metro.Code != "da" {
		t.Fatalf("after the first reservation the project has %+v, want a private /25 and an IPv6 /56 in da", made)
	}
	second := reserveIPs(t, c, server.ProjectID, packet.IPTypePrivateIPv4, 2)
	reserveIPs(t, c, server.ProjectID, packet.IPTypeGlobalIPv4, 1)
	if got := ipBlocks(t, c, server.ProjectID, isManagement); len(got) != 2 {
		t.Errorf("after more reservations the project has %+v, want the same two", got)
	}

	// The device gets its addresses from these, and takes none along.
	device := activeDevice(t, c, server.ProjectID, order("first"))
	for _, ip := range device.IPAddresses[1:] {
		if id := (packet.Href{Href: ip.ParentBlock.Href}).ID(); id != made[0].ID && id != made[1].ID {
			t.Errorf("the device has %s of block %s, want one of the project's", ip.Address, id)
		}
	}
	if err := c.DeleteDevice(t.Context(), device.ID, false); err != nil {
		t.Fatal(err)
	}
	waitGone(t, c, device.ID)
	waitForIPs(t, c, server.ProjectID, 5)
	if got := ipBlocks(t, c, server.ProjectID, isManagement); len(got) != 2 {
		t.Errorf("after the last device the project has %+v, want its two blocks for the reservations' sake", got)
	}

	// They go with the last thing that the project has in the metro.
	for i, reservation := range []*packet.IPReservation{first, second} {
		if err := c.DeleteIP(t.Context(), reservation.ID); err != nil {
			t.Fatal(err)
		}
		if got := ipBlocks(t, c, server.ProjectID, isManagement); len(got) != 2-2*i {
			t.Errorf("after releasing %d reservations the project has %+v", i+1, got)
		}
	}
}

// TestGlobalAddressInSeveralMetros assigns one address once in each metro.
func TestGlobalAddressInSeveralMetros(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	device := func(hostname, metro string) *packet.Device {
		create := order(hostname)
		create.Metro = metro
		return activeDevice(t, c, server.ProjectID, create)
	}
	dallas, other, amsterdam := device("dallas", "da"), device("dallas-too", "da"), device("amsterdam", "am")
	global := reserveIPs(t, c, server.ProjectID, packet.IPTypeGlobalIPv4, 2)

	whole, err := c.AssignIP(t.Context(), dallas.ID, global.Network+"/31")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.AssignIP(t.Context(), other.ID, global.Network); !packet.IsUnprocessable(err) || !strings.Contains(err.Error(), "already been taken") {
		t.Errorf("a part of what another device of the metro has: %v, want 422", err)
	}
	there, err := c.AssignIP(t.Context(), amsterdam.ID, global.Network)
	if err != nil {
		t.Fatalf("assigning it in another metro: %v", err)
	}
	if there.Metro.Code != "am" || !there.GlobalIP {
		t.Errorf("the assignment in Amsterdam is %+v", there)
	}
	shown, err := c.IPReservation(t.Context(), global.ID, packet.Include("assignments"))
	if err != nil || len(shown.Assignments) != 2 || shown.Metro != nil {
		t.Errorf("the reservation is %+v (%v), want two assignments and no metro", shown, err)
	}
	// Moving is taking and giving.
	if err := c.DeleteIP(t.Context(), whole.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := c.AssignIP(t.Context(), other.ID, global.Network); err != nil {
		t.Errorf("moving the address to another device: %v", err)
	}
	if err := c.DeleteIP(t.Context(), global.ID); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{other.ID, amsterdam.ID} {
		if ips, err := c.DeviceIPs(t.Context(), id); err != nil || len(ips) != 3 {
			t.Errorf("after the release device %s has %+v (%v), want its own three", id, ips, err)
		}
	}
}

// TestOverQuotaIsPending asks for more addresses than a project may have.
func TestOverQuotaIsPending(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{Configure: func(cfg *apiserver.Config) { cfg.Control = true }})
	c := server.Client(t)
	device := activeDevice(t, c, server.ProjectID, order("quota"))
	reserveIPs(t, c, server.ProjectID, packet.IPTypePublicIPv4, 128)
	reserveIPs(t, c, server.ProjectID, packet.IPTypePrivateIPv4, 128)
	create := packet.IPReservationCreate{Type: packet.IPTypePublicIPv4, Quantity: 256, Metro: "da", Comments: "please", FailOnApprovalRequired: true}
	if _, err := c.CreateIPReservation(t.Context(), server.ProjectID, create); !packet.IsUnprocessable(err) || !strings.Contains(err.Error(), "quota") {
		t.Errorf("over the quota, without waiting: %v, want 422", err)
	}
	create.FailOnApprovalRequired = false
	var pending [2]*packet.IPReservation
	for i := range pending {
		var err error
		if pending[i], err = c.CreateIPReservation(t.Context(), server.ProjectID, create); err != nil {
			t.Fatal(err)
		}
		if got := pending[i]; got.State != packet.IPStatePending || got.Address != "" || got.Network != "" || got.CIDR != 0 || got.AddressFamily != 4 {
			t.Errorf("over the quota the reservation is %+v, want it pending, without addresses", got)
		}
	}
	if _, err := c.AvailableSubnets(t.Context(), pending[0].ID, 32); err != nil {
		t.Errorf("what is free in it: %v", err)
	}
	// The quota is of the addresses that there are, and of their kind.
	reserveIPs(t, c, server.ProjectID, packet.IPTypePublicIPv4, 128)
	reserveIPs(t, c, server.ProjectID, packet.IPTypePublicIPv6, 256)

	review := func(id, decision string, status int) {
		t.Helper()
		if got := controlRequest(t, server, http.MethodPost, "ip-reservations/"+id+"/"+decision, ""); got != status {
			t.Errorf("%s: %d, want %d", decision, got, status)
		}
	}
	review(pending[0].ID, "approve", 204)
	review(pending[0].ID, "approve", 422)
	approved, err := c.IPReservation(t.Context(), pending[0].ID)
	if err != nil || approved.State != packet.IPStateCreated || approved.CIDR != 24 {
		t.Fatalf("once approved it is %+v (%v), want a /24", approved, err)
	}
	if _, err := c.AssignIP(t.Context(), device.ID, approved.Address); err != nil {
		t.Errorf("assigning what was approved: %v", err)
	}
	review(pending[1].ID, "deny", 204)
	denied, err := c.IPReservation(t.Context(), pending[1].ID)
	if err != nil || denied.State != packet.IPStateDenied || denied.Address != "" {
		t.Errorf("once denied it is %+v (%v), want it without addresses", denied, err)
	}
	for _, id := range []string{approved.ID, denied.ID} {
		if err := c.DeleteIP(t.Context(), id); err != nil {
			t.Errorf("deleting %s: %v", id, err)
		}
	}
}

// controlRequest sends a request to a control route, and returns the answer's status.
func controlRequest(t testing.TB, server *apiservertest.Server, method, path, body string) int {
	t.Helper()
	url := strings.TrimSuffix(server.URL, "/metal/v1") + "/_packetyard/" + path
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Auth-Token", server.Token)
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

// TestAssignmentRules tries what a device cannot have.
func TestAssignmentRules(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	device := activeDevice(t, c, server.ProjectID, order("rules"))
	six, err := netip.ParsePrefix(ipBlocks(t, c, server.ProjectID, func(r *packet.IPReservation) bool { return r.AddressFamily == 6 })[0].Network + "/56")
	if err != nil {
		t.Fatal(err)
	}
	private := device.IPAddresses[2]
	elastic := reserveIPs(t, c, server.ProjectID, packet.IPTypePrivateIPv4, 8)
	for address, text := range map[string]string{
		"":                            "address can't be blank",
		"198.18.5":                    "is not an address",
		elastic.Address + "/29":       "the first address of a block",
		"fe80::1%eth0":                "is not an address",
		elastic.Network + "/28":       "no elastic IP reservation",
		private.Network:               "no elastic IP reservation",
		device.IPAddresses[1].Address: "which devices get their own addresses from",
		six.Addr().String() + "/60":   "which devices get their own addresses from",
		six.String():                  "which devices get their own addresses from",
	} {
		if _, err := c.AssignIP(t.Context(), device.ID, address); !packet.IsUnprocessable(err) || !strings.Contains(err.Error(), text) {
			t.Errorf("assigning %q: %v, want 422 with %q", address, err, text)
		}
	}
	if _, err := c.AssignIP(t.Context(), device.ID, elastic.Network+"/30"); err != nil {
		t.Error(err)
	}
}

// TestNoAddressIsAssignedTwice has many clients want the same addresses.
func TestNoAddressIsAssignedTwice(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	var devices [2]*packet.Device
	for i := range devices {
		devices[i] = activeDevice(t, c, server.ProjectID, order(fmt.Sprintf("device-%d", i)))
	}
	block := reserveIPs(t, c, server.ProjectID, packet.IPTypePublicIPv4, 4)
	wanted := []string{block.Network, block.Network + "/31", block.Network + "/30", block.Address}

	var wait sync.WaitGroup
	var mu sync.Mutex
	var got []netip.Prefix
	for _, device := range devices {
		for _, address := range wanted {
			wait.Go(func() {
				assignment, err := c.AssignIP(context.WithoutCancel(t.Context()), device.ID, address)
				if packet.IsUnprocessable(err) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				got = append(got, netip.MustParsePrefix(fmt.Sprintf("%s/%d", assignment.Network, assignment.CIDR)))
			})
		}
	}
	wait.Wait()
	if len(got) == 0 {
		t.Error("nobody got an address")
	}
	for i, one := range got {
		for _, other := range got[i+1:] {
			if one.Overlaps(other) {
				t.Errorf("%s and %s are both assigned", one, other)
			}
		}
	}
}

// TestUpdateOfAReservation changes what it names, and nothing else.
func TestUpdateOfAReservation(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	reservation := reserveIPs(t, c, server.ProjectID, packet.IPTypePublicIPv4, 1)
	if _, err := c.UpdateIPReservation(t.Context(), reservation.ID, packet.IPUpdate{Tags: &[]string{"a"}, Details: ptr("d"), CustomData: []byte(`{"k":1}`)}); err != nil {
		t.Fatal(err)
	}
	updated, err := c.UpdateIPReservation(t.Context(), reservation.ID, packet.IPUpdate{Tags: &[]string{}})
	if err != nil {
		t.Fatal(err)
	}
	if len(updated.Tags) != 0 || *updated.Details != "d" || string(updated.CustomData) != `{"k":1}` || updated.Address != reservation.Address {
		t.Errorf("after the update it is %+v", updated)
	}
	for _, body := range []string{`{"customdata":5}`, `{"tags":"x"}`, `[]`, `{`} {
		if answer, object := raw(t, server, "PATCH", "/ips/"+reservation.ID, body); answer.StatusCode/100 != 4 {
			t.Errorf("PATCH %s: %d %v", body, answer.StatusCode, object)
		}
	}
	answer, object := raw(t, server, "GET", "/ips/"+reservation.ID+"/customdata", "")
	if answer.StatusCode != http.StatusOK || fmt.Sprint(object) != "map[k:1]" {
		t.Errorf("its custom data are %d %v", answer.StatusCode, object)
	}
	for _, cidr := range []string{"", "31", "129", "x"} {
		if answer, _ := raw(t, server, "GET", "/ips/"+reservation.ID+"/available?cidr="+cidr, ""); answer.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("what is free in a /32 for cidr %q: %d, want 422", cidr, answer.StatusCode)
		}
	}
}

// TestLargestQuantities is what each type has at most.
func TestLargestQuantities(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	for kind, most := range map[string]int{
		packet.IPTypePublicIPv4: 256, packet.IPTypeGlobalIPv4: 4, packet.IPTypePrivateIPv4: 128, packet.IPTypePublicIPv6: 256,
	} {
		create := packet.IPReservationCreate{Type: kind, Quantity: 2 * most, Metro: "da"}
		_, err := c.CreateIPReservation(t.Context(), server.ProjectID, create)
		var refusal *packet.Error
		if !errors.As(err, &refusal) || !packet.IsUnprocessable(err) || !strings.Contains(err.Error(), "1, 2, 4") {
			t.Errorf("%d of %s: %v, want 422 with the quantities that there are", 2*most, kind, err)
		}
	}
}

// TestReservationOfADeviceStays orders a device with an address of its own out
// of a reservation, which then cannot be given back.
func TestReservationOfADeviceStays(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	block := reserveIPs(t, c, server.ProjectID, packet.IPTypePublicIPv4, 4)
	create := order("reserved")
	create.IPAddresses = []packet.IPAddressCreate{
		{AddressFamily: 4, Public: true, CIDR: 31, IPReservations: []string{block.ID}},
		{AddressFamily: 4},
	}
	device := activeDevice(t, c, server.ProjectID, create)
	if err := c.DeleteIP(t.Context(), block.ID); !packet.IsUnprocessable(err) || !strings.Contains(err.Error(), "own address") {
		t.Errorf("releasing what a device has its own address from: %v, want 422", err)
	}
	if err := c.DeleteDevice(t.Context(), device.ID, false); err != nil {
		t.Fatal(err)
	}
	waitGone(t, c, device.ID)
	if err := c.DeleteIP(t.Context(), block.ID); err != nil {
		t.Errorf("releasing it after the device: %v", err)
	}
}
