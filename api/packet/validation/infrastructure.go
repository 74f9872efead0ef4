package validation

import (
	"fmt"
	"net/netip"
	"slices"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"

	"github.com/packetyard/packetyard/api/packet/v1alpha1"
)

const (
	// A private reservation has 128 to 16 addresses: what the Packet API reserves.
	shortestReservation, longestReservation = 25, 28
	// A block of nodes with fewer than 16 addresses has no room for a cluster.
	longestNodesPrefix = 28
	// The numbers of VLANs of the Packet API.
	lowestVXLAN, highestVXLAN = 2, 3999
)

// ValidateInfrastructureConfig tells what is wrong with the infrastructureConfig of a Shoot, by itself and against the Shoot's
// networking. Networking may be nil.
func ValidateInfrastructureConfig(config *v1alpha1.InfrastructureConfig, networking *gardencorev1beta1.Networking, at *field.Path) field.ErrorList {
	networks := config.Networks
	if networks == nil {
		return nil
	}
	var problems field.ErrorList
	path := at.Child("networks")
	if networks.Nodes != nil {
		problems = append(problems, validateNodes(*networks.Nodes, networking, path.Child("nodes"))...)
	}
	if reservation := networks.PrivateReservation; reservation != nil {
		at := path.Child("privateReservation")
		if networks.Nodes != nil {
			problems = append(problems, field.Forbidden(at, fmt.Sprintf("networks.nodes is %s: set either a block that the project has, or have one reserved", *networks.Nodes)))
		}
		if length := reservation.PrefixLength; length < shortestReservation || length > longestReservation {
			problems = append(problems, field.Invalid(at.Child("prefixLength"), length, fmt.Sprintf("must be from %d (128 addresses) to %d (16 addresses)", shortestReservation, longestReservation)))
		}
	}
	if networks.VLAN != nil && networks.VLAN.VXLAN != nil {
		if number := *networks.VLAN.VXLAN; number < lowestVXLAN || number > highestVXLAN {
			problems = append(problems, field.Invalid(path.Child("vlan", "vxlan"), number, fmt.Sprintf("must be from %d to %d", lowestVXLAN, highestVXLAN)))
		}
	}
	return problems
}

func validateNodes(nodes string, networking *gardencorev1beta1.Networking, at *field.Path) field.ErrorList {
	block, problems := parseBlock(nodes, at)
	if len(problems) > 0 {
		return problems
	}
	if !slices.ContainsFunc(privateRanges(), func(private netip.Prefix) bool {
		return private.Contains(block.Addr()) && private.Bits() <= block.Bits()
	}) {
		problems = append(problems, field.Invalid(at, nodes, "must be a block of private addresses, in 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16"))
	}
	if block.Bits() > longestNodesPrefix {
		problems = append(problems, field.Invalid(at, nodes, fmt.Sprintf("must have 16 addresses at least: a prefix length of %d or less", longestNodesPrefix)))
	}
	if networking == nil {
		return problems
	}
	problems = append(problems, disjoint(block, at, networking.Pods, "spec.networking.pods")...)
	problems = append(problems, disjoint(block, at, networking.Services, "spec.networking.services")...)
	if networking.Nodes != nil && *networking.Nodes != nodes {
		problems = append(problems, field.Invalid(at, nodes, fmt.Sprintf("must be the same as spec.networking.nodes, which is %s", *networking.Nodes)))
	}
	return problems
}

// ValidateInfrastructureConfigUpdate tells which changes of the infrastructureConfig are not possible. Nodes are the network of the
// nodes that Gardener knows already, nil if none: until then everything can be put right, after that machines have addresses of it. A
// VLAN can come and go, but keeps its number.
func ValidateInfrastructureConfigUpdate(config, old *v1alpha1.InfrastructureConfig, nodes *string, at *field.Path) field.ErrorList {
	networks, before := networksOf(config), networksOf(old)
	path := at.Child("networks")
	var problems field.ErrorList
	if nodes != nil {
		fixed := fmt.Sprintf("cannot be changed, set or removed any more: the Shoot's nodes have addresses of %s; create another Shoot", *nodes)
		// Telling what is known already changes nothing.
		if !apiequality.Semantic.DeepEqual(networks.Nodes, before.Nodes) && (before.Nodes != nil || *networks.Nodes != *nodes) {
			problems = append(problems, field.Forbidden(path.Child("nodes"), fixed))
		}
		if !apiequality.Semantic.DeepEqual(networks.PrivateReservation, before.PrivateReservation) {
			problems = append(problems, field.Forbidden(path.Child("privateReservation"), fixed))
		}
	}
	if networks.VLAN == nil || before.VLAN == nil || networks.VLAN.VXLAN == nil || before.VLAN.VXLAN == nil {
		return problems
	}
	if number, was := *networks.VLAN.VXLAN, *before.VLAN.VXLAN; number != was {
		problems = append(problems, field.Invalid(path.Child("vlan", "vxlan"), number,
			fmt.Sprintf("must stay %d: take networks.vlan out, and put it back with the other number when the VLAN is gone", was)))
	}
	return problems
}

func networksOf(config *v1alpha1.InfrastructureConfig) v1alpha1.Networks {
	if config.Networks == nil {
		return v1alpha1.Networks{}
	}
	return *config.Networks
}
