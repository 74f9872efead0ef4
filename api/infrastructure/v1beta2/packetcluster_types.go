package v1beta2

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// PacketClusterSpec is what a user wants of a cluster's infrastructure.
//
// +kubebuilder:validation:XValidation:rule="has(self.metro) || has(self.facility)",message="one of metro and facility is required, for example metro: da"
// +kubebuilder:validation:XValidation:rule="!(has(self.metro) && has(self.facility))",message="metro and facility are mutually exclusive: set only one"
type PacketClusterSpec struct {
	// projectID is the UUID of the Packet project that devices and addresses are created in. Left out, it is the project
	// of the credentials.
	// +optional
	// +kubebuilder:validation:Pattern=`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`
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

	// controlPlaneEndpoint is where the cluster's API server is reached. Left out, the controller reserves an elastic IP
	// and writes it here. Set by the user, nothing is reserved.
	// +optional
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
	// conditions are the observations of the controller: Ready, ElasticIPReady, CredentialsAvailable, Paused.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=32
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// initialization is what Cluster API waits for.
	// +optional
	Initialization PacketClusterInitializationStatus `json:"initialization,omitempty,omitzero"`

	// failureDomains are the places machines can be put in: the metro or facility of the cluster.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=100
	FailureDomains []clusterv1.FailureDomain `json:"failureDomains,omitempty"`

	// elasticIP is the reservation behind the control plane endpoint, if the controller made it.
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
	// +kubebuilder:validation:XValidation:rule="!has(oldSelf.projectID) || (has(self.projectID) && self.projectID == oldSelf.projectID)",message="projectID cannot be changed once set: the cluster's devices and addresses are in that project"
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
