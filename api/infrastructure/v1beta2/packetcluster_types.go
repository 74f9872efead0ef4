package v1beta2

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// PacketClusterSpec is what a user wants of a cluster's infrastructure.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.metro) && has(self.facility))",messageExpression="\"metro \" + self.metro + \" and facility \" + self.facility + \" are mutually exclusive: set only one\""
// +kubebuilder:validation:XValidation:rule="!has(self.failureDomains) || !has(self.facility)",fieldPath=".failureDomains",messageExpression="\"failureDomains are metros, and not possible with facility \" + self.facility + \": set metro instead\""
// +kubebuilder:validation:XValidation:rule="!has(self.failureDomains) || self.failureDomains.exists(d, !has(d.controlPlane) || d.controlPlane)",fieldPath=".failureDomains",message="failureDomains must have one whose controlPlane is not false: the control plane has to be somewhere"
// +kubebuilder:validation:XValidation:rule="!has(self.elasticIP) || !has(self.vipManager) || self.vipManager != 'External'",fieldPath=".elasticIP",message="elasticIP is not possible with vipManager External, with which nothing is reserved: allowed are CPEM and KUBE_VIP"
// +kubebuilder:validation:XValidation:rule="!has(self.bgp) || (has(self.vipManager) && self.vipManager == 'KUBE_VIP')",fieldPath=".bgp",messageExpression="\"bgp is only for vipManager KUBE_VIP, and vipManager is \" + (has(self.vipManager) ? self.vipManager : \"CPEM\")"
type PacketClusterSpec struct {
	// projectID is the UUID of the Packet project that devices and addresses are created in. Left out or empty, it is the
	// project of the credentials.
	// +optional
	// +kubebuilder:validation:Pattern=`^([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})?$`
	// +kubebuilder:validation:MaxLength=64
	ProjectID string `json:"projectID,omitempty"`

	// metro is the code of the metro the cluster lives in, such as da.
	// +optional
	// +kubebuilder:validation:Pattern=`^[a-z]{2}$`
	// +kubebuilder:validation:MaxLength=16
	Metro string `json:"metro,omitempty"`

	// facility is the code of the facility the cluster lives in, such as da11. Packet moved from facilities to metros in
	// 2021: prefer metro.
	// +optional
	// +kubebuilder:validation:Pattern=`^[a-z]{2,3}[0-9]{1,2}$`
	// +kubebuilder:validation:MaxLength=16
	Facility string `json:"facility,omitempty"`

	// credentialsRef names a Secret in the namespace of the PacketCluster with the credentials of its Packet account: the key
	// apiToken, and optionally projectID and apiURL. Left out, the credentials are the manager's.
	// +optional
	CredentialsRef PacketCredentialsReference `json:"credentialsRef,omitempty,omitzero"`

	// failureDomains are the metros that machines can be put in. Left out, it is the metro or facility of the cluster.
	// Cluster API spreads control plane machines over those whose controlPlane is not false.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	FailureDomains []PacketFailureDomain `json:"failureDomains,omitempty"`

	// vipManager tells who moves the address of the control plane endpoint to a control plane machine that works: CPEM (an
	// elastic IP, assigned by this provider and the cloud controller manager), KUBE_VIP (an elastic IP, announced by kube-vip
	// with BGP) or External (the user sets controlPlaneEndpoint, and nothing is reserved). It cannot be changed.
	// +optional
	// +kubebuilder:default=CPEM
	VIPManager VIPManager `json:"vipManager,omitempty"`

	// elasticIP tells which address the endpoint gets. Left out, a public_ipv4 address of the cluster's metro is reserved
	// and given back when the cluster is deleted.
	// +optional
	ElasticIP PacketElasticIPSpec `json:"elasticIP,omitempty,omitzero"`

	// bgp tells how BGP is enabled for the project. It is for vipManager KUBE_VIP only.
	// +optional
	BGP PacketBGPSpec `json:"bgp,omitempty,omitzero"`

	// controlPlaneEndpoint is where the cluster's API server is reached. Left out, the controller reserves an elastic IP
	// and writes it here, unless vipManager is External. Set by the user, nothing is reserved. It cannot be changed once set.
	// +optional
	// +kubebuilder:validation:XValidation:rule="has(self.host) == has(self.port)",message="host and port are only possible together, for example host: 203.0.113.10 and port: 6443"
	ControlPlaneEndpoint clusterv1.APIEndpoint `json:"controlPlaneEndpoint,omitempty,omitzero"`
}

