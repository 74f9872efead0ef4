package v1beta2

// InfrastructureMachineKind is what a PacketMachinePool reports as the kind of its machines.
const InfrastructureMachineKind = "PacketMachine"

// Annotations of the PacketMachines of a pool. They tell what the machine was made from, besides its spec.
const (
	// PoolBootstrapDataSecretAnnotation names the Secret with the machine's bootstrap data, which all machines of a pool share.
	// The Machine of such a machine names none: the contract leaves it empty.
	PoolBootstrapDataSecretAnnotation = "packetmachinepool.infrastructure.cluster.x-k8s.io/bootstrap-data-secret"
	// PoolVersionAnnotation is the Kubernetes version that the MachinePool asked for when the machine was made.
	PoolVersionAnnotation = "packetmachinepool.infrastructure.cluster.x-k8s.io/version"
)

// Conditions of PacketMachinePool.
const (
	// MachinesReadyCondition sums up ReadyCondition of the machines of the pool.
	MachinesReadyCondition = "MachinesReady"
	// MachinesReadyReason is the reason of a true MachinesReadyCondition.
	MachinesReadyReason = "Ready"
	// MachinesNotReadyReason means that some machines are not ready; the message names them.
	MachinesNotReadyReason = "NotReady"
	// MachinesNoReplicasReason means that the pool has, and wants, no machines.
	MachinesNoReplicasReason = "NoReplicas"
	// MachinesScalingUpReason means that machines are being made.
	MachinesScalingUpReason = "ScalingUp"
	// MachinesScalingDownReason means that machines are being deleted.
	MachinesScalingDownReason = "ScalingDown"
	// MachinesWaitingForBootstrapDataReason means that the bootstrap provider has not made the user data yet.
	MachinesWaitingForBootstrapDataReason = "WaitingForBootstrapData"
	// MachinesWaitingForClusterInfrastructureReason means that the cluster has no endpoint yet.
	MachinesWaitingForClusterInfrastructureReason = "WaitingForClusterInfrastructure"
	// MachinesDeletingReason means that the pool is being deleted.
	MachinesDeletingReason = "Deleting"

	// MachinesUpToDateCondition is true when every machine is made from the present template, bootstrap data and version.
	MachinesUpToDateCondition = "MachinesUpToDate"
	// MachinesUpToDateReason is the reason of a true MachinesUpToDateCondition.
	MachinesUpToDateReason = "UpToDate"
	// MachinesRollingOutReason means that machines are being replaced.
	MachinesRollingOutReason = "RollingOut"
	// MachinesOutdatedReason means that machines are outdated and that the strategy leaves replacing them to the user.
	MachinesOutdatedReason = "Outdated"
)
