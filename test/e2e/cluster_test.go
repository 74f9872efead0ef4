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
	"time"
)

// statusOutput is the part of `packetyard status -o json` that is checked.
type statusOutput struct {
	Parts []struct {
		Name   string
		Up     bool
		Detail string
	}
	Machines []struct {
		Device *struct {
			ID, Hostname, State string
			Addresses           []string
		}
		Power *struct {
			Power       string
			MemoryBytes int64
		}
		Machine *struct {
			Cluster, Name, Phase string
			ControlPlane         bool
		}
		Node *struct {
			Name        string
			Ready       bool
			Initialized bool
		}
	}
}

func (y *yard) status(t *testing.T) statusOutput {
	t.Helper()
	var status statusOutput
	if err := json.Unmarshal([]byte(y.must(t, "status", "-o", "json")), &status); err != nil {
		t.Fatal(err)
	}
	return status
}

// step runs a subtest that the following ones build on.
func step(t *testing.T, name string, run func(*testing.T)) {
	t.Helper()
	if !t.Run(name, run) {
		t.FailNow()
	}
}

// TestCluster is the way of a user: one yard, a cluster from the example file,
// all that one does with it, and its end.
func TestCluster(t *testing.T) {
	y := newYard(t)

	step(t, "an unknown field is refused before anything is created", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "cluster.yaml")
		example := strings.Replace(exampleCluster(t), "metro: da", "metroo: da", 1)
		if err := os.WriteFile(file, []byte(example), 0o600); err != nil {
			t.Fatal(err)
		}
		code, output := y.run(t.Context(), "up", "-f", file)
		for _, want := range []string{file, `PacketCluster "demo"`, `unknown field "spec.metroo"`} {
			if code == 0 || !strings.Contains(output, want) {
				t.Errorf("up ended with %d, want a failure with %q:\n%s", code, want, output)
			}
		}
		if _, err := os.Stat(y.state); !os.IsNotExist(err) {
			t.Errorf("the state directory was made: %v", err)
		}
	})

	step(t, "up", func(t *testing.T) {
		began := time.Now()
		output := y.must(t, "up")
		t.Logf("up took %s:\n%s", time.Since(began).Round(100*time.Millisecond), output)
		for _, want := range []string{"export KUBECONFIG=", "demo-master-0", "Cluster demo is ready"} {
			if !strings.Contains(output, want) {
				t.Errorf("the output lacks %q", want)
			}
		}
	})
	demo, bootstrap := y.kubeconfig(t, ""), y.kubeconfig(t, "bootstrap")

	step(t, "nodes are Ready and initialised", func(t *testing.T) {
		if err := y.checkNodes(t.Context(), demo, 3); err != nil {
			t.Fatal(err)
		}
	})

	step(t, "pods have networks of their own", func(t *testing.T) { y.podsConverse(t, demo) })

	step(t, "status shows devices, machines and nodes side by side", func(t *testing.T) {
		status := y.status(t)
		for _, part := range status.Parts {
			if !part.Up {
				t.Errorf("%s is down: %s", part.Name, part.Detail)
			}
		}
		if len(status.Machines) != 4 {
			t.Errorf("%d machines, want bootstrap, one control plane and two workers", len(status.Machines))
		}
		for _, machine := range status.Machines {
			if machine.Device == nil || machine.Power == nil || machine.Node == nil {
				t.Errorf("a machine is not known everywhere: %+v", machine)
				continue
			}
			if !machine.Node.Ready || machine.Device.State != "active" || machine.Power.Power != "on" {
				t.Errorf("machine %s: %+v %+v %+v", machine.Device.Hostname, machine.Device, machine.Power, machine.Node)
			}
			if machine.Device.Hostname != "bootstrap" && (machine.Machine == nil || machine.Machine.Phase != "Running") {
				t.Errorf("machine %s: Cluster API says %+v", machine.Device.Hostname, machine.Machine)
			}
			t.Logf("%s has %d MiB resident", machine.Device.Hostname, machine.Power.MemoryBytes>>20)
		}
		t.Logf("\n%s", y.must(t, "status"))
	})

	step(t, "exec and console", func(t *testing.T) {
		if got := y.must(t, "exec", "--", "hostname"); got != "demo-master-0\n" {
			t.Errorf("the default machine is %q, want the control plane", got)
		}
		code, output := y.run(t.Context(), "exec", "bootstrap", "--", "sh", "-c", "echo out; exit 42")
		if code != 42 || output != "out\n" {
			t.Errorf("exit code %d, output %q; want 42 and what it printed", code, output)
		}
		code, output = y.run(t.Context(), "exec", "nobody", "--", "true")
		if code == 0 || !strings.Contains(output, "demo-master-0") {
			t.Errorf("an unknown machine: code %d, %s; want the names of those that exist", code, output)
		}
		if output := y.must(t, "console", "demo-master-0"); !strings.Contains(output, "kubeadm") {
			t.Errorf("the console does not show kubeadm:\n%s", output)
		}
	})

	step(t, "the kubeconfig is private and works from here", func(t *testing.T) {
		for _, path := range []string{demo, bootstrap} {
			info, err := os.Stat(path)
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v; want mode 0600", path, info.Mode(), err)
			}
		}
		printed := filepath.Join(t.TempDir(), "printed.kubeconfig")
		if err := os.WriteFile(printed, []byte(y.must(t, "kubeconfig", "demo")), 0o600); err != nil {
			t.Fatal(err)
		}
		y.kubectl(t, printed, "get", "namespaces")
	})

	step(t, "a Deployment of 10 pods becomes available", func(t *testing.T) {
		y.kubectl(t, demo, "create", "deployment", "ten", "--image=nginx", "--replicas=10")
		y.kubectl(t, demo, "wait", "deployment/ten", "--for=condition=Available", "--timeout=120s")
		eventually(t, "ten pods are ready", func(ctx context.Context) error {
			ready, err := y.tryKubectl(ctx, demo, "get", "deployment", "ten", "-o", "jsonpath={.status.availableReplicas}")
			if err == nil && ready != "10" {
				err = fmt.Errorf("%q are", ready)
			}
			return err
		})
	})

	step(t, "Secrets and tokens are encrypted in etcd", func(t *testing.T) { checkEncryption(t, y) })

	step(t, "clusterctl", func(t *testing.T) {
		describe := y.command(t.Context(), "clusterctl", "describe", "cluster", "demo", "--kubeconfig", bootstrap)
		output, err := describe.CombinedOutput()
		if err != nil {
			t.Errorf("clusterctl describe cluster: %v", err)
		}
		for _, want := range []string{"PacketCluster default/demo", "MachineDeployment default/demo-workers", "demo-master-0"} {
			if !strings.Contains(string(output), want) {
				t.Errorf("clusterctl describe cluster does not show %q:\n%s", want, output)
			}
		}
		output, err = y.command(t.Context(), "clusterctl", "get", "kubeconfig", "demo", "--kubeconfig", bootstrap).Output()
		if err != nil || !strings.Contains(string(output), "client-certificate-data") {
			t.Errorf("clusterctl get kubeconfig: %v", err)
		}
	})

	step(t, "scaling to 4 and to 1", func(t *testing.T) {
		for _, replicas := range []int{4, 1} {
			y.kubectl(t, bootstrap, "scale", "machinedeployment", "demo-workers", fmt.Sprintf("--replicas=%d", replicas))
			eventually(t, fmt.Sprintf("%d workers", replicas), func(ctx context.Context) error {
				if err := y.checkNodes(ctx, demo, 1+replicas); err != nil {
					return err
				}
				if devices := y.devices(t); len(devices) != 2+replicas {
					return fmt.Errorf("%d devices, want %d", len(devices), 2+replicas)
				}
				return nil
			})
		}
	})

	step(t, "up again is harmless", func(t *testing.T) {
		before := y.devices(t)
		output := y.must(t, "up")
		after := y.devices(t)
		if len(after) != len(before) {
			t.Errorf("%d devices, were %d: it changed what was scaled", len(after), len(before))
		}
		for name, device := range before {
			if after[name].ID != device.ID {
				t.Errorf("device %s is another one now", name)
			}
		}
		if !strings.Contains(output, "keeps its 1 replicas") {
			t.Errorf("it does not say that it keeps what was scaled:\n%s", output)
		}
		if err := y.checkNodes(t.Context(), demo, 2); err != nil {
			t.Error(err)
		}
	})

	step(t, "a deleted worker is replaced", func(t *testing.T) {
		workers := y.workers(t, "demo")
		if len(workers) != 1 {
			t.Fatalf("workers %v, want one", workers)
		}
		gone := y.devices(t)[workers[0]].ID
		y.kubectl(t, bootstrap, "delete", "machine", workers[0], "--timeout=120s")
		eventually(t, "a new worker is Ready", func(ctx context.Context) error {
			if err := y.checkNodes(ctx, demo, 2); err != nil {
				return err
			}
			if slices.Contains(y.workers(t, "demo"), workers[0]) {
				return fmt.Errorf("%s is still there", workers[0])
			}
			devices := y.devices(t)
			for _, device := range devices {
				if device.ID == gone {
					return fmt.Errorf("device %s is still there", gone)
				}
			}
			if len(devices) != 3 {
				return fmt.Errorf("%d devices, want 3", len(devices))
			}
			return nil
		})
	})

	step(t, "deleting the Cluster leaves nothing in the API", func(t *testing.T) { deleteCluster(t, y, "demo") })

	step(t, "a failed bootstrap stops up with the console", func(t *testing.T) { checkFailedBootstrap(t, y) })

	step(t, "the example with a KubeadmControlPlane", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "cluster.yaml")
		if err := os.WriteFile(file, []byte(exampleControlPlane(t)), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s", y.must(t, "up", "-f", file, "--workers", "1"))
		if err := y.checkNodes(t.Context(), y.kubeconfig(t, ""), 2); err != nil {
			t.Error(err)
		}
	})

	step(t, "down leaves nothing", func(t *testing.T) { checkDown(t, y) })
}

