package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util/conditions"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/capi/manager"
	"github.com/packetyard/packetyard/internal/processtest"
	"github.com/packetyard/packetyard/pkg/packet"
)

// `clusterctl move` takes a cluster from one bootstrap cluster to another and back. The devices and the address stay as they
// are: none is made, none goes, and the statuses are what they were. The cluster has credentials of its own, which move along.
func TestMoveKeepsEveryDevice(t *testing.T) {
	api := apiservertest.Start(t, apiservertest.Options{})
	from, to := startBootstrap(t), startBootstrap(t)
	workload := startBootstrap(t)
	managers := []*process{}
	for _, b := range []*bootstrap{from, to} {
		b.applyComponents(t)
		// The manager has no credentials: they are the cluster's own.
		for _, p := range b.runManagers(t) {
			managers = append(managers, p)
		}
	}
	from.workingCluster(t, api, workload)
	before := packetState(t, api)

	c := newClusterctl(t, builtManifests(t), "KUBECONFIG="+from.kubeconfig)
	c.run(t, "move", "--to-kubeconfig", to.kubeconfig)
	from.hasNoClusters(t)
	to.clusterWorks(t)
	if got := packetState(t, api); got != before {
		t.Errorf("after the move the Packet API has\n%s\nbefore it had\n%s", got, before)
	}
	c.run(t, "move", "--kubeconfig", to.kubeconfig, "--to-kubeconfig", from.kubeconfig)
	to.hasNoClusters(t)
	from.clusterWorks(t)
	if got := packetState(t, api); got != before {
		t.Errorf("after the move back the Packet API has\n%s\nbefore it had\n%s", got, before)
	}

	// By way of files, as after a disaster.
	folder := t.TempDir()
	c.run(t, "move", "--to-directory", folder)
	if files, err := os.ReadDir(folder); err != nil || len(files) < 5 {
		t.Errorf("%d files were written, %v", len(files), err)
	}
	from.deleteClusters(t)
	nothingLeft(t, api)
	for _, p := range managers {
		p.lacksNoRight(t)
	}
}

// workingCluster makes the example cluster with credentials of its own, on devices without machines: what kubeadm and
// kubelets would do, the test does, in another API server, which plays the workload cluster.
func (b *bootstrap) workingCluster(t *testing.T, api *apiservertest.Server, workload *bootstrap) {
	t.Helper()
	kubeconfig, err := os.ReadFile(workload.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []*corev1.Secret{
		{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "demo-kubeconfig", Labels: map[string]string{clusterv1.ClusterNameLabel: "demo"}},
			Type:       clusterv1.ClusterSecretType,
			Data:       map[string][]byte{"value": kubeconfig},
		},
		{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "demo-packet"},
			StringData: map[string]string{"apiURL": api.URL, "apiToken": api.Token, "projectID": api.ProjectID},
		},
	} {
		if err := b.client.Create(t.Context(), secret); err != nil {
			t.Fatal(err)
		}
	}
	example, err := os.ReadFile(filepath.Join("..", "..", "example", "cluster.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(example), "spec:\n  metro: da\n", "spec:\n  credentialsRef:\n    name: demo-packet\n  metro: da\n", 1)
	file := filepath.Join(t.TempDir(), "cluster.yaml")
	if err := os.WriteFile(file, []byte(changed), 0o600); err != nil || changed == string(example) {
		t.Fatalf("the example has no place for credentials, %v", err)
	}
	b.kubectl(t, "apply", "-f", file)
	processtest.Succeeds(t, 2*minute, "the master has a device", func() error { return hasDevices(t, api, 1) })
	workload.joinNodes(t, api)
	processtest.Succeeds(t, 3*minute, "the workers have devices", func() error { return hasDevices(t, api, 3) })
	workload.joinNodes(t, api)
	b.clusterWorks(t)
}

// joinNodes makes a node for every device, as a kubelet would.
func (b *bootstrap) joinNodes(t *testing.T, api *apiservertest.Server) {
	t.Helper()
	devices, err := api.Client(t).Devices(t.Context(), api.ProjectID, packet.DeviceFilter{})
	if err != nil {
		t.Fatal(err)
	}
	for n := range devices {
		node := &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: devices[n].Hostname},
			Spec:       corev1.NodeSpec{ProviderID: "packet://" + devices[n].ID},
		}
		if err := b.client.Create(t.Context(), node); apierrors.IsAlreadyExists(err) {
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: metav1.Now()}}
		if err := b.client.Status().Update(t.Context(), node); err != nil {
			t.Fatal(err)
		}
	}
}

