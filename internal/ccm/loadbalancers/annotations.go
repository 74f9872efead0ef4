package loadbalancers

import (
	"cmp"
)

// annotationPrefix is that of the original's annotations, so that manifests
// go on to work.
const annotationPrefix = "metal.equinix.com/"

// The annotations of a Service by which its user says what address it is to
// have. The first two can have other names, see Annotations.
const (
	// AnnotationEIPMetro is the metro to reserve an address in, for example da.
	AnnotationEIPMetro = annotationPrefix + "eip-metro"
	// AnnotationEIPFacility is the facility to reserve an address in, for example da11.
	AnnotationEIPFacility = annotationPrefix + "eip-facility"
	// AnnotationEIPType says what kinds of address to reserve, one for each
	// family at most: public_ipv4, global_ipv4, private_ipv4, public_ipv6.
	AnnotationEIPType = annotationPrefix + "eip-type"
	// AnnotationReservationID names reservations, by their UUIDs, to take
	// addresses from. They are never released.
	AnnotationReservationID = annotationPrefix + "eip-reservation-id"
	// AnnotationReservationTag are tags that a reservation must all have for
	// addresses to be taken from it. It is never released.
	AnnotationReservationTag = annotationPrefix + "eip-reservation-tag"
	// AnnotationSharingKey makes Services that have the same value share their addresses.
	AnnotationSharingKey = annotationPrefix + "eip-sharing-key"
	// AnnotationNodeSelector is a label selector of the nodes that announce
	// the Service's addresses, among those of the controller's own selector.
	AnnotationNodeSelector = annotationPrefix + "lb-node-selector"
)

// AnnotationAddresses is written by this package and read by it: the
// addresses that a Service has from the project's reservations, separated by
// commas. An address in spec.loadBalancerIP that is among them is not the user's.
const AnnotationAddresses = annotationPrefix + "eip-addresses"

// The annotations by which users give addresses to MetalLB and kube-vip,
// several of them separated by commas. spec.loadBalancerIP takes only one.
const (
	annotationMetalLBAddresses           = "metallb.io/loadBalancerIPs"
	annotationMetalLBAddressesDeprecated = "metallb.universe.tf/loadBalancerIPs"
	annotationKubeVIPAddresses           = "kube-vip.io/loadbalancerIPs"
)

// annotationMetalLBSharing is by what MetalLB allows several Services to have
// one address: those with the same value.
const annotationMetalLBSharing = "metallb.io/allow-shared-ip"

// Annotations are names of annotations that can be configured. Empty ones
// have their usual names.
type Annotations struct {
	EIPMetro    string
	EIPFacility string
}

func (a Annotations) withDefaults() Annotations {
	a.EIPMetro = cmp.Or(a.EIPMetro, AnnotationEIPMetro)
	a.EIPFacility = cmp.Or(a.EIPFacility, AnnotationEIPFacility)
	return a
}
