//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	machinev1alpha1 "github.com/gardener/machine-controller-manager/pkg/apis/machine/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"

	"github.com/packetyard/packetyard/example"
	"github.com/packetyard/packetyard/pkg/packet"
)

const (
	// autoPool is the pool that machine-controller-manager updates one machine after the other, manualPool the one whose machines its
	// owner selects.
	autoPool, manualPool = "auto", "manual"
	// olderKubelet and newerKubelet are versions that the machine image has. The API server has the newer one.
	olderKubelet, newerKubelet = "1.35.4", "1.36.4"
	olderImage, newerImage     = "24.4.0", "24.4.1"
)

// TestInPlaceUpdate has machines boot by Gardener's OperatingSystemConfig, as the extension's webhook changed it, and updates them
// without another device: by Gardener's Worker component, the extension, machine-controller-manager and Gardener's node agent.
func TestInPlaceUpdate(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	step(t, "up", func(t *testing.T) { upForGardener(t, y) })
	s := newSeed(t, y, "first", y.kubeconfig(t, "bootstrap"))
	garden := newGarden(t, y)
	step(t, "a seed", s.prepare)
	step(t, "the extension", func(t *testing.T) { s.ready(t, garden.install(t, s)) })
	s.startOperatingSystem(t, "ubuntu")
	h := newHosted(t, s, "demo", "em-place")
	h.userData = byOperatingSystemConfig
	step(t, "a Shoot's control plane", func(t *testing.T) {
		h.poolsInPlace()
		h.prepare(t)
	})
	testInPlaceUpdate(t, h)
}

func testInPlaceUpdate(t *testing.T, h *hosted) {
	step(t, "machines boot by Gardener's OperatingSystemConfig", func(t *testing.T) {
		h.deploy(t)
		h.runsKubelets(t, map[string]string{autoPool: olderKubelet, manualPool: newerKubelet})
		h.bootedByGardener(t)
		h.recordsHashes(t, autoPool, manualPool)
	})
	step(t, "a pool is updated in place", func(t *testing.T) {
		before := h.placed(t)
		hash := h.recordsHashes(t, autoPool)[autoPool]
		h.workers(autoPool).Kubernetes.Version = ptr.To(newerKubelet)
		h.deploy(t)
		h.runsKubelets(t, map[string]string{autoPool: newerKubelet, manualPool: newerKubelet})
		h.bootedByGardener(t)
		h.hasStayed(t, before)
		if after := h.recordsHashes(t, autoPool)[autoPool]; after == hash {
			t.Errorf("the Worker's status has the hash %s of the pool before and after its update", hash)
		}
	})
	step(t, "a machine is updated in place when its owner selects it", func(t *testing.T) {
		before := h.placed(t)
		hash := h.recordsHashes(t, manualPool)[manualPool]
		h.workers(manualPool).Machine.Image.Version = ptr.To(newerImage)
		h.deploy(t)
		// The Worker is reconciled, and the machine waits for its owner.
		if after := h.recordsHashes(t, manualPool)[manualPool]; after != hash {
			t.Errorf("the Worker's status has the pool's new hash, and nobody has selected its machine")
		}
		node := h.nodesOf(t, manualPool)[0]
		if node.Labels[machinev1alpha1.LabelKeyNodeCandidateForUpdate] != "true" {
			t.Errorf("%s is no candidate for an update: its labels are %v", node.Name, node.Labels)
		}
		h.kubectl(t, h.target, "label", "node", node.Name, machinev1alpha1.LabelKeyNodeSelectedForUpdate+"=true")
		eventually(t, node.Name+" has the new machine image", func(ctx context.Context) error {
			node, err := h.node(ctx, node.Name)
			if err != nil {
				return err
			}
			if image := node.Status.NodeInfo.OSImage; !strings.Contains(image, newerImage) {
				return fmt.Errorf("its operating system is %q", image)
			}
			return settled(node)
		})
		// Gardener's library watches Machines to notice that, but its predicates let no such event through unless the extension ignores
		// gardenlet's annotation: so it is noticed when the Shoot is reconciled the next time.
		h.deploy(t)
		if after := h.recordsHashes(t, manualPool)[manualPool]; after == hash {
			t.Errorf("the Worker's status has the hash %s of the pool before and after its machine was updated", after)
		}
		// The machine has rebooted, and what the extension added to it is there again.
		h.bootedByGardener(t)
		h.hasStayed(t, before)
	})
	step(t, "nothing is left", func(t *testing.T) {
		h.delete(t)
		h.forgetOperatingSystemConfigs(t)
	})
}

// upForGardener starts a yard whose cluster can be a Shoot.
func upForGardener(t *testing.T, y *yard) {
	t.Helper()
	cluster := strings.ReplaceAll(string(example.ClusterKubeadmControlPlane), "encryptionAlgorithm: ECDSA-P256", ofAShoot)
	file := filepath.Join(t.TempDir(), "cluster.yaml")
	if err := os.WriteFile(file, []byte(cluster), 0o600); err != nil {
		t.Fatal(err)
	}
	y.must(t, "up", "-f", file, "--workers", "0")
}

