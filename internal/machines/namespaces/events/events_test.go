package events

import (
	"fmt"
	"testing"

	"github.com/packetyard/packetyard/internal/machines"
)

// TestSlowWatcher shows that nobody who does not take his events holds others
// up, and that he finds them all in order later.
func TestSlowWatcher(t *testing.T) {
	var events Broadcaster
	slow, gone := events.Watch(), events.Watch()
	events.Forget(gone)
	const count = 1000
	for index := range count {
		events.Send(machines.Event{ID: fmt.Sprint(index)})
	}
	<-slow.Signal
	taken := slow.Take()
	if len(taken) != count || taken[0].ID != "0" || taken[count-1].ID != fmt.Sprint(count-1) {
		t.Errorf("%d events were kept, want %d in order", len(taken), count)
	}
	if left := slow.Take(); len(left) > 0 {
		t.Errorf("%d events came twice", len(left))
	}
	if left := gone.Take(); len(left) > 0 {
		t.Errorf("%d events went to somebody who left", len(left))
	}
}
