package v1beta2

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
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
// +kubebuilder:validation:XValidation:rule="!(has(self.metro) && has(self.facility))",messageExpression="\"metro \" + self.metro + \" and facility \" + self.facility + \" are mutually exclusive: set only one\""
// +kubebuilder:validation:XValidation:rule="!has(self.ipxeURL) || self.os == 'custom_ipxe'",fieldPath=".ipxeURL",messageExpression="\"ipxeURL needs os: custom_ipxe, and os is \" + self.os"
// +kubebuilder:validation:XValidation:rule="self.os != 'custom_ipxe' || has(self.ipxeURL)",fieldPath=".ipxeURL",reason="FieldValueRequired",message="os custom_ipxe needs an ipxeURL: the address of an iPXE script that begins with http:// or https://"
// +kubebuilder:validation:XValidation:rule="!has(self.alwaysPXE) || !self.alwaysPXE || self.os == 'custom_ipxe'",fieldPath=".alwaysPXE",messageExpression="\"alwaysPXE true needs os: custom_ipxe, and os is \" + self.os"
// +kubebuilder:validation:XValidation:rule="!has(self.spot) || !has(self.hardwareReservationID)",fieldPath=".spot",messageExpression="\"spot is not possible with hardwareReservationID \" + self.hardwareReservationID + \": reserved hardware is not on the spot market; set only one\""
// +kubebuilder:validation:XValidation:rule="!has(self.reservationFallback) || has(self.hardwareReservationID)",fieldPath=".reservationFallback",messageExpression="\"reservationFallback \" + self.reservationFallback + \" needs a hardwareReservationID: UUIDs separated by commas, or next-available\""
// +kubebuilder:validation:XValidation:rule="!has(self.sshKeys) || !has(self.sshKeyPolicy) || self.sshKeyPolicy == 'Listed'",fieldPath=".sshKeyPolicy",messageExpression="\"sshKeyPolicy \" + self.sshKeyPolicy + \" is not possible with sshKeys: allowed is Listed\""
// +kubebuilder:validation:XValidation:rule="!has(self.sshKeyPolicy) || self.sshKeyPolicy != 'Listed' || has(self.sshKeys)",fieldPath=".sshKeys",reason="FieldValueRequired",message="sshKeyPolicy Listed needs sshKeys: public keys, or UUIDs of SSH keys of the project"
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
	// project. Left out, sshKeyPolicy decides.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=8192
	SSHKeys []string `json:"sshKeys,omitempty"`

	// sshKeyPolicy tells which keys may log in: Listed (those in sshKeys), ProjectAndUser (every key of the project and of
	// the token's user, which is what the Packet API does by itself), Project (every key of the project) or None. Left out,
	// it is Listed if there are sshKeys, and ProjectAndUser if there are none.
	// +optional
	SSHKeyPolicy SSHKeyPolicy `json:"sshKeyPolicy,omitempty"`

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

	// reservationFallback tells what to do when none of the hardware reservations can be used: None waits for one, OnDemand
	// rents a device without reservation. Left out, it is None.
	// +optional
	ReservationFallback ReservationFallback `json:"reservationFallback,omitempty"`

	// spot rents the device on the spot market: cheaper, and taken away when somebody pays more.
	// +optional
	Spot PacketMachineSpot `json:"spot,omitempty,omitzero"`

	// network tells which addresses the device gets, how its ports are bonded and which VLANs they are in. Left out, the
	// device has a public IPv4 address, a public IPv6 address and a private IPv4 address, in layer 3.
	// +optional
	Network PacketMachineNetwork `json:"network,omitempty,omitzero"`

	// alwaysPXE makes a device whose os is custom_ipxe boot from the network every time, and not only to be installed. Left
	// out, it is false.
	// +optional
	AlwaysPXE *bool `json:"alwaysPXE,omitempty"`

	// customData is any JSON object of at most 64 KiB. The metadata service of the device shows it, as customdata. It is no
	// place for secrets.
	// +optional
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	CustomData *apiextensionsv1.JSON `json:"customData,omitempty"`

	// storage is how the drives are divided, in the words of the Packet API (custom partitioning and RAID): a JSON object
	// of at most 64 KiB with disks, raid and filesystems.
	// +optional
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	Storage *apiextensionsv1.JSON `json:"storage,omitempty"`

	// features are properties that the hardware must have, such as tpm.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	Features []string `json:"features,omitempty"`

	// description is a text that the Packet API shows with the device.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	Description string `json:"description,omitempty"`

	// deletionProtection locks the device in the Packet API, so that nobody deletes it there by mistake. Deleting the
	// PacketMachine unlocks it. It can be changed at any time. Left out, it is false.
	// +optional
	DeletionProtection *bool `json:"deletionProtection,omitempty"`

	// timeouts tell how long the steps of a device's life may take. Left out, they are those of the manager's flags.
	// +optional
	Timeouts PacketMachineTimeouts `json:"timeouts,omitempty,omitzero"`

	// providerID is packet:// and the UUID of the device. The controller writes it. Cannot be changed once set.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	ProviderID string `json:"providerID,omitempty"`

	// tags are added to the tags of the device, at most 80 bytes each. Those that this provider finds its devices by
	// (capp:…, kubernetes.io/role:…) are not allowed. They are given to the device when it is made, and not afterwards.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=80
	// +kubebuilder:validation:items:XValidation:rule="!self.startsWith('capp:') && !self.startsWith('kubernetes.io/role:')",message="tags that begin with capp: or kubernetes.io/role: are the provider's own: it finds its devices and addresses by them"
	// +kubebuilder:validation:items:XValidation:rule="bytes(self).size() <= 80",message="a tag must have at most 80 bytes"
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
	// conditions are the observations of the controller: Ready, DeviceReady, BootstrapSucceeded, NetworkReady,
	// ElasticIPAssigned, BGPReady, CredentialsAvailable, Paused.
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
	// +kubebuilder:validation:XValidation:rule="self.os == oldSelf.os",fieldPath=".os",reason="FieldValueForbidden",messageExpression="'os cannot be changed from ' + oldSelf.os + ' to ' + self.os + ': make a new machine'"
	// +kubebuilder:validation:XValidation:rule="self.machineType == oldSelf.machineType",fieldPath=".machineType",reason="FieldValueForbidden",messageExpression="'machineType cannot be changed from ' + oldSelf.machineType + ' to ' + self.machineType + ': make a new machine'"
	// +kubebuilder:validation:XValidation:rule="has(self.billingCycle) == has(oldSelf.billingCycle) && (!has(self.billingCycle) || self.billingCycle == oldSelf.billingCycle)",fieldPath=".billingCycle",reason="FieldValueForbidden",messageExpression="'billingCycle cannot be changed from ' + (has(oldSelf.billingCycle) ? oldSelf.billingCycle : 'nothing') + ' to ' + (has(self.billingCycle) ? self.billingCycle : 'nothing') + ': make a new machine'"
	// +kubebuilder:validation:XValidation:rule="has(self.sshKeyPolicy) == has(oldSelf.sshKeyPolicy) && (!has(self.sshKeyPolicy) || self.sshKeyPolicy == oldSelf.sshKeyPolicy)",fieldPath=".sshKeyPolicy",reason="FieldValueForbidden",messageExpression="'sshKeyPolicy cannot be changed from ' + (has(oldSelf.sshKeyPolicy) ? oldSelf.sshKeyPolicy : 'nothing') + ' to ' + (has(self.sshKeyPolicy) ? self.sshKeyPolicy : 'nothing') + ': make a new machine'"
	// +kubebuilder:validation:XValidation:rule="has(self.ipxeURL) == has(oldSelf.ipxeURL) && (!has(self.ipxeURL) || self.ipxeURL == oldSelf.ipxeURL)",fieldPath=".ipxeURL",reason="FieldValueForbidden",messageExpression="'ipxeURL cannot be changed from ' + (has(oldSelf.ipxeURL) ? oldSelf.ipxeURL : 'nothing') + ' to ' + (has(self.ipxeURL) ? self.ipxeURL : 'nothing') + ': make a new machine'"
	// +kubebuilder:validation:XValidation:rule="has(self.hardwareReservationID) == has(oldSelf.hardwareReservationID) && (!has(self.hardwareReservationID) || self.hardwareReservationID == oldSelf.hardwareReservationID)",fieldPath=".hardwareReservationID",reason="FieldValueForbidden",messageExpression="'hardwareReservationID cannot be changed from ' + (has(oldSelf.hardwareReservationID) ? oldSelf.hardwareReservationID : 'nothing') + ' to ' + (has(self.hardwareReservationID) ? self.hardwareReservationID : 'nothing') + ': make a new machine'"
	// +kubebuilder:validation:XValidation:rule="has(self.description) == has(oldSelf.description) && (!has(self.description) || self.description == oldSelf.description)",fieldPath=".description",reason="FieldValueForbidden",messageExpression="'description cannot be changed from ' + (has(oldSelf.description) ? oldSelf.description : 'nothing') + ' to ' + (has(self.description) ? self.description : 'nothing') + ': make a new machine'"
	// +kubebuilder:validation:XValidation:rule="has(self.sshKeys) == has(oldSelf.sshKeys) && (!has(self.sshKeys) || self.sshKeys == oldSelf.sshKeys)",fieldPath=".sshKeys",reason="FieldValueForbidden",message="sshKeys cannot be changed: make a new machine"
	// +kubebuilder:validation:XValidation:rule="has(self.alwaysPXE) == has(oldSelf.alwaysPXE) && (!has(self.alwaysPXE) || self.alwaysPXE == oldSelf.alwaysPXE)",fieldPath=".alwaysPXE",reason="FieldValueForbidden",message="alwaysPXE cannot be changed: make a new machine"
	// +kubebuilder:validation:XValidation:rule="has(self.features) == has(oldSelf.features) && (!has(self.features) || self.features == oldSelf.features)",fieldPath=".features",reason="FieldValueForbidden",message="features cannot be changed: make a new machine"
	// +kubebuilder:validation:XValidation:rule="has(self.spot) == has(oldSelf.spot) && (!has(self.spot) || self.spot == oldSelf.spot)",fieldPath=".spot",reason="FieldValueForbidden",message="spot cannot be changed: make a new machine"
	// +kubebuilder:validation:XValidation:rule="has(self.network) == has(oldSelf.network) && (!has(self.network) || self.network == oldSelf.network)",fieldPath=".network",reason="FieldValueForbidden",message="network cannot be changed: make a new machine"
	// +kubebuilder:validation:XValidation:rule="!has(oldSelf.providerID) || (has(self.providerID) && self.providerID == oldSelf.providerID)",fieldPath=".providerID",reason="FieldValueForbidden",messageExpression="'providerID cannot be changed from ' + oldSelf.providerID + ' to ' + (has(self.providerID) ? self.providerID : 'nothing') + ': it is the identity of the device'"
	// +kubebuilder:validation:XValidation:rule="!has(oldSelf.providerID) || (has(self.metro) == has(oldSelf.metro) && (!has(self.metro) || self.metro == oldSelf.metro))",fieldPath=".metro",reason="FieldValueForbidden",messageExpression="'metro cannot be changed from ' + (has(oldSelf.metro) ? oldSelf.metro : 'nothing') + ' to ' + (has(self.metro) ? self.metro : 'nothing') + ' once the device exists: make a new machine'"
	// +kubebuilder:validation:XValidation:rule="!has(oldSelf.providerID) || (has(self.facility) == has(oldSelf.facility) && (!has(self.facility) || self.facility == oldSelf.facility))",fieldPath=".facility",reason="FieldValueForbidden",messageExpression="'facility cannot be changed from ' + (has(oldSelf.facility) ? oldSelf.facility : 'nothing') + ' to ' + (has(self.facility) ? self.facility : 'nothing') + ' once the device exists: make a new machine'"
	// +kubebuilder:validation:XValidation:rule="!has(oldSelf.providerID) || (has(self.reservationFallback) == has(oldSelf.reservationFallback) && (!has(self.reservationFallback) || self.reservationFallback == oldSelf.reservationFallback))",fieldPath=".reservationFallback",reason="FieldValueForbidden",messageExpression="'reservationFallback cannot be changed from ' + (has(oldSelf.reservationFallback) ? oldSelf.reservationFallback : 'nothing') + ' to ' + (has(self.reservationFallback) ? self.reservationFallback : 'nothing') + ' once the device exists: make a new machine'"
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
