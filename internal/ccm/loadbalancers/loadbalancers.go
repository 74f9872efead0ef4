package loadbalancers

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	cloudprovider "k8s.io/cloud-provider"
	"k8s.io/cloud-provider/api"
	servicehelper "k8s.io/cloud-provider/service/helpers"
	"k8s.io/klog/v2"

	"github.com/packetyard/packetyard/pkg/packet"
)

var _ cloudprovider.LoadBalancer = (*LoadBalancers)(nil)

// GetLoadBalancerName implements cloudprovider.LoadBalancer.
func (l *LoadBalancers) GetLoadBalancerName(_ context.Context, _ string, service *corev1.Service) string {
	return cloudprovider.DefaultLoadBalancerName(service)
}

// GetLoadBalancer implements cloudprovider.LoadBalancer. A Service has a load
// balancer as long as anything of one may be left, whoever the address belongs
// to: what is said not to exist is never cleaned up.
func (l *LoadBalancers) GetLoadBalancer(ctx context.Context, _ string, service *corev1.Service) (*corev1.LoadBalancerStatus, bool, error) {
	addresses := l.held(service)
	if servicehelper.HasLBFinalizer(service) || hasFinalizer(service) || len(recorded(service)) > 0 {
		return status(addresses), true, nil
	}
	owned, err := l.reservations.owned(ctx, serviceTag(service))
	if err != nil {
		return nil, false, err
	}
	return status(addresses), len(owned) > 0, nil
}

// EnsureLoadBalancer implements cloudprovider.LoadBalancer. A Service that asks
// for something impossible gets an event, an error that is tried again seldom,
// and keeps what it has.
func (l *LoadBalancers) EnsureLoadBalancer(ctx context.Context, _ string, service *corev1.Service, _ []*corev1.Node) (*corev1.LoadBalancerStatus, error) {
	if l.config.ClassOnly && service.Spec.LoadBalancerClass == nil {
		return nil, cloudprovider.ImplementedElsewhere
	}
	addresses, err := l.ensure(ctx, service)
	if err != nil {
		return nil, l.retryable(service, err)
	}
	return status(addresses), nil
}

// UpdateLoadBalancer implements cloudprovider.LoadBalancer. The nodes have no
// part in a Service's addresses, only in who announces them.
func (l *LoadBalancers) UpdateLoadBalancer(ctx context.Context, _ string, service *corev1.Service, _ []*corev1.Node) error {
	if l.config.ClassOnly && service.Spec.LoadBalancerClass == nil {
		return cloudprovider.ImplementedElsewhere
	}
	return l.announce(ctx, nil)
}

// EnsureLoadBalancerDeleted implements cloudprovider.LoadBalancer. Nothing of
// the Service's wishes is read, so that a mistake in them cannot keep it alive.
func (l *LoadBalancers) EnsureLoadBalancerDeleted(ctx context.Context, _ string, service *corev1.Service) error {
	l.serving.RLock()
	defer l.serving.RUnlock()
	defer l.owners.lock(serviceTag(service))()

	// In this order, no address is announced that is no longer reserved, and
	// none is in the Service that may be somebody else's.
	if err := l.announce(ctx, &current{service: service, gone: true}); err != nil {
		return l.retryable(service, err)
	}
	if service.DeletionTimestamp == nil {
		if err := l.publish(ctx, service, nil, ""); err != nil {
			return l.retryable(service, err)
		}
	}
	owned, err := l.reservations.owned(ctx, serviceTag(service))
	if err != nil {
		return l.retryable(service, err)
	}
	if err := l.releaseAll(ctx, service, owned); err != nil {
		return l.retryable(service, err)
	}
	if key := service.Annotations[AnnotationSharingKey]; key != "" {
		return l.retryable(service, l.releaseShared(ctx, service, key))
	}
	return nil
}

