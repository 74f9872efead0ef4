package loadbalancers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"
)

// errChanged is a Service that asks for something else than it did when its
// address was decided on.
var errChanged = errors.New("the Service changed while its address was decided on")

// sharingMark begins the values of MetalLB's annotation that are not the user's.
const sharingMark = "packet-ccm:"

// publish writes into a Service what addresses it has from the project's
// reservations, which is none if its addresses are the user's or if it has
// none any more: in AnnotationAddresses, and where kube-vip or MetalLB look.
// What the user wrote stays as it is.
func (l *LoadBalancers) publish(ctx context.Context, service *corev1.Service, given []netip.Addr, sharingKey string) error {
	if l.publication(service, given, sharingKey).empty() {
		return nil
	}
	client := l.config.Kubernetes.CoreV1().Services(service.Namespace)
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		live, err := client.Get(ctx, service.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if live.UID != service.UID || !l.sameWish(service, live) {
			return errChanged
		}
		change := l.publication(live, given, sharingKey)
		if change.empty() {
			return nil
		}
		patch, err := change.patch(live.ResourceVersion)
		if err != nil {
			return err
		}
		_, err = client.Patch(ctx, live.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
		return err
	})
	if apierrors.IsNotFound(err) && service.DeletionTimestamp != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("writing the addresses of Service %s/%s: %w", service.Namespace, service.Name, err)
	}
	return nil
}

// sameWish tells whether two versions of a Service ask for the same.
func (l *LoadBalancers) sameWish(a, b *corev1.Service) bool {
	if a.Spec.Type != b.Spec.Type || a.Spec.LoadBalancerIP != b.Spec.LoadBalancerIP {
		return false
	}
	names := append(addressAnnotations(l.setting.Implementation), l.annotations.EIPMetro, l.annotations.EIPFacility,
		AnnotationEIPType, AnnotationReservationID, AnnotationReservationTag, AnnotationSharingKey)
	return !slices.ContainsFunc(names, func(name string) bool { return a.Annotations[name] != b.Annotations[name] })
}

// change is what to change of a Service: nil values remove annotations.
type change struct {
	loadBalancerIP *string
	annotations    map[string]*string
}

func (c change) empty() bool { return c.loadBalancerIP == nil && len(c.annotations) == 0 }

func (c change) patch(resourceVersion string) ([]byte, error) {
	patch := map[string]any{"metadata": map[string]any{"resourceVersion": resourceVersion, "annotations": c.annotations}}
	if c.loadBalancerIP != nil {
		var value any // null removes the field.
		if *c.loadBalancerIP != "" {
			value = *c.loadBalancerIP
		}
		patch["spec"] = map[string]any{"loadBalancerIP": value}
	}
	encoded, err := json.Marshal(patch)
	if err != nil {
		return nil, fmt.Errorf("encoding the change of a Service: %w", err)
	}
	return encoded, nil
}

// publication is how a Service has to change to show the given addresses.
func (l *LoadBalancers) publication(service *corev1.Service, given []netip.Addr, sharingKey string) change {
	before := recorded(service)
	ours := func(text string) bool {
		addresses := parseAddresses(text)
		return text == "" || len(addresses) > 0 && !slices.ContainsFunc(addresses, func(a netip.Addr) bool {
			return !slices.Contains(before, a) && !slices.Contains(given, a)
		})
	}
	c := change{annotations: map[string]*string{}}
	annotate := func(name, value string) {
		switch current, found := service.Annotations[name]; {
		case value == "" && found:
			c.annotations[name] = nil
		case value != "" && current != value:
			c.annotations[name] = &value
		}
	}
	annotate(AnnotationAddresses, formatAddresses(given))

	// The field has room for one address. Several go into the annotation that
	// the implementation reads, with the field empty: MetalLB refuses both.
	field, list := "", ""
	where := addressAnnotations(l.setting.Implementation)
	switch {
	case len(given) > 1 && len(where) > 0:
		list = formatAddresses(given)
	case len(given) > 0:
		field = given[0].String()
	}
	if current := service.Spec.LoadBalancerIP; current != field && (ours(current) || leftBehind(service)) {
		c.loadBalancerIP = &field
	}
	if len(where) > 0 && ours(service.Annotations[where[0]]) {
		annotate(where[0], list)
	}
	if current := service.Annotations[annotationMetalLBSharing]; l.setting.Implementation == MetalLB && (current == "" || strings.HasPrefix(current, sharingMark)) {
		key := ""
		if sharingKey != "" {
			key = sharingMark + sharingKey
		}
		annotate(annotationMetalLBSharing, key)
	}
	return c
}
