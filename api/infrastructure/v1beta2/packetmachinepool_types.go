package v1beta2

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// PacketMachinePoolSpec is what a user wants of a pool of devices that are alike. How many there are is in the MachinePool.
type PacketMachinePoolSpec struct {
	// template is what the PacketMachines of the pool are made from. Changing it replaces them, as strategy tells.
	// +required
	Template PacketMachinePoolMachineTemplate `json:"template,omitempty,omitzero"`

	// strategy tells how machines are replaced when the template, the bootstrap data or the version changes. Left out, one
	// machine after the other is replaced.
	// +optional
	Strategy PacketMachinePoolStrategy `json:"strategy,omitempty,omitzero"`

	// providerID is packet-pool:// and the namespace and name of the pool, for people to read: the Packet API knows no pools.
	// The controller writes it.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	ProviderID string `json:"providerID,omitempty"`

	// providerIDList are the provider IDs of the devices of the pool, packet:// and a UUID each. The controller writes it.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10000
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	ProviderIDList []string `json:"providerIDList,omitempty"`
}

// PacketMachinePoolMachineTemplate is a PacketMachine of a pool, without identity.
//
// +kubebuilder:validation:XValidation:rule="!has(self.spec.providerID)",fieldPath=".spec.providerID",reason="FieldValueForbidden",message="providerID is not possible in a template: it names one device"
type PacketMachinePoolMachineTemplate struct {
	// metadata are labels and annotations for the PacketMachines.
	// +optional
	ObjectMeta clusterv1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec is the specification of the PacketMachines.
	// +required
	Spec PacketMachineSpec `json:"spec,omitempty,omitzero"`
}

// PacketMachinePoolStrategyType is a way to replace machines.
//
// +kubebuilder:validation:Enum=RollingUpdate;OnDelete
type PacketMachinePoolStrategyType string

const (
	// PoolStrategyRollingUpdate replaces machines a few at a time.
	PoolStrategyRollingUpdate PacketMachinePoolStrategyType = "RollingUpdate"
	// PoolStrategyOnDelete replaces a machine when somebody deletes it.
	PoolStrategyOnDelete PacketMachinePoolStrategyType = "OnDelete"
)

// PacketMachinePoolDeletePolicy tells which machines go first when a pool shrinks.
//
// +kubebuilder:validation:Enum=Random;Newest;Oldest
type PacketMachinePoolDeletePolicy string

const (
	// PoolDeleteRandom deletes any machine.
	PoolDeleteRandom PacketMachinePoolDeletePolicy = "Random"
	// PoolDeleteNewest deletes the youngest machines.
	PoolDeleteNewest PacketMachinePoolDeletePolicy = "Newest"
	// PoolDeleteOldest deletes the oldest machines.
	PoolDeleteOldest PacketMachinePoolDeletePolicy = "Oldest"
)

// PacketMachinePoolStrategy tells how machines are replaced and which go first.
//
// +kubebuilder:validation:MinProperties=1
// +kubebuilder:validation:XValidation:rule="!has(self.rollingUpdate) || !has(self.type) || self.type == 'RollingUpdate'",fieldPath=".rollingUpdate",messageExpression="\"rollingUpdate is not possible with type \" + self.type + \": allowed is RollingUpdate\""
type PacketMachinePoolStrategy struct {
	// type is RollingUpdate or OnDelete. Left out, it is RollingUpdate.
	// +optional
	Type PacketMachinePoolStrategyType `json:"type,omitempty"`

	// rollingUpdate tells how many machines are replaced at a time.
	// +optional
	RollingUpdate PacketMachinePoolRollingUpdate `json:"rollingUpdate,omitempty,omitzero"`

	// deletePolicy tells which machines go first when the pool shrinks: Random, Newest or Oldest. Machines that nobody wants,
	// that failed, or that carry the annotation cluster.x-k8s.io/delete-machine go before all others. Left out, it is Newest.
	// +optional
	DeletePolicy PacketMachinePoolDeletePolicy `json:"deletePolicy,omitempty"`
}

// PacketMachinePoolRollingUpdate tells how many machines are replaced at a time.
//
// +kubebuilder:validation:MinProperties=1
// +kubebuilder:validation:XValidation:rule="!has(self.maxSurge) || !(string(self.maxSurge) in ['0', '0%']) || (has(self.maxUnavailable) && !(string(self.maxUnavailable) in ['0', '0%']))",fieldPath=".maxUnavailable",message="maxUnavailable cannot be 0, which it is if it is left out, while maxSurge is 0: no machine could ever be replaced"
type PacketMachinePoolRollingUpdate struct {
	// maxSurge is how many machines there may be above the number of replicas, as a number or a percentage of it, rounded up.
	// Left out, it is 1.
	// +optional
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 && self <= 10000 : self.matches('^[0-9]{1,3}%$')",message="maxSurge must be a number from 0 to 10000, or a percentage such as \"25%\""
	// +kubebuilder:validation:MaxLength=10
	MaxSurge *intstr.IntOrString `json:"maxSurge,omitempty"`

	// maxUnavailable is how many machines may be missing from the number of replicas, as a number or a percentage of it,
	// rounded down. Left out, it is 0. It cannot be 0 if maxSurge is.
	// +optional
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 && self <= 10000 : self.matches('^[0-9]{1,3}%$')",message="maxUnavailable must be a number from 0 to 10000, or a percentage such as \"25%\""
	// +kubebuilder:validation:MaxLength=10
	MaxUnavailable *intstr.IntOrString `json:"maxUnavailable,omitempty"`
}

