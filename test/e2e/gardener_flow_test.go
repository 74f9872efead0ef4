//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	"github.com/gardener/gardener/pkg/utils/kubernetes/health"

	"github.com/packetyard/packetyard/pkg/packet"
)

const (
	// componentInterval is how often Gardener's components look whether an extension has done its work.
	componentInterval = 500 * time.Millisecond
	// componentThreshold is for how long an extension may report an error before Gardener's components give up.
	componentThreshold = time.Minute
)

// pool is the Shoot's worker pool.
func (h *hosted) pool() *gardencorev1beta1.Worker { return &h.shoot.Spec.Provider.Workers[0] }

// wants sets how many machines of which type the Shoot's owner wants.
func (h *hosted) wants(machineType string, machines int32) {
	h.pool().Machine.Type, h.pool().Minimum, h.pool().Maximum = machineType, machines, machines
}

// reconcile does what gardenlet does when a Shoot has changed, in its order, and waits until the Shoot has the nodes that it is to have.
func (h *hosted) reconcile(t *testing.T) {
	t.Helper()
	h.syncCluster(t)
	h.newComponents(t)
	deployComponent(t, "the Infrastructure", h.infrastructure)
	// gardenlet gives up here if it does not know the nodes' network, which is before there is any machine.
	if networks := h.infrastructure.NodesCIDRs(); len(networks) != 1 {
		t.Fatalf("the Infrastructure says that nodes are in %v", networks)
	}
	h.deployControlPlane(t, h.controlPlane.Deploy)
	if !*h.shoot.Spec.Hibernation.Enabled {
		h.deployMachineControllerManager(t)
	}
	h.deployWorker(t, h.worker.Deploy)
	h.hasNodes(t)
}

// deployControlPlane deploys the ControlPlane, and waits for the cloud controller manager that it stands for.
func (h *hosted) deployControlPlane(t *testing.T, deploy func(context.Context) error) {
	t.Helper()
	h.controlPlane.SetInfrastructureProviderStatus(h.status(t))
	tryAgain(t, "deploying the ControlPlane", deploy)
	if err := h.controlPlane.Wait(t.Context()); err != nil {
		t.Fatalf("waiting for the ControlPlane: %v", err)
	}
	h.runs(t, "cloud-controller-manager")
}

// deployMachineControllerManager deploys machine-controller-manager, to which the extension's webhook adds the machine driver.
func (h *hosted) deployMachineControllerManager(t *testing.T) {
	t.Helper()
	tryAgain(t, "deploying machine-controller-manager", h.machines.Deploy)
	containers := h.runs(t, v1beta1constants.DeploymentNameMachineControllerManager).Spec.Template.Spec.Containers
	if !slices.ContainsFunc(containers, func(c corev1.Container) bool { return c.Name == "machine-controller-manager-provider-packet" }) {
		t.Errorf("the pod of machine-controller-manager has no driver, but %v", containers)
	}
}

// deployWorker makes the machines' user data and deploys the Worker.
func (h *hosted) deployWorker(t *testing.T, deploy func(context.Context) error) {
	t.Helper()
	h.worker.SetInfrastructureProviderStatus(h.status(t))
	h.worker.SetWorkerPoolNameToOperatingSystemConfigsMap(h.userData(t, h))
	tryAgain(t, "deploying the Worker", deploy)
	if err := h.worker.Wait(t.Context()); err != nil {
		t.Fatalf("waiting for the Worker: %v", err)
	}
}

// runs waits until a Deployment of the Shoot's namespace has as many healthy pods as it asks for.
func (h *hosted) runs(t *testing.T, name string) *appsv1.Deployment {
	t.Helper()
	deployment := &appsv1.Deployment{}
	eventually(t, name+" runs on "+h.object.Name, func(ctx context.Context) error {
		if err := h.clients.Client().Get(ctx, client.ObjectKey{Namespace: h.namespace(), Name: name}, deployment); err != nil {
			return err
		}
		if deployment.Status.UpdatedReplicas != *deployment.Spec.Replicas {
			return fmt.Errorf("%d of %d pods are as they are to be", deployment.Status.UpdatedReplicas, *deployment.Spec.Replicas)
		}
		return health.CheckDeployment(deployment)
	})
	return deployment
}

