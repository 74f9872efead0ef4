// Package bench holds the benchmarks of the Cluster API provider, which `make bench` runs: what a fleet of machines costs
// the Packet API and the Kubernetes API while nothing happens, how fast one is made, and how fast clusters are.
//
// The parts are real: kube-apiserver, etcd, the Packet API server (driver none, profile instant) and the controllers, with
// the intervals and limits that the manager's flags default to.
//
// The benchmarks play the part of Cluster API's core controllers, which set owners and hand over
// bootstrap data, so what is measured is the infrastructure provider alone. The subpackage clusters measures the whole
// manager.
//
// How much there is, and how fast time goes, are flags. They come after -args:
//
//	KUBEBUILDER_ASSETS=$PWD/bin/envtest go test ./internal/capi/bench -run '^$' -bench . -benchtime 1x -timeout 60m -args -compression 1
package bench
