package v1beta2

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// OSCustomIPXE is the operating system slug of a device that boots from the script in ipxeURL.
const OSCustomIPXE = "custom_ipxe"

// BillingCycle is how a device is paid for.
//
// +kubebuilder:validation:Enum=hourly;daily;monthly;yearly
type BillingCycle string

// PacketMachineSpec is what a user wants of a device.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.metro) && has(self.facility))",message="metro and facility are mutually exclusive: set only one"
// +kubebuilder:validation:XValidation:rule="!has(self.ipxeURL) || self.os == 'custom_ipxe'",message="ipxeURL needs os: custom_ipxe"
// +kubebuilder:validation:XValidation:rule="self.os != 'custom_ipxe' || has(self.ipxeURL)",message="os: custom_ipxe needs an ipxeURL"
type PacketMachineSpec struct {
	// os is the slug of the operating system, such as ubuntu_24_04, or custom_ipxe.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	OS string `json:"os,omitempty"`

	// billingCycle is one of hourly, daily, monthly and yearly. Left out, it is hourly.
	// +optional
	BillingCycle BillingCycle `json:"billingCycle,omitempty"`

	// machineType is the slug of the plan, such as c3.small.x86.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	MachineType string `json:"machineType,omitempty"`

	// sshKeys are the keys that may log in: public keys in the format of authorized_keys, or UUIDs of SSH keys of the
	// project. Left out, the Packet API authorises every key of the project and of the token's user.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=8192
	SSHKeys []string `json:"sshKeys,omitempty"`

	// facility is the code of the facility the device is put in. Left out, it is the failure domain of the Machine, or
	// the place of the cluster.
	// +optional
	// +kubebuilder:validation:Pattern=`^[a-z]{2,3}[0-9]{1,2}$`
	// +kubebuilder:validation:MaxLength=16
	Facility string `json:"facility,omitempty"`

	// metro is the code of the metro the device is put in. Left out, it is the failure domain of the Machine, or the
	// place of the cluster.
	// +optional
	// +kubebuilder:validation:Pattern=`^[a-z]{2}$`
	// +kubebuilder:validation:MaxLength=16
	Metro string `json:"metro,omitempty"`

	// ipxeURL is the address of the iPXE script of a device whose os is custom_ipxe.
	// +optional
	// +kubebuilder:validation:Pattern=`^https?://.+`
	// +kubebuilder:validation:MaxLength=2048
	IPXEURL string `json:"ipxeURL,omitempty"`

	// hardwareReservationID makes the device use reserved hardware: UUIDs of reservations separated by commas, of which
	// the first that is free is taken, or next-available.
	// +optional
	// +kubebuilder:validation:Pattern=`^(next-available|[0-9a-fA-F-]{36}(,[0-9a-fA-F-]{36})*)$`
	// +kubebuilder:validation:MaxLength=4096
	HardwareReservationID string `json:"hardwareReservationID,omitempty"`

	// providerID is packet:// and the UUID of the device. The controller writes it.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	ProviderID string `json:"providerID,omitempty"`

	// tags are added to the tags of the device.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=80
	Tags []string `json:"tags,omitempty"`
}

// PacketMachineInitializationStatus tells how far the first provisioning went.
//
// +kubebuilder:validation:MinProperties=1
type PacketMachineInitializationStatus struct {
	// provisioned is true once the device was active for the first time. It never goes back to false.
	// +optional
	Provisioned *bool `json:"provisioned,omitempty"`
}

// PacketMachineStatus is what was observed. All of it can be rebuilt from spec and the Packet API.
//
// +kubebuilder:validation:MinProperties=1
type PacketMachineStatus struct {
	// conditions are the observations of the controller: Ready, DeviceReady, BootstrapSucceeded, ElasticIPAssigned,
	// CredentialsAvailable, Paused.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=32
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// initialization is what Cluster API waits for.
	// +optional
	Initialization PacketMachineInitializationStatus `json:"initialization,omitempty,omitzero"`

	// addresses are the host name and the addresses of the device, elastic IPs left out.
	// +optional
	Addresses clusterv1.MachineAddresses `json:"addresses,omitempty"`

	// failureDomain is the metro or facility the device is in.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	FailureDomain string `json:"failureDomain,omitempty"`

	// instanceStatus is the device's state, word for word as the Packet API has it, such as provisioning or active.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	InstanceStatus string `json:"instanceStatus,omitempty"`
}

