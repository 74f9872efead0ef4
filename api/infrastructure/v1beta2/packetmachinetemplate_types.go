package v1beta2

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// PacketMachineTemplateSpec wraps the template, as the Cluster API contract wants it.
type PacketMachineTemplateSpec struct {
	// template is what a PacketMachine is made from.
	// +required
	Template PacketMachineTemplateResource `json:"template,omitempty,omitzero"`
}

// PacketMachineTemplateResource is a PacketMachine without identity.
type PacketMachineTemplateResource struct {
	// metadata are labels and annotations for the PacketMachine.
	// +optional
	ObjectMeta clusterv1.ObjectMeta `json:"metadata,omitempty,omitzero"`
	// spec is the specification of the PacketMachine.
	// +required
	Spec PacketMachineSpec `json:"spec,omitempty,omitzero"`
}

// PacketMachineTemplateStatus is what a cluster autoscaler needs to scale a MachineDeployment up from zero machines.
//
// +kubebuilder:validation:MinProperties=1
type PacketMachineTemplateStatus struct {
	// capacity are the resources of a machine made from this template, such as cpu and memory.
	// +optional
	Capacity corev1.ResourceList `json:"capacity,omitempty"`
}

// PacketMachineTemplate is what MachineDeployments, MachineSets and control planes make PacketMachines from. It is
// immutable: to change machines, make a new template and refer to it, and Cluster API replaces the machines.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:resource:path=packetmachinetemplates,scope=Namespaced,categories=cluster-api,shortName=pmt
// +kubebuilder:metadata:labels="cluster.x-k8s.io/v1beta2=v1beta2"
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.template.spec.machineType`,description="Plan of the machines"
// +kubebuilder:printcolumn:name="OS",type=string,JSONPath=`.spec.template.spec.os`,description="Operating system of the machines"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`,description="Time since creation"
type PacketMachineTemplate struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard metadata of an object.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the user wants.
	// +required
	Spec PacketMachineTemplateSpec `json:"spec,omitempty,omitzero"`
	// status is what was observed.
	// +optional
	Status PacketMachineTemplateStatus `json:"status,omitempty,omitzero"`
}

// PacketMachineTemplateList is a list of PacketMachineTemplates.
//
// +kubebuilder:object:root=true
type PacketMachineTemplateList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard metadata of a list.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the PacketMachineTemplates.
	Items []PacketMachineTemplate `json:"items"`
}
