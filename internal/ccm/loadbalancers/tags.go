package loadbalancers

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/packetyard/packetyard/pkg/packet"
)

// The tags of the reservations that this package makes. They are the
// original's, so that a cluster can change hands and keep its addresses.
const (
	tagUsage         = "usage=cloud-provider-equinix-metal-auto"
	tagPrefixService = "service="
	tagPrefixCluster = "cluster="
	// tagPrefixShared is instead of that of a Service where several share.
	tagPrefixShared = "shared="
)

// details is what people read in a list of reservations.
const details = "Equinix Metal Kubernetes CCM auto-generated for Load Balancer"

// serviceTag is the tag of what belongs to one Service. Its name goes in as a
// hash, because tags are short and names may be long.
func serviceTag(service *corev1.Service) string {
	return tagPrefixService + hashed(service.Namespace+"/"+service.Name)
}

// sharedTag is the tag of what belongs to all Services of a sharing key.
func sharedTag(key string) string { return tagPrefixShared + hashed(key) }

func hashed(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// ownedBy are the tags that a reservation of an owner has: a serviceTag or a
// sharedTag. The cluster's is one of them, because clusters share projects.
func ownedBy(owner, clusterTag string) []string { return []string{tagUsage, owner, clusterTag} }

// ownersOf gives the service and shared tags of a reservation, none if it is
// not one that this package made for this cluster.
func ownersOf(r *packet.IPReservation, clusterTag string) []string {
	if r.Management || !packet.HasTags(r.Tags, tagUsage, clusterTag) {
		return nil
	}
	var owners []string
	for _, tag := range r.Tags {
		if strings.HasPrefix(tag, tagPrefixService) || strings.HasPrefix(tag, tagPrefixShared) {
			owners = append(owners, tag)
		}
	}
	return owners
}
