package infrastructure

import (
	"slices"
	"strings"

	extensionscontroller "github.com/gardener/gardener/extensions/pkg/controller"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"

	"github.com/packetyard/packetyard/pkg/packet"
)

// The tags of what belongs to a Shoot. They are not those of its machines (kubernetes.io/cluster/…), which the machine
// controller manager deletes when it does not know them.
const (
	TagPrefixShoot    = "gardener-shoot:"
	TagPrefixShootUID = "gardener-shoot-uid:"
)

// Owner is the Shoot that something in the Packet API was made for.
type Owner struct {
	// TechnicalID is unique in a Gardener landscape, such as shoot--foobar--packet.
	TechnicalID string
	// UID is unique everywhere, and empty where Gardener does not tell it. Two landscapes may share a project.
	UID string
}

// OwnerOf is the Shoot of an extension resource. The cluster may be nil.
func OwnerOf(namespace string, cluster *extensionscontroller.Cluster) Owner {
	owner := Owner{TechnicalID: namespace}
	if cluster != nil && cluster.Shoot != nil {
		if id := cluster.Shoot.Status.TechnicalID; id != "" {
			owner.TechnicalID = id
		}
		owner.UID = string(cluster.Shoot.Status.UID)
	}
	return owner
}

// Tags are those of everything that is made for the Shoot.
func (o Owner) Tags() []string {
	tags := []string{TagPrefixShoot + o.TechnicalID}
	if o.UID != "" {
		tags = append(tags, TagPrefixShootUID+o.UID)
	}
	return tags
}

// Has tells whether something with these tags was made for the Shoot.
func (o Owner) Has(tags []string) bool {
	return packet.HasTags(tags, TagPrefixShoot+o.TechnicalID) && o.mayHave(tags)
}

// mayHave tells that the tags do not say that something belongs to another Shoot of the same name.
func (o Owner) mayHave(tags []string) bool {
	return o.UID == "" || slices.Contains(tags, TagPrefixShootUID+o.UID) ||
		!slices.ContainsFunc(tags, func(tag string) bool { return strings.HasPrefix(tag, TagPrefixShootUID) })
}

// keyName is the label of the Shoot's SSH key.
func (o Owner) keyName() string { return o.TechnicalID + "-ssh-publickey" }

// isOurs tells whether an SSH key was made for the Shoot. Keys of earlier versions of this extension have no tags.
func (o Owner) isOurs(key packet.SSHKey) bool { return key.Label == o.keyName() && o.mayHave(key.Tags) }

// describe names the Shoot for people who look at the project.
func (o Owner) describe(infra *extensionsv1alpha1.Infrastructure) string {
	return "Gardener: " + o.TechnicalID + " in " + infra.Spec.Region
}
