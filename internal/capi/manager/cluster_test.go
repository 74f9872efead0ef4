package manager_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

// TestExampleClusters runs the examples as far as one can without machines: to a master's device with the user data that
// would run kubeadm, the elastic IP on it, and a kubeconfig; and back to nothing.
func TestExampleClusters(t *testing.T) {
	api := apiservertest.Start(t, apiservertest.Options{})
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: manager.DefaultNamespace, Name: "packet-api-credentials"},
		StringData: map[string]string{"apiURL": api.URL, "apiToken": api.Token, "projectID": api.ProjectID},
	}
	if err := env.Client.Create(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"cluster.yaml", "cluster-kubeadmcontrolplane.yaml"} {
		t.Run(file, func(t *testing.T) { runExample(t, api, file) })
	}
}

func runExample(t *testing.T, api *apiservertest.Server, file string) {
	namespace, began := env.Namespace(t), time.Now()
	if out, err := env.Kubectl(t.Context(), "apply", "-n", namespace, "-f", filepath.Join("..", "..", "..", "example", file)); err != nil {
		t.Fatal(out, err)
	}
	clusters := &clusterv1.ClusterList{}
	if err := env.Client.List(t.Context(), clusters, client.InNamespace(namespace)); err != nil || len(clusters.Items) != 1 {
		t.Fatalf("%d clusters, %v", len(clusters.Items), err)
	}
	cluster := &clusters.Items[0]

	var master packet.Device
	processtest.Succeeds(t, 30*time.Second, "the control plane has a device", func() error {
		devices, err := api.Client(t).Devices(t.Context(), api.ProjectID, packet.DeviceFilter{Tag: packet.TagRoleMaster})
		if err != nil {
			return err
		}
		if len(devices) != 1 {
			return fmt.Errorf("%d masters: %s", len(devices), describe(t, namespace))
		}
		master = devices[0]
		return nil
	})
	t.Logf("the master was asked for after %s", time.Since(began))
	if !strings.Contains(master.Userdata, "kubeadm init") {
		t.Error("the user data of the master does not run kubeadm init")
	}
	processtest.Succeeds(t, 30*time.Second, "there is a kubeconfig of the endpoint", func() error {
		kubeconfig := &corev1.Secret{}
		if err := env.Client.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: cluster.Name + "-kubeconfig"}, kubeconfig); err != nil {
			return err
		}
		if err := env.Client.Get(t.Context(), client.ObjectKeyFromObject(cluster), cluster); err != nil {
			return err
		}
		if server := "https://" + cluster.Spec.ControlPlaneEndpoint.String(); !strings.Contains(string(kubeconfig.Data["value"]), server) {
			return fmt.Errorf("the kubeconfig does not lead to %s", server)
		}
		return nil
	})
	t.Logf("there was a kubeconfig after %s", time.Since(began))
	processtest.Succeeds(t, 30*time.Second, "the master has the endpoint's address", func() error {
		device, err := api.Client(t).Device(t.Context(), master.ID)
		if err != nil {
			return err
		}
		for _, ip := range device.IPAddresses {
			if ip.Address == cluster.Spec.ControlPlaneEndpoint.Host {
				return nil
			}
		}
		return fmt.Errorf("the master has no address %s", cluster.Spec.ControlPlaneEndpoint.Host)
	})
	// Workers say what they wait for, and Cluster API passes it on.
	processtest.Succeeds(t, 30*time.Second, "a Machine says what it waits for", func() error {
		machines := &clusterv1.MachineList{}
		if err := env.Client.List(t.Context(), machines, client.InNamespace(namespace)); err != nil {
			return err
		}
		for n := range machines.Items {
			if conditions.GetReason(&machines.Items[n], clusterv1.MachineInfrastructureReadyCondition) == infrav1.DeviceWaitingForControlPlaneReason {
				return nil
			}
		}
		return fmt.Errorf("no Machine of %d has the reason %s", len(machines.Items), infrav1.DeviceWaitingForControlPlaneReason)
	})
	t.Logf("all was as it should be after %s", time.Since(began))

	if err := env.Client.Delete(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
	deleted := time.Now()
	processtest.Succeeds(t, 90*time.Second, "the Cluster is gone", func() error {
		if err := env.Client.Get(t.Context(), client.ObjectKeyFromObject(cluster), cluster); !apierrors.IsNotFound(err) {
			return fmt.Errorf("the Cluster is still there: %w\n%s", err, describe(t, namespace))
		}
		return nil
	})
	t.Logf("the Cluster was gone %s after its deletion", time.Since(deleted))
	devices, err := api.Client(t).Devices(t.Context(), api.ProjectID, packet.DeviceFilter{})
	if err != nil || len(devices) != 0 {
		t.Errorf("%d devices are left, %v", len(devices), err)
	}
	reservations, err := api.Client(t).IPReservations(t.Context(), api.ProjectID)
	if err != nil {
		t.Fatal(err)
	}
	for _, reservation := range reservations {
		if !reservation.Management {
			t.Errorf("elastic IP %s is left", reservation.Address)
		}
	}
}

// describe shows the state of a cluster, for errors.
func describe(t *testing.T, namespace string) string {
	t.Helper()
	out, err := env.Kubectl(t.Context(), "get", "-n", namespace, "-o", "wide",
		"clusters,machines,machinesets,packetclusters,packetmachines,kubeadmconfigs,kubeadmcontrolplanes")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return out
}
