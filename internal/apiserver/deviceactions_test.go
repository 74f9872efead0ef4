package apiserver_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/machines"
	"github.com/packetyard/packetyard/pkg/packet"
)

// actionRefused says what an action of a device is refused with.
func actionRefused(t *testing.T, server *apiservertest.Server, id, body string) string {
	t.Helper()
	answer, object := raw(t, server, "POST", "/devices/"+id+"/actions", body)
	if answer.StatusCode != http.StatusUnprocessableEntity {
		t.Fatalf("%s: %d %v, want it refused", body, answer.StatusCode, object)
	}
	return strings.Join(errorsOf(object), "; ")
}

func act(t *testing.T, c *packet.Client, id string, action packet.DeviceAction) {
	t.Helper()
	if err := c.DeviceAction(t.Context(), id, action); err != nil {
		t.Fatal(err)
	}
}

// TestRescue boots a machine into the rescue system, from which every other
// boot brings it back.
func TestRescue(t *testing.T) {
	rack := newRack()
	server := apiservertest.Start(t, apiservertest.Options{Driver: rack})
	metadata := startMetadata(t, server)
	c := server.Client(t)
	device, err := c.CreateDevice(t.Context(), server.ProjectID, order("rescued"))
	if err != nil {
		t.Fatal(err)
	}
	if text := actionRefused(t, server, device.ID, `{"type":"rescue"}`); !strings.HasPrefix(text, "Cannot rescue a device while it is ") {
		t.Errorf("rescuing a device that is being installed: %s", text)
	}
	waitForDevice(t, c, device.ID, func(d *packet.Device, err error) bool { return err == nil && d.ProvisioningPercentage == 90 })
	metadata.from(device.IPAddresses[0].Address).post(t, "/phone-home", "", 204)
	device = waitForState(t, c, device.ID, packet.StateActive)
	if !slices.Contains(device.Actions, packet.DeviceActionName{Type: packet.ActionRescue, Name: packet.ActionRescue}) {
		t.Errorf("an active device offers %v", device.Actions)
	}
	last := func() string {
		rack.mu.Lock()
		defer rack.mu.Unlock()
		return rack.calls[len(rack.calls)-1]
	}
	newest := func() string {
		events, err := c.DeviceEvents(t.Context(), device.ID)
		if err != nil {
			t.Fatal(err)
		}
		return events[0].Body
	}
	act(t, c, device.ID, packet.DeviceAction{Type: packet.ActionRescue})
	waitForState(t, c, device.ID, packet.StateActive)
	if call, text := last(), newest(); call != "rescue" || text != "Device rebooted into the rescue system" {
		t.Errorf("rescuing called %q and told %q", call, text)
	}
	act(t, c, device.ID, packet.DeviceAction{Type: packet.ActionReboot})
	waitForState(t, c, device.ID, packet.StateActive)
	if call := last(); call != "reboot" {
		t.Errorf("rebooting called %q", call)
	}
	// A device that is off can be rescued too.
	act(t, c, device.ID, packet.DeviceAction{Type: packet.ActionPowerOff})
	waitForState(t, c, device.ID, packet.StateInactive)
	act(t, c, device.ID, packet.DeviceAction{Type: packet.ActionRescue})
	waitForState(t, c, device.ID, packet.StateActive)

	rack.mu.Lock()
	rack.fail = errors.New("no rescue image")
	rack.mu.Unlock()
	act(t, c, device.ID, packet.DeviceAction{Type: packet.ActionRescue})
	waitForState(t, c, device.ID, packet.StateInactive)
	if text := newest(); !strings.Contains(text, "no rescue image") {
		t.Errorf("a rescue that failed told %q", text)
	}
}

