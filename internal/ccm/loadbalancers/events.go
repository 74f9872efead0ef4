package loadbalancers

// The reasons of the events that Services get, besides those of the service
// controller of k8s.io/cloud-provider.
const (
	// ReasonInvalidAnnotation is a Service that asks for something that is
	// not possible. It keeps what it has until that changes.
	ReasonInvalidAnnotation = "InvalidLoadBalancerAnnotation"
	// ReasonReserved is an address that was reserved for a Service.
	ReasonReserved = "AddressReserved"
	// ReasonReleased is an address that was given back.
	ReasonReleased = "AddressReleased"
	// ReasonPending is an address that is reserved but not granted yet.
	ReasonPending = "AddressPending"
	// ReasonForeignAddress is an address of the user's that none of the
	// project's reservations contains.
	ReasonForeignAddress = "AddressNotInProject"
)
