package kubeproxy

import (
	"cmp"
	"net/netip"
	"slices"

	v1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
)

// frontend is an address and port that clients use. An unspecified address
// (0.0.0.0 or ::) is a node port, open on every address of the machine.
type frontend struct {
	protocol v1.Protocol
	address  netip.AddrPort
}

// rules says which backends serve each frontend. A frontend may have none: its
// address exists on the machine, but refuses connections.
type rules map[frontend][]netip.AddrPort

// buildRules works out what a node shall serve.
func buildRules(services []*v1.Service, endpointSlices []*discoveryv1.EndpointSlice, node string) rules {
	bySlice := map[types.NamespacedName][]*discoveryv1.EndpointSlice{}
	for _, s := range endpointSlices {
		name := types.NamespacedName{Namespace: s.Namespace, Name: s.Labels[discoveryv1.LabelServiceName]}
		bySlice[name] = append(bySlice[name], s)
	}
	r := rules{}
	for _, s := range services {
		r.addService(s, bySlice[types.NamespacedName{Namespace: s.Namespace, Name: s.Name}], node)
	}
	return r
}

func (r rules) addService(s *v1.Service, endpointSlices []*discoveryv1.EndpointSlice, node string) {
	if s.Spec.Type == v1.ServiceTypeExternalName || s.Spec.ClusterIP == v1.ClusterIPNone {
		return
	}
	inside := clusterAddresses(s)
	outside := outsideAddresses(s)
	for i := range s.Spec.Ports {
		port := &s.Spec.Ports[i]
		if port.Protocol != v1.ProtocolTCP && port.Protocol != v1.ProtocolUDP {
			continue // SCTP has no user space listener.
		}
		for _, address := range inside {
			local := s.Spec.InternalTrafficPolicy != nil && *s.Spec.InternalTrafficPolicy == v1.ServiceInternalTrafficPolicyLocal
			r.add(port.Protocol, address, port.Port, backends(endpointSlices, port, address, node, local))
			if port.NodePort != 0 {
				local := s.Spec.ExternalTrafficPolicy == v1.ServiceExternalTrafficPolicyLocal
				r.add(port.Protocol, unspecified(address), port.NodePort, backends(endpointSlices, port, address, node, local))
			}
		}
		for _, address := range outside {
			// On the machine itself the policy does not apply: the traffic comes
			// from inside the cluster.
			r.add(port.Protocol, address, port.Port, backends(endpointSlices, port, address, node, false))
		}
	}
}

func (r rules) add(protocol v1.Protocol, address netip.Addr, port int32, to []netip.AddrPort) {
	r[frontend{protocol: protocol, address: netip.AddrPortFrom(address, uint16(port))}] = to
}

func unspecified(like netip.Addr) netip.Addr {
	if like.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

func clusterAddresses(s *v1.Service) []netip.Addr {
	given := s.Spec.ClusterIPs
	if len(given) == 0 {
		given = []string{s.Spec.ClusterIP}
	}
	return parseAddresses(given)
}

// outsideAddresses are those by which a service is known outside the cluster;
// from inside they shall work without a way through the load balancer.
func outsideAddresses(s *v1.Service) []netip.Addr {
	list := slices.Clone(s.Spec.ExternalIPs)
	if s.Spec.Type == v1.ServiceTypeLoadBalancer {
		for _, ingress := range s.Status.LoadBalancer.Ingress {
			if ingress.IPMode == nil || *ingress.IPMode == v1.LoadBalancerIPModeVIP {
				list = append(list, ingress.IP)
			}
		}
	}
	return parseAddresses(list)
}

// parseAddresses leaves out what is no address: the API server has checked them,
// and the empty one means that none is allocated yet.
func parseAddresses(list []string) []netip.Addr {
	var addresses []netip.Addr
	for _, text := range list {
		if a, err := netip.ParseAddr(text); err == nil && !a.IsUnspecified() {
			addresses = append(addresses, a.Unmap())
		}
	}
	return addresses
}

// backends lists a service port's endpoints of one address family: those that
// are ready, or, if none is, those that still serve while they terminate.
func backends(endpointSlices []*discoveryv1.EndpointSlice, port *v1.ServicePort, family netip.Addr, node string, local bool) []netip.AddrPort {
	var ready, terminating []netip.AddrPort
	for _, s := range endpointSlices {
		for _, p := range s.Ports {
			if p.Port == nil || value(p.Name) != port.Name || protocolOf(p.Protocol) != port.Protocol {
				continue
			}
			for i := range s.Endpoints {
				e := &s.Endpoints[i]
				if local && value(e.NodeName) != node {
					continue
				}
				for _, a := range parseAddresses(e.Addresses) {
					if a.Is4() != family.Is4() {
						continue
					}
					to := netip.AddrPortFrom(a, uint16(*p.Port))
					switch {
					case e.Conditions.Ready == nil || *e.Conditions.Ready:
						ready = append(ready, to)
					case is(e.Conditions.Serving) && is(e.Conditions.Terminating):
						terminating = append(terminating, to)
					}
				}
			}
		}
	}
	if len(ready) == 0 {
		ready = terminating
	}
	// A stable order lets the proxy see that nothing changed; an endpoint may be
	// in two slices for a moment.
	slices.SortFunc(ready, func(a, b netip.AddrPort) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Port(), b.Port()))
	})
	return slices.Compact(ready)
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func is(b *bool) bool { return b != nil && *b }

func protocolOf(p *v1.Protocol) v1.Protocol {
	if p == nil {
		return v1.ProtocolTCP
	}
	return *p
}