// TestActionsByState asks for every action in every state that can be had.
func TestActionsByState(t *testing.T) {
	clock := newClock()
	server := apiservertest.Start(t, apiservertest.Options{Clock: clock, Profile: "realistic"})
	c := server.Client(t)
	device, err := c.CreateDevice(t.Context(), server.ProjectID, order("states"))
	if err != nil {
		t.Fatal(err)
	}
	refused := func(state string, actions ...string) {
		t.Helper()
		for _, action := range actions {
			want := "Cannot " + strings.ReplaceAll(action, "_", " ") + " a device while it is " + state
			if text := actionRefused(t, server, device.ID, `{"type":"`+action+`"}`); text != want {
				t.Errorf("%s: %q, want %q", action, text, want)
			}
		}
	}
	reach := func(state packet.DeviceState) {
		t.Helper()
		clock.advanceUntil(t, func() bool {
			shown, err := c.Device(t.Context(), device.ID)
			return err == nil && shown.State == state
		})
	}
	reach(packet.StateProvisioning)
	refused("provisioning", "power_on", "power_off", "reboot", "rescue", "reinstall")
	reach(packet.StateActive)
	refused("active", "power_on")
	act(t, c, device.ID, packet.DeviceAction{Type: packet.ActionPowerOff})
	refused("powering_off", "power_on", "power_off", "reboot", "rescue", "reinstall")
	reach(packet.StateInactive)
	refused("inactive", "power_off", "reboot")
	act(t, c, device.ID, packet.DeviceAction{Type: packet.ActionPowerOn})
	refused("powering_on", "power_on", "power_off", "reboot", "rescue", "reinstall")
	reach(packet.StateActive)
	act(t, c, device.ID, packet.DeviceAction{Type: packet.ActionReinstall})
	refused("reinstalling", "power_on", "power_off", "reboot", "rescue", "reinstall")
	if answer, object := raw(t, server, "DELETE", "/devices/"+device.ID, ""); answer.StatusCode != http.StatusUnprocessableEntity ||
		errorsOf(object)[0] != "Cannot delete a device while it is provisioning" {
		t.Errorf("deleting it meanwhile: %d %v", answer.StatusCode, object)
	}
	if err := c.DeleteDevice(t.Context(), device.ID, true); err != nil {
		t.Errorf("deleting it by force: %v", err)
	}
	refused("deprovisioning", "power_on", "power_off", "reboot", "rescue", "reinstall")
}

// TestLockPreventsDeletionAndReinstallation and nothing else.
func TestLockPreventsDeletionAndReinstallation(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	device := activeDevice(t, c, server.ProjectID, order("locked"))
	lock := func(locked bool) {
		t.Helper()
		if _, err := c.UpdateDevice(t.Context(), device.ID, packet.DeviceUpdate{Locked: &locked}); err != nil {
			t.Fatal(err)
		}
	}
	lock(true)
	if text := actionRefused(t, server, device.ID, `{"type":"reinstall"}`); text != "Cannot reinstall a device while it is locked" {
		t.Errorf("reinstalling: %q", text)
	}
	for _, force := range []bool{false, true} {
		if err := c.DeleteDevice(t.Context(), device.ID, force); err == nil || !strings.Contains(err.Error(), "Cannot delete a device while it is locked") {
			t.Errorf("deleting, by force %v: %v", force, err)
		}
	}
	act(t, c, device.ID, packet.DeviceAction{Type: packet.ActionReboot})
	waitForState(t, c, device.ID, packet.StateActive)
	lock(false)
	if err := c.DeleteDevice(t.Context(), device.ID, false); err != nil {
		t.Errorf("deleting it unlocked: %v", err)
	}
}

