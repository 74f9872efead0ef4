package namespaces

import (
	"context"

	"github.com/packetyard/packetyard/internal/machines"
)

// Watch implements machines.Driver.
func (d *Driver) Watch(ctx context.Context) (<-chan machines.Event, error) {
	watching := d.events.Watch()
	channel := make(chan machines.Event)
	go func() {
		defer close(channel)
		defer d.events.Forget(watching)
		for {
			select {
			case <-watching.Signal:
			case <-ctx.Done():
				return
			}
			for _, event := range watching.Take() {
				select {
				case channel <- event:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return channel, nil
}
