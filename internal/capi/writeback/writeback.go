// Package writeback writes what a reconcile changed in its object: metadata and spec in one patch, status in another, and
// nothing if nothing changed.
//
// Cluster API's own patch helper merges conditions that several controllers set on one object, for which it reads the object
// again and waits when there is a conflict. Only one controller writes to a PacketCluster or PacketMachine, so the change
// itself is all there is to send.
package writeback

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	jsonpatch "github.com/evanphx/json-patch/v5"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Writer remembers an object as it was.
type Writer struct {
	before parts
}

// parts are an object's two halves as the API server takes them, in JSON.
type parts struct{ spec, status []byte }

// New remembers an object as it is now.
func New(object client.Object) (*Writer, error) {
	before, err := split(object)
	if err != nil {
		return nil, err
	}
	return &Writer{before: before}, nil
}

// Write sends the changes since New. Metadata and spec come first, because they can hold the identity of something that was
// just created, which matters more than any status. The object itself is left as it is.
func (w *Writer) Write(ctx context.Context, c client.Client, object client.Object) error {
	after, err := split(object)
	if err != nil {
		return err
	}
	var errs []error
	if patch, changed, err := diff(w.before.spec, after.spec); err != nil {
		errs = append(errs, err)
	} else if changed {
		target := object.DeepCopyObject().(client.Object)
		if err := c.Patch(ctx, target, client.RawPatch(types.MergePatchType, patch)); err != nil {
			errs = append(errs, fmt.Errorf("patching %T %s: %w", object, client.ObjectKeyFromObject(object), err))
		}
	}
	if patch, changed, err := diff(w.before.status, after.status); err != nil {
		errs = append(errs, err)
	} else if changed {
		target := object.DeepCopyObject().(client.Object)
		err := c.Status().Patch(ctx, target, client.RawPatch(types.MergePatchType, patch))
		// The patch above may have removed the last finalizer of an object that was being deleted.
		if err != nil && (!apierrors.IsNotFound(err) || object.GetDeletionTimestamp().IsZero()) {
			errs = append(errs, fmt.Errorf("patching the status of %T %s: %w", object, client.ObjectKeyFromObject(object), err))
		}
	}
	return errors.Join(errs...)
}

func split(object client.Object) (parts, error) {
	whole, err := json.Marshal(object)
	if err != nil {
		return parts{}, fmt.Errorf("encoding %T: %w", object, err)
	}
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(whole, &fields); err != nil {
		return parts{}, fmt.Errorf("decoding %T: %w", object, err)
	}
	// The kind is set or not depending on where the object was read from, and never changes.
	delete(fields, "kind")
	delete(fields, "apiVersion")
	status := map[string]json.RawMessage{}
	if s, ok := fields["status"]; ok {
		status["status"] = s
		delete(fields, "status")
	}
	var p parts
	if p.spec, err = json.Marshal(fields); err != nil {
		return parts{}, fmt.Errorf("encoding %T: %w", object, err)
	}
	if p.status, err = json.Marshal(status); err != nil {
		return parts{}, fmt.Errorf("encoding the status of %T: %w", object, err)
	}
	return p, nil
}

func diff(before, after []byte) (patch []byte, changed bool, err error) {
	if patch, err = jsonpatch.CreateMergePatch(before, after); err != nil {
		return nil, false, fmt.Errorf("comparing an object with what it was: %w", err)
	}
	return patch, !bytes.Equal(patch, []byte("{}")), nil
}
