package apiserver_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/packetyard/packetyard/internal/apiserver"
	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

// reserveHardware keeps servers in Dallas for the first project.
func reserveHardware(t *testing.T, server *apiservertest.Server, reservations ...apiserver.HardwareReservation) []string {
	t.Helper()
	ids, err := server.ReserveHardware(t.Context(), reservations...)
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func small(more func(*apiserver.HardwareReservation)) apiserver.HardwareReservation {
	reservation := apiserver.HardwareReservation{Plan: "c3.small.x86", Metro: "da"}
	if more != nil {
		more(&reservation)
	}
	return reservation
}

func onReserved(name, id string) packet.DeviceCreate {
	create := order(name)
	create.HardwareReservationID = id
	return create
}

// TestReservedServerRestsAfterItsDevice follows one server through the life of
// a device: taken, in use, being cleaned for four minutes, free again.
func TestReservedServerRestsAfterItsDevice(t *testing.T) {
	clock := newClock()
	server := apiservertest.Start(t, apiservertest.Options{Clock: clock, Profile: "realistic"})
	c := server.Client(t)
	id := reserveHardware(t, server, small(nil))[0]
	show := func() *packet.HardwareReservation {
		t.Helper()
		reservation, err := c.HardwareReservation(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return reservation
	}
	if r := show(); !r.Provisionable || r.Device != nil || r.Plan.Slug != "c3.small.x86" || r.Facility.Code != "da11" || r.ShortID != id[:8] {
		t.Errorf("a new reservation is %+v", r)
	}
	device, err := c.CreateDevice(t.Context(), server.ProjectID, onReserved("reserved", packet.NextAvailableHardware))
	if err != nil {
		t.Fatal(err)
	}
	if device.HardwareReservation == nil || device.HardwareReservation.Href != "/metal/v1/hardware-reservations/"+id || device.Facility.Code != "da11" {
		t.Errorf("the device is on %+v in %s", device.HardwareReservation, device.Facility.Code)
	}
	if r := show(); r.Provisionable || r.Device == nil || !strings.HasSuffix(r.Device.Href, device.ID) {
		t.Errorf("a reservation in use is %+v", r)
	}
	if _, err := c.CreateDevice(t.Context(), server.ProjectID, onReserved("second", packet.NextAvailableHardware)); err == nil ||
		!strings.Contains(err.Error(), "There are no available hardware reservations for selected plan and facility") {
		t.Errorf("next-available without any: %v", err)
	}
	unprovisionable := func() {
		t.Helper()
		if _, err := c.CreateDevice(t.Context(), server.ProjectID, onReserved("second", id)); err == nil ||
			!strings.Contains(err.Error(), "Server is not provisionable") || !strings.Contains(err.Error(), "503") {
			t.Errorf("on a server that is not free: %v", err)
		}
	}
	unprovisionable()

	clock.advanceUntil(t, func() bool {
		device, err := c.Device(t.Context(), device.ID)
		return err == nil && device.State == packet.StateActive
	})
	if err := c.DeleteDevice(t.Context(), device.ID, false); err != nil {
		t.Fatal(err)
	}
	// The clock goes slowly here: the server must not have rested before it is
	// looked at.
	until(t, "deleting the device", func() bool {
		clock.advance(100 * time.Millisecond)
		_, err := c.Device(t.Context(), device.ID)
		return packet.IsNotFound(err)
	})
	if r := show(); r.Provisionable || r.Device != nil {
		t.Errorf("a reservation that just lost its device is %+v, want neither a device nor provisionable", r)
	}
	unprovisionable()
	clock.advance(4 * time.Minute)
	if r := show(); !r.Provisionable {
		t.Error("a reservation is not provisionable four minutes after its device")
	}
	if _, err := c.CreateDevice(t.Context(), server.ProjectID, onReserved("again", id)); err != nil {
		t.Errorf("on a server that has rested: %v", err)
	}
}

func TestReservedServersTakeOneDeviceEach(t *testing.T) {
	const servers, clients = 4, 12
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	reserveHardware(t, server, small(func(r *apiserver.HardwareReservation) { r.Quantity = servers }))
	var mu sync.Mutex
	on := map[string]int{}
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			device, err := c.CreateDevice(t.Context(), server.ProjectID, onReserved("", packet.NextAvailableHardware))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				on[device.HardwareReservation.Href]++
			} else if !strings.Contains(err.Error(), " no available hardware reservations ") {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(on) != servers {
		t.Errorf("devices are on %v, want one on each of %d servers", on, servers)
	}
	for href, devices := range on {
		if devices != 1 {
			t.Errorf("%d devices are on %s", devices, href)
		}
	}
}

// TestReservedServersDoNotCountAsCapacity has no servers to rent, and one
// that is the project's.
func TestReservedServersDoNotCountAsCapacity(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{Configure: func(cfg *apiserver.Config) {
		cfg.Capacity = []apiserver.Capacity{{Servers: 0}}
		cfg.HardwareReservations = []apiserver.HardwareReservation{small(nil)}
	}})
	c := server.Client(t)
	if _, err := c.CreateDevice(t.Context(), server.ProjectID, onReserved("reserved", packet.NextAvailableHardware)); err != nil {
		t.Errorf("on a reserved server: %v", err)
	}
	if _, err := c.CreateDevice(t.Context(), server.ProjectID, order("on-demand")); err == nil {
		t.Error("a device was made on demand without any server")
	}
}

func TestReservationThatDoesNotFit(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	ids := reserveHardware(t, server, small(nil),
		small(func(r *apiserver.HardwareReservation) { r.Spare = true }),
		small(func(r *apiserver.HardwareReservation) { r.NeedOfService = true }))
	create := func(change func(*packet.DeviceCreate)) error {
		input := onReserved("x", ids[0])
		change(&input)
		_, err := c.CreateDevice(t.Context(), server.ProjectID, input)
		return err
	}
	for text, change := range map[string]func(*packet.DeviceCreate){
		`is a server of plan "c3.small.x86", not "m3.small.x86"`: func(d *packet.DeviceCreate) { d.Plan = "m3.small.x86" },
		`is a server in facility "da11", metro "da"`:             func(d *packet.DeviceCreate) { d.Metro = "sv" },
		"is neither a hardware reservation of the project nor":   func(d *packet.DeviceCreate) { d.HardwareReservationID = server.ProjectID },
		"Server is not provisionable":                            func(d *packet.DeviceCreate) { d.HardwareReservationID = ids[1] },
		"Server is not provisionable ":                           func(d *packet.DeviceCreate) { d.HardwareReservationID = ids[2] },
		" no available hardware reservations ": func(d *packet.DeviceCreate) {
			d.HardwareReservationID, d.Metro = packet.NextAvailableHardware, "sv"
		},
	} {
		if err := create(change); err == nil || !strings.Contains(err.Error(), strings.TrimRight(text, " ")) {
			t.Errorf("%v, want %q", err, text)
		}
	}
	// The metro may be left to where the server is.
	if err := create(func(d *packet.DeviceCreate) { d.Metro = "any" }); err != nil {
		t.Errorf("anywhere: %v", err)
	}
}

func TestSpareReservationIsActivatedOnce(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	ids := reserveHardware(t, server, small(nil), small(func(r *apiserver.HardwareReservation) { r.Spare = true }))
	path := "/hardware-reservations/" + ids[1] + "/activate"
	answer, object := raw(t, server, "POST", path, `{"description":"for the broken one"}`)
	if answer.StatusCode != http.StatusCreated || object["spare"] != false || object["provisionable"] != true {
		t.Errorf("activating a spare: %d %v", answer.StatusCode, object)
	}
	for _, id := range ids {
		answer, object := raw(t, server, "POST", "/hardware-reservations/"+id+"/activate", "")
		if answer.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(errorsOf(object)[0], "Only spare hardware reservations") {
			t.Errorf("activating what is in service: %d %v", answer.StatusCode, object)
		}
	}
}

func TestReservationsAreFiltered(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	ids := reserveHardware(t, server, small(nil),
		small(func(r *apiserver.HardwareReservation) { r.Spare = true }),
		small(func(r *apiserver.HardwareReservation) { r.NeedOfService = true }),
		apiserver.HardwareReservation{Plan: "m3.small.x86", Facility: "sjc1"})
	if _, err := c.CreateDevice(t.Context(), server.ProjectID, onReserved("Findable", ids[0])); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]string{
		"":                        "0123",
		"state=active":            "03",
		"state=spare":             "1",
		"state=need_of_service":   "2",
		"provisionable=only":      "3",
		"query=m3.small":          "3",
		"query=SJC1":              "3",
		"query=findable":          "0",
		"query=" + ids[2][:8]:     "2",
		"query=packetyard":        "0123",
		"query=nothing":           "",
		"state=active&query=da11": "0",
	} {
		_, object := raw(t, server, "GET", "/projects/"+server.ProjectID+"/hardware-reservations?"+query, "")
		got := ""
		for _, element := range object["hardware_reservations"].([]any) {
			for i, id := range ids {
				if element.(map[string]any)["id"] == id {
					got += string(rune('0' + i))
				}
			}
		}
		letters := strings.Split(got, "")
		slices.Sort(letters)
		if got = strings.Join(letters, ""); got != want {
			t.Errorf("%s finds %q, want %q", query, got, want)
		}
	}
	_, object := raw(t, server, "GET", "/hardware-reservations/"+ids[0]+"?include=device", "")
	if device, _ := object["device"].(map[string]any); device["hostname"] != "Findable" {
		t.Errorf("the included device is %v", object["device"])
	}
	for _, query := range []string{"state=broken", "provisionable=yes"} {
		if answer, _ := raw(t, server, "GET", "/projects/"+server.ProjectID+"/hardware-reservations?"+query, ""); answer.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d", query, answer.StatusCode)
		}
	}
}

