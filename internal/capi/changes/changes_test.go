package changes_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/event"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/changes"
)

func TestByOthers(t *testing.T) {
	now := metav1.Now()
	for name, test := range map[string]struct {
		change func(*infrav1.PacketMachine)
		want   bool
	}{
		"status":      {func(m *infrav1.PacketMachine) { m.Status.InstanceStatus = "active" }, false},
		"finalizers":  {func(m *infrav1.PacketMachine) { m.Finalizers = []string{"f"} }, false},
		"spec":        {func(m *infrav1.PacketMachine) { m.Generation++ }, true},
		"labels":      {func(m *infrav1.PacketMachine) { m.Labels = map[string]string{"a": "b"} }, true},
		"annotations": {func(m *infrav1.PacketMachine) { m.Annotations = map[string]string{"a": "b"} }, true},
		"owner":       {func(m *infrav1.PacketMachine) { m.OwnerReferences = []metav1.OwnerReference{{Name: "o"}} }, true},
		"deletion":    {func(m *infrav1.PacketMachine) { m.DeletionTimestamp = &now }, true},
		"resync":      {func(m *infrav1.PacketMachine) { m.ResourceVersion = "1" }, true},
	} {
		t.Run(name, func(t *testing.T) {
			before := &infrav1.PacketMachine{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "1", Generation: 1}}
			after := before.DeepCopy()
			after.ResourceVersion = "2"
			test.change(after)
			if got := changes.ByOthers().Update(event.UpdateEvent{ObjectOld: before, ObjectNew: after}); got != test.want {
				t.Errorf("passes: %v, want %v", got, test.want)
			}
		})
	}
	if !changes.ByOthers().Create(event.CreateEvent{Object: &infrav1.PacketMachine{}}) {
		t.Error("new objects do not pass")
	}
}
