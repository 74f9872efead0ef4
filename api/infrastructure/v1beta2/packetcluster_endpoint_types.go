package v1beta2

// VIPManager tells who moves the address of the control plane endpoint to a control plane machine that works.
//
// Its values are checked by a rule, since an enumeration could not tell what became of EMLB.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=32
// +kubebuilder:validation:XValidation:rule="self in ['CPEM', 'KUBE_VIP', 'External']",messageExpression="self == 'EMLB' ? 'EMLB cannot be used: the load balancers of Equinix Metal were shut down with the service; allowed are CPEM, KUBE_VIP and External' : 'vipManager must be one of CPEM, KUBE_VIP and External'"
type VIPManager string

const (
	// VIPManagerCPEM makes this provider assign an elastic IP to a control plane machine that works, and the cloud
	// controller manager of the workload cluster move it afterwards.
	VIPManagerCPEM VIPManager = "CPEM"
	// VIPManagerKubeVIP makes kube-vip announce an elastic IP by BGP. This provider reserves the address, enables BGP for
	// the project and opens a session for each control plane machine, and never assigns the address.
	VIPManagerKubeVIP VIPManager = "KUBE_VIP"
	// VIPManagerExternal leaves the endpoint to the user: nothing is reserved.
	VIPManagerExternal VIPManager = "External"
)

// ElasticIPType is a kind of address of the Packet API.
//
// +kubebuilder:validation:Enum=public_ipv4;global_ipv4
type ElasticIPType string

const (
	// ElasticIPPublicIPv4 is an address that can be used in one metro.
	ElasticIPPublicIPv4 ElasticIPType = "public_ipv4"
	// ElasticIPGlobalIPv4 is an anycast address that can be used in every metro.
	ElasticIPGlobalIPv4 ElasticIPType = "global_ipv4"
)

// ElasticIPReclaimPolicy tells what becomes of an elastic IP when its PacketCluster is deleted.
//
// +kubebuilder:validation:Enum=Delete;Retain
type ElasticIPReclaimPolicy string

const (
	// ElasticIPReclaimDelete gives the address back.
	ElasticIPReclaimDelete ElasticIPReclaimPolicy = "Delete"
	// ElasticIPReclaimRetain keeps the reservation in the project.
	ElasticIPReclaimRetain ElasticIPReclaimPolicy = "Retain"
)

// PacketElasticIPSpec is the address of the control plane endpoint.
//
// +kubebuilder:validation:MinProperties=1
// +kubebuilder:validation:XValidation:rule="!has(self.reservationID) || !has(self.reclaimPolicy) || self.reclaimPolicy != 'Delete'",fieldPath=".reclaimPolicy",messageExpression="\"reclaimPolicy Delete is not possible with reservationID \" + self.reservationID + \": an address that was reserved by somebody else is never released; leave reclaimPolicy out or set it to Retain\""
// +kubebuilder:validation:XValidation:rule="!has(self.reservationID) || !has(self.tags)",fieldPath=".tags",messageExpression="\"tags are only for an address that is reserved for the cluster, and not possible with reservationID \" + self.reservationID"
type PacketElasticIPSpec struct {
	// type is public_ipv4, for an address of the cluster's metro, or global_ipv4, for an anycast address that control
	// planes in any metro can have. Left out, it is public_ipv4. It cannot be changed.
	// +optional
	Type ElasticIPType `json:"type,omitempty"`

	// reservationID is the UUID of a reservation of the project, with one address, that is used instead of reserving one.
	// It is never released. It cannot be changed.
	// +optional
	// +kubebuilder:validation:Pattern=`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	ReservationID string `json:"reservationID,omitempty"`

	// reclaimPolicy tells what becomes of the address when the PacketCluster is deleted: Delete gives it back, Retain keeps
	// the reservation. Left out, it is Delete for an address that was reserved for the cluster.
	// +optional
	ReclaimPolicy ElasticIPReclaimPolicy `json:"reclaimPolicy,omitempty"`

	// tags are added to the tags of the reservation, at most 80 bytes each.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=80
	// +kubebuilder:validation:items:XValidation:rule="!self.startsWith('capp:') && !self.startsWith('kubernetes.io/role:')",message="tags that begin with capp: or kubernetes.io/role: are the provider's own: it finds its devices and addresses by them"
	// +kubebuilder:validation:items:XValidation:rule="bytes(self).size() <= 80",message="a tag must have at most 80 bytes"
	Tags []string `json:"tags,omitempty"`
}

// DefaultLocalASN is the autonomous system of projects and devices unless PacketBGPSpec says otherwise: the number that
// Packet gave to local BGP.
const DefaultLocalASN int64 = 65000

// PacketBGPSpec is the BGP of the project, which kube-vip needs.
//
// +kubebuilder:validation:MinProperties=1
type PacketBGPSpec struct {
	// localASN is the number of the autonomous system that the devices of the project speak for. Left out, it is 65000. A
	// project that has BGP enabled already must have the same one.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4294967295
	LocalASN int64 `json:"localASN,omitempty"`

	// passwordSecretRef is where the password of the BGP sessions (MD5) is, if they have one: 10 to 20 letters and digits.
	// +optional
	PasswordSecretRef PacketSecretKeyReference `json:"passwordSecretRef,omitempty,omitzero"`
}

// DefaultBGPPasswordKey is the key that PacketSecretKeyReference means if it names none.
const DefaultBGPPasswordKey = "bgpPassword"

// PacketSecretKeyReference names a value of a Secret in the namespace of the object.
type PacketSecretKeyReference struct {
	// name is the name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`

	// key is the key of the Secret. Left out, it is bgpPassword.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	Key string `json:"key,omitempty"`
}

// PacketCredentialsReference names a Secret with credentials, in the namespace of the object.
type PacketCredentialsReference struct {
	// name is the name of the Secret. Its key apiToken is required; projectID and apiURL are taken from the manager's
	// credentials if it has none.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`
}

// PacketFailureDomain is a metro that machines of the cluster can be put in.
type PacketFailureDomain struct {
	// name is the code of the metro, such as da.
	// +required
	// +kubebuilder:validation:Pattern=`^[a-z]{2}$`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=16
	Name string `json:"name,omitempty"`

	// controlPlane tells whether control plane machines may be put there. Left out, it is true. In another metro than the
	// cluster's it can only be true if the endpoint works in every metro: with an elastic IP of type global_ipv4, or with
	// vipManager External.
	// +optional
	// +kubebuilder:default=true
	ControlPlane *bool `json:"controlPlane,omitempty"`
}
