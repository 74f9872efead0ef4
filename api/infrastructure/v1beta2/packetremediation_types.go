package v1beta2

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// PacketRemediationStep is something that may heal a machine.
//
// +kubebuilder:validation:Enum=Reboot;PowerCycle;Reinstall
type PacketRemediationStep string

const (
	// RemediationReboot reboots the device.
	RemediationReboot PacketRemediationStep = "Reboot"
	// RemediationPowerCycle turns the device off and on again.
	RemediationPowerCycle PacketRemediationStep = "PowerCycle"
	// RemediationReinstall installs the device anew, with its own user data: what was on its drives is lost.
	RemediationReinstall PacketRemediationStep = "Reinstall"
)

// PacketRemediationProgress is how far a try went.
//
// +kubebuilder:validation:Enum=Begun;PoweredOff;Acted
type PacketRemediationProgress string

const (
	// RemediationBegun means that the try is on record, so that it is not repeated by mistake.
	RemediationBegun PacketRemediationProgress = "Begun"
	// RemediationPoweredOff means that the device of a PowerCycle is off and is to be turned on.
	RemediationPoweredOff PacketRemediationProgress = "PoweredOff"
	// RemediationActed means that the Packet API did what was asked, and that the machine has time to become healthy.
	RemediationActed PacketRemediationProgress = "Acted"
)

// PacketRemediationStrategy is what is tried before a machine is replaced.
//
// +kubebuilder:validation:MinProperties=1
type PacketRemediationStrategy struct {
	// steps are tried one after the other: Reboot, PowerCycle, Reinstall. Left out, it is Reboot.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=10
	Steps []PacketRemediationStep `json:"steps,omitempty"`

	// retryLimit is how many times each step is tried. Left out, it is 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	RetryLimit *int32 `json:"retryLimit,omitempty"`

	// timeout is how long the machine has to become healthy after a Reboot or a PowerCycle, before the next try, such as 10m.
	// Left out, it is 10m.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}(\.[0-9]{1,9})?h)?([0-9]{1,6}(\.[0-9]{1,9})?m)?([0-9]{1,9}(\.[0-9]{1,9})?s)?([0-9]{1,9}ms)?$`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="duration(self) <= duration('87600h')",message="must be a duration of at most 87600h (ten years), such as 30m or 1h30m"
	Timeout *metav1.Duration `json:"timeout,omitempty"`

	// reinstallTimeout is how long the machine has to become healthy after a Reinstall. Left out, it is 1h.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}(\.[0-9]{1,9})?h)?([0-9]{1,6}(\.[0-9]{1,9})?m)?([0-9]{1,9}(\.[0-9]{1,9})?s)?([0-9]{1,9}ms)?$`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="duration(self) <= duration('87600h')",message="must be a duration of at most 87600h (ten years), such as 30m or 1h30m"
	ReinstallTimeout *metav1.Duration `json:"reinstallTimeout,omitempty"`
}

// PacketRemediationSpec tells how to heal a machine.
type PacketRemediationSpec struct {
	// strategy is what is tried before the machine is replaced. Left out, the device is rebooted once.
	// +optional
	Strategy PacketRemediationStrategy `json:"strategy,omitempty,omitzero"`
}

// PacketRemediationStatus tells how far it went.
//
// +kubebuilder:validation:MinProperties=1
type PacketRemediationStatus struct {
	// conditions are the observations of the controller: Ready, Paused.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=32
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// step is the step that is being tried, or was tried last.
	// +optional
	Step PacketRemediationStep `json:"step,omitempty"`

	// stepIndex is the place of step in spec.strategy.steps, from 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	StepIndex *int32 `json:"stepIndex,omitempty"`

	// tries is how many times step was tried.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Tries *int32 `json:"tries,omitempty"`

	// progress tells how far the present try went: Begun (it is on record, and the Packet API is being asked), PoweredOff (the
	// device of a PowerCycle is off and is being turned on again) or Acted (the Packet API did all that was asked of it, and
	// the machine has time to become healthy).
	// +optional
	Progress PacketRemediationProgress `json:"progress,omitempty"`

	// lastTried is when the present try began, and, once the Packet API did what was asked of it, when it did.
	// +optional
	LastTried metav1.Time `json:"lastTried,omitempty,omitzero"`

	// lastEvent is the ID of the newest event that the device had before the present try began. It is what tells, after a
	// lost answer, the events of this try from those of the one before.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	LastEvent string `json:"lastEvent,omitempty"`
}

// PacketRemediation is an attempt to heal a Machine without replacing it. A MachineHealthCheck makes it from a
// PacketRemediationTemplate, with the name of the Machine, and deletes it when the Machine is healthy. When nothing helped,
// the Machine's owner is told to replace it.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:resource:path=packetremediations,scope=Namespaced,categories=cluster-api,shortName=prem
// +kubebuilder:metadata:labels="cluster.x-k8s.io/v1beta2=v1beta2"
// +kubebuilder:printcolumn:name="Cluster",type=string,JSONPath=`.metadata.labels['cluster\.x-k8s\.io/cluster-name']`,description="Cluster that the Machine belongs to"
// +kubebuilder:printcolumn:name="Machine",type=string,JSONPath=`.metadata.ownerReferences[?(@.kind=="Machine")].name`,description="Machine to heal"
// +kubebuilder:printcolumn:name="Step",type=string,JSONPath=`.status.step`,description="What is being tried"
// +kubebuilder:printcolumn:name="Tries",type=integer,JSONPath=`.status.tries`,description="How many times it was tried"
// +kubebuilder:printcolumn:name="Last Tried",type=date,JSONPath=`.status.lastTried`,description="Time since it was tried last"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`,description="Time since creation"
type PacketRemediation struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard metadata of an object.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the user wants. Left out, the device is rebooted once.
	// +optional
	Spec PacketRemediationSpec `json:"spec,omitempty,omitzero"`
	// status is what was observed.
	// +optional
	Status PacketRemediationStatus `json:"status,omitempty,omitzero"`
}

// GetConditions returns the conditions of the object.
func (r *PacketRemediation) GetConditions() []metav1.Condition { return r.Status.Conditions }

// SetConditions replaces the conditions of the object.
func (r *PacketRemediation) SetConditions(conditions []metav1.Condition) {
	r.Status.Conditions = conditions
}

// PacketRemediationList is a list of PacketRemediations.
//
// +kubebuilder:object:root=true
type PacketRemediationList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard metadata of a list.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the PacketRemediations.
	Items []PacketRemediation `json:"items"`
}
