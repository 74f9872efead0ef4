package writeback

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// CacheRetry is the time until an object is read again that a cache showed too old.
const CacheRetry = 20 * time.Millisecond

// Versions remembers, for one controller, the newest version of each object that it wrote. A cache shows a write only some
// time after the API server confirmed it, and a reconcile that reads what was there before repeats what the last one did:
// it tells an event again, or decides by a condition that is not true any more. The zero value is ready to use.
type Versions struct {
	mu     sync.Mutex
	newest map[types.UID]string
}

// Behind tells whether an object, as it was read, is older than what was written of it. Whoever is told so reads it again a
// moment later.
func (v *Versions) Behind(object client.Object) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	written, ok := v.newest[object.GetUID()]
	if !ok {
		return false
	}
	// Versions that cannot be compared tell nothing, and waiting for them could have no end.
	if order, err := resourceversion.CompareResourceVersion(object.GetResourceVersion(), written); err == nil && order < 0 {
		return true
	}
	// The cache has caught up, so there is nothing to remember.
	delete(v.newest, object.GetUID())
	return false
}

// New remembers an object as it is now, and has its Writer note what it writes.
func (v *Versions) New(object client.Object) (*Writer, error) {
	w, err := New(object)
	if err != nil {
		return nil, err
	}
	w.versions = v
	return w, nil
}

func (v *Versions) wrote(object, latest client.Object) {
	if v == nil || latest == object {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	// Without its last finalizer an object that is being deleted is gone, and no cache will ever show that version.
	if !latest.GetDeletionTimestamp().IsZero() && len(latest.GetFinalizers()) == 0 {
		delete(v.newest, object.GetUID())
		return
	}
	if v.newest == nil {
		v.newest = map[types.UID]string{}
	}
	v.newest[object.GetUID()] = latest.GetResourceVersion()
}
