package v1beta2

// Conditions of PacketCluster.
const (
	// ElasticIPReadyCondition is true when the address of the control plane endpoint is reserved.
	ElasticIPReadyCondition = "ElasticIPReady"
	// ElasticIPReservedReason means that the endpoint is an elastic IP of this cluster.
	ElasticIPReservedReason = "Reserved"
	// ElasticIPProvidedReason means that the user set the endpoint and that nothing had to be reserved.
	ElasticIPProvidedReason = "EndpointProvided"
	// ElasticIPPendingReason means that the reservation waits for an approval at Packet.
	ElasticIPPendingReason = "ReservationPending"
	// ElasticIPReservationFailedReason means that the Packet API refused the reservation; the message has its text.
	ElasticIPReservationFailedReason = "ReservationFailed"
	// ElasticIPDeletingReason means that the address is being given back.
	ElasticIPDeletingReason = "Deleting"
	// ElasticIPNotFoundReason means that the reservation named in spec.elasticIP.reservationID does not exist.
	ElasticIPNotFoundReason = "ReservationNotFound"
	// ElasticIPUnusableReason means that the reservation exists and cannot be used: it is of another type, in another metro,
	// has more than one address or belongs to another cluster. The message tells which.
	ElasticIPUnusableReason = "ReservationUnusable"
	// ElasticIPQuotaExceededReason means that the project may not have more addresses.
	ElasticIPQuotaExceededReason = "QuotaExceeded"
	// ElasticIPEndpointMissingReason means that vipManager is External and nobody has set the endpoint yet.
	ElasticIPEndpointMissingReason = "WaitingForEndpoint"

	// BGPReadyCondition is true on a PacketCluster when its project has BGP, and on a PacketMachine when its device has a
	// session. Only clusters with vipManager KUBE_VIP have it, and their control plane machines.
	BGPReadyCondition = "BGPReady"
	// BGPEnabledReason is the reason of a true BGPReadyCondition of a PacketCluster.
	BGPEnabledReason = "Enabled"
	// BGPPendingReason means that the request waits for an approval at Packet.
	BGPPendingReason = "RequestPending"
	// BGPEnableFailedReason means that the Packet API refused to enable BGP; the message has its text.
	BGPEnableFailedReason = "EnableFailed"
	// BGPMismatchReason means that the project has BGP with another autonomous system or password.
	BGPMismatchReason = "ConfigurationMismatch"
	// BGPPasswordMissingReason means that the Secret with the password, or its key, does not exist.
	BGPPasswordMissingReason = "PasswordMissing"
	// BGPSessionCreatedReason is the reason of a true BGPReadyCondition of a PacketMachine.
	BGPSessionCreatedReason = "SessionCreated"
	// BGPSessionFailedReason means that the Packet API refused the session; it is tried again.
	BGPSessionFailedReason = "SessionFailed"
)