// PacketClusterInitializationStatus tells how far the first provisioning went.
//
// +kubebuilder:validation:MinProperties=1
type PacketClusterInitializationStatus struct {
	// provisioned is true once the control plane endpoint exists. It never goes back to false.
	// +optional
	Provisioned *bool `json:"provisioned,omitempty"`
}

// PacketClusterStatus is what was observed. All of it can be rebuilt from spec and the Packet API, because clusterctl move
// does not carry it over.
//
// +kubebuilder:validation:MinProperties=1
type PacketClusterStatus struct {
	// conditions are the observations of the controller: Ready, ElasticIPReady, BGPReady, CredentialsAvailable, Paused.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=32
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// initialization is what Cluster API waits for.
	// +optional
	Initialization PacketClusterInitializationStatus `json:"initialization,omitempty,omitzero"`

	// failureDomains are the places machines can be put in: those of the specification, or the metro or facility of the
	// cluster.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=100
	FailureDomains []clusterv1.FailureDomain `json:"failureDomains,omitempty"`

	// elasticIP is the reservation behind the control plane endpoint. It is not set if the user set the endpoint.
	// +optional
	ElasticIP *PacketElasticIPStatus `json:"elasticIP,omitempty"`
}

// PacketElasticIPStatus names a reservation of the Packet API.
type PacketElasticIPStatus struct {
	// reservationID is the UUID of the reservation.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	ReservationID string `json:"reservationID,omitempty"`

	// address is the reserved IPv4 address.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Address string `json:"address,omitempty"`

	// assignedTo is the UUID of the device that the address is assigned to. It is not set while it is assigned to none, or
	// with kube-vip, which announces it instead.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	AssignedTo string `json:"assignedTo,omitempty"`
}

