// Package endpoint keeps the elastic IP of a cluster's control plane at a node
// whose API server answers, and publishes it as a Service.
//
// The address is the one reservation of the project that has a certain tag.
// Whoever made the cluster reserved it and put it into the API servers'
// certificates; what is done here is to assign it to another device when the
// API server of its present one no longer answers, when that node is
// cordoned or deleted, and when nobody has it.
//
// A move takes two calls of the Packet API, which takes the address from one
// device and then gives it to another. A process may die between the two: the
// next round, in this process or in the next leader, finds the address
// without a device and gives it to one. Within a process, a move that fails
// half way goes on with the next candidate, and at last with the node that
// had the address before.
//
// What decides must not depend on the address that it is about to move: the
// process has to reach the cluster's API servers in another way, through the
// Service default/kubernetes for example, which pods do.
package endpoint