// PacketMachinePoolInitializationStatus tells how far the first provisioning went.
//
// +kubebuilder:validation:MinProperties=1
type PacketMachinePoolInitializationStatus struct {
	// provisioned is true once all machines of the pool were active for the first time. It never goes back to false.
	// +optional
	Provisioned *bool `json:"provisioned,omitempty"`
}

// PacketMachinePoolStatus is what was observed. All of it can be rebuilt from spec and the Packet API.
//
// +kubebuilder:validation:MinProperties=1
type PacketMachinePoolStatus struct {
	// conditions are the observations of the controller: Ready, MachinesReady, MachinesUpToDate, CredentialsAvailable, Paused.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=32
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// initialization is what Cluster API waits for.
	// +optional
	Initialization PacketMachinePoolInitializationStatus `json:"initialization,omitempty,omitzero"`

	// ready is true when initialization.provisioned is. The contract has the latter, and Cluster API's MachinePool controller
	// (v1.14) reads this one, which is of the former contract.
	// +optional
	Ready *bool `json:"ready,omitempty"`

	// replicas is the number of machines that the pool has.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Replicas *int32 `json:"replicas,omitempty"`

	// readyReplicas is how many of them are Ready.
	// +optional
	// +kubebuilder:validation:Minimum=0
	ReadyReplicas *int32 `json:"readyReplicas,omitempty"`

	// upToDateReplicas is how many of them are made from the present template, bootstrap data and version.
	// +optional
	// +kubebuilder:validation:Minimum=0
	UpToDateReplicas *int32 `json:"upToDateReplicas,omitempty"`

	// capacity are the resources of a machine of the pool, such as cpu and memory: what a cluster autoscaler needs to scale a
	// MachinePool up from zero machines. It comes from the plan of the machine type.
	// +optional
	Capacity corev1.ResourceList `json:"capacity,omitempty"`

	// nodeInfo tells what kind of node a machine of the pool becomes.
	// +optional
	NodeInfo PacketNodeInfo `json:"nodeInfo,omitempty,omitzero"`

	// infrastructureMachineKind is PacketMachine: each machine of the pool is a Machine and a PacketMachine of its own.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	InfrastructureMachineKind string `json:"infrastructureMachineKind,omitempty"`
}

// PacketMachinePool is the devices of a MachinePool. Each is a PacketMachine.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:resource:path=packetmachinepools,scope=Namespaced,categories=cluster-api,shortName=pmp
// +kubebuilder:metadata:labels="cluster.x-k8s.io/v1beta2=v1beta2"
// +kubebuilder:printcolumn:name="Cluster",type=string,JSONPath=`.metadata.labels['cluster\.x-k8s\.io/cluster-name']`,description="Cluster that this PacketMachinePool belongs to"
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.template.spec.machineType`,description="Plan of the machines"
// +kubebuilder:printcolumn:name="Replicas",type=integer,JSONPath=`.status.replicas`,description="Number of machines"
// +kubebuilder:printcolumn:name="Ready Replicas",type=integer,JSONPath=`.status.readyReplicas`,description="Number of machines that are ready"
// +kubebuilder:printcolumn:name="Up-to-date",type=integer,JSONPath=`.status.upToDateReplicas`,description="Number of machines that are made from the present template"
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`,description="Whether all machines work"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`,description="Time since creation"
type PacketMachinePool struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard metadata of an object.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the user wants.
	// +required
	Spec PacketMachinePoolSpec `json:"spec,omitempty,omitzero"`
	// status is what was observed.
	// +optional
	Status PacketMachinePoolStatus `json:"status,omitempty,omitzero"`
}

// GetConditions returns the conditions of the object.
func (p *PacketMachinePool) GetConditions() []metav1.Condition { return p.Status.Conditions }

// SetConditions replaces the conditions of the object.
func (p *PacketMachinePool) SetConditions(conditions []metav1.Condition) {
	p.Status.Conditions = conditions
}

// PacketMachinePoolList is a list of PacketMachinePools.
//
// +kubebuilder:object:root=true
type PacketMachinePoolList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard metadata of a list.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the PacketMachinePools.
	Items []PacketMachinePool `json:"items"`
}
