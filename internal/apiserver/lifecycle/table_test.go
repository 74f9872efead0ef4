package lifecycle

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/packetyard/packetyard/pkg/packet"
)

func TestInstallationIsInOrder(t *testing.T) {
	var total duration
	boots, phonesHome := 0, 0
	for i, step := range installation {
		if want := fmt.Sprintf("provisioning.%d", 101+i); step.event != want {
			t.Errorf("step %d is %s, want %s", i, step.event, want)
		}
		if step.text == "" {
			t.Errorf("%s has no text", step.event)
		}
		if step.boots {
			boots++
		}
		if step.phonesHome {
			phonesHome++
			if boots != 1 {
				t.Errorf("%s is reported by a machine that was not booted", step.event)
			}
		}
		total.fast += step.takes.in(Fast)
		total.realistic += step.takes.in(Realistic)
		if step.takes.in(Instant) != 0 {
			t.Errorf("%s takes time in the instant profile", step.event)
		}
	}
	if boots != 1 || phonesHome != 1 {
		t.Errorf("%d steps boot and %d phone home, want one of each", boots, phonesHome)
	}
	if total.fast > 3*time.Second || total.realistic < 2*time.Minute || total.realistic > 10*time.Minute {
		t.Errorf("an installation takes %v fast and %v realistic", total.fast, total.realistic)
	}
}

// TestOperationsEnd checks that a device comes out of every power action in a
// state from which there is a way on.
func TestOperationsEnd(t *testing.T) {
	offered := map[packet.DeviceState]bool{}
	for _, operation := range operations {
		for _, state := range operation.from {
			offered[state] = true
		}
	}
	for name, operation := range operations {
		if !offered[operation.after] || !offered[operation.failed] {
			t.Errorf("%s leads to %s or %s, from which no power action is possible", name, operation.after, operation.failed)
		}
		if operation.during != packet.StatePoweringOn && operation.during != packet.StatePoweringOff {
			t.Errorf("%s is carried out in the state %s", name, operation.during)
		}
	}
}

func TestParseProfile(t *testing.T) {
	for _, name := range Profiles() {
		if profile, err := ParseProfile(name); err != nil || string(profile) != name {
			t.Errorf("%s: %v, %v", name, profile, err)
		}
	}
	if _, err := ParseProfile("quick"); err == nil || !strings.Contains(err.Error(), "instant, fast, realistic") {
		t.Errorf("an unknown profile: %v, want an error with those that exist", err)
	}
}

func TestEnumerate(t *testing.T) {
	for want, list := range map[string][]string{
		"none": nil, "a": {"a"}, "a and b": {"a", "b"}, "a, b, and c": {"a", "b", "c"},
	} {
		if got := enumerate(list); got != want {
			t.Errorf("%v is %q, want %q", list, got, want)
		}
	}
}
