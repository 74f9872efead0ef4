//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/packetyard/packetyard/pkg/packet"
)

// lead is a cluster as its management cluster sees it.
type lead struct {
	*yard
	// management is the kubeconfig of the cluster that the objects are in.
	management string
	namespace  string
	name       string
}

// kubectl runs kubectl in the cluster's namespace of the management cluster.
// As a user would, it tries again where the provider's webhook did not answer.
func (l *lead) kubectl(t *testing.T, arguments ...string) string {
	t.Helper()
	var output string
	eventually(t, "kubectl "+arguments[0], func(ctx context.Context) (err error) {
		output, err = l.tryKubectl(ctx, l.management, append([]string{"--namespace", l.namespace}, arguments...)...)
		if err != nil && !strings.Contains(err.Error(), "failed calling webhook") {
			t.Fatal(err)
		}
		return err
	})
	return output
}

// apply applies a manifest in the cluster's namespace.
func (l *lead) apply(t *testing.T, manifest string) {
	t.Helper()
	// kubectl takes a comma in a path for the end of it, and tests have commas
	// in their names.
	file := filepath.Join(l.home, rand.Text()+".yaml")
	if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	l.kubectl(t, "apply", "--server-side", "-f", file)
}

// generate is what `clusterctl generate cluster` prints.
func (l *lead) generate(t *testing.T, arguments ...string) string {
	t.Helper()
	return l.clusterctl(t, append([]string{"generate", "cluster", l.name, "--target-namespace", l.namespace}, arguments...)...)
}

// clusterctl runs clusterctl with the management cluster, and returns what it
// printed to its output.
func (l *lead) clusterctl(t *testing.T, arguments ...string) string {
	t.Helper()
	command := l.command(t.Context(), "clusterctl", arguments...)
	command.Env = append(command.Env, "KUBECONFIG="+l.management)
	var problems bytes.Buffer
	command.Stderr = &problems
	output, err := command.Output()
	if err != nil {
		t.Fatalf("clusterctl %s: %v\n%s%s", strings.Join(arguments, " "), err, output, problems.String())
	}
	return string(output)
}

// workload writes the cluster's kubeconfig to a file, as soon as there is one,
// and returns its path.
func (l *lead) workload(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), l.name+".kubeconfig")
	eventually(t, "the kubeconfig of "+l.namespace+"/"+l.name, func(ctx context.Context) error {
		command := l.command(ctx, "clusterctl", "get", "kubeconfig", l.name, "--namespace", l.namespace, "--kubeconfig", l.management)
		output, err := command.Output()
		if err != nil {
			return err
		}
		return os.WriteFile(path, l.reachable(t, output), 0o600)
	})
	return path
}

// machines returns the Machines of the cluster that are not being deleted.
func (l *lead) machines(ctx context.Context, selector string) ([]clusterv1.Machine, error) {
	labels := clusterv1.ClusterNameLabel + "=" + l.name
	if selector != "" {
		labels += "," + selector
	}
	list, err := get[clusterv1.MachineList](l.yard, ctx, l.management, "machines", "--namespace", l.namespace, "-l", labels)
	return slices.DeleteFunc(list.Items, func(m clusterv1.Machine) bool { return !m.DeletionTimestamp.IsZero() }), err
}

const (
	controlPlanes = clusterv1.MachineControlPlaneLabel
	workers       = "!" + clusterv1.MachineControlPlaneLabel
)

// settles waits until the cluster has so many machines that run, each with its
// own Ready and initialised node, and the API has no device of it beside them.
func (l *lead) settles(t *testing.T, workload string, wantControlPlanes, wantWorkers int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s/%s has %d control planes and %d workers", l.namespace, l.name, wantControlPlanes, wantWorkers), func(ctx context.Context) error {
		for selector, want := range map[string]int{controlPlanes: wantControlPlanes, workers: wantWorkers} {
			machines, err := l.machines(ctx, selector)
			if err != nil {
				return err
			}
			if len(machines) != want {
				return fmt.Errorf("%d machines with %s, want %d", len(machines), selector, want)
			}
			for _, machine := range machines {
				if machine.Status.Phase != string(clusterv1.MachinePhaseRunning) {
					return fmt.Errorf("machine %s is %s", machine.Name, machine.Status.Phase)
				}
			}
		}
		if err := l.checkNodes(ctx, workload, wantControlPlanes+wantWorkers); err != nil {
			return err
		}
		devices, err := l.ownDevices(ctx, t)
		if err != nil {
			return err
		}
		if len(devices) != wantControlPlanes+wantWorkers {
			return fmt.Errorf("%d devices, want %d", len(devices), wantControlPlanes+wantWorkers)
		}
		return nil
	})
}

