package loadbalancers

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	servicehelper "k8s.io/cloud-provider/service/helpers"
	"k8s.io/klog/v2"

	"github.com/packetyard/packetyard/pkg/packet"
)

// sweep releases this cluster's reservations that no Service has: of Services
// whose finalizer somebody removed, of sharing keys that the last Service gave
// up, and those made twice because two controllers ran at a time.
func (l *LoadBalancers) sweep(ctx context.Context) error {
	orphans, err := l.orphans(ctx)
	if err != nil || len(orphans) == 0 {
		return err
	}
	// Once more, while no Service is worked on: one may be about to adopt what
	// looked like an orphan, and after this it finds it gone.
	l.serving.Lock()
	defer l.serving.Unlock()
	l.config.Reservations.Forget()
	if orphans, err = l.orphans(ctx); err != nil {
		return err
	}
	var errs []error
	for i := range orphans {
		if err := l.reservations.release(ctx, &orphans[i]); err != nil {
			errs = append(errs, err)
			continue
		}
		klog.InfoS("Released an address that no Service has", "address", orphans[i].Address, "reservation", orphans[i].ID)
	}
	return errors.Join(errs...)
}

// orphans are reservations of this cluster that nothing uses. The reservations
// are read before the Services: what was reserved since then is not looked at.
func (l *LoadBalancers) orphans(ctx context.Context) ([]packet.IPReservation, error) {
	cluster, err := l.reservations.clusterTag(ctx)
	if err != nil {
		return nil, err
	}
	all, err := l.reservations.all(ctx)
	if err != nil {
		return nil, err
	}
	services, err := l.config.Kubernetes.CoreV1().Services(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("listing Services to find addresses that none has: %w", err)
	}
	users := map[string][]*corev1.Service{}
	for i := range services.Items {
		service := &services.Items[i]
		// A Service that is on its way out releases its own addresses.
		if service.Spec.Type != corev1.ServiceTypeLoadBalancer && !servicehelper.HasLBFinalizer(service) && !hasFinalizer(service) {
			continue
		}
		users[serviceTag(service)] = append(users[serviceTag(service)], service)
		if key := service.Annotations[AnnotationSharingKey]; key != "" {
			users[sharedTag(key)] = append(users[sharedTag(key)], service)
		}
	}

	all = slices.Clone(all)
	slices.SortStableFunc(all, oldestFirst)
	var orphans []packet.IPReservation
	byUse := map[string][]packet.IPReservation{}
	for _, reservation := range all {
		owners := ownersOf(&reservation, cluster)
		if len(owners) == 0 {
			continue
		}
		i := slices.IndexFunc(owners, func(owner string) bool { return len(users[owner]) > 0 })
		if i < 0 {
			orphans = append(orphans, reservation)
			continue
		}
		use := owners[i] + " " + reservation.Type
		byUse[use] = append(byUse[use], reservation)
	}
	for use, reservations := range byUse {
		if len(reservations) > 1 {
			owner := use[:len(use)-len(reservations[0].Type)-1]
			orphans = append(orphans, l.duplicates(reservations, users[owner])...)
		}
	}
	return orphans, nil
}

// duplicates are those of several reservations for one use that no Service
// shows. Where none is shown yet nobody knows which one will be.
func (l *LoadBalancers) duplicates(reservations []packet.IPReservation, users []*corev1.Service) []packet.IPReservation {
	shown := func(r packet.IPReservation) bool {
		address, err := firstAddress(&r)
		return err != nil || slices.ContainsFunc(users, func(service *corev1.Service) bool {
			return slices.Contains(l.inUse(service), address)
		})
	}
	if !slices.ContainsFunc(reservations, shown) {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(reservations), shown)
}
