// Package manager wires the one process that makes clusters: Cluster API's core controllers, the kubeadm bootstrap and
// control plane providers, and the Packet infrastructure provider, with all their webhooks.
//
// Upstream ships four managers. Their settings disagree in a few places (what their caches leave out, how often they retry)
// and this package is where the one answer to each is given; see cache.go. Everything runs behind one leader election, one
// webhook server, one ClusterCache and one CRD migrator.
package manager
