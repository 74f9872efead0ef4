package loadbalancers

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/packetyard/packetyard/pkg/packet"
)

// mostTried is how many addresses of one reservation are looked at for a free
// one. IPv6 blocks are endless in practice.
const mostTried = 1 << 16

// choose gives a Service addresses of reservations that its user named, and
// writes them down before another Service can choose.
func (l *LoadBalancers) choose(ctx context.Context, service *corev1.Service, w wish) ([]netip.Addr, error) {
	named, err := l.named(ctx, w)
	if err != nil {
		return nil, err
	}
	kept, missing := keep(service, w, named)
	if len(missing) == 0 {
		return kept, l.publish(ctx, service, kept, w.sharingKey)
	}

	l.choosing.Lock()
	defer l.choosing.Unlock()
	// Live, because a choice that was just written down may not be in the
	// informer's cache yet.
	services, err := l.config.Kubernetes.CoreV1().Services(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("listing the Services that may use the same reservation: %w", err)
	}
	taken := map[netip.Addr]bool{}
	var shared []netip.Addr
	for i := range services.Items {
		other := &services.Items[i]
		if other.UID == service.UID || other.Spec.Type != corev1.ServiceTypeLoadBalancer {
			continue
		}
		addresses := l.inUse(other)
		if w.sharingKey != "" && other.Annotations[AnnotationSharingKey] == w.sharingKey {
			shared = append(shared, addresses...)
			continue
		}
		for _, address := range addresses {
			taken[address] = true
		}
	}
	addresses := kept
	for _, family := range missing {
		address, err := l.free(ctx, named, family, shared, taken)
		if err != nil {
			return nil, err
		}
		if address.IsValid() {
			addresses = append(addresses, address)
		}
	}
	if len(addresses) == 0 {
		return nil, invalid("no address is free in the IP reservations of %s", w.reservationSource())
	}
	return addresses, l.publish(ctx, service, addresses, w.sharingKey)
}

// named are the reservations that a Service's user named and that can have
// addresses of Services.
func (l *LoadBalancers) named(ctx context.Context, w wish) ([]packet.IPReservation, error) {
	usable, pending, reason, err := l.usable(ctx, w)
	if err == nil && len(usable) == 0 && pending == nil {
		// It may have been made since the listing.
		l.config.Reservations.Forget()
		usable, pending, reason, err = l.usable(ctx, w)
	}
	switch {
	case err != nil:
		return nil, err
	case len(usable) > 0:
		return usable, nil
	case pending != nil:
		return nil, pending
	}
	return nil, invalid("no IP reservation of the project can be used by %s%s", w.reservationSource(), reason)
}

func (w wish) reservationSource() string {
	if len(w.reservationIDs) > 0 {
		return fmt.Sprintf("annotation %s (%s)", AnnotationReservationID, strings.Join(w.reservationIDs, ","))
	}
	return fmt.Sprintf("annotation %s (%s)", AnnotationReservationTag, strings.Join(w.reservationTags, ","))
}

func (l *LoadBalancers) usable(ctx context.Context, w wish) (usable []packet.IPReservation, pending error, reason string, err error) {
	all, err := l.reservations.all(ctx)
	if err != nil {
		return nil, nil, "", err
	}
	var reasons []string
	for _, reservation := range all {
		if len(w.reservationIDs) > 0 && !slices.Contains(w.reservationIDs, strings.ToLower(reservation.ID)) ||
			len(w.reservationTags) > 0 && !packet.HasTags(reservation.Tags, w.reservationTags...) {
			continue
		}
		family, known := typeFamilies[reservation.Type]
		refuse := func(format string, args ...any) {
			reasons = append(reasons, fmt.Sprintf("; %s ", reservation.ID)+fmt.Sprintf(format, args...))
		}
		switch {
		case reservation.Management:
			refuse("is for the devices' own addresses")
		case reservation.MetalGateway != nil:
			refuse("belongs to a Metal Gateway")
		case !known:
			refuse("is of type %s", reservation.Type)
		case !slices.Contains(w.families, family):
			refuse("is of IPv%d, which the Service is not", family)
		case w.explicitTypes && !slices.Contains(w.types, reservation.Type):
			refuse("is of type %s, and annotation %s asks for %s", reservation.Type, AnnotationEIPType, strings.Join(w.types, ","))
		case !isIn(&reservation, w.metro, w.facility):
			refuse("is in %s, which the Service's annotations exclude", where(&reservation))
		case reservation.State == packet.IPStateDenied:
			refuse("was denied")
		case reservation.State == packet.IPStatePending:
			pending = &pendingError{id: reservation.ID}
		default:
			usable = append(usable, reservation)
		}
	}
	slices.SortStableFunc(usable, oldestFirst)
	return usable, pending, strings.Join(reasons, ""), nil
}

// keep gives the addresses that a Service has of the reservations already, and
// the families for which it has none and could have one.
func keep(service *corev1.Service, w wish, named []packet.IPReservation) (kept []netip.Addr, missing []int) {
	has := recorded(service)
	for _, family := range w.families {
		possible := false
		var found netip.Addr
		for i := range named {
			if typeFamilies[named[i].Type] != family {
				continue
			}
			possible = true
			prefix, ok := block(&named[i])
			if j := slices.IndexFunc(has, prefix.Contains); ok && j >= 0 {
				found = has[j]
				break
			}
		}
		switch {
		case found.IsValid():
			kept = append(kept, found)
		case possible:
			missing = append(missing, family)
		}
	}
	return kept, missing
}

// free finds an address of a family that no Service and no device has, or
// one that the Services of the same sharing key have.
func (l *LoadBalancers) free(ctx context.Context, named []packet.IPReservation, family int, shared []netip.Addr, taken map[netip.Addr]bool) (netip.Addr, error) {
	for i := range named {
		if typeFamilies[named[i].Type] != family {
			continue
		}
		prefix, ok := block(&named[i])
		if !ok {
			continue
		}
		if j := slices.IndexFunc(shared, prefix.Contains); j >= 0 {
			return shared[j], nil
		}
		reservation, err := l.config.API.IPReservation(ctx, named[i].ID, packet.Include("assignments"))
		if err != nil {
			return netip.Addr{}, fmt.Errorf("reading which addresses of reservation %s devices have: %w", named[i].ID, err)
		}
		var assigned []netip.Prefix
		for _, assignment := range reservation.Assignments {
			if address, err := netip.ParseAddr(assignment.Address); err == nil {
				if p, err := address.Unmap().Prefix(assignment.CIDR); err == nil {
					assigned = append(assigned, p)
				}
			}
		}
		// Each address is announced by itself, so that there is neither network
		// nor broadcast address. Only IPv6 has one that all routers answer to.
		address := prefix.Addr()
		if family == 6 && !prefix.IsSingleIP() {
			address = address.Next()
		}
		for range mostTried {
			if !prefix.Contains(address) {
				break
			}
			if !taken[address] && !slices.ContainsFunc(assigned, func(p netip.Prefix) bool { return p.Contains(address) }) {
				return address, nil
			}
			address = address.Next()
		}
	}
	return netip.Addr{}, nil
}