func TestReinstallFitsTheDevice(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	device := activeDevice(t, c, server.ProjectID, order("again"))
	large := order("large")
	large.PublicIPv4SubnetSize = 30
	roomy := activeDevice(t, c, server.ProjectID, large)
	arm := order("arm")
	arm.Plan = "c3.large.arm64"
	other := activeDevice(t, c, server.ProjectID, arm)
	for _, test := range []struct{ id, body, text string }{
		{device.ID, `{"type":"reinstall","operating_system":"dos"}`, `operating_system "dos" is not one of`},
		{other.ID, `{"type":"reinstall","operating_system":"windows_2022"}`, `operating_system "windows_2022" cannot be installed on plan "c3.large.arm64"`},
		{device.ID, `{"type":"reinstall","operating_system":"windows_2022"}`, "needs a public IPv4 block of length /30 or shorter"},
		{device.ID, `{"type":"reinstall","ipxe_script_url":"http://boot.example.com"}`, `ipxe_script_url is for operating_system "custom_ipxe" alone`},
		{device.ID, `{"type":"reinstall","operating_system":"custom_ipxe"}`, "ipxe_script_url can't be blank"},
		{device.ID, `{"type":"reinstall","operating_system":"custom_ipxe","ipxe_script_url":"boot.example.com"}`, "is not a URL that begins with http://"},
	} {
		if text := actionRefused(t, server, test.id, test.body); !strings.Contains(text, test.text) {
			t.Errorf("%s: %q, want %q", test.body, text, test.text)
		}
	}
	act(t, c, roomy.ID, packet.DeviceAction{Type: packet.ActionReinstall, OperatingSystem: "windows_2022"})
	if shown := waitForState(t, c, roomy.ID, packet.StateActive); shown.OperatingSystem.Slug != "windows_2022" || shown.User != "Admin" {
		t.Errorf("reinstalled, it runs %s as %s", shown.OperatingSystem.Slug, shown.User)
	}
	act(t, c, device.ID, packet.DeviceAction{Type: packet.ActionReinstall, OperatingSystem: "custom_ipxe", IPXEScriptURL: "http://boot.example.com"})
	shown := waitForState(t, c, device.ID, packet.StateActive)
	if shown.IPXEScriptURL != "http://boot.example.com" || len(shown.ProvisioningEvents) != 4 || shown.RootPassword == device.RootPassword {
		t.Errorf("reinstalled, it boots %s in %d steps", shown.IPXEScriptURL, len(shown.ProvisioningEvents))
	}
}

// TestFastDeprovisioningSkipsTheWipe looks at whether a reinstallation has
// begun within the two minutes that the disks are wiped otherwise.
func TestFastDeprovisioningSkipsTheWipe(t *testing.T) {
	clock := newClock()
	server := apiservertest.Start(t, apiservertest.Options{Clock: clock, Profile: "realistic"})
	c := server.Client(t)
	device, err := c.CreateDevice(t.Context(), server.ProjectID, order("wiped"))
	if err != nil {
		t.Fatal(err)
	}
	show := func() *packet.Device {
		t.Helper()
		shown, err := c.Device(t.Context(), device.ID)
		if err != nil {
			t.Fatal(err)
		}
		return shown
	}
	active := func() bool { return show().State == packet.StateActive }
	clock.advanceUntil(t, active)
	for name, action := range map[string]packet.DeviceAction{
		"deprovision_fast": {DeprovisionFast: true}, "preserve_data": {PreserveData: true}, "neither": {},
	} {
		action.Type = packet.ActionReinstall
		act(t, c, device.ID, action)
		if name == "neither" {
			clock.advance(119 * time.Second)
			if shown := show(); shown.ProvisioningPercentage != 0 || shown.State != packet.StateReinstalling {
				t.Errorf("with %s the device is %s at %v%% before it is wiped", name, shown.State, shown.ProvisioningPercentage)
			}
		} else {
			// It is looked at far more often than the clock needs to go on.
			for at := clock.Now(); show().ProvisioningPercentage == 0; clock.advance(10 * time.Millisecond) {
				if clock.Now().Sub(at) > 119*time.Second {
					t.Fatalf("with %s the disks are wiped", name)
				}
			}
		}
		clock.advanceUntil(t, active)
	}
}

// TestCustomIPXEIsActiveOnceItsScriptIsServed has machines that phone home,
// but not with an operating system that nobody knows.
func TestCustomIPXEIsActiveOnceItsScriptIsServed(t *testing.T) {
	rack := newRack()
	server := apiservertest.Start(t, apiservertest.Options{Driver: rack})
	c := server.Client(t)
	for name, change := range map[string]func(*packet.DeviceCreate){
		"URL":       func(d *packet.DeviceCreate) { d.IPXEScriptURL = "https://boot.example.com/script" },
		"user data": func(d *packet.DeviceCreate) { d.Userdata = "#!ipxe\nchain http://boot.example.com" },
	} {
		create := order("ipxe")
		create.OperatingSystem = packet.OSCustomIPXE
		create.AlwaysPXE = name == "URL"
		change(&create)
		device, err := c.CreateDevice(t.Context(), server.ProjectID, create)
		if err != nil {
			t.Fatal(err)
		}
		device = waitForState(t, c, device.ID, packet.StateActive)
		var types []string
		for _, event := range device.ProvisioningEvents {
			types = append(types, event.Type)
		}
		if want := "provisioning.101 provisioning.102 provisioning.103 provisioning.104.01"; strings.Join(types, " ") != want ||
			device.ProvisioningPercentage != 100 || device.ProvisioningEvents[3].Body != "Device connected to DHCP system" {
			t.Errorf("by %s: %v at %v%%, want %s", name, types, device.ProvisioningPercentage, want)
		}
		served := func() int {
			events, err := c.DeviceEvents(t.Context(), device.ID)
			if err != nil {
				t.Fatal(err)
			}
			count := 0
			for _, event := range events {
				if event.Type == packet.EventConnectedToDHCP {
					count++
				}
			}
			return count
		}
		act(t, c, device.ID, packet.DeviceAction{Type: packet.ActionReboot})
		waitForState(t, c, device.ID, packet.StateActive)
		want := 1
		if create.AlwaysPXE {
			want = 2
		}
		if got := served(); got != want {
			t.Errorf("by %s, with always_pxe %v: the script was served %d times with a reboot, want %d", name, create.AlwaysPXE, got, want)
		}
		rack.events <- machines.Event{ID: device.ID, Power: machines.PowerOff}
		waitForState(t, c, device.ID, packet.StateInactive)
	}
}

