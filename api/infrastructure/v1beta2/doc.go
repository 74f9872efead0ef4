// Package v1beta2 holds what users of the Cluster API provider for Packet write in YAML: PacketCluster, PacketMachine
// and their templates, in the API group infrastructure.cluster.x-k8s.io.
//
// The types follow the v1beta2 contract of Cluster API: a controller reports that it is done in
// status.initialization.provisioned, everything else in conditions. There are no terminal failure fields.
//
// +kubebuilder:object:generate=true
// +groupName=infrastructure.cluster.x-k8s.io
package v1beta2
