package v1beta2

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// SSHKeyPolicy tells which SSH keys may log in to a device.
//
// +kubebuilder:validation:Enum=ProjectAndUser;Project;Listed;None
type SSHKeyPolicy string

const (
	// SSHKeyPolicyProjectAndUser authorises every key of the project and of the token's user.
	SSHKeyPolicyProjectAndUser SSHKeyPolicy = "ProjectAndUser"
	// SSHKeyPolicyProject authorises every key of the project.
	SSHKeyPolicyProject SSHKeyPolicy = "Project"
	// SSHKeyPolicyListed authorises the keys in sshKeys.
	SSHKeyPolicyListed SSHKeyPolicy = "Listed"
	// SSHKeyPolicyNone authorises no key.
	SSHKeyPolicyNone SSHKeyPolicy = "None"
)

// ReservationFallback tells what to do when no hardware reservation can be used.
//
// +kubebuilder:validation:Enum=None;OnDemand
type ReservationFallback string

const (
	// ReservationFallbackNone waits for a reservation.
	ReservationFallbackNone ReservationFallback = "None"
	// ReservationFallbackOnDemand rents a device without reservation.
	ReservationFallbackOnDemand ReservationFallback = "OnDemand"
)

// HardwareReservationNextAvailable makes the Packet API choose a reservation of the project.
const HardwareReservationNextAvailable = "next-available"

// PacketMachineSpot is a bid on the spot market.
type PacketMachineSpot struct {
	// maxPrice is the most that is paid for the device, in US dollars per hour, as a decimal number such as "0.25". The
	// device is taken away when the price of the market rises above it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^[0-9]{1,6}(\.[0-9]{1,6})?$`
	// +kubebuilder:validation:XValidation:rule="double(self) > 0.0",message="maxPrice must be above 0, in US dollars per hour, for example \"0.25\""
	MaxPrice string `json:"maxPrice,omitempty"`
}

// PacketMachineTimeouts are how long the steps of a device's life may take. When one passes, a condition and an event tell
// so and the machine is not Ready any more, so that a MachineHealthCheck can replace it; the provider itself goes on waiting.
// A time-out of 0s never passes.
//
// +kubebuilder:validation:MinProperties=1
type PacketMachineTimeouts struct {
	// queued is how long a device may wait for the Packet API to begin with it, such as 30m.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}(\.[0-9]{1,9})?h)?([0-9]{1,6}(\.[0-9]{1,9})?m)?([0-9]{1,9}(\.[0-9]{1,9})?s)?([0-9]{1,9}ms)?$`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="duration(self) <= duration('87600h')",message="must be a duration of at most 87600h (ten years), such as 30m or 1h30m"
	Queued *metav1.Duration `json:"queued,omitempty"`

	// provisioning is how long the installation of a device may take, such as 1h.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}(\.[0-9]{1,9})?h)?([0-9]{1,6}(\.[0-9]{1,9})?m)?([0-9]{1,9}(\.[0-9]{1,9})?s)?([0-9]{1,9}ms)?$`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="duration(self) <= duration('87600h')",message="must be a duration of at most 87600h (ten years), such as 30m or 1h30m"
	Provisioning *metav1.Duration `json:"provisioning,omitempty"`

	// bootstrap is how long it may take from an active device to a node, such as 30m.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}(\.[0-9]{1,9})?h)?([0-9]{1,6}(\.[0-9]{1,9})?m)?([0-9]{1,9}(\.[0-9]{1,9})?s)?([0-9]{1,9}ms)?$`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="duration(self) <= duration('87600h')",message="must be a duration of at most 87600h (ten years), such as 30m or 1h30m"
	Bootstrap *metav1.Duration `json:"bootstrap,omitempty"`

	// deletion is how long the deletion of a device may take, such as 30m.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}(\.[0-9]{1,9})?h)?([0-9]{1,6}(\.[0-9]{1,9})?m)?([0-9]{1,9}(\.[0-9]{1,9})?s)?([0-9]{1,9}ms)?$`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="duration(self) <= duration('87600h')",message="must be a duration of at most 87600h (ten years), such as 30m or 1h30m"
	Deletion *metav1.Duration `json:"deletion,omitempty"`
}
