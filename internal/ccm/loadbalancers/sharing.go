package loadbalancers

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// served tells whether a Service has a load balancer of ours, or is about to.
func (l *LoadBalancers) served(service *corev1.Service) bool {
	if service.Spec.Type != corev1.ServiceTypeLoadBalancer || service.DeletionTimestamp != nil {
		return false
	}
	if class := service.Spec.LoadBalancerClass; class != nil {
		return l.config.Class != "" && *class == l.config.Class
	}
	return !l.config.ClassOnly
}

// sharers are the other Services of a sharing key, as the informer knows them.
func (l *LoadBalancers) sharers(service *corev1.Service, key string) ([]*corev1.Service, error) {
	all, err := l.services.List(labels.Everything())
	if err != nil {
		return nil, fmt.Errorf("listing Services: %w", err)
	}
	var others []*corev1.Service
	for _, other := range all {
		if other.UID != service.UID && l.served(other) && other.Annotations[AnnotationSharingKey] == key {
			others = append(others, other)
		}
	}
	return others, nil
}

// releaseShared gives the addresses of a sharing key back if no other Service
// has the key. It asks for the Services anew, because one that is not in the
// informer's cache yet would lose its address.
func (l *LoadBalancers) releaseShared(ctx context.Context, service *corev1.Service, key string) error {
	defer l.owners.lock(sharedTag(key))()
	services, err := l.config.Kubernetes.CoreV1().Services(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing the Services that may share an address: %w", err)
	}
	for i := range services.Items {
		other := &services.Items[i]
		if other.UID != service.UID && l.served(other) && other.Annotations[AnnotationSharingKey] == key {
			return nil
		}
	}
	owned, err := l.reservations.owned(ctx, sharedTag(key))
	if err != nil {
		return err
	}
	return l.releaseAll(ctx, service, owned)
}
