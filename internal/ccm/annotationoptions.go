package ccm

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/packetyard/packetyard/internal/ccm/bgp"
)

// The annotations by which a Service says where its address is from, unless
// the configuration renames them.
const (
	defaultEIPMetroAnnotation    = "metal.equinix.com/eip-metro"
	defaultEIPFacilityAnnotation = "metal.equinix.com/eip-facility"
)

// annotationOptions are the names of annotations, which the original let be
// configured so that each consumer finds them where it looks.
func annotationOptions() []option {
	defaults := bgp.DefaultAnnotations()
	node := func(key, suffix, flag, fallback, about string, field func(*bgp.Annotations) *string, aliases ...string) option {
		return option{
			key: key, aliases: aliases, flag: "packet-annotation-" + flag, env: environment("ANNOTATION_" + suffix), section: sectionAnnotations,
			fallback: fallback, allowed: "the name of an annotation, in which " + bgp.Number + " stands for the number of the peer", about: about,
			set: func(c *config, value string) error {
				*field(&c.annotations) = value
				return bgp.CheckAnnotationName(value)
			},
		}
	}
	peers := []option{
		node("annotationLocalASN", "LOCAL_ASN", "local-asn", defaults.NodeASN, "On a node: its AS number.",
			func(a *bgp.Annotations) *string { return &a.NodeASN }, "annotationNodeASN"),
		node("annotationPeerASN", "PEER_ASN", "peer-asn", defaults.PeerASN, "On a node: the peer's AS number.",
			func(a *bgp.Annotations) *string { return &a.PeerASN }, "annotationPeerASNs"),
		node("annotationPeerIP", "PEER_IP", "peer-ip", defaults.PeerIP, "On a node: the peer's address. Must hold "+bgp.Number+".",
			func(a *bgp.Annotations) *string { return &a.PeerIP }, "annotationPeerIPs"),
		node("annotationSrcIP", "SRC_IP", "src-ip", defaults.SourceIP, "On a node: the address that the session comes from.",
			func(a *bgp.Annotations) *string { return &a.SourceIP }),
		node("annotationBGPPass", "BGP_PASS", "bgp-pass", defaults.Password, "On a node: the session's password, in base64. Whoever may read nodes can read it.",
			func(a *bgp.Annotations) *string { return &a.Password }),
		node("annotationPeerMultiHop", "PEER_MULTI_HOP", "peer-multi-hop", defaults.MultiHop, "On a node: whether the peer is more than one hop away.",
			func(a *bgp.Annotations) *string { return &a.MultiHop }),
		node("annotationNetworkIPv4Private", "NETWORK_IPV4_PRIVATE", "network-ipv4-private", defaults.PrivateNetwork,
			"On a node: the block that its private IPv4 address is from. Must not hold "+bgp.Number+".",
			func(a *bgp.Annotations) *string { return &a.PrivateNetwork }),
	}
	service := func(key, suffix, flag, fallback, about string, field func(*config) *string) option {
		return option{
			key: key, flag: "packet-annotation-" + flag, env: environment("ANNOTATION_" + suffix), section: sectionAnnotations,
			fallback: fallback, allowed: "the name of an annotation", about: about,
			set: func(c *config, value string) error {
				if problems := validation.IsQualifiedName(strings.ToLower(value)); len(problems) > 0 {
					return fmt.Errorf("is %q, allowed is the name of an annotation: %s", value, strings.Join(problems, "; "))
				}
				*field(c) = value
				return nil
			},
		}
	}
	return append(peers,
		service("annotationEIPMetro", "EIP_METRO", "eip-metro", defaultEIPMetroAnnotation, "On a Service: the metro of its address.",
			func(c *config) *string { return &c.annotationEIPMetro }),
		service("annotationEIPFacility", "EIP_FACILITY", "eip-facility", defaultEIPFacilityAnnotation, "On a Service: the facility of its address.",
			func(c *config) *string { return &c.annotationEIPFacility }),
	)
}
