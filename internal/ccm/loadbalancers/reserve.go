package loadbalancers

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/packetyard/packetyard/pkg/packet"
)

// pendingError is an address that is reserved but not granted yet.
type pendingError struct{ id string }

func (e *pendingError) Error() string {
	return fmt.Sprintf("IP reservation %s waits for approval", e.id)
}

// reserve gives a Service addresses of reservations of its own, or of those
// that it shares. It takes what there is before it reserves more, and prefers
// the addresses that the Service has already.
//
// The reservations that it chose are returned too: all others that are the
// Service's alone are to be released, once nothing announces them any more.
func (l *LoadBalancers) reserve(ctx context.Context, service *corev1.Service, w wish, owned []packet.IPReservation) ([]netip.Addr, []string, error) {
	owner := serviceTag(service)
	if w.sharingKey != "" {
		owner = sharedTag(w.sharingKey)
		unlock := l.owners.lock(owner)
		defer unlock()
		var err error
		if owned, err = l.reservations.owned(ctx, owner); err != nil {
			return nil, nil, err
		}
	}
	metro, facility, err := l.location(w)
	if err != nil {
		return nil, nil, &invalidError{err: err}
	}
	has := l.inUse(service)
	var addresses []netip.Addr
	var chosen []string
	for _, ipType := range w.types {
		var fitting []packet.IPReservation
		for _, reservation := range owned {
			switch {
			case reservation.State == packet.IPStateDenied:
			case reservation.Type == ipType && isIn(&reservation, w.metro, w.facility):
				fitting = append(fitting, reservation)
			case w.sharingKey != "" && typeFamilies[reservation.Type] == typeFamilies[ipType]:
				return nil, nil, invalid("annotation %s is %q, of which other Services have an address of type %s in %s: this one asks for type %s in another place, or of another type",
					AnnotationSharingKey, w.sharingKey, reservation.Type, where(&reservation), ipType)
			}
		}
		var reservation *packet.IPReservation
		if i := slices.IndexFunc(fitting, func(r packet.IPReservation) bool {
			address, err := firstAddress(&r)
			return err == nil && slices.Contains(has, address)
		}); i >= 0 {
			reservation = &fitting[i]
		} else if len(fitting) > 0 {
			reservation = &fitting[0]
		} else {
			if reservation, err = l.reservations.create(ctx, owner, ipType, metro, facility); err != nil {
				return nil, nil, err
			}
			l.event(service, corev1.EventTypeNormal, ReasonReserved, "Reserved address %s of type %s in %s", reservation.Address, ipType, where(reservation))
		}
		if reservation.State == packet.IPStatePending {
			return nil, nil, &pendingError{id: reservation.ID}
		}
		address, err := firstAddress(reservation)
		if err != nil {
			return nil, nil, err
		}
		addresses = append(addresses, address)
		chosen = append(chosen, reservation.ID)
	}
	return addresses, chosen, nil
}

// checkSharing tells whether the ports of Services that share an address are
// all different. The one without an address is refused, or else the younger.
func (l *LoadBalancers) checkSharing(service *corev1.Service, w wish) error {
	if w.sharingKey == "" {
		return nil
	}
	others, err := l.sharers(service, w.sharingKey)
	if err != nil {
		return err
	}
	for _, other := range others {
		if len(l.inUse(other)) == 0 || len(l.inUse(service)) > 0 && older(service, other) {
			continue
		}
		for _, port := range service.Spec.Ports {
			for _, taken := range other.Spec.Ports {
				if port.Port == taken.Port && protocol(port) == protocol(taken) {
					return invalid("annotation %s is %q, and port %d/%s is taken by Service %s/%s of the same key",
						AnnotationSharingKey, w.sharingKey, port.Port, protocol(port), other.Namespace, other.Name)
				}
			}
		}
	}
	return nil
}

func older(a, b *corev1.Service) bool {
	if a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return a.UID < b.UID
	}
	return a.CreationTimestamp.Before(&b.CreationTimestamp)
}

func protocol(port corev1.ServicePort) corev1.Protocol {
	if port.Protocol == "" {
		return corev1.ProtocolTCP
	}
	return port.Protocol
}
