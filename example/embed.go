// Package example holds the cluster files that people begin with.
package example

import _ "embed"

// Cluster is cluster.yaml: one master Machine and a MachineDeployment of two
// workers. It is what `packetyard up` makes where no file is named.
//
//go:embed cluster.yaml
var Cluster []byte

// ClusterKubeadmControlPlane is cluster-kubeadmcontrolplane.yaml: the same
// with a KubeadmControlPlane, which can be scaled and upgraded.
//
//go:embed cluster-kubeadmcontrolplane.yaml
var ClusterKubeadmControlPlane []byte
