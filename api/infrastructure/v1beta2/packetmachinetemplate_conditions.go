package v1beta2

// Conditions of PacketMachineTemplate.
const (
	// CapacityKnownCondition is true when the capacity in the status is that of the plan.
	CapacityKnownCondition = "CapacityKnown"
	// CapacityFromPlanReason is the reason of a true CapacityKnownCondition.
	CapacityFromPlanReason = "FromPlan"
	// CapacityPlanNotFoundReason means that the Packet API has no plan of that name: machines cannot be made either.
	CapacityPlanNotFoundReason = "PlanNotFound"
	// CapacityPlanIncompleteReason means that the plan does not tell cpu or memory in a way that is understood.
	CapacityPlanIncompleteReason = "PlanIncomplete"
)
