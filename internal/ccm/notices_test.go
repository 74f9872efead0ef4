package ccm

import (
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	cloudprovider "k8s.io/cloud-provider"

	"github.com/packetyard/packetyard/pkg/packet"
)

func withUID(uid types.UID) func(*corev1.Node) {
	return func(n *corev1.Node) { n.UID = uid }
}

// events are those that came since.
func events(recorder *record.FakeRecorder) []string {
	var got []string
	for {
		select {
		case event := <-recorder.Events:
			got = append(got, event)
		default:
			return got
		}
	}
}

// Issue 189 of upstream's: a provider ID is for ever, and nobody was told when
// the device behind a node's name had become another.
func TestAReplacedDeviceIsReported(t *testing.T) {
	older, newer := deviceNumber(1), deviceNumber(2)
	newer.Hostname = older.Hostname
	a := newAPI(t, newer)
	instances, clock := newTestCloud(t, a)
	recorder := record.NewFakeRecorder(10)
	instances.(*devices).notices.recordTo(recorder)
	n := node(older.Hostname, packet.ProviderID(older.ID), withUID("1"))
	for range 3 {
		if _, err := instances.InstanceMetadata(t.Context(), n); !errors.Is(err, cloudprovider.InstanceNotFound) {
			t.Errorf("metadata: %v", err)
		}
		clock.advance(statusAgePerPage)
	}
	got := events(recorder)
	if len(got) != 1 || !strings.HasPrefix(got[0], "Warning "+ReasonReplaced) || !strings.Contains(got[0], newer.ID) || !strings.Contains(got[0], older.ID) {
		t.Errorf("the events are %q, want one that names both devices", got)
	}
}

func TestAReinstalledDeviceIsReported(t *testing.T) {
	device := deviceNumber(1)
	a := newAPI(t, device)
	instances, clock := newTestCloud(t, a)
	recorder := record.NewFakeRecorder(10)
	instances.(*devices).notices.recordTo(recorder)
	n := node(device.Hostname, packet.ProviderID(device.ID), withUID("1"))
	look := func(state packet.DeviceState) []string {
		t.Helper()
		a.change(func(devices []packet.Device) []packet.Device {
			d := deviceNumber(1)
			d.State = state
			return []packet.Device{d}
		})
		clock.advance(statusAgePerPage)
		for range 2 {
			if _, err := instances.InstanceMetadata(t.Context(), n); err != nil {
				t.Fatal(err)
			}
			if exists, err := instances.InstanceExists(t.Context(), n); err != nil || !exists {
				t.Fatal(exists, err)
			}
		}
		return events(recorder)
	}
	for _, step := range []struct {
		state packet.DeviceState
		want  string
	}{
		{packet.StateActive, ""},
		{packet.StateReinstalling, "Warning " + ReasonReinstalling},
		{packet.StateReinstalling, ""},
		{packet.StateActive, "Normal " + ReasonReinstalled},
		{packet.StateActive, ""},
		{packet.StateReinstalling, "Warning " + ReasonReinstalling},
	} {
		got := look(step.state)
		if (step.want == "" && len(got) > 0) || (step.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], step.want))) {
			t.Errorf("in state %s the events are %q, want %q", step.state, got, step.want)
		}
	}
}