// clusterWorks waits until the cluster and its three machines are what they were.
func (b *bootstrap) clusterWorks(t *testing.T) {
	t.Helper()
	processtest.Succeeds(t, 3*minute, "the cluster works", func() error {
		machines := &clusterv1.MachineList{}
		if err := b.client.List(t.Context(), machines, client.InNamespace("default")); err != nil {
			return err
		}
		cluster := &clusterv1.Cluster{}
		if err := b.client.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "demo"}, cluster); err != nil {
			return err
		}
		packetMachines := &infrav1.PacketMachineList{}
		if err := b.client.List(t.Context(), packetMachines, client.InNamespace("default")); err != nil {
			return err
		}
		nodes := 0
		for n := range machines.Items {
			if machines.Items[n].Status.NodeRef.IsDefined() {
				nodes++
			}
		}
		ready := 0
		for n := range packetMachines.Items {
			if conditions.IsTrue(&packetMachines.Items[n], clusterv1.ReadyCondition) && len(packetMachines.Items[n].Status.Addresses) > 0 {
				ready++
			}
		}
		if len(machines.Items) != 3 || nodes != 3 || ready != 3 || !conditions.IsTrue(cluster, clusterv1.ClusterControlPlaneInitializedCondition) {
			return fmt.Errorf("%d Machines, %d nodes, %d ready\n%s", len(machines.Items), nodes, ready,
				b.kubectl(t, "get", "clusters,packetclusters,machines,packetmachines", "-o", "wide"))
		}
		return nil
	})
}

func (b *bootstrap) hasNoClusters(t *testing.T) {
	t.Helper()
	out := b.kubectl(t, "get", "-A", "-o", "name", "clusters,machines,packetclusters,packetmachines,packetmachinetemplates,kubeadmconfigs")
	if out = strings.TrimSpace(out); out != "" && !strings.HasPrefix(out, "No resources") {
		t.Errorf("after the move there are still\n%s", out)
	}
	secret := &corev1.Secret{}
	if err := b.client.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "demo-packet"}, secret); !apierrors.IsNotFound(err) {
		t.Errorf("the credentials of the cluster were left behind: %v", err)
	}
	if err := b.client.Get(t.Context(), client.ObjectKey{Namespace: manager.DefaultNamespace, Name: manager.DefaultWebhookSecret}, secret); err != nil {
		t.Errorf("the manager's own Secret: %v", err)
	}
}

// packetState is every device and address of the project, with all by which one could tell that it was made anew.
func packetState(t *testing.T, api *apiservertest.Server) string {
	t.Helper()
	devices, err := api.Client(t).Devices(t.Context(), api.ProjectID, packet.DeviceFilter{})
	if err != nil {
		t.Fatal(err)
	}
	var state []string
	for n := range devices {
		tags := slices.Clone(devices[n].Tags)
		slices.Sort(tags)
		state = append(state, fmt.Sprintf("device %s %s %v", devices[n].ID, devices[n].Hostname, tags))
	}
	reservations, err := api.Client(t).IPReservations(t.Context(), api.ProjectID)
	if err != nil {
		t.Fatal(err)
	}
	for n := range reservations {
		state = append(state, fmt.Sprintf("address %s %s %d", reservations[n].ID, reservations[n].Address, len(reservations[n].Assignments)))
	}
	slices.Sort(state)
	return strings.Join(state, "\n")
}
