//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// deletions are the orders in which people delete a cluster. Each is tried on
// a cluster of the same name, in a namespace that is named after the order.
func deletions() map[string]func(*testing.T, *lead) {
	return map[string]func(*testing.T, *lead){
		"cluster": func(t *testing.T, l *lead) {
			l.kubectl(t, "delete", "cluster", l.name, "--wait=false")
		},
		"infrastructure-first": func(t *testing.T, l *lead) {
			l.kubectl(t, "delete", "packetcluster", l.name, "--wait=false")
			l.kubectl(t, "delete", "packetmachines", "--all", "--wait=false")
			l.kubectl(t, "delete", "cluster", l.name, "--wait=false")
		},
		"machines-first": func(t *testing.T, l *lead) {
			l.kubectl(t, "delete", "machines", "--all", "--wait=false")
			l.kubectl(t, "delete", "machinedeployments,kubeadmcontrolplanes", "--all", "--wait=false")
			l.kubectl(t, "delete", "packetmachinetemplates,kubeadmconfigtemplates,clusterresourcesets", "--all", "--wait=false")
			l.kubectl(t, "delete", "cluster", l.name, "--wait=false")
		},
		"namespace": func(t *testing.T, l *lead) {
			l.yard.kubectl(t, l.management, "delete", "namespace", l.namespace, "--wait=false")
		},
		// It is deleted while its machines are only just being made.
		"unborn": func(t *testing.T, l *lead) {
			l.kubectl(t, "delete", "cluster", l.name, "--wait=false")
		},
	}
}

// clustersOfOneName makes clusters of one name in several namespaces, and
// deletes each in another order.
func (y *yard) clustersOfOneName(t *testing.T, management string) {
	t.Helper()
	clusters := map[string]*lead{}
	for namespace := range deletions() {
		clusters[namespace] = &lead{yard: y, management: management, namespace: namespace, name: "same"}
		y.kubectl(t, management, "create", "namespace", namespace)
	}
	for namespace, cluster := range clusters {
		if namespace == "unborn" {
			continue
		}
		cluster.apply(t, cluster.generate(t, "--control-plane-machine-count", "1", "--worker-machine-count", "1"))
	}
	endpoints := map[string]string{}
	for namespace, cluster := range clusters {
		if namespace == "unborn" {
			continue
		}
		workload := cluster.workload(t)
		cluster.settles(t, workload, 1, 1)
		endpoint := cluster.kubectl(t, "get", "cluster", cluster.name, "-o", "jsonpath={.spec.controlPlaneEndpoint.host}")
		if other, ok := endpoints[endpoint]; ok {
			t.Errorf("the clusters in %s and %s have the same address, %s", namespace, other, endpoint)
		}
		endpoints[endpoint] = namespace
	}
	unborn := clusters["unborn"]
	unborn.apply(t, unborn.generate(t, "--control-plane-machine-count", "1", "--worker-machine-count", "1"))
	eventually(t, "the unborn cluster has a device", func(ctx context.Context) error {
		devices, err := unborn.ownDevices(ctx, t)
		if err == nil && len(devices) == 0 {
			err = fmt.Errorf("it has none yet")
		}
		return err
	})
	for namespace, remove := range deletions() {
		remove(t, clusters[namespace])
	}
	for _, cluster := range clusters {
		cluster.leavesNothing(t)
	}
	eventually(t, "the namespace is gone", func(ctx context.Context) error {
		output, err := y.tryKubectl(ctx, management, "get", "namespaces", "-o", "name")
		if err == nil && slices.Contains(strings.Fields(output), "namespace/namespace") {
			err = fmt.Errorf("it is still there")
		}
		return err
	})
}

// moves moves the cluster into itself and back, and works with it there.
func (l *lead) moves(t *testing.T, workload string) {
	t.Helper()
	before := l.identities(t)
	inside := &lead{yard: l.yard, management: workload, namespace: l.namespace, name: l.name}
	l.yard.kubectl(t, workload, "create", "namespace", providerNamespace)
	credentials, err := get[corev1.Secret](l.yard, t.Context(), l.management, "secret", "packet-api-credentials", "--namespace", providerNamespace)
	if err != nil {
		t.Fatal(err)
	}
	credentials.ObjectMeta = metav1.ObjectMeta{Name: credentials.Name, Namespace: credentials.Namespace}
	manifest, err := json.Marshal(credentials)
	if err != nil {
		t.Fatal(err)
	}
	(&lead{yard: l.yard, management: workload, namespace: providerNamespace}).apply(t, string(manifest))
	inside.clusterctl(t, "init", "--infrastructure", "packet", "--wait-providers", "--wait-provider-timeout", "360")
	l.clusterctl(t, "move", "--namespace", l.namespace, "--to-kubeconfig", workload)
	inside.settles(t, workload, 1, 1)
	inside.kubectl(t, "scale", "machinedeployment", l.name+"-workers", "--replicas=2")
	inside.settles(t, workload, 1, 2)
	inside.clusterctl(t, "move", "--namespace", l.namespace, "--to-kubeconfig", l.management)
	l.settles(t, workload, 1, 2)
	after := l.identities(t)
	for name, id := range before {
		if after[name] != id {
			t.Errorf("machine %s was device %s and is %q after the move", name, id, after[name])
		}
	}
	l.kubectl(t, "scale", "machinedeployment", l.name+"-workers", "--replicas=1")
	l.settles(t, workload, 1, 1)
}

// identities returns the provider IDs of the cluster's machines by name.
func (l *lead) identities(t *testing.T) map[string]string {
	t.Helper()
	list, err := get[clusterv1.MachineList](l.yard, t.Context(), l.management, "machines", "--namespace", l.namespace)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{}
	for _, machine := range list.Items {
		ids[machine.Name] = machine.Spec.ProviderID
	}
	return ids
}

// providerNamespace is where the provider's manager runs.
const providerNamespace = "cluster-api-provider-packet-system"
