package endpoint

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1apply "k8s.io/client-go/applyconfigurations/core/v1"
	discoveryv1apply "k8s.io/client-go/applyconfigurations/discovery/v1"
)

const (
	kubernetesService = "kubernetes"
	// ServiceName and its namespace are those of the original, because
	// announcers and people look for it there.
	ServiceName      = "cloud-provider-equinix-metal-kubernetes-external"
	serviceNamespace = metav1.NamespaceSystem
	// LoadBalancerClass keeps other load balancers, MetalLB among them, from
	// giving the Service an address of their own.
	LoadBalancerClass = "packetyard.dev/control-plane-endpoint"

	fieldManager = "packet-control-plane-endpoint"
)

// ofInterest tells the Services that are read here.
func ofInterest(namespace, name string) bool {
	return namespace == metav1.NamespaceDefault && name == kubernetesService || namespace == serviceNamespace && name == ServiceName
}

// publish keeps a Service that has the address, and leads to the API servers.
func (c *Controller) publish(ctx context.Context, address netip.Addr, port int32) error {
	if err := c.publishService(ctx, address, port); err != nil {
		return fmt.Errorf("publishing the control plane's address as the Service %s/%s: %w", serviceNamespace, ServiceName, err)
	}
	if err := c.publishSlices(ctx, port); err != nil {
		return fmt.Errorf("publishing the API servers' addresses for the Service %s/%s: %w", serviceNamespace, ServiceName, err)
	}
	return nil
}

func (c *Controller) publishService(ctx context.Context, address netip.Addr, port int32) error {
	services := c.Kubernetes.CoreV1().Services(serviceNamespace)
	present, err := c.services.Services(serviceNamespace).Get(ServiceName)
	switch {
	case err != nil && !apierrors.IsNotFound(err):
		return err
	case err == nil && (present.Spec.LoadBalancerClass == nil || *present.Spec.LoadBalancerClass != LoadBalancerClass):
		// The class of a Service cannot be changed, and one of the original's
		// time has none. It is no more than a name for the address.
		uid := present.UID
		if err := services.Delete(ctx, ServiceName, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}}); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
		present = nil
	case err != nil:
		present = nil
	}
	if present == nil || !hasPort(present, port) {
		wanted := corev1apply.Service(ServiceName, serviceNamespace).WithSpec(corev1apply.ServiceSpec().
			WithType(corev1.ServiceTypeLoadBalancer).
			WithLoadBalancerClass(LoadBalancerClass).
			WithAllocateLoadBalancerNodePorts(false).
			WithPorts(corev1apply.ServicePort().WithName("https").WithProtocol(corev1.ProtocolTCP).WithPort(port).WithTargetPort(intstr.FromInt32(port))))
		if present, err = services.Apply(ctx, wanted, metav1.ApplyOptions{FieldManager: fieldManager, Force: true}); err != nil {
			return err
		}
	}
	ingress := present.Status.LoadBalancer.Ingress
	if len(ingress) == 1 && ingress[0].IP == address.String() {
		return nil
	}
	status := corev1apply.Service(ServiceName, serviceNamespace).WithStatus(corev1apply.ServiceStatus().
		WithLoadBalancer(corev1apply.LoadBalancerStatus().WithIngress(corev1apply.LoadBalancerIngress().WithIP(address.String()))))
	_, err = services.ApplyStatus(ctx, status, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	return err
}

func hasPort(service *corev1.Service, port int32) bool {
	return len(service.Spec.Ports) == 1 && service.Spec.Ports[0].Port == port && service.Spec.Ports[0].TargetPort.IntValue() == int(port)
}

// publishSlices copies the endpoints of default/kubernetes, which the API
// servers keep themselves, and those alone.
func (c *Controller) publishSlices(ctx context.Context, port int32) error {
	of, err := c.slices.EndpointSlices(metav1.NamespaceDefault).List(labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: kubernetesService}))
	if err != nil {
		return err
	}
	ours, err := c.slices.EndpointSlices(serviceNamespace).List(labels.SelectorFromSet(labels.Set{
		discoveryv1.LabelServiceName: ServiceName, discoveryv1.LabelManagedBy: fieldManager,
	}))
	if err != nil {
		return err
	}
	slices.SortFunc(of, func(a, b *discoveryv1.EndpointSlice) int { return strings.Compare(a.Name, b.Name) })
	obsolete := map[string]struct{}{}
	for _, slice := range ours {
		obsolete[slice.Name] = struct{}{}
	}
	client := c.Kubernetes.DiscoveryV1().EndpointSlices(serviceNamespace)
	for _, slice := range of {
		name := ServiceName + "-" + slice.Name
		delete(obsolete, name)
		at := slices.IndexFunc(ours, func(present *discoveryv1.EndpointSlice) bool { return present.Name == name })
		if at >= 0 && sameEndpoints(ours[at], slice, port) {
			continue
		}
		if _, err := client.Apply(ctx, copyOf(slice, name, port), metav1.ApplyOptions{FieldManager: fieldManager, Force: true}); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(obsolete)) {
		if err := client.Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return nil
}

func sameEndpoints(present, wanted *discoveryv1.EndpointSlice, port int32) bool {
	if present.AddressType != wanted.AddressType || len(present.Ports) != 1 || present.Ports[0].Port == nil || *present.Ports[0].Port != port ||
		len(present.Endpoints) != len(wanted.Endpoints) {
		return false
	}
	for i := range wanted.Endpoints {
		a, b := present.Endpoints[i], wanted.Endpoints[i]
		if !slices.Equal(a.Addresses, b.Addresses) || !equality.Semantic.DeepEqual(a.Conditions, b.Conditions) {
			return false
		}
	}
	return true
}

func copyOf(slice *discoveryv1.EndpointSlice, name string, port int32) *discoveryv1apply.EndpointSliceApplyConfiguration {
	copied := discoveryv1apply.EndpointSlice(name, serviceNamespace).
		WithLabels(map[string]string{discoveryv1.LabelServiceName: ServiceName, discoveryv1.LabelManagedBy: fieldManager}).
		WithAddressType(slice.AddressType).
		WithPorts(discoveryv1apply.EndpointPort().WithName("https").WithProtocol(corev1.ProtocolTCP).WithPort(port))
	for _, endpoint := range slice.Endpoints {
		conditions := discoveryv1apply.EndpointConditions()
		conditions.Ready, conditions.Serving, conditions.Terminating = endpoint.Conditions.Ready, endpoint.Conditions.Serving, endpoint.Conditions.Terminating
		copied.WithEndpoints(discoveryv1apply.Endpoint().WithAddresses(endpoint.Addresses...).WithConditions(conditions))
	}
	return copied
}
