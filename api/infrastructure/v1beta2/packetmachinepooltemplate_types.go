package v1beta2

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// PacketMachinePoolTemplateSpec wraps the template, as the ClusterClass contract wants it.
type PacketMachinePoolTemplateSpec struct {
	// template is what a PacketMachinePool is made from.
	// +required
	Template PacketMachinePoolTemplateResource `json:"template,omitempty,omitzero"`
}

// PacketMachinePoolTemplateResource is a PacketMachinePool without identity.
//
// +kubebuilder:validation:XValidation:rule="!has(self.spec.providerID)",fieldPath=".spec.providerID",reason="FieldValueForbidden",message="providerID is not possible in a template: it names one pool"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.providerIDList)",fieldPath=".spec.providerIDList",reason="FieldValueForbidden",message="providerIDList is not possible in a template: it names the devices of one pool"
type PacketMachinePoolTemplateResource struct {
	// metadata are labels and annotations for the PacketMachinePool.
	// +optional
	ObjectMeta clusterv1.ObjectMeta `json:"metadata,omitempty,omitzero"`
	// spec is the specification of the PacketMachinePool.
	// +required
	Spec PacketMachinePoolSpec `json:"spec,omitempty,omitzero"`
}

// PacketMachinePoolTemplate is what a ClusterClass makes PacketMachinePools from. It is immutable: make a new one instead.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:resource:path=packetmachinepooltemplates,scope=Namespaced,categories=cluster-api,shortName=pmpt
// +kubebuilder:metadata:labels="cluster.x-k8s.io/v1beta2=v1beta2"
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.template.spec.template.spec.machineType`,description="Plan of the machines"
// +kubebuilder:printcolumn:name="OS",type=string,JSONPath=`.spec.template.spec.template.spec.os`,description="Operating system of the machines"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`,description="Time since creation"
type PacketMachinePoolTemplate struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard metadata of an object.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the user wants.
	// +required
	Spec PacketMachinePoolTemplateSpec `json:"spec,omitempty,omitzero"`
}

// PacketMachinePoolTemplateList is a list of PacketMachinePoolTemplates.
//
// +kubebuilder:object:root=true
type PacketMachinePoolTemplateList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard metadata of a list.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the PacketMachinePoolTemplates.
	Items []PacketMachinePoolTemplate `json:"items"`
}
