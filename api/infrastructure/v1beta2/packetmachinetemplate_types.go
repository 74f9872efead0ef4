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
//
// +kubebuilder:validation:XValidation:rule="!has(self.spec.providerID)",fieldPath=".spec.providerID",reason="FieldValueForbidden",message="providerID is not possible in a template: it names one device"
type PacketMachineTemplateResource struct {
	// metadata are labels and annotations for the PacketMachine.
	// +optional
	ObjectMeta clusterv1.ObjectMeta `json:"metadata,omitempty,omitzero"`
	// spec is the specification of the PacketMachine.
	// +required
	Spec PacketMachineSpec `json:"spec,omitempty,omitzero"`
}

// PacketMachineTemplateStatus is what a cluster autoscaler needs to scale a MachineDeployment up from zero machines. All of
// it comes from the plan of the machine type.
//
// +kubebuilder:validation:MinProperties=1
type PacketMachineTemplateStatus struct {
	// conditions are the observations of the controller: CapacityKnown.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=32
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// capacity are the resources of a machine made from this template, such as cpu and memory.
	// +optional
	Capacity corev1.ResourceList `json:"capacity,omitempty"`

	// nodeInfo tells what kind of node a machine made from this template becomes.
	// +optional
	NodeInfo PacketNodeInfo `json:"nodeInfo,omitempty,omitzero"`
}

// Architecture is the kind of processor of a node.
//
// +kubebuilder:validation:Enum=amd64;arm64;s390x;ppc64le
type Architecture string

// Architectures that Packet has.
const (
	ArchitectureAMD64 Architecture = "amd64"
	ArchitectureARM64 Architecture = "arm64"
)

// OperatingSystemLinux is the operating system of every node.
const OperatingSystemLinux = "linux"

// PacketNodeInfo tells what kind of node a machine becomes.
//
// +kubebuilder:validation:MinProperties=1
type PacketNodeInfo struct {
	// architecture is the kind of processor: amd64 or arm64.
	// +optional
	Architecture Architecture `json:"architecture,omitempty"`

	// operatingSystem is linux.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	OperatingSystem string `json:"operatingSystem,omitempty"`
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

// GetConditions returns the conditions of the object.
func (t *PacketMachineTemplate) GetConditions() []metav1.Condition { return t.Status.Conditions }

// SetConditions replaces the conditions of the object.
func (t *PacketMachineTemplate) SetConditions(conditions []metav1.Condition) {
	t.Status.Conditions = conditions
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