// PacketMachine is the device of a Machine.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:resource:path=packetmachines,scope=Namespaced,categories=cluster-api,shortName=pma
// +kubebuilder:metadata:labels="cluster.x-k8s.io/v1beta2=v1beta2"
// +kubebuilder:printcolumn:name="Cluster",type=string,JSONPath=`.metadata.labels['cluster\.x-k8s\.io/cluster-name']`,description="Cluster that this PacketMachine belongs to"
// +kubebuilder:printcolumn:name="Machine",type=string,JSONPath=`.metadata.ownerReferences[?(@.kind=="Machine")].name`,description="Machine that owns this PacketMachine"
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.instanceStatus`,description="State of the device"
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`,description="Whether the device works"
// +kubebuilder:printcolumn:name="ProviderID",type=string,JSONPath=`.spec.providerID`,description="Identity of the device"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`,description="Time since creation"
type PacketMachine struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard metadata of an object.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the user wants.
	// +required
	// +kubebuilder:validation:XValidation:rule="self.os == oldSelf.os",fieldPath=".os",message="os cannot be changed: make a new machine"
	// +kubebuilder:validation:XValidation:rule="self.machineType == oldSelf.machineType",fieldPath=".machineType",message="machineType cannot be changed: make a new machine"
	// +kubebuilder:validation:XValidation:rule="has(self.billingCycle) == has(oldSelf.billingCycle) && (!has(self.billingCycle) || self.billingCycle == oldSelf.billingCycle)",fieldPath=".billingCycle",message="billingCycle cannot be changed: make a new machine"
	// +kubebuilder:validation:XValidation:rule="has(self.sshKeys) == has(oldSelf.sshKeys) && (!has(self.sshKeys) || self.sshKeys == oldSelf.sshKeys)",fieldPath=".sshKeys",message="sshKeys cannot be changed: make a new machine"
	// +kubebuilder:validation:XValidation:rule="has(self.ipxeURL) == has(oldSelf.ipxeURL) && (!has(self.ipxeURL) || self.ipxeURL == oldSelf.ipxeURL)",fieldPath=".ipxeURL",message="ipxeURL cannot be changed: make a new machine"
	// +kubebuilder:validation:XValidation:rule="has(self.hardwareReservationID) == has(oldSelf.hardwareReservationID) && (!has(self.hardwareReservationID) || self.hardwareReservationID == oldSelf.hardwareReservationID)",fieldPath=".hardwareReservationID",message="hardwareReservationID cannot be changed: make a new machine"
	// +kubebuilder:validation:XValidation:rule="!has(oldSelf.providerID) || (has(self.providerID) && self.providerID == oldSelf.providerID)",fieldPath=".providerID",message="providerID cannot be changed once set: it is the identity of the device"
	// +kubebuilder:validation:XValidation:rule="!has(oldSelf.providerID) || (has(self.metro) == has(oldSelf.metro) && (!has(self.metro) || self.metro == oldSelf.metro) && has(self.facility) == has(oldSelf.facility) && (!has(self.facility) || self.facility == oldSelf.facility))",message="metro and facility cannot be changed once the device exists: make a new machine"
	Spec PacketMachineSpec `json:"spec,omitempty,omitzero"`
	// status is what was observed.
	// +optional
	Status PacketMachineStatus `json:"status,omitempty,omitzero"`
}

// GetConditions returns the conditions of the object.
func (m *PacketMachine) GetConditions() []metav1.Condition { return m.Status.Conditions }

// SetConditions replaces the conditions of the object.
func (m *PacketMachine) SetConditions(conditions []metav1.Condition) {
	m.Status.Conditions = conditions
}

// PacketMachineList is a list of PacketMachines.
//
// +kubebuilder:object:root=true
type PacketMachineList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard metadata of a list.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the PacketMachines.
	Items []PacketMachine `json:"items"`
}
