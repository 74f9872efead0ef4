//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/packetyard/packetyard/pkg/packet"
)

// previousVersion is the older Kubernetes of the machine image.
func (y *yard) previousVersion(t *testing.T) string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(y.bin, "machine-image", "kubernetes"))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if entry.IsDir() && strings.HasPrefix(entry.Name(), "v1.") {
			return entry.Name()
		}
	}
	t.Fatal("the machine image has no second version of Kubernetes (make kube-previous)")
	return ""
}

// classy makes a cluster from the ClusterClass, upgrades its Kubernetes, gives
// it another class, and deletes it.
func (y *yard) classy(t *testing.T, management string) {
	t.Helper()
	cluster := &lead{yard: y, management: management, namespace: "classes", name: "classy"}
	y.kubectl(t, management, "create", "namespace", cluster.namespace)
	previous := y.previousVersion(t)
	cluster.apply(t, cluster.generate(t, "--flavor", "clusterclass", "--kubernetes-version", previous,
		"--control-plane-machine-count", "1", "--worker-machine-count", "1"))
	workload := cluster.workload(t)
	cluster.settles(t, workload, 1, 1)
	cluster.runs(t, workload, previous)

	y.kubectl(t, workload, "create", "configmap", "kept", "--from-literal=kept=yes")
	cluster.kubectl(t, "patch", "cluster", cluster.name, "--type=merge", "-p", `{"spec":{"topology":{"version":"`+currentVersion+`"}}}`)
	cluster.runs(t, workload, currentVersion)
	cluster.settles(t, workload, 1, 1)
	cluster.etcdFollows(t, workload)
	y.kubectl(t, workload, "get", "configmap", "kept")

	cluster.rebase(t)
	eventually(t, "the worker is of the second class", func(ctx context.Context) error {
		devices, err := cluster.ownDevices(ctx, t)
		if err != nil {
			return err
		}
		second := slices.DeleteFunc(devices, func(d packet.Device) bool { return !slices.Contains(d.Tags, "second-class") })
		if len(second) != 1 {
			return fmt.Errorf("%d devices have the tag of the second class, want 1", len(second))
		}
		return nil
	})
	cluster.settles(t, workload, 1, 1)
	cluster.kubectl(t, "delete", "cluster", cluster.name, "--wait=false")
	cluster.leavesNothing(t)
}

// currentVersion is the machine image's own Kubernetes.
const currentVersion = "v1.36.4"

// runs waits until every node of the cluster runs a version of Kubernetes.
func (l *lead) runs(t *testing.T, workload, version string) {
	t.Helper()
	eventually(t, "all nodes run "+version, func(ctx context.Context) error {
		nodes, err := get[corev1.NodeList](l.yard, ctx, workload, "nodes")
		if err != nil {
			return err
		}
		for _, node := range nodes.Items {
			if got := node.Status.NodeInfo.KubeletVersion; got != version {
				return fmt.Errorf("node %s runs %s", node.Name, got)
			}
		}
		served, err := l.tryKubectl(ctx, workload, "get", "--raw", "/version")
		if err == nil && !strings.Contains(served, `"`+version+`"`) {
			err = fmt.Errorf("the API server is %s", served)
		}
		return err
	})
}

// rebase gives the cluster a second class, whose workers have a tag more.
func (l *lead) rebase(t *testing.T) {
	t.Helper()
	type object = map[string]any
	read := func(kind, name string) object {
		var found object
		if err := json.Unmarshal([]byte(l.kubectl(t, "get", kind, name, "-o", "json")), &found); err != nil {
			t.Fatal(err)
		}
		delete(found, "status")
		return found
	}
	rename := func(found object, name string) object {
		found["metadata"] = object{"name": name, "namespace": l.namespace}
		return found
	}
	at := func(value any, path ...any) any {
		for _, key := range path {
			switch key := key.(type) {
			case string:
				value = value.(object)[key]
			case int:
				value = value.([]any)[key]
			}
		}
		return value
	}
	class := read("clusterclass", "packet")
	worker := at(class, "spec", "workers", "machineDeployments", 0, "infrastructure", "templateRef").(object)
	template := rename(read("packetmachinetemplate", worker["name"].(string)), "packet-worker-second")
	at(template, "spec", "template", "spec").(object)["tags"] = []string{"second-class"}
	worker["name"] = "packet-worker-second"
	for _, made := range []object{template, rename(class, "packet-second")} {
		manifest, err := json.Marshal(made)
		if err != nil {
			t.Fatal(err)
		}
		l.apply(t, string(manifest))
	}
	l.kubectl(t, "patch", "cluster", l.name, "--type=merge", "-p", `{"spec":{"topology":{"classRef":{"name":"packet-second"}}}}`)
}
