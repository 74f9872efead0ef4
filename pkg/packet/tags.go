package packet

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
)

// MaxTagLength is the longest tag that the API takes, in bytes.
const MaxTagLength = 80

// The tags by which the Cluster API provider finds its devices and addresses
// again. Their names are those of the provider before this one, so that a
// cluster can change hands.
const (
	TagPrefixCluster   = "capp:cluster-id:"
	TagPrefixNamespace = "capp:namespace:"
	TagPrefixMachine   = "capp:machine-uid:"

	TagRoleMaster = "kubernetes.io/role:master"
	TagRoleNode   = "kubernetes.io/role:node"
)

// ClusterTags identify everything that belongs to one cluster. The namespace
// is one of them, because clusters of two namespaces may share their name.
func ClusterTags(namespace, cluster string) []string {
	return []string{tag(TagPrefixCluster, cluster), tag(TagPrefixNamespace, namespace)}
}

// MachineTags identify the device of one machine: those of its cluster, and
// the name of its PacketMachine.
func MachineTags(namespace, cluster, machine string) []string {
	return append(ClusterTags(namespace, cluster), MachineTag(machine))
}

// MachineTag is the tag that carries the name of a PacketMachine.
func MachineTag(machine string) string {
	return tag(TagPrefixMachine, machine)
}

// RoleTag tells a control plane's device from a worker's.
func RoleTag(controlPlane bool) string {
	if controlPlane {
		return TagRoleMaster
	}
	return TagRoleNode
}

// HasTags tells whether all the tags wanted are among those that a device or
// reservation has.
func HasTags(have []string, want ...string) bool {
	for _, w := range want {
		if !slices.Contains(have, w) {
			return false
		}
	}
	return true
}

// Tag joins a prefix and a value as long as the API takes it: see tag.
func Tag(prefix, value string) string { return tag(prefix, value) }

// tag joins prefix and value. A value that does not fit is cut and ends in a
// part of its hash, so that two long names that begin alike stay two.
func tag(prefix, value string) string {
	full := prefix + value
	if len(full) <= MaxTagLength {
		return full
	}
	const digits = 8
	sum := sha256.Sum256([]byte(value))
	return full[:MaxTagLength-digits-1] + "-" + hex.EncodeToString(sum[:])[:digits]
}
