package v1beta2

import clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

// Conditions of every kind. ReadyCondition sums up the others; Cluster API mirrors it into
// InfrastructureReady of the Cluster or the Machine, with its message.
const (
	// ReadyCondition is true when everything the object stands for exists and works.
	ReadyCondition = clusterv1.ReadyCondition

	// CredentialsAvailableCondition is true when a Packet API token was found for the object. When it is false, the
	// message names the Secret to create.
	CredentialsAvailableCondition = "CredentialsAvailable"
	// CredentialsAvailableReason is the reason of a true CredentialsAvailableCondition.
	CredentialsAvailableReason = "Available"
	// CredentialsMissingReason means that no credentials were configured.
	CredentialsMissingReason = "Missing"
	// CredentialsRejectedReason means that the Packet API refused the token (401 or 403).
	CredentialsRejectedReason = "Rejected"
	// CredentialsInvalidReason means that the Secret is there and what is in it cannot be used; the message says why.
	CredentialsInvalidReason = "Invalid"

	// APIErrorReason means that the Packet API could not be asked. Nothing is known, so nothing is changed.
	APIErrorReason = "APIError"
)

// Finalizers. Each is removed only after what it guards is gone from the Packet API.
const (
	// ClusterFinalizer lets the controller give the elastic IP back before the PacketCluster goes.
	ClusterFinalizer = "packetcluster.infrastructure.cluster.x-k8s.io"
	// MachineFinalizer lets the controller delete the device before the PacketMachine goes.
	MachineFinalizer = "packetmachine.infrastructure.cluster.x-k8s.io"
	// MachinePoolFinalizer lets the controller delete the machines before the PacketMachinePool goes.
	MachinePoolFinalizer = "packetmachinepool.infrastructure.cluster.x-k8s.io"
	// RemediationFinalizer lets the controller finish what it began before the PacketRemediation goes.
	RemediationFinalizer = "packetremediation.infrastructure.cluster.x-k8s.io"
)
