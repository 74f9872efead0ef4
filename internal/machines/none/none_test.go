package none_test

import (
	"context"
	"errors"
	"testing"

	"github.com/packetyard/packetyard/internal/machines"
	"github.com/packetyard/packetyard/internal/machines/none"
)

func TestEveryRequestSucceedsForAnyMachine(t *testing.T) {
	driver := none.New()
	ctx := t.Context()
	for name, call := range map[string]func(context.Context) error{
		"provision":     func(ctx context.Context) error { return driver.Provision(ctx, machines.Spec{ID: "a"}) },
		"power on":      func(ctx context.Context) error { return driver.PowerOn(ctx, "unheard-of") },
		"power off":     func(ctx context.Context) error { return driver.PowerOff(ctx, "unheard-of") },
		"reboot":        func(ctx context.Context) error { return driver.Reboot(ctx, "unheard-of") },
		"reinstall":     func(ctx context.Context) error { return driver.Reinstall(ctx, machines.Spec{ID: "a"}) },
		"set addresses": func(ctx context.Context) error { return driver.SetAddresses(ctx, "a", nil) },
		"deprovision":   func(ctx context.Context) error { return driver.Deprovision(ctx, "unheard-of") },
	} {
		if err := call(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		ended, cancel := context.WithCancel(ctx)
		cancel()
		if err := call(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("%s after the context ended: %v, want %v", name, err, context.Canceled)
		}
	}
	if driver.SelfReporting() {
		t.Error("SelfReporting is true, but no machine is there to phone home")
	}
}

func TestWatchEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	events, err := none.New().Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if event, open := <-events; open {
		t.Errorf("an event %v came, want the channel to close", event)
	}
}
