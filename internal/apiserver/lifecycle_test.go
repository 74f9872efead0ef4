package apiserver_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/machines"
	"github.com/packetyard/packetyard/pkg/packet"
)

// until waits for something that takes no longer than the server's own work.
func until(t testing.TB, what string, so func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	pause := time.NewTicker(2 * time.Millisecond)
	defer pause.Stop()
	for !so() {
		select {
		case <-deadline:
			t.Fatalf("%s: it did not happen", what)
		case <-pause.C:
		}
	}
}

func TestRealisticInstallation(t *testing.T) {
	clock := newClock()
	server := apiservertest.Start(t, apiservertest.Options{Profile: "realistic", Clock: clock})
	c := server.Client(t)
	device, err := c.CreateDevice(t.Context(), server.ProjectID, order("slow"))
	if err != nil {
		t.Fatal(err)
	}
	if device.State != packet.StateQueued || device.ProvisioningPercentage != 0 || len(device.ProvisioningEvents) != 10 {
		t.Errorf("a new device is %s at %v%% of %d events", device.State, device.ProvisioningPercentage, len(device.ProvisioningEvents))
	}
	if event := device.ProvisioningEvents[9]; event.ID != "" || event.CreatedAt != nil || event.Body == "" {
		t.Errorf("an event that is to come is %+v, want its text alone", event)
	}
	began := clock.Now()
	seen := map[float64]bool{}
	clock.advanceUntil(t, func() bool {
		device, err := c.Device(t.Context(), device.ID)
		if err != nil {
			t.Fatal(err)
		}
		done := 0
		for _, event := range device.ProvisioningEvents {
			if event.ID != "" {
				done++
			}
		}
		if want := 100 * float64(done) / 10; device.ProvisioningPercentage != want {
			t.Errorf("%v%% with %d of 10 events, want %v", device.ProvisioningPercentage, done, want)
		}
		seen[device.ProvisioningPercentage] = true
		return device.State == packet.StateActive
	})
	if took := clock.Now().Sub(began); took < 2*time.Minute {
		t.Errorf("a realistic installation took %v, want minutes", took)
	}
	if len(seen) < 4 {
		t.Errorf("only the percentages %v were seen", seen)
	}
	device, err = c.Device(t.Context(), device.ID)
	if err != nil {
		t.Fatal(err)
	}
	if text := device.ProvisioningEvents[1].Body; !strings.Contains(text, device.IPAddresses[0].Address+", ") || !strings.Contains(text, ", and "+device.IPAddresses[2].Address) {
		t.Errorf("the network event says %q, want all addresses", text)
	}
	// The root password is shown for a day.
	if device.RootPassword == "" {
		t.Error("a new device shows no root password")
	}
	clock.advance(24 * time.Hour)
	waitForDevice(t, c, device.ID, func(device *packet.Device, err error) bool { return err == nil && device.RootPassword == "" })
}

