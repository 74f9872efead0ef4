// Package v1alpha1 is what users of Gardener write about Packet: the provider configurations of CloudProfiles, Shoots and
// worker pools, and what the extension writes into the statuses of Infrastructure and Worker. There is one version, so it is
// the one that the code works with.
//
// +k8s:deepcopy-gen=package
// +kubebuilder:object:generate=true
// +groupName=packet.provider.extensions.gardener.cloud
package v1alpha1
