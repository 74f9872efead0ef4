package devices

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/packetyard/packetyard/pkg/packet"
)

// Identity is what ties a device to a machine.
type Identity struct {
	Namespace string
	Cluster   string
	// Machine is the name of the PacketMachine.
	Machine string
	// DeviceID is the device that was recorded; empty before.
	DeviceID string
}

// Marks tells whether a device carries the machine's tags.
func (i Identity) Marks(device *packet.Device) bool { return packet.HasTags(device.Tags, i.tags()...) }

func (i Identity) tags() []string { return packet.MachineTags(i.Namespace, i.Cluster, i.Machine) }

// Lister gives listings of a project; packet.DeviceCache is one.
type Lister interface {
	Recent(ctx context.Context) (*packet.DeviceSnapshot, error)
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

// Find returns the device of a machine, nil if there is none, and the devices that carry the machine's tags besides it,
// which nobody wants. Its answer "none" is always from a listing that began after the call; a failed listing is an error.
func (f *Finder) Find(ctx context.Context, id Identity) (device *packet.Device, surplus []*packet.Device, err error) {
	snapshot, err := f.lister.Recent(ctx)
	if err != nil {
		return nil, nil, err
	}
	if device, surplus = f.in(snapshot, id); device != nil {
		return device, surplus, nil
	}
	if snapshot, err = f.lister.Fresh(ctx); err != nil {
		return nil, nil, err
	}
	device, surplus = f.in(snapshot, id)
	return device, surplus, nil
}

// All returns every device of a machine, from a listing that began after the call.
func (f *Finder) All(ctx context.Context, id Identity) ([]*packet.Device, error) {
	snapshot, err := f.lister.Fresh(ctx)
	if err != nil {
		return nil, err
	}
	device, surplus := f.in(snapshot, id)
	if device == nil {
		return surplus, nil
	}
	return append([]*packet.Device{device}, surplus...), nil
}

// OfCluster returns the devices of a cluster, from a listing that may be shared.
func (f *Finder) OfCluster(ctx context.Context, namespace, cluster string) ([]*packet.Device, error) {
	snapshot, err := f.lister.Recent(ctx)
	if err != nil {
		return nil, err
	}
	return f.indexed(snapshot).byTags[tagKey(packet.ClusterTags(namespace, cluster))], nil
}

func (f *Finder) in(snapshot *packet.DeviceSnapshot, id Identity) (*packet.Device, []*packet.Device) {
	tagged := f.indexed(snapshot).byTags[tagKey(id.tags())]
	if id.DeviceID != "" {
		device := snapshot.ByID(id.DeviceID)
		surplus := slices.DeleteFunc(slices.Clone(tagged), func(d *packet.Device) bool { return strings.EqualFold(d.ID, id.DeviceID) })
		return device, surplus
	}
	// Two can only exist if the answer to a creation came so late that the device was looked for before it was listed.
	// Every reconcile must choose the same one, and the first is the one that may have been recorded. One that is on its way
	// out and was never recorded belonged to an earlier machine of that name: it will never become a node.
	n := slices.IndexFunc(tagged, func(d *packet.Device) bool { return !Leaving(d) })
	if n < 0 {
		return nil, tagged
	}
	return tagged[n], slices.Delete(slices.Clone(tagged), n, n+1)
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
