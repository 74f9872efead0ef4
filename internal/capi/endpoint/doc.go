// Package endpoint keeps a cluster's elastic IP at a control plane device that is alive.
//
// The first device of a control plane claims the address when it is made, because kubeadm waits for the endpoint. From then
// on, the address moves only away from a device that is gone, failed, powered off, about to be deleted, or whose API server
// does not answer several times in a row while that of another device does. An API server is asked for /readyz at the
// device's own addresses, and counts only if it proves with a certificate of the cluster's authority for the endpoint that
// it is one of this cluster.
//
// A move takes two calls of the Packet API: one takes the address from its device, one gives it to another. The process may
// die in between, and the cloud controller manager of the workload cluster may move the address at the same time. Both
// are met in the same way: what is decided on is read from the Packet API right before, the API gives an address to one
// device at a time, and an address that nobody has is given to the best device there is at the next look, which comes soon.
// Neither mover takes the address from a device that is well, so they agree after one move.
package endpoint
