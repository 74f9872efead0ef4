package ccm

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/informers"

	"github.com/packetyard/packetyard/pkg/packet"
)

// leanLister lists devices with no more than this provider looks at. A device
// comes with its plan, its events and its ports in full, and a thousand of them
// are what most of the memory would be for.
type leanLister struct{ next packet.DeviceLister }

// Devices implements packet.DeviceLister.
func (l leanLister) Devices(ctx context.Context, projectID string, filter packet.DeviceFilter, options ...packet.QueryOption) ([]packet.Device, error) {
	list, err := l.next.Devices(ctx, projectID, filter, options...)
	if err != nil {
		return nil, err
	}
	plans := shared[packet.Plan]{}
	systems := shared[packet.OperatingSystem]{}
	facilities := shared[packet.Facility]{}
	metros := shared[packet.Metro]{}
	lean := make([]packet.Device, 0, len(list))
	for i := range list {
		d := &list[i]
		slim := packet.Device{
			ID: d.ID, Hostname: d.Hostname, State: d.State, Tags: d.Tags, IPAddresses: d.IPAddresses,
			SpotInstance: d.SpotInstance, SwitchUUID: d.SwitchUUID,
		}
		if d.Plan != nil {
			slim.Plan = plans.get(d.Plan.Slug, &packet.Plan{ID: d.Plan.ID, Slug: d.Plan.Slug})
		}
		if d.OperatingSystem != nil {
			slim.OperatingSystem = systems.get(d.OperatingSystem.Slug, &packet.OperatingSystem{ID: d.OperatingSystem.ID, Slug: d.OperatingSystem.Slug})
		}
		if d.Metro != nil {
			slim.Metro = metros.get(d.Metro.Code, &packet.Metro{ID: d.Metro.ID, Code: d.Metro.Code})
		}
		if d.Facility != nil {
			slim.Facility = facilities.get(d.Facility.Code, d.Facility)
		}
		if d.HardwareReservation != nil {
			slim.HardwareReservation = &packet.HardwareReservation{ID: d.HardwareReservation.ID}
		}
		lean = append(lean, slim)
	}
	return lean, nil
}

// shared holds one object for all devices that name it.
type shared[T any] map[string]*T

func (s shared[T]) get(name string, object *T) *T {
	if known, found := s[name]; found {
		return known
	}
	s[name] = object
	return object
}

// leanInformers keeps out of the caches what nobody looks at and what is half
// of an object's size: who manages which of its fields. An update without them
// leaves them as they are in the API server.
func leanInformers(factory informers.SharedInformerFactory, services bool) error {
	withoutManagedFields := func(object any) (any, error) {
		if accessor, err := meta.Accessor(object); err == nil {
			accessor.SetManagedFields(nil)
		}
		if node, ok := object.(*corev1.Node); ok {
			// The kubelet lists up to fifty images.
			node.Status.Images = nil
		}
		return object, nil
	}
	if err := factory.Core().V1().Nodes().Informer().SetTransform(withoutManagedFields); err != nil {
		return err
	}
	if services {
		return factory.Core().V1().Services().Informer().SetTransform(withoutManagedFields)
	}
	return nil
}
