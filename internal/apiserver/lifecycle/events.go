package lifecycle

import (
	"fmt"
	"slices"
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
	order := stepsOf(device)
	steps := make([]Step, len(order))
	for i, step := range order {
		steps[i] = Step{Type: step.event, Text: stepText(snapshot, device, step)}
		if at, done := device.StepDone(i); done {
			steps[i].Event = stepEvent(device, i, at, step.event, steps[i].Text)
		}
	}
	return steps
}

// stepEvent is the event that tells of a step that is over.
func stepEvent(device *store.Device, i int, at time.Time, kind, text string) *store.Event {
	return &store.Event{
		ID:           device.StepEventID(i),
		DeviceID:     device.ID,
		Type:         kind,
		Body:         text,
		Installation: device.Installation,
		CreatedAt:    at,
	}
}

func stepText(snapshot *store.Snapshot, device *store.Device, step step) string {
	if !strings.Contains(step.text, "%s") {
		return step.text
	}
	return fmt.Sprintf(step.text, enumerate(addressTexts(snapshot, device)))
}

// FindEvent finds an event by its ID, whether it is a record or the end of a
// step of a device's present installation.
func FindEvent(snapshot *store.Snapshot, id string) (*store.Row[store.Event], bool) {
	if row, ok := snapshot.Events.Get(id); ok {
		return row, true
	}
	row, i, ok := snapshot.StepOfEvent(id)
	if !ok || i >= len(stepsOf(row.Value)) {
		return nil, false
	}
	return store.NewRow(Steps(snapshot, row.Value)[i].Event), true
}

// EventsOf lists all events of a device, the oldest first. It must be used
// instead of the store's group, which does not have the provisioning events
// of the present installation.
func EventsOf(snapshot *store.Snapshot, device *store.Device) []*store.Row[store.Event] {
	rows := slices.Clone(snapshot.Events.In(store.OfDevice(device.ID)))
	for _, step := range Steps(snapshot, device) {
		if step.Event != nil {
			rows = append(rows, store.NewRow(step.Event))
		}
	}
	slices.SortStableFunc(rows, byTime)
	return rows
}

// byTime puts events in the order of their times. Those of one time are in
// that of their IDs where both tell of a step, and else stay as they are.
func byTime(a, b *store.Row[store.Event]) int {
	return a.Value.CreatedAt.Truncate(time.Microsecond).Compare(b.Value.CreatedAt.Truncate(time.Microsecond))
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

// complete tells whether all steps of the present installation have ended.
func complete(device *store.Device) bool {
	for i := range stepsOf(device) {
		if _, done := device.StepDone(i); !done {
			return false
		}
	}
	return true
}

// booted tells whether a device should have a machine.
func booted(device *store.Device) bool {
	for i, step := range stepsOf(device) {
		if step.boots {
			_, done := device.StepDone(i)
			return done
		}
	}
	return false
}

// archive makes records of the provisioning events of an installation that
// another one follows.
func archive(tx *store.Tx, device *store.Device) {
	for _, step := range Steps(tx.Snapshot, device) {
		if step.Event != nil {
			tx.Events.Create(tx, step.Event)
		}
	}
}

// lastEvent finds the last recorded event of a type, nil for none.
func lastEvent(snapshot *store.Snapshot, device *store.Device, kind string) *store.Event {
	rows := snapshot.Events.In(store.OfDevice(device.ID))
	for _, row := range slices.Backward(rows) {
		if row.Value.Type == kind {
			return row.Value
		}
	}
	return nil
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