func TestReservationMovesWithoutADevice(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	ids := reserveHardware(t, server, small(func(r *apiserver.HardwareReservation) { r.Quantity = 2 }))
	const other = "11111111-2222-4333-8444-555555555555"
	organization := ""
	err := server.Change(t.Context(), func(tx *store.Tx) error {
		row, _ := tx.Projects.Get(server.ProjectID)
		organization = row.Value.OrganizationID
		tx.Projects.Create(tx, &store.Project{ID: other, OrganizationID: organization, Name: "other", CreatedAt: row.Value.CreatedAt})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	device, err := c.CreateDevice(t.Context(), server.ProjectID, onReserved("x", ids[0]))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.MoveHardwareReservation(t.Context(), ids[0], other); err == nil || !strings.Contains(err.Error(), "while device "+device.ID) {
		t.Errorf("moving a server with a device: %v", err)
	}
	moved, err := c.MoveHardwareReservation(t.Context(), ids[1], other)
	if err != nil || !strings.HasSuffix(moved.Project.Href, other) {
		t.Fatalf("moving: %+v, %v", moved, err)
	}
	if list, err := c.HardwareReservations(t.Context(), server.ProjectID); err != nil || len(list) != 1 {
		t.Errorf("the old project has %d (%v)", len(list), err)
	}
	if list, err := c.HardwareReservations(t.Context(), other); err != nil || len(list) != 1 || list[0].ID != ids[1] {
		t.Errorf("the new project has %v (%v)", list, err)
	}
	if _, err := c.MoveHardwareReservation(t.Context(), ids[1], ids[0]); err == nil || !strings.Contains(err.Error(), "is no project of yours") {
		t.Errorf("moving to what is no project: %v", err)
	}
	// The same reservations again change nothing, also not what has moved.
	if again := reserveHardware(t, server, small(func(r *apiserver.HardwareReservation) { r.Quantity = 2 })); again[0] != ids[0] || again[1] != ids[1] {
		t.Errorf("the same reservations are %v, were %v", again, ids)
	}
	if list, err := c.HardwareReservations(t.Context(), other); err != nil || len(list) != 1 {
		t.Errorf("the new project has %d (%v) after the reservations were made again", len(list), err)
	}
}

func TestReservationsOfWhatDoesNotExist(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	_, err := server.ReserveHardware(t.Context(),
		apiserver.HardwareReservation{Plan: "c9", Metro: "xx"},
		apiserver.HardwareReservation{Plan: "c3.small.x86", Facility: "nowhere1", ID: "x", Quantity: 2})
	for _, text := range []string{`plan "c9"`, `metro "xx"`, `facility "nowhere1"`, `id "x" is not a UUID`, "quantity 2 with an id"} {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v, want it to have %q", err, text)
		}
	}
	if _, err := server.ReserveHardware(t.Context(), small(func(r *apiserver.HardwareReservation) { r.ProjectID = "nobody" })); err == nil {
		t.Error("a project that does not exist got a server")
	}
}

// TestFailedDevices has two devices that cannot be installed. The one on
// demand leaves the project, the one on reserved hardware stays failed and
// keeps its server until it is deleted.
func TestFailedDevices(t *testing.T) {
	rack := newRack()
	rack.fail = errors.New("no disk")
	clock := newClock()
	server := apiservertest.Start(t, apiservertest.Options{Driver: rack, Clock: clock})
	c := server.Client(t)
	reserveHardware(t, server, small(nil))
	onDemand, err := c.CreateDevice(t.Context(), server.ProjectID, order("on-demand"))
	if err != nil {
		t.Fatal(err)
	}
	reserved, err := c.CreateDevice(t.Context(), server.ProjectID, onReserved("reserved", packet.NextAvailableHardware))
	if err != nil {
		t.Fatal(err)
	}
	waitForState(t, c, onDemand.ID, packet.StateFailed)
	waitForState(t, c, reserved.ID, packet.StateFailed)
	rack.mu.Lock()
	rack.fail = nil
	rack.mu.Unlock()
	clock.advanceUntil(t, func() bool {
		_, err := c.Device(t.Context(), onDemand.ID)
		return packet.IsNotFound(err)
	})
	clock.advance(24 * time.Hour)
	if device, err := c.Device(t.Context(), reserved.ID); err != nil || device.State != packet.StateFailed {
		t.Errorf("the reserved device is %v, %v", device, err)
	}
	if err := c.DeleteDevice(t.Context(), reserved.ID, false); err != nil {
		t.Fatal(err)
	}
	waitGone(t, c, reserved.ID)
	if _, err := c.CreateDevice(t.Context(), server.ProjectID, onReserved("again", packet.NextAvailableHardware)); err != nil {
		t.Errorf("on the server of a failed device that was deleted: %v", err)
	}
}
