// Package templates holds what clusterctl reads of the packet infrastructure
// provider: the cluster templates and the ClusterClass, which hack/examples writes, and the metadata
// that tells which contract of Cluster API each release series implements.
package templates

import "embed"

// Files are the templates and metadata.yaml, in the root of the file system.
//
//go:embed cluster-template*.yaml clusterclass-*.yaml metadata.yaml
var Files embed.FS
