package v1beta2

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
	// DeviceNoCapacityReason means that there is no such hardware free where it is wanted; it is tried again.
	DeviceNoCapacityReason = "NoCapacity"
	// DeviceQuotaExceededReason means that the project may not have more devices; it is tried again.
	DeviceQuotaExceededReason = "QuotaExceeded"
	// DeviceReservationUnavailableReason means that none of the hardware reservations can be used; it is tried again.
	DeviceReservationUnavailableReason = "ReservationUnavailable"
	// DeviceQueuedTimedOutReason means that the Packet API did not begin with the device in time.
	DeviceQueuedTimedOutReason = "QueuedTimedOut"
	// DeviceProvisioningTimedOutReason means that the installation was not done in time.
	DeviceProvisioningTimedOutReason = "ProvisioningTimedOut"
	// DeviceDeletionTimedOutReason means that the device was not gone in time. The provider goes on deleting it.
	DeviceDeletionTimedOutReason = "DeletionTimedOut"
	// DeviceSpotTerminatingReason means that the device was outbid on the spot market and is about to be taken away.
	DeviceSpotTerminatingReason = "SpotTerminating"
	// DeviceLockedReason means that the device cannot be deleted because somebody locked it in the Packet API.
	DeviceLockedReason = "Locked"
	// DeviceConflictReason means that another device has the names of the machine and was made from other bootstrap data.
	DeviceConflictReason = "DeviceConflict"
	// DeviceBootstrapDataInvalidReason means that the Secret with the bootstrap data is missing or has none.
	DeviceBootstrapDataInvalidReason = "BootstrapDataInvalid"
	// DeviceSpecInvalidReason means that a value of the specification is not possible; the message names it.
	DeviceSpecInvalidReason = "SpecInvalid"
	// DeviceDeletingReason means that the device is being deleted.
	DeviceDeletingReason = "Deleting"

	// BootstrapSucceededCondition tells whether the user data ran to its end.
	BootstrapSucceededCondition = "BootstrapSucceeded"
	// BootstrapSucceededReason is the reason of a true BootstrapSucceededCondition.
	BootstrapSucceededReason = "Succeeded"
	// BootstrapRunningReason means that the user data has not finished yet.
	BootstrapRunningReason = "Running"
	// BootstrapTimedOutReason means that the machine did not become a node in time.
	BootstrapTimedOutReason = "BootstrapTimedOut"
	// BootstrapFailedReason means that the user data failed; the message has the last lines of the console.
	BootstrapFailedReason = "BootstrapFailed"

	// ElasticIPAssignedCondition tells whether the cluster's elastic IP points at some control plane machine. Workers
	// do not have it.
	ElasticIPAssignedCondition = "ElasticIPAssigned"
	// ElasticIPAssignedReason means that the address points at this machine.
	ElasticIPAssignedReason = "Assigned"
	// ElasticIPAssignedElsewhereReason means that another living device of the cluster has the address.
	ElasticIPAssignedElsewhereReason = "AssignedToAnotherMachine"
	// ElasticIPUnassignedReason means that no device has the address, and that the first whose API server answers gets it.
	ElasticIPUnassignedReason = "Unassigned"
	// ElasticIPNotNeededReason means that the endpoint of the cluster is not an elastic IP of this provider.
	ElasticIPNotNeededReason = "NotNeeded"
	// ElasticIPAssignmentFailedReason means that the Packet API refused the assignment; it is tried again.
	ElasticIPAssignmentFailedReason = "AssignmentFailed"

	// NetworkReadyCondition is true when the ports of the device are as spec.network wants them. Machines without VLANs and
	// network type do not have it.
	NetworkReadyCondition = "NetworkReady"
	// NetworkConfiguredReason is the reason of a true NetworkReadyCondition.
	NetworkConfiguredReason = "Configured"
	// NetworkWaitingForDeviceReason means that the ports can only be changed once the device is active.
	NetworkWaitingForDeviceReason = "WaitingForDevice"
	// NetworkConfiguringReason means that ports are being changed.
	NetworkConfiguringReason = "Configuring"
	// NetworkVLANNotFoundReason means that a VLAN of spec.network.vlans does not exist in the project and metro.
	NetworkVLANNotFoundReason = "VLANNotFound"
	// NetworkPortNotFoundReason means that the device has no port of that name.
	NetworkPortNotFoundReason = "PortNotFound"
	// NetworkConfigurationFailedReason means that the Packet API refused a change of ports; the message has its text.
	NetworkConfigurationFailedReason = "ConfigurationFailed"
)
