// Package writeback writes what a reconcile changed in its object: metadata and spec in one patch, status in another,
// finalizers in a third, and nothing if nothing changed.
//
// A merge patch can only replace the whole list of finalizers, so it would undo what somebody else added to the list since
// the object was read. That patch alone therefore names the version of the object that it is for, and is refused as a
// conflict if there is a newer one. The others do not, since what they say stays true whatever else changed: the identity of
// a device that was just created must not be lost to a label that somebody set at the same time.
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
	"reflect"
	"slices"

	jsonpatch "github.com/evanphx/json-patch/v5"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Writer remembers an object as it was.
type Writer struct {
	before     parts
	finalizers []string
	// versions is nil where nobody asks for them.
	versions *Versions
}

// parts are an object's two halves as the API server takes them, in JSON.
type parts struct{ spec, status []byte }

// New remembers an object as it is now.
func New(object client.Object) (*Writer, error) {
	before, err := split(object)
	if err != nil {
		return nil, err
	}
	return &Writer{before: before, finalizers: slices.Clone(object.GetFinalizers())}, nil
}

// Write sends the changes since New. Metadata and spec come first, because they can hold the identity of something that was
// just created, which matters more than any status; finalizers come last, because the last one takes the object along. The
// object itself is left as it is. The error is a conflict (see apierrors.IsConflict) if finalizers changed on both sides.
func (w *Writer) Write(ctx context.Context, c client.Client, object client.Object) error {
	after, err := split(object)
	if err != nil {
		return err
	}
	var errs []error
	// latest is the newest version of the object that is known here: each patch answers with one.
	latest := object
	if patch, changed, err := diff(w.before.spec, after.spec); err != nil {
		errs = append(errs, err)
	} else if changed {
		target := blank(object)
		if err := c.Patch(ctx, target, client.RawPatch(types.MergePatchType, patch)); err != nil {
			errs = append(errs, fmt.Errorf("patching %T %s: %w", object, client.ObjectKeyFromObject(object), err))
		} else {
			latest = target
		}
	}
	if patch, changed, err := diff(w.before.status, after.status); err != nil {
		errs = append(errs, err)
	} else if changed {
		target := blank(object)
		err := c.Status().Patch(ctx, target, client.RawPatch(types.MergePatchType, patch))
		switch {
		case err == nil:
			latest = target
		// Somebody else can have taken away the last finalizer of an object that is being deleted.
		case !apierrors.IsNotFound(err) || object.GetDeletionTimestamp().IsZero():
			errs = append(errs, fmt.Errorf("patching the status of %T %s: %w", object, client.ObjectKeyFromObject(object), err))
		}
	}
	latest, err = w.writeFinalizers(ctx, c, object, latest)
	w.versions.wrote(object, latest)
	return errors.Join(append(errs, err)...)
}

// writeFinalizers makes the changes to the object's finalizers in the newest known version of the object, and in no other.
// It returns the version that is the newest then.
func (w *Writer) writeFinalizers(ctx context.Context, c client.Client, object, latest client.Object) (client.Object, error) {
	if slices.Equal(w.finalizers, object.GetFinalizers()) {
		return latest, nil
	}
	wanted := slices.DeleteFunc(slices.Clone(latest.GetFinalizers()), func(finalizer string) bool {
		return slices.Contains(w.finalizers, finalizer) && !slices.Contains(object.GetFinalizers(), finalizer)
	})
	for _, finalizer := range object.GetFinalizers() {
		if !slices.Contains(w.finalizers, finalizer) && !slices.Contains(wanted, finalizer) {
			wanted = append(wanted, finalizer)
		}
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"finalizers": wanted, "resourceVersion": latest.GetResourceVersion(),
	}})
	if err != nil {
		return latest, fmt.Errorf("encoding the finalizers of %T: %w", object, err)
	}
	target := blank(object)
	err = c.Patch(ctx, target, client.RawPatch(types.MergePatchType, patch))
	switch {
	case err == nil:
		return target, nil
	case apierrors.IsNotFound(err) && !object.GetDeletionTimestamp().IsZero():
		return latest, nil
	}
	return latest, fmt.Errorf("patching the finalizers of %T %s: %w", object, client.ObjectKeyFromObject(object), err)
}

// blank is an object with nothing but the identity of another. What the API server answers is decoded into it; in a copy of
// the other, fields that the answer does not have any more would stay.
func blank(object client.Object) client.Object {
	fresh := reflect.New(reflect.TypeOf(object).Elem()).Interface().(client.Object)
	fresh.SetNamespace(object.GetNamespace())
	fresh.SetName(object.GetName())
	return fresh
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
	// Finalizers have a patch of their own.
	metadata := map[string]json.RawMessage{}
	if err := json.Unmarshal(fields["metadata"], &metadata); err != nil {
		return parts{}, fmt.Errorf("decoding the metadata of %T: %w", object, err)
	}
	delete(metadata, "finalizers")
	if fields["metadata"], err = json.Marshal(metadata); err != nil {
		return parts{}, fmt.Errorf("encoding the metadata of %T: %w", object, err)
	}
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
