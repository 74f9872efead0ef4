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

// nodeAddresses are the addresses of the node that runs on a device, in the
// order in which they are preferred: its name, private IPv4, public IPv4.
//
// Elastic addresses (management false) are left out. They move from node to
// node, and are how services and the control plane are reached, not a node.
//
// IPv6 is left out too, unless the kubelet's --node-ip asks for an address:
// a cluster that does not know of IPv6 should not find it on its nodes.
func nodeAddresses(device *packet.Device, node *corev1.Node) ([]corev1.NodeAddress, error) {
	asked, err := nodeIPs(node)
	if err != nil {
		return nil, err
	}
	addresses := []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: device.Hostname}}
	for _, ip := range asked {
		nodehelpers.AddToNodeAddresses(&addresses, corev1.NodeAddress{Type: nodeIPType(device, ip), Address: ip.String()})
	}
	for _, public := range []bool{false, true} {
		for _, assignment := range device.IPAddresses {
			ip, ok := parseAddress(assignment)
			if !ok || !assignment.Management || assignment.Public != public || !ip.Is4() || slices.Contains(asked, ip) {
				continue
			}
			nodehelpers.AddToNodeAddresses(&addresses, corev1.NodeAddress{Type: addressType(assignment), Address: ip.String()})
		}
	}
	if len(addresses) == 1 {
		return nil, fmt.Errorf("device %s in state %s has no address yet", device.ID, device.State)
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

// nodeIPType is the type of an address that --node-ip asks for. An IPv6
// address becomes internal though it is public: it is what the cluster uses
// inside, and as an external one it would push the public IPv4 address out,
// of which the framework then keeps only one type. An address that the API
// does not know, of a VLAN for example, is internal.
func nodeIPType(device *packet.Device, ip netip.Addr) corev1.NodeAddressType {
	if ip.Is4() {
		for _, assignment := range device.IPAddresses {
			if known, ok := parseAddress(assignment); ok && known == ip {
				return addressType(assignment)
			}
		}
	}
	return corev1.NodeInternalIP
}

func addressType(assignment packet.IPAssignment) corev1.NodeAddressType {
	if assignment.Public {
		return corev1.NodeExternalIP
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
