package admission_test

import (
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// TestObjectOlderThanARule takes an object that no webhook ever saw: what is wrong with it must not keep a controller from
// writing its metadata, while a change of its specification has to mend it.
func TestObjectOlderThanARule(t *testing.T) {
	hooks := &admissionv1.ValidatingWebhookConfiguration{}
	if err := api.Get(t.Context(), client.ObjectKey{Name: "cluster-api-provider-packet-validating-webhook-configuration"}, hooks); err != nil {
		t.Fatal(err)
	}
	if err := api.Delete(t.Context(), hooks.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	o := object(t, "PacketMachine", nameOf(t), "spec: {os: a, machineType: b, sshKeys: [nonsense]}")
	eventually(t, "the rules are gone", func() bool { return api.Create(t.Context(), o) == nil })
	hooks.ResourceVersion, hooks.UID = "", ""
	if err := api.Create(t.Context(), hooks); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the rules are back", func() bool {
		return apierrors.IsInvalid(api.Create(t.Context(), object(t, "PacketMachine", nameOf(t)+"-2", "spec: {os: a, machineType: b, sshKeys: [nonsense]}"), client.DryRunAll))
	})

	o.SetFinalizers([]string{"example.com/a"})
	if err := api.Update(t.Context(), o); err != nil {
		t.Fatalf("a change of metadata: %v", err)
	}
	changed := o.DeepCopy()
	changed.Object["spec"].(map[string]any)["tags"] = []any{"a"}
	refused(t, api.Update(t.Context(), changed), "spec.sshKeys[0]", `"nonsense"`)
	if err := api.Delete(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if err := api.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
		t.Fatal(err)
	}
	o.SetFinalizers(nil)
	if err := api.Update(t.Context(), o); err != nil {
		t.Fatalf("taking the finalizer away: %v", err)
	}
	if err := api.Get(t.Context(), client.ObjectKeyFromObject(o), o); !apierrors.IsNotFound(err) {
		t.Errorf("the object is not gone: %v", err)
	}
}

func eventually(t *testing.T, what string, ask func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); <-time.After(20 * time.Millisecond) {
		if ask() {
			return
		}
	}
	t.Fatalf("not within 30 s: %s", what)
}