func TestMachinesFollowTheirDevices(t *testing.T) {
	rack := newRack()
	server := apiservertest.Start(t, apiservertest.Options{Driver: rack})
	metadata := startMetadata(t, server)
	c := server.Client(t)
	ctx := t.Context()

	device, err := c.CreateDevice(ctx, server.ProjectID, order("machine"))
	if err != nil {
		t.Fatal(err)
	}
	until(t, "provisioning", func() bool { return rack.addresses(device.ID) == 3 })
	waitForDevice(t, c, device.ID, func(d *packet.Device, err error) bool { return err == nil && d.ProvisioningPercentage == 90 })
	rack.with(device.ID, func(m *machine) {
		if m.spec.Hostname != "machine" || m.spec.CPUs != 8 || m.spec.MemoryBytes != 32<<30 {
			t.Errorf("the machine was made as %+v", m.spec)
		}
	})

	// An elastic address reaches the machine while it boots, and goes again.
	reservation, err := c.CreateIPReservation(ctx, server.ProjectID, packet.IPReservationCreate{Type: packet.IPTypePublicIPv4, Quantity: 1, Metro: "da"})
	if err != nil {
		t.Fatal(err)
	}
	assignment, err := c.AssignIP(ctx, device.ID, reservation.Address)
	if err != nil {
		t.Fatal(err)
	}
	until(t, "assigning", func() bool { return rack.addresses(device.ID) == 4 })
	rack.with(device.ID, func(m *machine) {
		if elastic := m.spec.Addresses[3]; elastic.Management || elastic.Gateway != "" || elastic.CIDR != 32 || !elastic.Public {
			t.Errorf("the machine was given %+v", elastic)
		}
	})
	if device, err := c.Device(ctx, device.ID); err != nil || device.State != packet.StateProvisioning {
		t.Errorf("before it phones home the device is %v (%v), want it provisioning", device.State, err)
	}
	metadata.from(device.IPAddresses[0].Address).post(t, "/phone-home", "", 204)
	waitForState(t, c, device.ID, packet.StateActive)
	metadata.from(device.IPAddresses[0].Address).post(t, "/phone-home", "", 204)
	if err := c.DeleteIP(ctx, assignment.ID); err != nil {
		t.Fatal(err)
	}
	until(t, "unassigning", func() bool { return rack.addresses(device.ID) == 3 })

	// What the machine does by itself shows on the device.
	rack.events <- machines.Event{ID: device.ID, Power: machines.PowerOff, Detail: "init ended"}
	waitForState(t, c, device.ID, packet.StateInactive)
	events, err := c.DeviceEvents(ctx, device.ID)
	if err != nil || events[0].Type != packet.EventPoweredOff || !strings.Contains(events[0].Body, "init ended") {
		t.Errorf("the newest event is %+v (%v), want it to say why the machine is off", events[0], err)
	}
	rack.events <- machines.Event{ID: device.ID, Power: machines.PowerOn}
	waitForState(t, c, device.ID, packet.StateActive)

	for _, action := range []struct {
		kind  string
		state packet.DeviceState
		event string
	}{
		{packet.ActionReboot, packet.StateActive, packet.EventPowerRebooted},
		{packet.ActionPowerOff, packet.StateInactive, packet.EventPoweredOff},
		{packet.ActionPowerOn, packet.StateActive, packet.EventPoweredOn},
	} {
		if err := c.DeviceAction(ctx, device.ID, packet.DeviceAction{Type: action.kind}); err != nil {
			t.Fatal(err)
		}
		waitForState(t, c, device.ID, action.state)
		events, err := c.DeviceEvents(ctx, device.ID)
		if err != nil || events[0].Type != action.event || events[1].Type != packet.EventPowerStarted || events[2].Type != packet.EventPowerQueued {
			t.Errorf("after %s the newest events are %+v (%v)", action.kind, events[:3], err)
		}
	}

	if err := c.DeviceAction(ctx, device.ID, packet.DeviceAction{Type: packet.ActionReinstall, OperatingSystem: "debian_12"}); err != nil {
		t.Fatal(err)
	}
	until(t, "reinstalling", func() (again bool) {
		rack.with(device.ID, func(m *machine) { again = m.installed == 2 && m.spec.OperatingSystem == "debian_12" })
		return again
	})
	waitForDevice(t, c, device.ID, func(d *packet.Device, err error) bool {
		return err == nil && d.State == packet.StateReinstalling && d.ProvisioningPercentage == 90
	})
	metadata.from(device.IPAddresses[2].Address).post(t, "/phone-home", "", 204)
	waitForState(t, c, device.ID, packet.StateActive)

	// The device is seen until its machine is gone.
	rack.mu.Lock()
	rack.hold = make(chan struct{})
	rack.mu.Unlock()
	if err := c.DeleteDevice(ctx, device.ID, false); err != nil {
		t.Fatal(err)
	}
	waitForState(t, c, device.ID, packet.StateDeprovisioning)
	close(rack.hold)
	waitGone(t, c, device.ID)
	rack.with(device.ID, func(m *machine) {
		if m != nil {
			t.Error("the device is gone, but its machine is not")
		}
	})
}