// ensure gives a Service the addresses that it asks for.
func (l *LoadBalancers) ensure(ctx context.Context, service *corev1.Service) ([]netip.Addr, error) {
	l.serving.RLock()
	defer l.serving.RUnlock()
	defer l.owners.lock(serviceTag(service))()

	owned, err := l.reservations.owned(ctx, serviceTag(service))
	if err != nil {
		return nil, err
	}
	before := recorded(service)
	given := before
	for i := range owned {
		if address, err := firstAddress(&owned[i]); err == nil {
			given = append(given, address)
		}
	}
	w, err := l.readWish(service, given)
	if err != nil {
		return nil, err
	}
	if err := l.checkSharing(service, w); err != nil {
		return nil, err
	}

	var addresses []netip.Addr
	var chosen []string
	switch {
	case len(w.addresses) > 0:
		addresses = w.addresses
		if err = l.publish(ctx, service, nil, w.sharingKey); err == nil {
			err = l.checkProject(ctx, service, addresses)
		}
	case len(w.reservationIDs) > 0 || len(w.reservationTags) > 0:
		addresses, err = l.choose(ctx, service, w)
	default:
		if addresses, chosen, err = l.reserve(ctx, service, w, owned); err == nil {
			err = l.publish(ctx, service, addresses, w.sharingKey)
		}
	}
	if err != nil {
		return nil, err
	}
	if err := l.announce(ctx, &current{service: service, addresses: addresses}); err != nil {
		return nil, err
	}

	surplus := slices.DeleteFunc(slices.Clone(owned), func(r packet.IPReservation) bool { return slices.Contains(chosen, r.ID) })
	if err := l.releaseAll(ctx, service, surplus); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(before, func(a netip.Addr) bool { return !slices.Contains(addresses, a) }) {
		// It was perhaps the last that shared an address.
		wake(l.sweepWanted)
	}
	return addresses, nil
}

// checkProject warns of an address of the user's that is in no reservation. It
// may be right: a project with global BGP announces ranges of its own.
func (l *LoadBalancers) checkProject(ctx context.Context, service *corev1.Service, addresses []netip.Addr) error {
	all, err := l.reservations.all(ctx)
	if err != nil {
		return err
	}
	for _, address := range addresses {
		if !slices.ContainsFunc(all, func(r packet.IPReservation) bool {
			prefix, ok := block(&r)
			return ok && !r.Management && prefix.Contains(address)
		}) {
			l.event(service, corev1.EventTypeWarning, ReasonForeignAddress,
				"No IP reservation of the project has address %s: it is reachable only if the project announces its range by global BGP", address)
		}
	}
	return nil
}

// releaseAll gives reservations back that are the Service's alone.
func (l *LoadBalancers) releaseAll(ctx context.Context, service *corev1.Service, reservations []packet.IPReservation) error {
	var errs []error
	for i := range reservations {
		if err := l.reservations.release(ctx, &reservations[i]); err != nil {
			errs = append(errs, err)
			continue
		}
		l.event(service, corev1.EventTypeNormal, ReasonReleased, "Released address %s", reservations[i].Address)
	}
	return errors.Join(errs...)
}

// retryable makes of an error what the service controller tries again at the
// right time, and tells the Service's user where it is theirs to act.
func (l *LoadBalancers) retryable(service *corev1.Service, err error) error {
	var wrong *invalidError
	var pending *pendingError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrong):
		l.event(service, corev1.EventTypeWarning, ReasonInvalidAnnotation, "%v", err)
		return api.NewRetryError(err.Error(), invalidRetry)
	case errors.As(err, &pending):
		l.event(service, corev1.EventTypeNormal, ReasonPending, "%v", err)
		return api.NewRetryError(err.Error(), pendingRetry)
	case errors.Is(err, errChanged):
		return api.NewRetryError(err.Error(), changedRetry)
	}
	if wait, asked := packet.RetryAfter(err); asked {
		return api.NewRetryError(err.Error(), wait)
	}
	return fmt.Errorf("load balancer of Service %s/%s: %w", service.Namespace, service.Name, err)
}

func (l *LoadBalancers) event(service *corev1.Service, eventType, reason, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	klog.V(2).InfoS("Load balancer of a Service", "service", klog.KObj(service), "reason", reason, "message", message)
	l.config.Recorder.Event(service, eventType, reason, message)
}

func status(addresses []netip.Addr) *corev1.LoadBalancerStatus {
	status := &corev1.LoadBalancerStatus{}
	for _, address := range addresses {
		status.Ingress = append(status.Ingress, corev1.LoadBalancerIngress{IP: address.String()})
	}
	return status
}

// wake makes who reads from a channel run once more.
func wake(wanted chan struct{}) {
	select {
	case wanted <- struct{}{}:
	default:
	}
}
