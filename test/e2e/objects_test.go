//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// checkNodes finds what is wrong with the nodes of a cluster that is to have
// so many of them.
func (y *yard) checkNodes(ctx context.Context, kubeconfig string, count int) error {
	nodes, err := get[corev1.NodeList](y, ctx, kubeconfig, "nodes")
	if err != nil {
		return err
	}
	if len(nodes.Items) != count {
		return fmt.Errorf("%d nodes, want %d", len(nodes.Items), count)
	}
	for _, node := range nodes.Items {
		if err := checkNode(node); err != nil {
			return fmt.Errorf("node %s: %w", node.Name, err)
		}
	}
	return nil
}

// checkNode is written from the sentence, and shares no code with what
// `up` itself waits for.
func checkNode(node corev1.Node) error {
	ready := slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == "Ready" && c.Status == "True"
	})
	if !ready {
		return fmt.Errorf("it is not Ready")
	}
	for _, taint := range node.Spec.Taints {
		if taint.Key == "node.cloudprovider.kubernetes.io/uninitialized" {
			return fmt.Errorf("it has the taint %s", taint.Key)
		}
	}
	if !strings.HasPrefix(node.Spec.ProviderID, "packet://") {
		return fmt.Errorf("its provider ID is %q", node.Spec.ProviderID)
	}
	for label, want := range map[string]string{
		"topology.kubernetes.io/region":    "da",
		"topology.kubernetes.io/zone":      "da",
		"node.kubernetes.io/instance-type": "c3.small.x86",
	} {
		// A zone is a facility of the metro.
		if !strings.HasPrefix(node.Labels[label], want) {
			return fmt.Errorf("its label %s is %q, want %s", label, node.Labels[label], want)
		}
	}
	public, private := false, false
	for _, address := range node.Status.Addresses {
		public = public || address.Type == "ExternalIP" && strings.HasPrefix(address.Address, "198.1")
		private = private || address.Type == "InternalIP" && strings.HasPrefix(address.Address, "10.")
	}
	if !public || !private {
		return fmt.Errorf("it does not have both addresses: %v", node.Status.Addresses)
	}
	return nil
}

// workers returns the names of the worker Machines of a cluster that are not
// being deleted.
func (y *yard) workers(t *testing.T, cluster string) []string {
	t.Helper()
	machines, err := get[clusterv1.MachineList](y, t.Context(), y.kubeconfig(t, "bootstrap"), "machines", "-l", clusterv1.ClusterNameLabel+"="+cluster)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, machine := range machines.Items {
		_, controlPlane := machine.Labels[clusterv1.MachineControlPlaneLabel]
		if !controlPlane && machine.DeletionTimestamp.IsZero() {
			names = append(names, machine.Name)
		}
	}
	return names
}
