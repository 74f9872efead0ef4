package writeback_test

import (
	"testing"

	"github.com/packetyard/packetyard/internal/capi/writeback"
)

// A reconcile that read from a cache what was there before its last write told the same event once more.
func TestAnObjectOlderThanItsLastWriteIsBehind(t *testing.T) {
	machine, _ := finalized(t)
	old := stored(t, machine)
	var versions writeback.Versions
	if versions.Behind(old) {
		t.Error("an object that nobody wrote is behind")
	}
	for name, change := range map[string]func(){
		"status":     func() { machine.Status.InstanceStatus = "active" },
		"metadata":   func() { machine.Labels = map[string]string{"a": "b"} },
		"finalizers": func() { machine.Finalizers = append(machine.Finalizers, "example.com/second") },
	} {
		t.Run(name, func(t *testing.T) {
			machine, old = stored(t, machine), stored(t, machine)
			writer, err := versions.New(machine)
			if err != nil {
				t.Fatal(err)
			}
			change()
			if err := writer.Write(t.Context(), env.Client, machine); err != nil {
				t.Fatal(err)
			}
			if !versions.Behind(old) {
				t.Error("what was read before the write is not behind")
			}
			if versions.Behind(stored(t, machine)) {
				t.Error("what was read after the write is behind")
			}
		})
	}
}

// Nothing is waited for that never comes: an object whose last finalizer went is gone.
func TestAnObjectThatIsGoneIsNotWaitedFor(t *testing.T) {
	machine, _ := finalized(t)
	if err := env.Client.Delete(t.Context(), machine); err != nil {
		t.Fatal(err)
	}
	machine = stored(t, machine)
	old := machine.DeepCopy()
	var versions writeback.Versions
	writer, err := versions.New(machine)
	if err != nil {
		t.Fatal(err)
	}
	machine.Finalizers = nil
	if err := writer.Write(t.Context(), env.Client, machine); err != nil {
		t.Fatal(err)
	}
	if versions.Behind(old) {
		t.Error("the cache is waited for")
	}
}
