// Package clusters measures how fast the whole manager makes clusters of one control plane machine and one worker, and what
// memory that takes.
//
// It runs as in production: Cluster API's core controllers, the kubeadm bootstrap and control plane providers and the Packet
// infrastructure provider, with their webhooks, the rights of their ServiceAccount and what the flags default to, against a
// real kube-apiserver and a real Packet API server. The clusters are those of example/cluster.yaml. What is not there are
// machines: the benchmark makes a Node for each device, and endpoints that answer with the cluster's own certificates for
// the Nodes of the cluster, and for all else with the same kube-apiserver that the manager uses.
//
//	KUBEBUILDER_ASSETS=$PWD/bin/envtest go test ./internal/capi/bench/clusters -run '^$' -bench . -benchtime 1x -timeout 60m -args -clusters 100
package clusters
