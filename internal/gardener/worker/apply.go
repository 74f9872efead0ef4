package worker

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// fieldOwner owns what this controller applies. It must never change: fields of another owner's would stay for ever.
	fieldOwner client.FieldOwner = "gardener-extension-provider-packet"
	// userAgent is the name by which the Packet API knows the extension.
	userAgent = "gardener-extension-provider-packet"
)

// apply writes an object that says its kind, as it is and nothing more: a field that was applied before and is missing now goes.
// Applying the same object again changes nothing.
func apply(ctx context.Context, c client.Client, object client.Object) error {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return fmt.Errorf("converting %T: %w", object, err)
	}
	applied := &unstructured.Unstructured{Object: content}
	unstructured.RemoveNestedField(applied.Object, "metadata", "creationTimestamp")
	return c.Apply(ctx, client.ApplyConfigurationFromUnstructured(applied), fieldOwner, client.ForceOwnership)
}
