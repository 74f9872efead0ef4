package v1beta2

// Reasons of ReadyCondition of a PacketRemediation, which is true once there is nothing left to do.
const (
	// RemediationSucceededReason means that the machine is healthy again.
	RemediationSucceededReason = "Succeeded"
	// RemediationRunningReason means that a step is being tried.
	RemediationRunningReason = "Running"
	// RemediationWaitingReason means that the machine has time to become healthy.
	RemediationWaitingReason = "WaitingForHealthy"
	// RemediationDeferredReason means that nothing is done for now, since it would endanger the control plane; the message says
	// what is waited for.
	RemediationDeferredReason = "Deferred"
	// RemediationExhaustedReason means that nothing helped and that the Machine's owner is to replace it.
	RemediationExhaustedReason = "Exhausted"
	// RemediationStepFailedReason means that the Packet API refused the step; the message has its text.
	RemediationStepFailedReason = "StepFailed"
	// RemediationNoDeviceReason means that the machine has no device that could be healed: it has to be replaced.
	RemediationNoDeviceReason = "NoDevice"
	// RemediationNoMachineReason means that the Machine to heal is gone, or is not one of this provider.
	RemediationNoMachineReason = "NoMachine"
)
