package devices

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/packetyard/packetyard/pkg/packet"
)

// TagPrefixBootstrap begins the tag that tells what a device was made from: see Fingerprint.
const TagPrefixBootstrap = "capp:bootstrap:"

// Identity is what ties a device to a machine. All of it can be rebuilt from the objects that clusterctl move carries over,
// which is why no UID of Kubernetes is part of it.
type Identity struct {
	Namespace string
	Cluster   string
	// Machine is the name of the PacketMachine.
	Machine string
	// DeviceID is the device that was recorded; empty before.
	DeviceID string
	// Bootstrap is the Fingerprint of the machine's bootstrap data; empty if that is not known.
	Bootstrap string
}

// Fingerprint tells bootstrap data from other bootstrap data, and nothing about what is in it: it is 64 bits of a SHA-256
// of data that has a random token in it.
//
// A finalizer keeps the name of a machine until its device is gone. But a device whose creation was answered too late may
// be listed when its machine is gone already, and a machine of the same name may have come since. By its fingerprint it is
// told that the device is not the new machine's: its token is void, so it would never become a node.
func Fingerprint(bootstrap []byte) string {
	sum := sha256.Sum256(bootstrap)
	const enough = 8
	return hex.EncodeToString(sum[:enough])
}

// Marks tells whether a device carries the machine's tags.
func (i Identity) Marks(device *packet.Device) bool { return packet.HasTags(device.Tags, i.tags()...) }

// tags are those by which a device is found.
func (i Identity) tags() []string { return packet.MachineTags(i.Namespace, i.Cluster, i.Machine) }

// allTags are those that a new device gets.
func (i Identity) allTags() []string {
	tags := i.tags()
	if i.Bootstrap != "" {
		tags = append(tags, TagPrefixBootstrap+i.Bootstrap)
	}
	return tags
}

// madeFrom tells whether a device may have been made from the machine's bootstrap data. Devices that do not say, which are
// those of earlier providers, may have been.
func (i Identity) madeFrom(device *packet.Device) bool {
	fingerprint := bootstrapOf(device)
	return fingerprint == "" || i.Bootstrap == "" || fingerprint == i.Bootstrap
}

// bootstrapOf is the fingerprint that a device carries, empty if it has none.
func bootstrapOf(device *packet.Device) string {
	for _, tag := range device.Tags {
		if fingerprint, ok := strings.CutPrefix(tag, TagPrefixBootstrap); ok {
			return fingerprint
		}
	}
	return ""
}
