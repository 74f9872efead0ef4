package lifecycle

import (
	"testing"

	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

// TestCustomIPXEWaitsForNobody checks that the installation of an unknown
// operating system makes a machine, and ends without its report.
func TestCustomIPXEWaitsForNobody(t *testing.T) {
	steps := stepsOf(&store.Device{OperatingSystem: packet.OSCustomIPXE})
	boots := 0
	for _, step := range steps {
		if step.phonesHome {
			t.Errorf("%s is reported by the machine", step.event)
		}
		if step.boots {
			boots++
		}
	}
	if last := steps[len(steps)-1]; boots != 1 || !last.boots || last.event != packet.EventConnectedToDHCP {
		t.Errorf("%d steps boot, and the last is %s", boots, last.event)
	}
	if other := stepsOf(&store.Device{OperatingSystem: "ubuntu_24_04"}); len(other) != len(installation) {
		t.Errorf("another operating system is installed in %d steps, want %d", len(other), len(installation))
	}
}
