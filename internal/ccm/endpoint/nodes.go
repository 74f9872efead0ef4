package endpoint

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/packetyard/packetyard/pkg/packet"
)

// The labels that kubeadm gives, or gave, to the nodes of a control plane.
const (
	labelControlPlane = "node-role.kubernetes.io/control-plane"
	labelMaster       = "node-role.kubernetes.io/master"
)

// place is a node of the control plane that may have the address.
type place struct {
	node   *corev1.Node
	device string
}

// leaving tells whether somebody is about to take the node away.
func (p place) leaving() bool {
	return p.node.Spec.Unschedulable || p.node.DeletionTimestamp != nil
}

// addresses are where the node's own API server may answer. Those that moved
// here with some elastic IP are left out: they say nothing about this node.
func (p place) addresses(elastic string) []string {
	var list []string
	for _, kind := range []corev1.NodeAddressType{corev1.NodeInternalIP, corev1.NodeExternalIP} {
		for _, address := range p.node.Status.Addresses {
			if address.Type == kind && address.Address != elastic {
				list = append(list, address.Address)
			}
		}
	}
	return list
}

// controlPlane finds the nodes that may have the address, the better ones
// first: those that stay before those that leave, ready ones before others.
func controlPlane(nodes []*corev1.Node) []place {
	var places []place
	for _, node := range nodes {
		_, current := node.Labels[labelControlPlane]
		_, former := node.Labels[labelMaster]
		if !current && !former {
			continue
		}
		device, err := packet.DeviceID(node.Spec.ProviderID)
		if err != nil {
			// It is not initialised yet, or no device of this API.
			continue
		}
		places = append(places, place{node: node, device: device})
	}
	slices.SortStableFunc(places, func(a, b place) int {
		return cmp.Or(order(a.leaving(), b.leaving()), order(!ready(a.node), !ready(b.node)), cmp.Compare(a.node.Name, b.node.Name))
	})
	return places
}

// order puts what is not before what is.
func order(a, b bool) int {
	number := func(v bool) int {
		if v {
			return 1
		}
		return 0
	}
	return number(a) - number(b)
}

func ready(node *corev1.Node) bool {
	return slices.ContainsFunc(node.Status.Conditions, func(condition corev1.NodeCondition) bool {
		return condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue
	})
}

// sameForUs tells whether two states of a node are the same for what is
// decided here.
func sameForUs(a, b *corev1.Node) bool {
	return a.Spec.Unschedulable == b.Spec.Unschedulable && a.Spec.ProviderID == b.Spec.ProviderID && ready(a) == ready(b) &&
		(a.DeletionTimestamp == nil) == (b.DeletionTimestamp == nil) &&
		equality.Semantic.DeepEqual(a.Labels, b.Labels) && equality.Semantic.DeepEqual(a.Status.Addresses, b.Status.Addresses)
}