// TestTerminationTime ends devices at their time, in whatever state they are.
func TestTerminationTime(t *testing.T) {
	clock := newClock()
	rack := newRack()
	server := apiservertest.Start(t, apiservertest.Options{Clock: clock, Driver: rack})
	c := server.Client(t)
	end := clock.Now().Add(time.Hour)
	create := order("ends")
	create.TerminationTime = packet.NewTimestamp(end)
	create.Locked = true
	// Nobody phones home for it: it would be provisioning for ever.
	device, err := c.CreateDevice(t.Context(), server.ProjectID, create)
	if err != nil || device.TerminationTime == nil || !device.TerminationTime.Equal(end) {
		t.Fatalf("%v, %v", device, err)
	}
	clock.advance(59 * time.Minute)
	waitForDevice(t, c, device.ID, func(d *packet.Device, err error) bool { return err == nil && d.ProvisioningPercentage == 90 })
	clock.advanceUntil(t, func() bool {
		_, err := c.Device(t.Context(), device.ID)
		return packet.IsNotFound(err)
	})
	if clock.Now().Before(end) {
		t.Errorf("the device was gone at %v, before its time %v", clock.Now(), end)
	}

	devices := "/projects/" + server.ProjectID + "/devices"
	body := `{"plan":"c3.small.x86","operating_system":"ubuntu_24_04","metro":"da","termination_time":`
	if answer, object := raw(t, server, "POST", devices, body+`"2020-01-01T00:00:00Z"}`); answer.StatusCode != http.StatusUnprocessableEntity ||
		!strings.Contains(errorsOf(object)[0], "termination_time 2020-01-01T00:00:00Z is not in the future") {
		t.Errorf("in the past: %d %v", answer.StatusCode, object)
	}
	// Without a zone it is UTC.
	answer, object := raw(t, server, "POST", devices, body+`"2030-01-01T12:00:00"}`)
	if answer.StatusCode != http.StatusCreated || object["termination_time"] != "2030-01-01T12:00:00Z" {
		t.Errorf("without a zone: %d %v", answer.StatusCode, object["termination_time"])
	}
}

// TestRootPasswordIsShownForADay after each installation.
func TestRootPasswordIsShownForADay(t *testing.T) {
	clock := newClock()
	server := apiservertest.Start(t, apiservertest.Options{Clock: clock})
	c := server.Client(t)
	device := activeDevice(t, c, server.ProjectID, order("secret"))
	first := device.RootPassword
	clock.advance(23 * time.Hour)
	act(t, c, device.ID, packet.DeviceAction{Type: packet.ActionReinstall})
	second := waitForState(t, c, device.ID, packet.StateActive).RootPassword
	if first == "" || second == "" || first == second {
		t.Error("a reinstalled device has no new root password")
	}
	clock.advance(23 * time.Hour)
	if shown, err := c.Device(t.Context(), device.ID); err != nil || shown.RootPassword != second {
		t.Error("the new root password is not shown for a day")
	}
	clock.advanceUntil(t, func() bool {
		shown, err := c.Device(t.Context(), device.ID)
		clock.advance(10 * time.Minute)
		return err == nil && shown.RootPassword == ""
	})
}