func TestMachineThatCannotBeMade(t *testing.T) {
	rack := newRack()
	rack.fail = errors.New("no room in the rack")
	server := apiservertest.Start(t, apiservertest.Options{Driver: rack})
	c := server.Client(t)
	device, err := c.CreateDevice(t.Context(), server.ProjectID, order("failed"))
	if err != nil {
		t.Fatal(err)
	}
	waitForState(t, c, device.ID, packet.StateFailed)
	events, err := c.DeviceEvents(t.Context(), device.ID)
	if err != nil || !strings.Contains(events[0].Body, "no room in the rack") {
		t.Errorf("the newest event is %+v (%v), want the reason", events[0], err)
	}
	rack.mu.Lock()
	rack.fail = nil
	rack.mu.Unlock()
	if err := c.DeleteDevice(t.Context(), device.ID, false); err != nil {
		t.Fatal(err)
	}
	waitGone(t, c, device.ID)
}

func TestMachineThatDiesBeforeItPhonesHome(t *testing.T) {
	rack := newRack()
	server := apiservertest.Start(t, apiservertest.Options{Driver: rack})
	c := server.Client(t)
	device, err := c.CreateDevice(t.Context(), server.ProjectID, order("dies"))
	if err != nil {
		t.Fatal(err)
	}
	waitForDevice(t, c, device.ID, func(d *packet.Device, err error) bool { return err == nil && d.ProvisioningPercentage == 90 })
	rack.events <- machines.Event{ID: device.ID, Power: machines.PowerOff, Detail: "exit status 1"}
	waitForState(t, c, device.ID, packet.StateFailed)

	// It may have been the rack that went down, and comes back.
	startMetadata(t, server).from(device.IPAddresses[0].Address).post(t, "/phone-home", "", 204)
	waitForState(t, c, device.ID, packet.StateActive)
}

// TestMachineThatDiesBeforeItsBootIsRecorded is one whose first process ends
// while the driver still says that it began. The device was then provisioning
// for ever.
func TestMachineThatDiesBeforeItsBootIsRecorded(t *testing.T) {
	rack := newRack()
	rack.events = make(chan machines.Event)
	rack.stillborn = func(id string) {
		rack.with(id, func(m *machine) { m.power = machines.PowerOff })
		rack.events <- machines.Event{ID: id, Power: machines.PowerOff, Detail: "exec: no init"}
		// The last of these is taken when the first one has been dealt with.
		rack.events <- machines.Event{ID: "another", Power: machines.PowerOff}
		rack.events <- machines.Event{ID: "another", Power: machines.PowerOff}
	}
	server := apiservertest.Start(t, apiservertest.Options{Driver: rack})
	c := server.Client(t)
	device, err := c.CreateDevice(t.Context(), server.ProjectID, order("stillborn"))
	if err != nil {
		t.Fatal(err)
	}
	waitForState(t, c, device.ID, packet.StateFailed)
	events, err := c.DeviceEvents(t.Context(), device.ID)
	if err != nil || !strings.Contains(events[0].Body, "exec: no init") {
		t.Errorf("the newest event is %+v (%v), want it to say why", events[0], err)
	}
}

