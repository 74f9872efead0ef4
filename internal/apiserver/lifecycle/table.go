// Package lifecycle moves devices through their states and makes a machines
// driver do what the states say.
//
// The table in this file is all there is to know about the order of things:
// which steps an installation has, what the events say, how long each takes.
// The worker reads where a device is from the store and does the next thing,
// so it may die anywhere and go on from there.
package lifecycle

import (
	"fmt"
	"strings"
	"time"

	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

// Profile is how fast devices move.
type Profile string

// The profiles. Instant waits for nothing but the machine itself; fast is for
// demonstrations, where one wants to see something; realistic is as slow as
// real servers were.
const (
	Instant   Profile = "instant"
	Fast      Profile = "fast"
	Realistic Profile = "realistic"
)

// Profiles lists all profiles, for flags and their errors.
func Profiles() []string {
	return []string{string(Instant), string(Fast), string(Realistic)}
}

// ParseProfile checks the name of a profile.
func ParseProfile(name string) (Profile, error) {
	for _, known := range Profiles() {
		if name == known {
			return Profile(name), nil
		}
	}
	return "", fmt.Errorf("profile %q is not one of %s", name, strings.Join(Profiles(), ", "))
}

// duration is how long something takes in a profile other than instant.
type duration struct {
	fast, realistic time.Duration
}

func (d duration) in(profile Profile) time.Duration {
	switch profile {
	case Fast:
		return d.fast
	case Realistic:
		return d.realistic
	default:
		return 0
	}
}

// step is a part of an installation, told by an event when it is over.
type step struct {
	event string
	text  string
	takes duration
	// boots marks the step in which the machine is made and switched on.
	boots bool
	// phonesHome marks the step that the machine itself reports, where it can.
	phonesHome bool
}

// installation is what happens to a new device, and again to one that is
// reinstalled. %s stands for the device's addresses.
var installation = []step{
	{event: packet.EventProvisioningStarted, text: "Provisioning started",
		takes: duration{0, time.Second}},
	{event: packet.EventNetworkConfigured, text: "Network configured with addresses %s",
		takes: duration{100 * time.Millisecond, 5 * time.Second}},
	{event: packet.EventConfigurationWritten, text: "Configuration written, restarting device",
		takes: duration{100 * time.Millisecond, 5 * time.Second}},
	{event: packet.EventConnectedToInstaller, text: "Connected to magic install system",
		takes: duration{200 * time.Millisecond, 75 * time.Second}},
	{event: packet.EventPartitionsCreated, text: "Server partitions created",
		takes: duration{100 * time.Millisecond, 10 * time.Second}},
	{event: packet.EventPackagesInstalled, text: "Operating system packages installed",
		takes: duration{200 * time.Millisecond, 30 * time.Second}},
	{event: packet.EventNetworkInterfacesConfigured, text: "Server networking interfaces configured",
		takes: duration{100 * time.Millisecond, 5 * time.Second}},
	{event: packet.EventCloudInitConfigured, text: "Cloud-init packages installed and configured",
		takes: duration{100 * time.Millisecond, 10 * time.Second}},
	{event: packet.EventInstallationFinished, text: "Installation finished, rebooting server",
		takes: duration{100 * time.Millisecond, 5 * time.Second}, boots: true},
	{event: packet.EventPhonedHome, text: "Device phoned home and is ready to go",
		takes: duration{200 * time.Millisecond, 60 * time.Second}, phonesHome: true},
}

// customIPXE is what happens to a device whose operating system its user
// brings along: it boots a script, and what that does nobody hears of. So it is
// active once the script was served.
var customIPXE = []step{
	installation[0],
	installation[1],
	installation[2],
	{event: packet.EventConnectedToDHCP, text: "Device connected to DHCP system",
		takes: duration{200 * time.Millisecond, 75 * time.Second}, boots: true},
}

// stepsOf are the steps of a device's installation.
func stepsOf(device *store.Device) []step {
	if device.OperatingSystem == packet.OSCustomIPXE {
		return customIPXE
	}
	return installation
}

// wipe is how long the disks of a device are wiped before it is installed anew.
var wipe = duration{200 * time.Millisecond, 2 * time.Minute}

// operation is a power action.
type operation struct {
	// from are the states in which it can be asked for.
	from []packet.DeviceState
	// during is the state while it is carried out, after the one that follows,
	// and failed the one that follows when the driver could not do it.
	during, after, failed packet.DeviceState
	queued, started       string
	// done is the event, with its text, at the end.
	done, text string
	takes      duration
}

var operations = map[string]operation{
	packet.ActionPowerOff: {
		from:   []packet.DeviceState{packet.StateActive},
		during: packet.StatePoweringOff, after: packet.StateInactive, failed: packet.StateActive,
		queued: "Power off operation queued", started: "Power off operation started",
		done: packet.EventPoweredOff, text: "Device powered off",
		takes: duration{200 * time.Millisecond, 5 * time.Second},
	},
	packet.ActionPowerOn: {
		from:   []packet.DeviceState{packet.StateInactive},
		during: packet.StatePoweringOn, after: packet.StateActive, failed: packet.StateInactive,
		queued: "Power on operation queued", started: "Power on operation started",
		done: packet.EventPoweredOn, text: "Device powered on",
		takes: duration{200 * time.Millisecond, 60 * time.Second},
	},
	packet.ActionReboot: {
		from:   []packet.DeviceState{packet.StateActive},
		during: packet.StatePoweringOn, after: packet.StateActive, failed: packet.StateActive,
		queued: "Reboot operation queued", started: "Reboot operation started",
		done: packet.EventPowerRebooted, text: "Device rebooted",
		takes: duration{400 * time.Millisecond, 60 * time.Second},
	},
	// A machine is off when it could not be booted into the rescue system,
	// since it is switched off for that first.
	packet.ActionRescue: {
		from:   []packet.DeviceState{packet.StateActive, packet.StateInactive},
		during: packet.StatePoweringOn, after: packet.StateActive, failed: packet.StateInactive,
		queued: "Rescue operation queued", started: "Rescue operation started",
		done: packet.EventPowerRebooted, text: "Device rebooted into the rescue system",
		takes: duration{400 * time.Millisecond, 90 * time.Second},
	},
}

// removal is how long a device is seen deprovisioning before its machine goes.
var removal = duration{200 * time.Millisecond, 30 * time.Second}

// failedLife is how long a device on demand that could not be installed stays
// in its project, for people and programs to see why. The service took such
// devices away too. One on reserved hardware stays until it is deleted.
const failedLife = 5 * time.Minute

// reservationRest is how long a reserved server takes no device after it lost
// one: the service took about four minutes.
var reservationRest = duration{4 * time.Second, 4 * time.Minute}

// rootPasswordLife is how long the API shows a device's root password.
const rootPasswordLife = 24 * time.Hour

// The events of what the API's own list has no number for.
const (
	eventInstallationFailed = "provisioning.failed"
	eventPowerFailed        = "power.failed"
	eventRemovalFailed      = "deprovisioning.failed"
)
