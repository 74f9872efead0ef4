//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/packetyard/packetyard/pkg/packet"
)

// TestFleet is the way of a team that runs clusters by Cluster API: it scales,
// rolls, heals, upgrades, moves and deletes them, while the provider is killed
// again and again and one call in five of its Packet API fails.
func TestFleet(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	file := filepath.Join(t.TempDir(), "cluster.yaml")
	if err := os.WriteFile(file, []byte(exampleControlPlane(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	y.must(t, "up", "-f", file, "--workers", "1", controllable(t))
	demo := &lead{yard: y, management: y.kubeconfig(t, "bootstrap"), namespace: "default", name: "demo"}
	workload := demo.workload(t)
	devices := y.count(t)
	y.oneInFive(t, y.ownToken(t, demo.management))
	y.killing(t, demo.management, 20*time.Second, time.Minute)

	step(t, "three control planes and one", func(t *testing.T) {
		for _, replicas := range []int{3, 1} {
			demo.kubectl(t, "scale", "kubeadmcontrolplane", "demo-control-plane", fmt.Sprintf("--replicas=%d", replicas))
			demo.settles(t, workload, replicas, 1)
			demo.etcdFollows(t, workload)
		}
	})
	step(t, "ten workers", func(t *testing.T) {
		for _, replicas := range []int{3, 10, 2} {
			demo.kubectl(t, "scale", "machinedeployment", "demo-workers", fmt.Sprintf("--replicas=%d", replicas))
			demo.settles(t, workload, 1, replicas)
		}
	})
	step(t, "a new template rolls out", func(t *testing.T) { demo.rollOut(t, workload) })
	step(t, "a drain waits for a PodDisruptionBudget", func(t *testing.T) { demo.drain(t, workload) })
	step(t, "a machine that hangs is rebooted and stays", func(t *testing.T) { demo.remedy(t, workload) })
	step(t, "a dead machine is replaced", func(t *testing.T) { demo.heal(t, workload) })
	step(t, "the cluster moves into itself and back", func(t *testing.T) {
		demo.kubectl(t, "scale", "machinedeployment", "demo-workers", "--replicas=1")
		demo.settles(t, workload, 1, 1)
		demo.moves(t, workload)
	})
	step(t, "no workers", func(t *testing.T) {
		demo.kubectl(t, "scale", "machinedeployment", "demo-workers", "--replicas=0")
		demo.settles(t, workload, 1, 0)
	})
	step(t, "deleting the cluster leaves nothing", func(t *testing.T) {
		demo.kubectl(t, "delete", "cluster", "demo", "--wait=false")
		demo.leavesNothing(t)
	})
	step(t, "a cluster of a class with its upgrade and its second class", func(t *testing.T) { y.classy(t, demo.management) })
	step(t, "clusters of one name are deleted in every order", func(t *testing.T) { y.clustersOfOneName(t, demo.management) })
	devices.check(t)
}

// rollOut gives the workers a new template and waits until all run from it.
func (l *lead) rollOut(t *testing.T, workload string) {
	t.Helper()
	before, err := l.machines(t.Context(), workers)
	if err != nil {
		t.Fatal(err)
	}
	l.apply(t, `
apiVersion: infrastructure.cluster.x-k8s.io/v1beta2
kind: PacketMachineTemplate
metadata:
  name: demo-workers-second
spec:
  template:
    spec:
      machineType: c3.small.x86
      os: ubuntu_24_04
      metro: da
      tags: [second]
`)
	l.kubectl(t, "patch", "machinedeployment", "demo-workers", "--type=merge", "-p",
		`{"spec":{"template":{"spec":{"infrastructureRef":{"name":"demo-workers-second"}}}}}`)
	eventually(t, "the workers are of the second template", func(ctx context.Context) error {
		owned, err := l.ownDevices(ctx, t)
		if err != nil {
			return err
		}
		second := 0
		for _, device := range owned {
			if slices.Contains(device.Tags, "second") {
				second++
			}
			for _, machine := range before {
				if device.Hostname == machine.Name {
					return fmt.Errorf("device %s is still there", device.Hostname)
				}
			}
		}
		if second != len(before) {
			return fmt.Errorf("%d devices have the tag of the second template, want %d", second, len(before))
		}
		return nil
	})
	l.settles(t, workload, 1, len(before))
}

// drain deletes a worker whose pods may not go, and lets them go.
func (l *lead) drain(t *testing.T, workload string) {
	t.Helper()
	file := filepath.Join(l.home, "guarded.yaml")
	if err := os.WriteFile(file, []byte(`
apiVersion: apps/v1
kind: Deployment
metadata:
  name: guarded
spec:
  replicas: 2
  selector:
    matchLabels: {app: guarded}
  template:
    metadata:
      labels: {app: guarded}
    spec:
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: DoNotSchedule
          labelSelector:
            matchLabels: {app: guarded}
      containers:
        - name: guarded
          image: nginx
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: guarded
spec:
  minAvailable: 2
  selector:
    matchLabels: {app: guarded}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	l.yard.kubectl(t, workload, "apply", "-f", file)
	l.yard.kubectl(t, workload, "wait", "deployment/guarded", "--for=condition=Available", "--timeout=120s")
	machines, err := l.machines(t.Context(), workers)
	if err != nil || len(machines) != 2 {
		t.Fatalf("%d workers, %v; want 2", len(machines), err)
	}
	// The third worker has to be there before the pods can move to it.
	l.kubectl(t, "delete", "machine", machines[0].Name, "--wait=false")
	eventually(t, "the deletion waits for the pods", func(ctx context.Context) error {
		message, err := l.tryKubectl(ctx, l.management, "get", "machine", machines[0].Name, "--namespace", l.namespace,
			"-o", `jsonpath={.status.conditions[?(@.type=="Deleting")].message}`)
		if err == nil && !strings.Contains(message, "guarded") {
			err = fmt.Errorf("the condition says %q", message)
		}
		return err
	})
	node, err := get[corev1.Node](l.yard, t.Context(), workload, "node", machines[0].Name)
	if err != nil || !node.Spec.Unschedulable {
		t.Errorf("the node is not cordoned: %+v, %v", node.Spec, err)
	}
	if _, ok := l.devices(t)[machines[0].Name]; !ok {
		t.Error("the device went before its pods")
	}
	l.yard.kubectl(t, workload, "delete", "poddisruptionbudget", "guarded")
	l.settles(t, workload, 1, 2)
	l.yard.kubectl(t, workload, "delete", "deployment", "guarded", "--timeout=120s")
}

// remedy stops the kubelet of a worker, and waits until a reboot healed it.
func (l *lead) remedy(t *testing.T, workload string) {
	t.Helper()
	l.apply(t, `
apiVersion: infrastructure.cluster.x-k8s.io/v1beta2
kind: PacketRemediationTemplate
metadata:
  name: reboot
spec:
  template:
    spec:
      strategy:
        steps: [Reboot]
        timeout: 10m
---
apiVersion: cluster.x-k8s.io/v1beta2
kind: MachineHealthCheck
metadata:
  name: demo-reboot
spec:
  clusterName: demo
  selector:
    matchLabels:
      cluster.x-k8s.io/deployment-name: demo-workers
  checks:
    nodeStartupTimeoutSeconds: 300
    unhealthyNodeConditions:
      - {type: Ready, status: Unknown, timeoutSeconds: 5}
  remediation:
    templateRef:
      apiVersion: infrastructure.cluster.x-k8s.io/v1beta2
      kind: PacketRemediationTemplate
      name: reboot
`)
	machines, err := l.machines(t.Context(), workers)
	if err != nil || len(machines) == 0 {
		t.Fatalf("%d workers, %v", len(machines), err)
	}
	hung := machines[0]
	before := l.devices(t)[hung.Name]
	l.must(t, "exec", hung.Name, "--", "systemctl", "stop", "kubelet")
	eventually(t, "the machine that hangs is being rebooted", func(ctx context.Context) error {
		left, err := l.tryKubectl(ctx, l.management, "get", "packetremediations", "--namespace", l.namespace, "-o", "name")
		if err == nil && !strings.Contains(left, hung.Name) {
			err = fmt.Errorf("there is no PacketRemediation of it: %q", left)
		}
		return err
	})
	l.settles(t, workload, 1, len(machines))
	eventually(t, "the remediation is over", func(ctx context.Context) error {
		left, err := l.tryKubectl(ctx, l.management, "get", "packetremediations", "--namespace", l.namespace, "-o", "name")
		if err == nil && left != "" {
			err = fmt.Errorf("left: %s", left)
		}
		return err
	})
	if after := l.devices(t)[hung.Name]; after.ID != before.ID {
		t.Errorf("machine %s was device %s and is %q: it was replaced", hung.Name, before.ID, after.ID)
	}
	l.kubectl(t, "delete", "machinehealthcheck", "demo-reboot")
	l.kubectl(t, "delete", "packetremediationtemplate", "reboot")
}

// heal powers a worker off and waits until a health check replaced it.
func (l *lead) heal(t *testing.T, workload string) {
	t.Helper()
	l.apply(t, `
apiVersion: cluster.x-k8s.io/v1beta2
kind: MachineHealthCheck
metadata:
  name: demo-workers
spec:
  clusterName: demo
  selector:
    matchLabels:
      cluster.x-k8s.io/deployment-name: demo-workers
  checks:
    nodeStartupTimeoutSeconds: 300
    unhealthyNodeConditions:
      - {type: Ready, status: Unknown, timeoutSeconds: 5}
      - {type: Ready, status: "False", timeoutSeconds: 60}
`)
	machines, err := l.machines(t.Context(), workers)
	if err != nil || len(machines) == 0 {
		t.Fatalf("%d workers, %v", len(machines), err)
	}
	dead := machines[0]
	client, _ := l.api(t)
	if err := client.DeviceAction(t.Context(), l.devices(t)[dead.Name].ID, packet.DeviceAction{Type: packet.ActionPowerOff}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the dead machine is gone", func(ctx context.Context) error {
		if _, ok := l.devices(t)[dead.Name]; ok {
			return fmt.Errorf("its device is still there")
		}
		return nil
	})
	l.settles(t, workload, 1, len(machines))
	l.kubectl(t, "delete", "machinehealthcheck", "demo-workers")
}
