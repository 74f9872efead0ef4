package devices

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/packetyard/packetyard/pkg/packet"
)

// Lister gives listings of a project; packet.DeviceCache is one.
type Lister interface {
	// Recent gives a listing that is as old as the cache allows.
	Recent(ctx context.Context) (*packet.DeviceSnapshot, error)
	// Since gives a listing that began after a moment.
	Since(ctx context.Context, moment time.Time) (*packet.DeviceSnapshot, error)
	// Fresh gives a listing that began after the call.
	Fresh(ctx context.Context) (*packet.DeviceSnapshot, error)
}

// Finder finds devices of machines. It is shared by everything that works on one project.
type Finder struct {
	lister Lister

	mutex sync.Mutex
	index *index
}

// NewFinder makes a Finder.
func NewFinder(lister Lister) *Finder { return &Finder{lister: lister} }

// Found is what a listing has of a machine.
type Found struct {
	// Device is the machine's, nil if there is none.
	Device *packet.Device
	// Surplus are devices of the machine besides it, which nobody wants.
	Surplus []*packet.Device
	// Foreign are devices that carry the machine's names, and were made from other bootstrap data: by an earlier machine of
	// that name, or by somebody else who uses the same project. They are neither taken nor deleted.
	Foreign []*packet.Device
	// Taken is when the listing began.
	Taken time.Time
}

// Find finds the device of a machine. Its answer "none" is always from a listing that began after the call; a failed
// listing is an error.
func (f *Finder) Find(ctx context.Context, id Identity) (Found, error) {
	snapshot, err := f.lister.Recent(ctx)
	if err != nil {
		return Found{}, err
	}
	if found := f.in(snapshot, id); found.Device != nil {
		return found, nil
	}
	if snapshot, err = f.lister.Fresh(ctx); err != nil {
		return Found{}, err
	}
	return f.in(snapshot, id), nil
}

// Look finds the device of a machine in a listing that began after a moment. Its answer "none" proves nothing, unless the
// device was seen before that moment. It costs nothing as long as others have looked since.
func (f *Finder) Look(ctx context.Context, id Identity, moment time.Time) (Found, error) {
	snapshot, err := f.lister.Since(ctx, moment)
	if err != nil {
		return Found{}, err
	}
	return f.in(snapshot, id), nil
}

// All returns every device of a machine, from a listing that began after the call, and those that are somebody else's: see
// Found.Foreign.
func (f *Finder) All(ctx context.Context, id Identity) (ours, foreign []*packet.Device, err error) {
	snapshot, err := f.lister.Fresh(ctx)
	if err != nil {
		return nil, nil, err
	}
	found := f.in(snapshot, id)
	if found.Device == nil {
		return found.Surplus, found.Foreign, nil
	}
	return append([]*packet.Device{found.Device}, found.Surplus...), found.Foreign, nil
}

// OfCluster returns the devices of a cluster, from a listing that may be shared.
func (f *Finder) OfCluster(ctx context.Context, namespace, cluster string) ([]*packet.Device, error) {
	snapshot, err := f.lister.Recent(ctx)
	if err != nil {
		return nil, err
	}
	return f.indexed(snapshot).byTags[tagKey(packet.ClusterTags(namespace, cluster))], nil
}

// OfClusterSince is OfCluster with a listing that began after a moment.
func (f *Finder) OfClusterSince(ctx context.Context, namespace, cluster string, moment time.Time) ([]*packet.Device, error) {
	snapshot, err := f.lister.Since(ctx, moment)
	if err != nil {
		return nil, err
	}
	return f.indexed(snapshot).byTags[tagKey(packet.ClusterTags(namespace, cluster))], nil
}

func (f *Finder) in(snapshot *packet.DeviceSnapshot, id Identity) Found {
	found := Found{Taken: snapshot.Taken()}
	tagged := f.indexed(snapshot).byTags[tagKey(id.tags())]
	if id.DeviceID != "" {
		if found.Device = snapshot.ByID(id.DeviceID); found.Device != nil {
			// The device knows what it was made from, so that nobody has to read the bootstrap data again.
			id.Bootstrap = bootstrapOf(found.Device)
		}
	}
	for _, device := range tagged {
		switch {
		case found.Device != nil && strings.EqualFold(device.ID, found.Device.ID):
		case !id.madeFrom(device):
			if !Leaving(device) {
				found.Foreign = append(found.Foreign, device)
			}
		case found.Device == nil && id.DeviceID == "" && !Leaving(device):
			// Two can only exist if the answer to a creation came so late that the device was looked for before it was
			// listed. Every reconcile must choose the same one, and the first is the one that may have been recorded. One
			// that is on its way out and was never recorded will never become a node.
			found.Device = device
		default:
			found.Surplus = append(found.Surplus, device)
		}
	}
	return found
}

// index is a listing arranged by tags. A project has one listing at a time, so one index is enough.
type index struct {
	snapshot *packet.DeviceSnapshot
	byTags   map[string][]*packet.Device
}

func (f *Finder) indexed(snapshot *packet.DeviceSnapshot) *index {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.index != nil && f.index.snapshot == snapshot {
		return f.index
	}
	x := &index{snapshot: snapshot, byTags: map[string][]*packet.Device{}}
	devices := snapshot.Devices()
	for n := range devices {
		device := &devices[n]
		var cluster, namespace, machine string
		for _, tag := range device.Tags {
			switch {
			case strings.HasPrefix(tag, packet.TagPrefixCluster):
				cluster = tag
			case strings.HasPrefix(tag, packet.TagPrefixNamespace):
				namespace = tag
			case strings.HasPrefix(tag, packet.TagPrefixMachine):
				machine = tag
			}
		}
		if cluster == "" || namespace == "" || device.State == packet.StateDeleted {
			continue
		}
		x.add(device, cluster, namespace)
		if machine != "" {
			x.add(device, cluster, namespace, machine)
		}
	}
	for _, list := range x.byTags {
		slices.SortStableFunc(list, older)
	}
	f.index = x
	return x
}

func (x *index) add(device *packet.Device, tags ...string) {
	key := tagKey(tags)
	x.byTags[key] = append(x.byTags[key], device)
}

// tagKey joins tags in the order of packet.MachineTags. Tags hold no line breaks, since Kubernetes names do not.
func tagKey(tags []string) string { return strings.Join(tags, "\n") }

func older(a, b *packet.Device) int {
	if a.CreatedAt != nil && b.CreatedAt != nil {
		if c := a.CreatedAt.Compare(b.CreatedAt.Time); c != 0 {
			return c
		}
	}
	return strings.Compare(a.ID, b.ID)
}
