// Package bench holds the benchmarks of the Cluster API provider, which `make bench` runs: what a fleet of machines costs
// the Packet API and the Kubernetes API while nothing happens, and how fast one is made.
//
// The parts are real: kube-apiserver, etcd, the Packet API server (driver none, profile instant) and the controllers. The
// benchmarks play the part of Cluster API's core controllers, which set owners and hand over bootstrap data, so what is
// measured is the infrastructure provider alone.
package bench
