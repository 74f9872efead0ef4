package writeback_test

import (
	"os"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/capitest"
	"github.com/packetyard/packetyard/internal/capi/writeback"
)

var env *capitest.Environment

func TestMain(m *testing.M) {
	ctrl.SetLogger(klog.Background())
	os.Exit(capitest.Run(m, capitest.DefinitionsOnly, func(e *capitest.Environment) (func(), error) {
		env = e
		return func() {}, nil
	}))
}

func TestWrite(t *testing.T) {
	ctx, finalizer := t.Context(), "example.com/finalizer"
	machine := &infrav1.PacketMachine{
		ObjectMeta: metav1.ObjectMeta{Namespace: env.Namespace(t), Name: "m", Finalizers: []string{finalizer}},
		Spec:       infrav1.PacketMachineSpec{OS: "ubuntu_24_04", MachineType: "c3.small.x86"},
	}
	if err := env.Client.Create(ctx, machine); err != nil {
		t.Fatal(err)
	}
	stored := func() *infrav1.PacketMachine {
		t.Helper()
		found := &infrav1.PacketMachine{}
		if err := env.Client.Get(ctx, client.ObjectKeyFromObject(machine), found); err != nil {
			t.Fatal(err)
		}
		return found
	}
	write := func(change func()) error {
		t.Helper()
		writer, err := writeback.New(machine)
		if err != nil {
			t.Fatal(err)
		}
		change()
		return writer.Write(ctx, env.Client, machine)
	}

	if err := write(func() {}); err != nil {
		t.Fatal(err)
	}
	if stored().ResourceVersion != machine.ResourceVersion {
		t.Error("an object that did not change was written")
	}

	if err := write(func() {
		machine.Spec.ProviderID = "packet://x"
		machine.Status.InstanceStatus = "queued"
	}); err != nil {
		t.Fatal(err)
	}
	if got := stored(); got.Spec.ProviderID != "packet://x" || got.Status.InstanceStatus != "queued" {
		t.Errorf("stored are %q and %q", got.Spec.ProviderID, got.Status.InstanceStatus)
	}

	// What others changed meanwhile stays, since only the difference is sent.
	labelled := stored()
	labelled.Labels = map[string]string{"others": "yes"}
	if err := env.Client.Update(ctx, labelled); err != nil {
		t.Fatal(err)
	}
	if err := write(func() { machine.Status.InstanceStatus = "active" }); err != nil {
		t.Fatal(err)
	}
	if got := stored(); got.Labels["others"] != "yes" || got.Status.InstanceStatus != "active" {
		t.Errorf("stored are labels %v and %q", got.Labels, got.Status.InstanceStatus)
	}

	// A spec that is refused does not keep the status from being written.
	err := write(func() {
		machine.Spec.ProviderID = "packet://another"
		machine.Status.InstanceStatus = "inactive"
	})
	if !apierrors.IsInvalid(err) {
		t.Errorf("changing the identity: %v, want a refusal", err)
	}
	if got := stored(); got.Status.InstanceStatus != "inactive" {
		t.Errorf("stored status is %q, want inactive", got.Status.InstanceStatus)
	}
	*machine = *stored()

	// The last finalizer takes the object along, and there is no status to write any more.
	if err := env.Client.Delete(ctx, machine); err != nil {
		t.Fatal(err)
	}
	*machine = *stored()
	if err := write(func() {
		machine.Finalizers = nil
		machine.Status.InstanceStatus = "deleted"
	}); err != nil {
		t.Errorf("removing the last finalizer: %v", err)
	}
	if err := env.Client.Get(ctx, client.ObjectKeyFromObject(machine), machine); !apierrors.IsNotFound(err) {
		t.Errorf("the object is still there: %v", err)
	}
}
