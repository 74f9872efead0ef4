package v1beta2

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// PacketRemediationTemplateSpec wraps the template, as MachineHealthChecks want it.
type PacketRemediationTemplateSpec struct {
	// template is what a PacketRemediation is made from.
	// +required
	Template PacketRemediationTemplateResource `json:"template,omitempty,omitzero"`
}

// PacketRemediationTemplateResource is a PacketRemediation without identity.
//
// +kubebuilder:validation:MinProperties=1
type PacketRemediationTemplateResource struct {
	// metadata are labels and annotations for the PacketRemediation.
	// +optional
	ObjectMeta clusterv1.ObjectMeta `json:"metadata,omitempty,omitzero"`
	// spec is the specification of the PacketRemediation.
	// +required
	Spec PacketRemediationSpec `json:"spec,omitempty,omitzero"`
}

// PacketRemediationTemplate is what a MachineHealthCheck makes PacketRemediations from, by the reference in its
// spec.remediation.templateRef. Changing it concerns the remediations that begin afterwards.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:resource:path=packetremediationtemplates,scope=Namespaced,categories=cluster-api,shortName=premt
// +kubebuilder:metadata:labels="cluster.x-k8s.io/v1beta2=v1beta2"
// +kubebuilder:metadata:labels="clusterctl.cluster.x-k8s.io/move="
// +kubebuilder:printcolumn:name="Steps",type=string,JSONPath=`.spec.template.spec.strategy.steps`,description="What is tried"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`,description="Time since creation"
type PacketRemediationTemplate struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard metadata of an object.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the user wants.
	// +required
	Spec PacketRemediationTemplateSpec `json:"spec,omitempty,omitzero"`
}

// PacketRemediationTemplateList is a list of PacketRemediationTemplates.
//
// +kubebuilder:object:root=true
type PacketRemediationTemplateList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard metadata of a list.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the PacketRemediationTemplates.
	Items []PacketRemediationTemplate `json:"items"`
}