// PacketCluster is the infrastructure of a Cluster on Packet: the address of its control plane and the place its machines
// are put in.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:resource:path=packetclusters,scope=Namespaced,categories=cluster-api,shortName=pcl
// +kubebuilder:metadata:labels="cluster.x-k8s.io/v1beta2=v1beta2"
// +kubebuilder:printcolumn:name="Cluster",type=string,JSONPath=`.metadata.labels['cluster\.x-k8s\.io/cluster-name']`,description="Cluster that this PacketCluster belongs to"
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`,description="Whether the infrastructure is ready"
// +kubebuilder:printcolumn:name="Provisioned",type=string,JSONPath=`.status.initialization.provisioned`,description="Whether the first provisioning is done"
// +kubebuilder:printcolumn:name="Endpoint",type=string,JSONPath=`.spec.controlPlaneEndpoint.host`,description="Address of the API server"
// +kubebuilder:printcolumn:name="Metro",type=string,JSONPath=`.spec.metro`,description="Metro of the cluster"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`,description="Time since creation"
type PacketCluster struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard metadata of an object.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the user wants.
	// +required
	// +kubebuilder:validation:XValidation:rule="has(self.metro) || has(self.facility)",message="one of metro and facility is required, for example metro: da"
	// +kubebuilder:validation:XValidation:rule="!has(oldSelf.projectID) || oldSelf.projectID == '' || (has(self.projectID) && self.projectID == oldSelf.projectID)",fieldPath=".projectID",reason="FieldValueForbidden",messageExpression="'projectID cannot be changed from ' + oldSelf.projectID + ' to ' + (has(self.projectID) ? self.projectID : 'nothing') + ': the devices and addresses of the cluster are in that project'"
	// +kubebuilder:validation:XValidation:rule="(has(self.vipManager) ? self.vipManager : 'CPEM') == (has(oldSelf.vipManager) ? oldSelf.vipManager : 'CPEM')",fieldPath=".vipManager",reason="FieldValueForbidden",messageExpression="'vipManager cannot be changed from ' + (has(oldSelf.vipManager) ? oldSelf.vipManager : 'CPEM') + ' to ' + (has(self.vipManager) ? self.vipManager : 'CPEM') + ': make a new cluster'"
	// +kubebuilder:validation:XValidation:rule="(has(self.elasticIP) && has(self.elasticIP.type) ? self.elasticIP.type : 'public_ipv4') == (has(oldSelf.elasticIP) && has(oldSelf.elasticIP.type) ? oldSelf.elasticIP.type : 'public_ipv4')",fieldPath=".elasticIP.type",reason="FieldValueForbidden",messageExpression="'type cannot be changed from ' + (has(oldSelf.elasticIP) && has(oldSelf.elasticIP.type) ? oldSelf.elasticIP.type : 'public_ipv4') + ' to ' + (has(self.elasticIP) && has(self.elasticIP.type) ? self.elasticIP.type : 'public_ipv4') + ': make a new cluster'"
	// +kubebuilder:validation:XValidation:rule="(has(self.elasticIP) && has(self.elasticIP.reservationID) ? self.elasticIP.reservationID : 'nothing') == (has(oldSelf.elasticIP) && has(oldSelf.elasticIP.reservationID) ? oldSelf.elasticIP.reservationID : 'nothing')",fieldPath=".elasticIP.reservationID",reason="FieldValueForbidden",messageExpression="'reservationID cannot be changed from ' + (has(oldSelf.elasticIP) && has(oldSelf.elasticIP.reservationID) ? oldSelf.elasticIP.reservationID : 'nothing') + ' to ' + (has(self.elasticIP) && has(self.elasticIP.reservationID) ? self.elasticIP.reservationID : 'nothing') + ': make a new cluster'"
	// +kubebuilder:validation:XValidation:rule="!has(oldSelf.controlPlaneEndpoint) || !has(oldSelf.controlPlaneEndpoint.host) || (has(self.controlPlaneEndpoint) && has(self.controlPlaneEndpoint.host) && self.controlPlaneEndpoint.host == oldSelf.controlPlaneEndpoint.host && (!has(oldSelf.controlPlaneEndpoint.port) || (has(self.controlPlaneEndpoint.port) && self.controlPlaneEndpoint.port == oldSelf.controlPlaneEndpoint.port)))",fieldPath=".controlPlaneEndpoint",reason="FieldValueForbidden",messageExpression="'controlPlaneEndpoint cannot be changed from host ' + oldSelf.controlPlaneEndpoint.host + ' and its port to ' + (has(self.controlPlaneEndpoint) && has(self.controlPlaneEndpoint.host) ? self.controlPlaneEndpoint.host : 'nothing') + ' and its port: the certificates and kubeconfigs of the cluster name them'"
	// +kubebuilder:validation:XValidation:rule="!has(oldSelf.controlPlaneEndpoint) || (has(self.vipManager) ? self.vipManager : 'CPEM') == 'External' || (has(self.elasticIP) && has(self.elasticIP.type) ? self.elasticIP.type : 'public_ipv4') == 'global_ipv4' || !has(oldSelf.metro) || (has(self.metro) && self.metro == oldSelf.metro)",fieldPath=".metro",reason="FieldValueForbidden",messageExpression="'metro cannot be changed from ' + oldSelf.metro + ' to ' + (has(self.metro) ? self.metro : 'nothing') + ': the address of the endpoint is in that metro'"
	// +kubebuilder:validation:XValidation:rule="!has(oldSelf.controlPlaneEndpoint) || (has(self.vipManager) ? self.vipManager : 'CPEM') == 'External' || (has(self.elasticIP) && has(self.elasticIP.type) ? self.elasticIP.type : 'public_ipv4') == 'global_ipv4' || !has(oldSelf.facility) || (has(self.facility) && self.facility == oldSelf.facility) || (has(self.metro) && oldSelf.facility.startsWith(self.metro))",fieldPath=".facility",reason="FieldValueForbidden",messageExpression="'facility cannot be changed from ' + oldSelf.facility + ' to ' + (has(self.facility) ? self.facility : (has(self.metro) ? self.metro : 'nothing')) + ': the address of the endpoint is there; allowed is metro ' + oldSelf.facility.substring(0, 2)"
	Spec PacketClusterSpec `json:"spec,omitempty,omitzero"`
	// status is what was observed.
	// +optional
	Status PacketClusterStatus `json:"status,omitempty,omitzero"`
}

// GetConditions returns the conditions of the object.
func (c *PacketCluster) GetConditions() []metav1.Condition { return c.Status.Conditions }

// SetConditions replaces the conditions of the object.
func (c *PacketCluster) SetConditions(conditions []metav1.Condition) {
	c.Status.Conditions = conditions
}

// PacketClusterList is a list of PacketClusters.
//
// +kubebuilder:object:root=true
type PacketClusterList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard metadata of a list.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the PacketClusters.
	Items []PacketCluster `json:"items"`
}
