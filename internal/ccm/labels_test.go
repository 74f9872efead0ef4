package ccm

import (
	"maps"
	"testing"

	"github.com/packetyard/packetyard/pkg/packet"
)

func TestAdditionalLabels(t *testing.T) {
	device := deviceNumber(1)
	device.SwitchUUID = "f8a5d7c1"
	device.SpotInstance = true
	device.HardwareReservation = &packet.HardwareReservation{ID: "11111111-2222-4333-8444-555555555555"}
	device.OperatingSystem = &packet.OperatingSystem{Slug: "ubuntu_24_04"}
	device.Tags = []string{"label:example.com/rack=r1", "label:bare", "label:not a key=x", "label:key=not/a/value", "other", "label:rack=r1"}
	all := map[string]string{
		"metal.equinix.com/switch": "f8a5d7c1", "metal.equinix.com/hardware-reservation": device.HardwareReservation.ID,
		"metal.equinix.com/spot-instance": "true",
	}
	for _, test := range []struct {
		name   string
		device packet.Device
		labels string
		prefix string
		want   map[string]string
	}{
		{name: "the defaults", device: device, want: all},
		{name: "of a device without any of it", device: deviceNumber(1), want: map[string]string{}},
		{name: "none", device: device, labels: "none", want: map[string]string{}},
		{name: "one", device: device, labels: "operating-system", want: map[string]string{"metal.equinix.com/operating-system": "ubuntu_24_04"}},
		{name: "tags", device: device, labels: "none", prefix: "label:", want: map[string]string{"example.com/rack": "r1", "bare": "", "rack": "r1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			names := defaultNodeLabels()
			if test.labels != "" {
				var err error
				if names, err = parseNodeLabels(test.labels); err != nil {
					t.Fatal(err)
				}
			}
			if got := additionalLabels(&test.device, names, test.prefix); !maps.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}