// hasNodes waits until the Shoot has as many workers as it is to have, each initialised by the cloud controller manager and Ready,
// and checks that the API has no device of it beside them.
func (h *hosted) hasNodes(t *testing.T) {
	t.Helper()
	want := int(h.pool().Minimum)
	if *h.shoot.Spec.Hibernation.Enabled {
		want = 0
	}
	eventually(t, fmt.Sprintf("the Shoot has %d nodes of type %s", want, h.pool().Machine.Type), func(ctx context.Context) error {
		nodes, err := get[corev1.NodeList](h.yard, ctx, h.target, "nodes", "-l", "!node-role.kubernetes.io/control-plane")
		if err != nil {
			return err
		}
		if len(nodes.Items) != want {
			return fmt.Errorf("%d nodes, want %d", len(nodes.Items), want)
		}
		for _, node := range nodes.Items {
			if got := node.Labels[corev1.LabelInstanceTypeStable]; got != h.pool().Machine.Type {
				return fmt.Errorf("node %s is a %s", node.Name, got)
			}
			if err := initialised(node); err != nil {
				return fmt.Errorf("node %s: %w", node.Name, err)
			}
		}
		return nil
	})
	if devices := h.ownDevices(t); len(devices) != want {
		t.Errorf("%d devices, want %d", len(devices), want)
	}
}

// initialised finds what a node lacks of that which kubelet and cloud controller manager tell of it.
func initialised(node corev1.Node) error {
	ready := slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
	waits := slices.ContainsFunc(node.Spec.Taints, func(taint corev1.Taint) bool { return taint.Key == "node.cloudprovider.kubernetes.io/uninitialized" })
	if !ready || waits || !strings.HasPrefix(node.Spec.ProviderID, "packet://") || node.Labels[corev1.LabelTopologyRegion] != "da" {
		return fmt.Errorf("ready %t, waits for the cloud controller manager %t, provider ID %q, labels %v", ready, waits, node.Spec.ProviderID, node.Labels)
	}
	return nil
}

// ownDevices are the Shoot's devices that are not on their way out, by their IDs.
func (h *hosted) ownDevices(t *testing.T) map[string]packet.Device {
	t.Helper()
	found := map[string]packet.Device{}
	for _, device := range h.devices(t) {
		if slices.Contains(device.Tags, "kubernetes.io/cluster/"+h.namespace()) && device.State != packet.StateDeprovisioning {
			found[device.ID] = device
		}
	}
	return found
}

// delete deletes all that the extension made for the Shoot, in gardenlet's order, and looks for what is left in the API.
func (h *hosted) delete(t *testing.T) {
	t.Helper()
	h.syncCluster(t)
	destroyComponent(t, "the Worker", h.worker)
	destroyComponent(t, "machine-controller-manager", h.machines)
	destroyComponent(t, "the ControlPlane", h.controlPlane)
	destroyComponent(t, "the Infrastructure", h.infrastructure)
	if devices := h.ownDevices(t); len(devices) != 0 {
		t.Errorf("%d devices are left", len(devices))
	}
	api, project := h.api(t)
	keys, err := api.ProjectSSHKeys(t.Context(), project)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		if strings.Contains(key.Label, h.namespace()) {
			t.Errorf("the key %s is left", key.Label)
		}
	}
	reservations, err := api.IPReservations(t.Context(), project)
	if err != nil {
		t.Fatal(err)
	}
	for _, reservation := range reservations {
		if slices.ContainsFunc(reservation.Tags, func(tag string) bool { return strings.Contains(tag, h.namespace()) }) {
			t.Errorf("the addresses %s/%d are left", reservation.Network, reservation.CIDR)
		}
	}
	networks, err := api.VirtualNetworks(t.Context(), project)
	if err != nil {
		t.Fatal(err)
	}
	if len(networks) != 0 {
		t.Errorf("%d VLANs are left", len(networks))
	}
}
