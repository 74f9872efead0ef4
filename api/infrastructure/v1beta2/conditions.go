package v1beta2

import clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

// Conditions of PacketCluster and PacketMachine. ReadyCondition sums up the others; Cluster API mirrors it into
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
)

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
)

// Conditions of PacketMachine.
const (
	// DeviceReadyCondition is true while the device is active. Its reasons tell the device's state.
	DeviceReadyCondition = "DeviceReady"
	// DeviceActiveReason is the reason of a true DeviceReadyCondition.
	DeviceActiveReason = "Active"
	// DeviceWaitingForClusterInfrastructureReason means that the cluster has no endpoint yet.
	DeviceWaitingForClusterInfrastructureReason = "WaitingForClusterInfrastructure"
	// DeviceWaitingForControlPlaneReason means that the machine can only join once the control plane is initialised.
	DeviceWaitingForControlPlaneReason = "WaitingForControlPlaneInitialized"
	// DeviceWaitingForBootstrapDataReason means that the bootstrap provider has not made the user data yet.
	DeviceWaitingForBootstrapDataReason = "WaitingForBootstrapData"
	// DeviceProvisioningReason means that the device exists and is being installed.
	DeviceProvisioningReason = "Provisioning"
	// DeviceCreateFailedReason means that the Packet API refused to create the device; the message has its text.
	DeviceCreateFailedReason = "CreateFailed"
	// DeviceFailedReason means that the installation of the device failed.
	DeviceFailedReason = "ProvisioningFailed"
	// DeviceNotActiveReason means that the device exists but does not run: it is powered off, rebooting, reinstalled.
	DeviceNotActiveReason = "NotActive"
	// DeviceNotFoundReason means that the device existed and is gone. A MachineHealthCheck may replace the machine.
	DeviceNotFoundReason = "NotFound"
	// DeviceAPIErrorReason means that the Packet API could not be asked. Nothing is known, so nothing is changed.
	DeviceAPIErrorReason = "APIError"
	// DeviceDeletingReason means that the device is being deleted.
	DeviceDeletingReason = "Deleting"

	// BootstrapSucceededCondition tells whether the user data ran to its end.
	BootstrapSucceededCondition = "BootstrapSucceeded"
	// BootstrapSucceededReason is the reason of a true BootstrapSucceededCondition.
	BootstrapSucceededReason = "Succeeded"
	// BootstrapRunningReason means that the user data has not finished yet.
	BootstrapRunningReason = "Running"
	// BootstrapFailedReason means that the user data failed; the message has the last lines of the console.
	BootstrapFailedReason = "BootstrapFailed"

	// ElasticIPAssignedCondition tells whether the cluster's elastic IP points at some control plane machine. Workers
	// do not have it.
	ElasticIPAssignedCondition = "ElasticIPAssigned"
	// ElasticIPAssignedReason means that the address points at this machine.
	ElasticIPAssignedReason = "Assigned"
	// ElasticIPAssignedElsewhereReason means that another living device of the cluster has the address.
	ElasticIPAssignedElsewhereReason = "AssignedToAnotherMachine"
	// ElasticIPNotNeededReason means that the endpoint of the cluster is not an elastic IP of this provider.
	ElasticIPNotNeededReason = "NotNeeded"
	// ElasticIPAssignmentFailedReason means that the Packet API refused the assignment; it is tried again.
	ElasticIPAssignmentFailedReason = "AssignmentFailed"
)

// Finalizers. Each is removed only after what it guards is gone from the Packet API.
const (
	// ClusterFinalizer lets the controller give the elastic IP back before the PacketCluster goes.
	ClusterFinalizer = "packetcluster.infrastructure.cluster.x-k8s.io"
	// MachineFinalizer lets the controller delete the device before the PacketMachine goes.
	MachineFinalizer = "packetmachine.infrastructure.cluster.x-k8s.io"
)
