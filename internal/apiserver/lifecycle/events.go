package lifecycle

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

// Step is a provisioning event as a device lists it. Event is nil while it is
// to come.
type Step struct {
	Type  string
	Text  string
	Event *store.Event
}

// Steps lists the events of a device's present installation, those to come
// too.
func Steps(snapshot *store.Snapshot, device *store.Device) []Step {
	happened := happened(snapshot, device)
	steps := make([]Step, len(installation))
	for i, step := range installation {
		text := step.text
		if strings.Contains(text, "%s") {
			text = fmt.Sprintf(text, enumerate(addressTexts(snapshot, device)))
		}
		steps[i] = Step{Type: step.event, Text: text, Event: happened[step.event]}
	}
	return steps
}

// Percentage is the share of the steps that have happened, from 0 to 100.
func Percentage(steps []Step) float64 {
	done := 0
	for _, step := range steps {
		if step.Event != nil {
			done++
		}
	}
	return 100 * float64(done) / float64(len(steps))
}

// Record adds an event of a device to a transaction.
func Record(tx *store.Tx, device *store.Device, now time.Time, kind, body, state string) {
	tx.Events.Create(tx, &store.Event{
		ID:           newEventID(),
		DeviceID:     device.ID,
		Type:         kind,
		Body:         body,
		State:        state,
		Installation: device.Installation,
		CreatedAt:    now,
	})
}

// newEventID makes IDs that sort by their time.
func newEventID() string {
	return uuid.Must(uuid.NewV7()).String()
}

// happened finds the events of a device's present installation by type.
func happened(snapshot *store.Snapshot, device *store.Device) map[string]*store.Event {
	events := map[string]*store.Event{}
	for _, row := range snapshot.Events.In(store.OfDevice(device.ID)) {
		if row.Value.Installation == device.Installation {
			events[row.Value.Type] = row.Value
		}
	}
	return events
}

// complete tells whether a set of events holds all steps.
func complete(happened map[string]*store.Event) bool {
	for _, step := range installation {
		if happened[step.event] == nil {
			return false
		}
	}
	return true
}

func addressTexts(snapshot *store.Snapshot, device *store.Device) []string {
	var texts []string
	for _, row := range snapshot.AddressesOf(device.ID) {
		if row.Value.Management {
			texts = append(texts, row.Value.Address.String())
		}
	}
	return texts
}

// enumerate writes "a, b, and c".
func enumerate(list []string) string {
	switch len(list) {
	case 0:
		return "none"
	case 1:
		return list[0]
	case 2:
		return list[0] + " and " + list[1]
	default:
		return strings.Join(list[:len(list)-1], ", ") + ", and " + list[len(list)-1]
	}
}

// installing tells whether a device is being installed.
func installing(device *store.Device) bool {
	switch device.State {
	case packet.StateQueued, packet.StateProvisioning, packet.StateReinstalling:
		return true
	}
	return false
}