// ownDevices returns the devices that carry the cluster's tags.
func (l *lead) ownDevices(ctx context.Context, t *testing.T) ([]packet.Device, error) {
	client, project := l.api(t)
	all, err := client.Devices(ctx, project, packet.DeviceFilter{})
	return slices.DeleteFunc(all, func(d packet.Device) bool {
		return !slices.Contains(d.Tags, "capp:cluster-id:"+l.name) || !slices.Contains(d.Tags, "capp:namespace:"+l.namespace)
	}), err
}

// leavesNothing waits until nothing of the cluster is left, in the API or in
// its namespace.
func (l *lead) leavesNothing(t *testing.T) {
	t.Helper()
	client, project := l.api(t)
	eventually(t, "nothing is left of "+l.namespace+"/"+l.name, func(ctx context.Context) error {
		devices, err := l.ownDevices(ctx, t)
		if err != nil {
			return err
		}
		if len(devices) > 0 {
			return fmt.Errorf("%d devices are left", len(devices))
		}
		reservations, err := client.IPReservations(ctx, project)
		if err != nil {
			return err
		}
		for _, reservation := range reservations {
			if slices.Contains(reservation.Tags, "capp:cluster-id:"+l.name) && slices.Contains(reservation.Tags, "capp:namespace:"+l.namespace) {
				return fmt.Errorf("the address %s is still reserved", reservation.Address)
			}
		}
		left, err := l.tryKubectl(ctx, l.management, "get", "clusters,machines,packetclusters,packetmachines", "--namespace", l.namespace,
			"-l", clusterv1.ClusterNameLabel+"="+l.name, "-o", "name")
		if err == nil && strings.TrimSpace(left) != "" {
			err = fmt.Errorf("left in namespace %s: %s", l.namespace, strings.Fields(left))
		}
		return err
	})
	keys, err := client.ProjectSSHKeys(t.Context(), project)
	if err != nil || len(keys) > 0 {
		t.Errorf("%d SSH keys are left, %v", len(keys), err)
	}
}

// census watches the API for devices that exist twice.
type census struct {
	mu  sync.Mutex
	ids map[string]map[string]bool
	end func()
}

// count starts a census, which ends with the test. A machine's name is never
// used again, so two devices of one name belong to one machine.
func (y *yard) count(t *testing.T) *census {
	t.Helper()
	client, project := y.api(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	c := &census{ids: map[string]map[string]bool{}}
	c.end = func() { cancel(); <-done }
	go func() {
		defer close(done)
		ticker := time.NewTicker(250 * time.Millisecond)
		defer ticker.Stop()
		for {
			// The API server may be down for a while, or answer with an error that
			// the test asked for.
			if devices, err := client.Devices(ctx, project, packet.DeviceFilter{}); err == nil {
				c.add(devices)
			}
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	}()
	t.Cleanup(c.end)
	return c
}

func (c *census) add(devices []packet.Device) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, device := range devices {
		if c.ids[device.Hostname] == nil {
			c.ids[device.Hostname] = map[string]bool{}
		}
		c.ids[device.Hostname][device.ID] = true
	}
}

// check fails if a machine had two devices.
func (c *census) check(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, ids := range c.ids {
		if len(ids) > 1 {
			t.Errorf("machine %s had %d devices: %v", name, len(ids), slices.Sorted(maps.Keys(ids)))
		}
	}
	t.Logf("%d machines had a device each", len(c.ids))
}
