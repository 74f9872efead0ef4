package packetremediation

import (
	"slices"
	"testing"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/pkg/packet"
)

// TestNextMove goes through the states that a device can be found in, among them those that only a kill at the right moment
// leads to.
func TestNextMove(t *testing.T) {
	reboot, cycle, reinstall := infrav1.RemediationReboot, infrav1.RemediationPowerCycle, infrav1.RemediationReinstall
	begun, off := infrav1.RemediationBegun, infrav1.RemediationPoweredOff
	for _, c := range []struct {
		name     string
		step     infrav1.PacketRemediationStep
		progress infrav1.PacketRemediationProgress
		state    packet.DeviceState
		events   []string
		want     move
	}{
		{"reboot", reboot, begun, packet.StateActive, nil, move{packet.ActionReboot, true}},
		{"reboot of one that is off", reboot, begun, packet.StateInactive, nil, move{packet.ActionPowerOn, true}},
		{"reboot that goes on", reboot, begun, packet.StatePoweringOn, nil, move{"", true}},
		{"reboot that is queued", reboot, begun, packet.StateActive, []string{packet.EventPowerQueued}, move{"", true}},
		{"reboot that is over", reboot, begun, packet.StateActive, []string{packet.EventPowerRebooted}, move{"", true}},
		{"reboot while somebody turns it off", reboot, begun, packet.StatePoweringOff, nil, move{}},
		{"cycle", cycle, begun, packet.StateActive, nil, move{packet.ActionPowerOff, false}},
		{"cycle of one that goes off", cycle, begun, packet.StatePoweringOff, nil, move{}},
		{"cycle of one that is off", cycle, begun, packet.StateInactive, nil, move{packet.ActionPowerOn, true}},
		{"cycle that is off", cycle, off, packet.StateInactive, nil, move{packet.ActionPowerOn, true}},
		{"cycle that comes on", cycle, off, packet.StatePoweringOn, nil, move{"", true}},
		{"cycle that is on again", cycle, off, packet.StateActive, nil, move{"", true}},
		{"cycle that somebody else ended", cycle, begun, packet.StateActive, []string{packet.EventPoweredOff, packet.EventPoweredOn}, move{"", true}},
		{"reinstallation", reinstall, begun, packet.StateActive, nil, move{packet.ActionReinstall, true}},
		{"reinstallation of one that failed", reinstall, begun, packet.StateFailed, nil, move{packet.ActionReinstall, true}},
		{"reinstallation that goes on", reinstall, begun, packet.StateReinstalling, nil, move{"", true}},
		{"reinstallation that is over", reinstall, begun, packet.StateActive, []string{packet.EventProvisioningStarted}, move{"", true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := nextMove(c.step, c.progress, c.state, func(types ...string) (bool, error) {
				return slices.ContainsFunc(types, func(kind string) bool { return slices.Contains(c.events, kind) }), nil
			})
			if err != nil || got != c.want {
				t.Errorf("next is %+v, %v, want %+v", got, err, c.want)
			}
		})
	}
}

func TestPositionGoesThroughTheCourse(t *testing.T) {
	c := courseOf(&infrav1.PacketRemediation{})
	if len(c.steps) != 1 || c.steps[0] != infrav1.RemediationReboot || c.retryLimit != 1 || c.patience(infrav1.RemediationReinstall) <= c.patience(infrav1.RemediationReboot) {
		t.Errorf("without a strategy the course is %+v", c)
	}
	c.steps, c.retryLimit = []infrav1.PacketRemediationStep{infrav1.RemediationReboot, infrav1.RemediationPowerCycle}, 2
	var tried []infrav1.PacketRemediationStep
	status := infrav1.PacketRemediationStatus{}
	for p := standing(&status); !p.exhausted(c); p = standing(&status).next(c) {
		tried = append(tried, c.steps[p.index])
		p.tries++
		p.write(&status)
	}
	if want := []infrav1.PacketRemediationStep{c.steps[0], c.steps[0], c.steps[1], c.steps[1]}; !slices.Equal(tried, want) {
		t.Errorf("tried %v, want %v", tried, want)
	}
}