// TestMachineThatIsBootedTwice is one that goes off and is on again by the
// time that its boot is recorded, as after a loss of its rack.
func TestMachineThatIsBootedTwice(t *testing.T) {
	rack := newRack()
	rack.events = make(chan machines.Event)
	rack.stillborn = func(id string) {
		rack.events <- machines.Event{ID: id, Power: machines.PowerOff}
		rack.events <- machines.Event{ID: "another", Power: machines.PowerOff}
		rack.events <- machines.Event{ID: "another", Power: machines.PowerOff}
	}
	server := apiservertest.Start(t, apiservertest.Options{Driver: rack})
	c := server.Client(t)
	device, err := c.CreateDevice(t.Context(), server.ProjectID, order("twice"))
	if err != nil {
		t.Fatal(err)
	}
	waitForDevice(t, c, device.ID, func(d *packet.Device, err error) bool { return err == nil && d.ProvisioningPercentage == 90 })
	startMetadata(t, server).from(device.IPAddresses[0].Address).post(t, "/phone-home", "", 204)
	waitForState(t, c, device.ID, packet.StateActive)
	events, err := c.DeviceEvents(t.Context(), device.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, event := range events {
		if event.State == "failed" {
			t.Errorf("the device failed on the way: %+v", event)
		}
	}
}

// TestMachineThatDiesWhileNobodyLooks is one that a server made and could not
// record, and that is off when the next server finds it.
func TestMachineThatDiesWhileNobodyLooks(t *testing.T) {
	rack := newRack()
	dir := t.TempDir()
	clock := newClock()
	server := apiservertest.Start(t, apiservertest.Options{Driver: rack, DataDir: dir, Clock: clock, Profile: "realistic"})
	device, err := server.Client(t).CreateDevice(t.Context(), server.ProjectID, order("unrecorded"))
	if err != nil {
		t.Fatal(err)
	}
	server.Stop(t)
	rack.mu.Lock()
	rack.machines[device.ID] = &machine{power: machines.PowerOff}
	rack.mu.Unlock()
	server = apiservertest.Start(t, apiservertest.Options{Driver: rack, DataDir: dir})
	waitForState(t, server.Client(t), device.ID, packet.StateFailed)
}

// TestTakeOver is a server that finds machines of an earlier run.
func TestTakeOver(t *testing.T) {
	rack := newRack()
	dir := t.TempDir()
	server := apiservertest.Start(t, apiservertest.Options{Driver: rack, DataDir: dir})
	metadata := startMetadata(t, server)
	c := server.Client(t)
	var devices []*packet.Device
	for _, name := range []string{"stays", "stops", "vanishes", "leaves", "is-given-an-address"} {
		device, err := c.CreateDevice(t.Context(), server.ProjectID, order(name))
		if err != nil {
			t.Fatal(err)
		}
		until(t, "provisioning", func() bool { return rack.addresses(device.ID) == 3 })
		metadata.from(device.IPAddresses[0].Address).post(t, "/phone-home", "", 204)
		devices = append(devices, waitForState(t, c, device.ID, packet.StateActive))
	}
	rack.mu.Lock()
	rack.hold = make(chan struct{})
	rack.mu.Unlock()
	if err := c.DeleteDevice(t.Context(), devices[3].ID, false); err != nil {
		t.Fatal(err)
	}
	server.Stop(t)

	rack.mu.Lock()
	rack.hold = nil
	rack.machines[devices[1].ID].power = machines.PowerOff
	delete(rack.machines, devices[2].ID)
	rack.machines[devices[4].ID].spec.Addresses = nil
	rack.machines["orphan"] = &machine{power: machines.PowerOn}
	rack.mu.Unlock()

	server = apiservertest.Start(t, apiservertest.Options{Driver: rack, DataDir: dir})
	c = server.Client(t)
	waitForState(t, c, devices[0].ID, packet.StateActive)
	waitForState(t, c, devices[1].ID, packet.StateInactive)
	waitForState(t, c, devices[2].ID, packet.StateInactive)
	waitGone(t, c, devices[3].ID)
	until(t, "giving addresses again", func() bool { return rack.addresses(devices[4].ID) == 3 })
	until(t, "removing the machine without a device", func() (gone bool) {
		rack.with("orphan", func(m *machine) { gone = m == nil })
		return gone
	})
}

// TestManyElasticAddressesAreReleased has more of them than etcd takes
// operations in one transaction, at which deleting them, or their device,
// failed for ever.
func TestManyElasticAddressesAreReleased(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	ctx := t.Context()
	device := activeDevice(t, c, server.ProjectID, order("popular"))
	for _, release := range []struct {
		name string
		by   func(reservationID string) error
	}{
		{"reservation", func(id string) error { return c.DeleteIP(ctx, id) }},
		{"device", func(string) error { return c.DeleteDevice(ctx, device.ID, false) }},
	} {
		block, err := c.CreateIPReservation(ctx, server.ProjectID, packet.IPReservationCreate{Type: packet.IPTypePublicIPv4, Quantity: 128, Metro: "da"})
		if err != nil {
			t.Fatal(err)
		}
		for address, left := netip.MustParseAddr(block.Network), 128; left > 0; left-- {
			if _, err := c.AssignIP(ctx, device.ID, address.String()); err != nil {
				t.Fatal(err)
			}
			address = address.Next()
		}
		if err := release.by(block.ID); err != nil {
			t.Fatalf("deleting the %s of 128 addresses: %v", release.name, err)
		}
		if release.name == "device" {
			waitGone(t, c, device.ID)
		} else if ips, err := c.DeviceIPs(ctx, device.ID); err != nil || len(ips) != 3 {
			t.Errorf("the device has %d addresses (%v) without its elastic ones, want 3", len(ips), err)
		}
	}
}
