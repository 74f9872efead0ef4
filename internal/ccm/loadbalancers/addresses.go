package loadbalancers

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// addressAnnotations are the annotations in which the users of an
// implementation write addresses; the first is the one to write to.
func addressAnnotations(implementation Implementation) []string {
	switch implementation {
	case MetalLB:
		return []string{annotationMetalLBAddresses, annotationMetalLBAddressesDeprecated}
	case KubeVIP:
		return []string{annotationKubeVIPAddresses}
	}
	return nil
}

// userAddresses are the addresses that a Service's user gave it. Those that it
// has from this package are no wish of the user's.
func (l *LoadBalancers) userAddresses(service *corev1.Service, given []netip.Addr) ([]netip.Addr, error) {
	type source struct {
		name, value string
		addresses   []netip.Addr
	}
	sources := []source{{name: "spec.loadBalancerIP", value: service.Spec.LoadBalancerIP}}
	for _, name := range addressAnnotations(l.setting.Implementation) {
		sources = append(sources, source{name: "annotation " + name, value: service.Annotations[name]})
	}
	var chosen *source
	for i := range sources {
		s := &sources[i]
		if strings.TrimSpace(s.value) == "" {
			continue
		}
		for _, text := range splitList(s.value) {
			address, err := netip.ParseAddr(text)
			if err != nil || address.Zone() != "" || !address.IsGlobalUnicast() {
				return nil, fmt.Errorf("%s is %q, allowed are addresses of hosts", s.name, s.value)
			}
			s.addresses = append(s.addresses, address.Unmap())
		}
		ours := !slices.ContainsFunc(s.addresses, func(a netip.Addr) bool { return !slices.Contains(given, a) })
		if ours || i == 0 && leftBehind(service) {
			continue
		}
		if chosen != nil && !slices.Equal(chosen.addresses, s.addresses) {
			return nil, fmt.Errorf("%s is %q and %s is %q, allowed is one of them", chosen.name, chosen.value, s.name, s.value)
		}
		chosen = s
	}
	if chosen == nil {
		return nil, nil
	}
	families, seen := families(service), map[int]bool{}
	for _, address := range chosen.addresses {
		family := familyOf(address)
		if !slices.Contains(families, family) {
			return nil, fmt.Errorf("%s has %s, but spec.ipFamilies of the Service has no IPv%d", chosen.name, address, family)
		}
		if seen[family] {
			return nil, fmt.Errorf("%s is %q, allowed is one address of a family", chosen.name, chosen.value)
		}
		seen[family] = true
	}
	return chosen.addresses, nil
}

// controllers are the beginnings of the names by which this controller, and
// those before it, are known as the writers of fields.
var controllers = []string{fieldManager, "cloud-provider-equinix-metal", "packet-ccm"}

// leftBehind tells that the address in a Service's spec was written by a
// controller and by nobody else. The original never took it back: a Service
// that was of type LoadBalancer before still has it, though the address is
// somebody else's by now.
func leftBehind(service *corev1.Service) bool {
	writers := 0
	for _, entry := range service.ManagedFields {
		if entry.FieldsV1 == nil || entry.Subresource != "" {
			continue
		}
		var fields struct {
			Spec map[string]json.RawMessage `json:"f:spec"`
		}
		if json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields) != nil {
			continue
		}
		if _, writes := fields.Spec["f:loadBalancerIP"]; !writes {
			continue
		}
		if !slices.ContainsFunc(controllers, func(name string) bool { return strings.HasPrefix(entry.Manager, name) }) {
			return false
		}
		writers++
	}
	return writers > 0
}

// recorded are the addresses that a Service has from reservations, as
// publish wrote them.
func recorded(service *corev1.Service) []netip.Addr {
	return parseAddresses(service.Annotations[AnnotationAddresses])
}

// parseAddresses reads addresses that are separated by commas and leaves out
// what is none.
func parseAddresses(text string) []netip.Addr {
	var addresses []netip.Addr
	for _, part := range splitList(text) {
		if address, err := netip.ParseAddr(part); err == nil {
			addresses = append(addresses, address.Unmap())
		}
	}
	return addresses
}

func formatAddresses(addresses []netip.Addr) string {
	texts := make([]string, 0, len(addresses))
	for _, address := range addresses {
		texts = append(texts, address.String())
	}
	return strings.Join(texts, ",")
}

// statusAddresses are those in a Service's status.
func statusAddresses(service *corev1.Service) []netip.Addr {
	var addresses []netip.Addr
	for _, ingress := range service.Status.LoadBalancer.Ingress {
		addresses = append(addresses, parseAddresses(ingress.IP)...)
	}
	return addresses
}

// held are the addresses that a Service has as far as it says so itself,
// without asking the API. A Service that asks for something impossible keeps
// what its status shows.
func (l *LoadBalancers) held(service *corev1.Service) []netip.Addr {
	given := recorded(service)
	user, err := l.userAddresses(service, given)
	switch {
	case err != nil && len(given) == 0:
		return statusAddresses(service)
	case len(user) > 0:
		return user
	case len(given) > 0:
		return given
	}
	return statusAddresses(service)
}

// inUse are all addresses that a Service mentions as its own, whoever wrote them.
func (l *LoadBalancers) inUse(service *corev1.Service) []netip.Addr {
	addresses := append(recorded(service), statusAddresses(service)...)
	addresses = append(addresses, parseAddresses(service.Spec.LoadBalancerIP)...)
	for _, name := range addressAnnotations(l.setting.Implementation) {
		addresses = append(addresses, parseAddresses(service.Annotations[name])...)
	}
	return addresses
}