// deleteCluster deletes a cluster and finds what is left of it in the API.
func deleteCluster(t *testing.T, y *yard, name string) {
	t.Helper()
	y.kubectl(t, y.kubeconfig(t, "bootstrap"), "delete", "cluster", name, "--timeout=180s")
	client, project := y.api(t)
	eventually(t, "nothing is left of cluster "+name, func(ctx context.Context) error {
		devices := y.devices(t)
		if _, ok := devices["bootstrap"]; !ok || len(devices) != 1 {
			return fmt.Errorf("%d devices, want the bootstrap machine alone", len(devices))
		}
		reservations, err := client.IPReservations(ctx, project)
		if err != nil {
			return err
		}
		for _, reservation := range reservations {
			if !reservation.Management {
				return fmt.Errorf("the address %s is still reserved", reservation.Address)
			}
		}
		keys, err := client.ProjectSSHKeys(ctx, project)
		if err == nil && len(keys) > 0 {
			err = fmt.Errorf("%d SSH keys are left", len(keys))
		}
		return err
	})
	// What the cluster's controllers kept in the bootstrap cluster goes, too.
	eventually(t, "its kubeconfig is gone", func(ctx context.Context) error {
		code, output := y.run(ctx, "kubeconfig", name)
		if code == 0 {
			return fmt.Errorf("there still is one")
		}
		if !strings.Contains(output, "no cluster") {
			return fmt.Errorf("the error is %s", output)
		}
		return nil
	})
}
