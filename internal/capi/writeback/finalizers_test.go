package writeback_test

import (
	"slices"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/writeback"
)

const own, others = "example.com/own", "example.com/others"

// finalized makes an object that has our finalizer, and a writer that saw it.
func finalized(t *testing.T) (*infrav1.PacketMachine, *writeback.Writer) {
	t.Helper()
	machine := &infrav1.PacketMachine{
		ObjectMeta: metav1.ObjectMeta{Namespace: env.Namespace(t), Name: "m", Finalizers: []string{own}},
		Spec:       infrav1.PacketMachineSpec{OS: "ubuntu_24_04", MachineType: "c3.small.x86"},
	}
	if err := env.Client.Create(t.Context(), machine); err != nil {
		t.Fatal(err)
	}
	writer, err := writeback.New(machine)
	if err != nil {
		t.Fatal(err)
	}
	return machine, writer
}

// meanwhile is another controller that adds its finalizer after the object was read.
func meanwhile(t *testing.T, machine *infrav1.PacketMachine) {
	t.Helper()
	found := stored(t, machine)
	found.Finalizers = append(found.Finalizers, others)
	if err := env.Client.Update(t.Context(), found); err != nil {
		t.Fatal(err)
	}
}

func stored(t *testing.T, machine *infrav1.PacketMachine) *infrav1.PacketMachine {
	t.Helper()
	found := &infrav1.PacketMachine{}
	if err := env.Client.Get(t.Context(), client.ObjectKeyFromObject(machine), found); err != nil {
		t.Fatal(err)
	}
	return found
}

// Removing a finalizer sent the whole list as it had been read, so that a finalizer which somebody else had added meanwhile
// went away with it, and its owner never got to clean up.
func TestFinalizersOfOthersSurviveARemoval(t *testing.T) {
	machine, writer := finalized(t)
	meanwhile(t, machine)
	machine.Finalizers = nil
	if err := writer.Write(t.Context(), env.Client, machine); !apierrors.IsConflict(err) {
		t.Errorf("removing a finalizer from an object that changed: %v, want a conflict", err)
	}
	if got := stored(t, machine).Finalizers; !slices.Equal(got, []string{own, others}) {
		t.Errorf("the finalizers are %v, want both", got)
	}
	// The next reconcile reads the object anew.
	*machine = *stored(t, machine)
	writer, err := writeback.New(machine)
	if err != nil {
		t.Fatal(err)
	}
	machine.Finalizers = []string{others}
	if err := writer.Write(t.Context(), env.Client, machine); err != nil {
		t.Fatal(err)
	}
	if got := stored(t, machine).Finalizers; !slices.Equal(got, []string{others}) {
		t.Errorf("the finalizers are %v, want %s only", got, others)
	}
}

// A conflict about finalizers must not lose what the reconcile learned: the identity of a device is written first.
func TestAConflictOfFinalizersLosesNoIdentity(t *testing.T) {
	machine, writer := finalized(t)
	meanwhile(t, machine)
	machine.Spec.ProviderID, machine.Status.InstanceStatus = "packet://x", "queued"
	machine.Finalizers = append(machine.Finalizers, "example.com/another")
	// The answer to the first patch told of the newer version, so there is not even a conflict.
	if err := writer.Write(t.Context(), env.Client, machine); err != nil {
		t.Fatal(err)
	}
	got := stored(t, machine)
	if got.Spec.ProviderID != "packet://x" || got.Status.InstanceStatus != "queued" {
		t.Errorf("stored are %q and %q", got.Spec.ProviderID, got.Status.InstanceStatus)
	}
	if want := []string{own, others, "example.com/another"}; !slices.Equal(got.Finalizers, want) {
		t.Errorf("the finalizers are %v, want %v", got.Finalizers, want)
	}
}
