// Package loadbalancers gives Services of type LoadBalancer their addresses:
// elastic IPs of the Packet project, or addresses that a user brings along.
//
// It reserves, reuses and releases addresses, has the nodes' BGP sessions
// made, and configures what announces the addresses: MetalLB, kube-vip, or
// something that reads them from the Services.
//
// What is remembered is in two places, and none of it in this process. A
// reservation carries the tags of its Service and cluster (see ownerTags), by
// which it is found again before another is made. A Service carries the
// addresses that it was given from the project's reservations in the annotation
// AnnotationAddresses, by which they are told from those that its user wrote.
package loadbalancers
