package lifecycle

import (
	"container/heap"
	"slices"
	"time"

	"github.com/packetyard/packetyard/internal/apiserver/store"
)

// LatestEvents lists the events of many devices, the newest first, without
// the first skip of them and at most take, and tells how many there are in
// all. It looks at every device but makes no more events than it returns, so
// a page of a large project is a matter of milliseconds.
func LatestEvents(snapshot *store.Snapshot, devices []*store.Row[store.Device], skip, take int) (page []*store.Row[store.Event], total int) {
	newest := &moments{}
	most := skip + take
	add := func(m moment) {
		total++
		switch {
		case most <= 0:
		case newest.Len() < most:
			heap.Push(newest, m)
		case newer(m, (*newest)[0]):
			(*newest)[0] = m
			heap.Fix(newest, 0)
		}
	}
	for _, device := range devices {
		for i := range stepsOf(device.Value) {
			if at, done := device.Value.StepDone(i); done {
				add(moment{at: at.UnixMicro(), order: total, device: device, step: i})
			}
		}
		for _, row := range snapshot.Events.In(store.OfDevice(device.Value.ID)) {
			add(moment{at: row.Value.CreatedAt.Truncate(time.Microsecond).UnixMicro(), order: total, event: row})
		}
	}
	slices.SortFunc(*newest, func(a, b moment) int {
		if newer(a, b) {
			return -1
		}
		return 1
	})
	for _, m := range (*newest)[min(max(skip, 0), newest.Len()):] {
		if m.event == nil {
			m.event = store.NewRow(Steps(snapshot, m.device.Value)[m.step].Event)
		}
		page = append(page, m.event)
	}
	return page, total
}

// moment is an event that is a record, or that stands in a device.
type moment struct {
	at     int64
	order  int
	event  *store.Row[store.Event]
	device *store.Row[store.Device]
	step   int
}

func newer(a, b moment) bool {
	if a.at != b.at {
		return a.at > b.at
	}
	return a.order > b.order
}

// moments is a heap with the oldest on top.
type moments []moment

func (m moments) Len() int           { return len(m) }
func (m moments) Less(i, j int) bool { return newer(m[j], m[i]) }
func (m moments) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }
func (m *moments) Push(x any)        { *m = append(*m, x.(moment)) }
func (m *moments) Pop() any {
	last := (*m)[len(*m)-1]
	*m = (*m)[:len(*m)-1]
	return last
}
