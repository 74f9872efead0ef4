package ccm

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	cloudproviderapi "k8s.io/cloud-provider/api"
	nodehelpers "k8s.io/cloud-provider/node/helpers"

	"github.com/packetyard/packetyard/pkg/packet"
)

// nodeAddresses are the addresses of the node that runs on a device: its name,
// what the kubelet's --node-ip asks for, and what the policy says, in this
// order, which is that of preference.
//
// Elastic addresses are left out by default. They move from node to node, and
// are how services and the control plane are reached, not a node. IPv6 is left
// out too: a cluster that does not know of it should not find it on its nodes.
func nodeAddresses(device *packet.Device, node *corev1.Node, policy addressPolicy) ([]corev1.NodeAddress, error) {
	asked, err := nodeIPs(node)
	if err != nil {
		return nil, err
	}
	addresses := []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: device.Hostname}}
	for _, ip := range asked {
		nodehelpers.AddToNodeAddresses(&addresses, corev1.NodeAddress{Type: nodeIPType(device, ip, policy), Address: ip.String()})
	}
	for _, rule := range policy {
		for _, assignment := range device.IPAddresses {
			ip, ok := parseAddress(assignment)
			if !ok || classOf(assignment) != rule.class || slices.Contains(asked, ip) {
				continue
			}
			nodehelpers.AddToNodeAddresses(&addresses, corev1.NodeAddress{Type: rule.as, Address: ip.String()})
		}
	}
	if len(addresses) == 1 {
		return nil, fmt.Errorf("device %s in state %s has no address yet of those that the address policy lets its node have", device.ID, device.State)
	}
	return addresses, nil
}

// nodeIPs are the addresses of the kubelet's --node-ip, one or two. With an
// external cloud provider the kubelet hands them on in an annotation.
func nodeIPs(node *corev1.Node) ([]netip.Addr, error) {
	annotation, found := node.Annotations[cloudproviderapi.AnnotationAlphaProvidedIPAddr]
	if !found {
		return nil, nil
	}
	var ips []netip.Addr
	for _, text := range strings.Split(annotation, ",") {
		ip, err := netip.ParseAddr(strings.TrimSpace(text))
		if err != nil {
			return nil, fmt.Errorf("annotation %s is %q, allowed are one or two IP addresses, separated by a comma",
				cloudproviderapi.AnnotationAlphaProvidedIPAddr, annotation)
		}
		ips = append(ips, ip.Unmap())
	}
	return ips, nil
}

// nodeIPType is the type of an address that --node-ip asks for: what the policy
// says of its class. Without a rule, a public IPv4 address is external, and an
// IPv6 address internal, as in the dual-stack policy. An address that the API
// does not know, of a VLAN for example, is internal.
func nodeIPType(device *packet.Device, ip netip.Addr, policy addressPolicy) corev1.NodeAddressType {
	for _, assignment := range device.IPAddresses {
		known, ok := parseAddress(assignment)
		if !ok || known != ip {
			continue
		}
		if as, ruled := policy.typeOf(classOf(assignment)); ruled {
			return as
		}
		if ip.Is4() && assignment.Public {
			return corev1.NodeExternalIP
		}
	}
	return corev1.NodeInternalIP
}

func parseAddress(assignment packet.IPAssignment) (netip.Addr, bool) {
	ip, err := netip.ParseAddr(assignment.Address)
	return ip.Unmap(), err == nil
}

// sharesAddress tells whether a device has one of the addresses that a node
// has reported of itself.
func sharesAddress(device *packet.Device, node *corev1.Node) bool {
	for _, assignment := range device.IPAddresses {
		ip, ok := parseAddress(assignment)
		if !ok {
			continue
		}
		for _, address := range node.Status.Addresses {
			if reported, err := netip.ParseAddr(address.Address); err == nil && reported.Unmap() == ip {
				return true
			}
		}
	}
	return false
}
