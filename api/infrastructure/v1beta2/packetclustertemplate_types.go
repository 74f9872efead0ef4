package v1beta2

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// PacketClusterTemplateSpec wraps the template, as the ClusterClass contract wants it.
type PacketClusterTemplateSpec struct {
	// template is what a PacketCluster is made from.
	// +required
	Template PacketClusterTemplateResource `json:"template,omitempty,omitzero"`
}

// PacketClusterTemplateResource is a PacketCluster without identity. Its metro may be left out, for a patch of the
// ClusterClass to set.
//
// +kubebuilder:validation:XValidation:rule="!has(self.spec.controlPlaneEndpoint)",fieldPath=".spec.controlPlaneEndpoint",reason="FieldValueForbidden",message="controlPlaneEndpoint is not possible in a template: every cluster made from it would have the same"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.elasticIP) || !has(self.spec.elasticIP.reservationID)",fieldPath=".spec.elasticIP.reservationID",reason="FieldValueForbidden",message="reservationID is not possible in a template: every cluster made from it would have the same address"
type PacketClusterTemplateResource struct {
	// metadata are labels and annotations for the PacketCluster.
	// +optional
	ObjectMeta clusterv1.ObjectMeta `json:"metadata,omitempty,omitzero"`
	// spec is the specification of the PacketCluster.
	// +required
	Spec PacketClusterSpec `json:"spec,omitempty,omitzero"`
}

// PacketClusterTemplate is what a ClusterClass makes PacketClusters from. It is immutable: make a new one instead.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:resource:path=packetclustertemplates,scope=Namespaced,categories=cluster-api,shortName=pclt
// +kubebuilder:metadata:labels="cluster.x-k8s.io/v1beta2=v1beta2"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`,description="Time since creation"
type PacketClusterTemplate struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard metadata of an object.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// spec is what the user wants.
	// +required
	Spec PacketClusterTemplateSpec `json:"spec,omitempty,omitzero"`
}

// PacketClusterTemplateList is a list of PacketClusterTemplates.
//
// +kubebuilder:object:root=true
type PacketClusterTemplateList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard metadata of a list.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the PacketClusterTemplates.
	Items []PacketClusterTemplate `json:"items"`
}
