package packetcluster

import (
	"k8s.io/utils/ptr"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
)

// failureDomainKind is the attribute that tells what a failure domain is: a metro or a facility.
const failureDomainKind = "kind"

// failureDomains are the places of a cluster: those that the user named, or the one that the cluster is in.
func failureDomains(spec infrav1.PacketClusterSpec) []clusterv1.FailureDomain {
	var domains []clusterv1.FailureDomain
	for _, domain := range spec.FailureDomains {
		domains = append(domains, clusterv1.FailureDomain{
			Name:         domain.Name,
			ControlPlane: ptr.To(ptr.Deref(domain.ControlPlane, true)),
			Attributes:   map[string]string{failureDomainKind: "metro"},
		})
	}
	if len(domains) > 0 {
		return domains
	}
	place, kind := spec.Metro, "metro"
	if place == "" {
		place, kind = spec.Facility, "facility"
	}
	return []clusterv1.FailureDomain{{
		Name:         place,
		ControlPlane: ptr.To(true),
		Attributes:   map[string]string{failureDomainKind: kind},
	}}
}