// poolsInPlace gives the Shoot two pools whose machines are updated in place, and the CloudProfile a newer machine image.
func (h *hosted) poolsInPlace() {
	pool := func(name, kubelet string, machines int32, strategy gardencorev1beta1.MachineUpdateStrategy) gardencorev1beta1.Worker {
		pool := *h.shoot.Spec.Provider.Workers[0].DeepCopy()
		pool.Name, pool.Minimum, pool.Maximum, pool.UpdateStrategy = name, machines, machines, &strategy
		pool.MaxSurge, pool.MaxUnavailable = ptr.To(intOrString(0)), ptr.To(intOrString(1))
		pool.Machine.Image.Version = ptr.To(olderImage)
		pool.Kubernetes = &gardencorev1beta1.WorkerKubernetes{Version: ptr.To(kubelet)}
		return pool
	}
	h.shoot.Spec.Provider.Workers = []gardencorev1beta1.Worker{
		pool(autoPool, olderKubelet, 2, gardencorev1beta1.AutoInPlaceUpdate), pool(manualPool, newerKubelet, 1, gardencorev1beta1.ManualInPlaceUpdate),
	}
	const version = `{"version": "%s", "id": "ubuntu_24_04"}`
	h.profile.Spec.ProviderConfig.Raw = []byte(strings.ReplaceAll(string(h.profile.Spec.ProviderConfig.Raw),
		fmt.Sprintf(version, olderImage), fmt.Sprintf(version+","+version, olderImage, newerImage)))
}

// workers is a worker pool of the Shoot.
func (h *hosted) workers(name string) *gardencorev1beta1.Worker {
	pools := h.shoot.Spec.Provider.Workers
	return &pools[slices.IndexFunc(pools, func(pool gardencorev1beta1.Worker) bool { return pool.Name == name })]
}

// nodesOf are the nodes of a pool.
func (h *hosted) nodesOf(t *testing.T, pool string) []corev1.Node {
	t.Helper()
	return slices.DeleteFunc(h.nodes(t), func(node corev1.Node) bool { return node.Labels[v1beta1constants.LabelWorkerPool] != pool })
}

// runsKubelets waits until all machines of each pool are nodes that run its version of the kubelet.
func (h *hosted) runsKubelets(t *testing.T, versions map[string]string) {
	t.Helper()
	for _, pool := range slices.Sorted(maps.Keys(versions)) {
		eventually(t, "the pool "+pool+" runs "+versions[pool], func(context.Context) error {
			nodes := h.nodesOf(t, pool)
			if want := int(h.workers(pool).Minimum); len(nodes) != want {
				return fmt.Errorf("it has %d nodes, want %d", len(nodes), want)
			}
			for _, node := range nodes {
				if version := node.Status.NodeInfo.KubeletVersion; version != "v"+versions[pool] {
					return fmt.Errorf("%s runs %s", node.Name, version)
				}
				if err := settled(node); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// settled finds what a node lacks to be used, before, between and after updates.
func settled(node corev1.Node) error {
	if err := initialised(node); err != nil {
		return fmt.Errorf("node %s: %w", node.Name, err)
	}
	_, selected := node.Labels[machinev1alpha1.LabelKeyNodeSelectedForUpdate]
	if selected || node.Spec.Unschedulable || len(node.Spec.Taints) > 0 {
		return fmt.Errorf("node %s: selected for an update %t, unschedulable %t, taints %v", node.Name, selected, node.Spec.Unschedulable, node.Spec.Taints)
	}
	return nil
}

// place is what an update in place keeps.
type place struct {
	devices []string
	nodes   map[string]types.UID
}

func (h *hosted) placed(t *testing.T) place {
	t.Helper()
	p := place{devices: slices.Sorted(maps.Keys(h.ownDevices(t))), nodes: map[string]types.UID{}}
	for _, node := range h.nodes(t) {
		p.nodes[node.Name] = node.UID
	}
	return p
}

// hasStayed looks for devices and nodes that an update has replaced, and for devices that it has had reinstalled.
func (h *hosted) hasStayed(t *testing.T, before place) {
	t.Helper()
	after := h.placed(t)
	if !slices.Equal(after.devices, before.devices) || !maps.Equal(after.nodes, before.nodes) {
		t.Errorf("the devices and nodes are %v, they were %v", after, before)
	}
	for _, device := range h.ownDevices(t) {
		if device.State != packet.StateActive {
			t.Errorf("the device %s is %s", device.Hostname, device.State)
		}
	}
}

// recordsHashes are what the Worker's status has of pools that are updated in place: gardenlet compares them to learn whether an
// update is still under way.
func (h *hosted) recordsHashes(t *testing.T, pools ...string) map[string]string {
	t.Helper()
	status := h.workerOf(t).Status.InPlaceUpdates
	if status == nil {
		t.Fatal("the Worker's status has nothing on updates in place")
	}
	for _, pool := range pools {
		if status.WorkerPoolToHashMap[pool] == "" {
			t.Errorf("the Worker's status has no hash of the pool %s, but %v", pool, status.WorkerPoolToHashMap)
		}
	}
	return status.WorkerPoolToHashMap
}

// deploy does what gardenlet does when a Shoot has changed, in its order.
func (h *hosted) deploy(t *testing.T) {
	t.Helper()
	h.syncCluster(t)
	h.newComponents(t)
	deployComponent(t, "the Infrastructure", h.infrastructure)
	h.deployControlPlane(t, h.controlPlane.Deploy)
	h.deployMachineControllerManager(t)
	h.deployWorker(t, h.worker.Deploy)
}
