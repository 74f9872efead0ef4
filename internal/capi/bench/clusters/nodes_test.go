package clusters_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/pkg/packet"
)

// joining makes a Node for every active device, which stands in for its kubelet, and has the endpoint of a cluster answer as
// soon as its control plane has a Node. It goes on until the benchmark ends.
func joining(b *testing.B, api *apiservertest.Server, endpoints map[string]*endpoint) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	var wait sync.WaitGroup
	b.Cleanup(func() { cancel(); wait.Wait() })
	reader := api.Client(b)
	joined := map[string]bool{}
	wait.Go(func() {
		for ; ctx.Err() == nil; <-time.After(200 * time.Millisecond) {
			devices, err := reader.Devices(ctx, api.ProjectID, packet.DeviceFilter{})
			for n := range devices {
				if device := &devices[n]; device.State == packet.StateActive && !joined[device.ID] {
					failed := join(ctx, device, endpoints[clusterOf(device)])
					joined[device.ID] = failed == nil
					err = errors.Join(err, failed)
				}
			}
			if err != nil && ctx.Err() == nil {
				// It is tried again: a machine that has much to do breaks connections.
				b.Logf("making Nodes: %v", err)
			}
		}
	})
}

func clusterOf(device *packet.Device) string {
	for _, tag := range device.Tags {
		if name, ok := strings.CutPrefix(tag, packet.TagPrefixCluster); ok {
			return name
		}
	}
	return ""
}

func join(ctx context.Context, device *packet.Device, endpoint *endpoint) error {
	if endpoint == nil {
		return fmt.Errorf("device %s is of no cluster that was made: %v", device.Hostname, device.Tags)
	}
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: device.Hostname, Labels: map[string]string{clusterLabel: endpoint.cluster.Name}},
		Spec:       corev1.NodeSpec{ProviderID: packet.ProviderID(device.ID)},
	}
	master := packet.HasTags(device.Tags, packet.TagRoleMaster)
	if master {
		node.Labels["node-role.kubernetes.io/control-plane"] = ""
	}
	switch err := env.Client.Create(ctx, node); {
	case apierrors.IsAlreadyExists(err):
		// The answer to an earlier try was lost, or there are two devices for one machine.
		if err := env.Client.Get(ctx, client.ObjectKeyFromObject(node), node); err != nil {
			return fmt.Errorf("reading Node %s: %w", device.Hostname, err)
		}
		if node.Spec.ProviderID != packet.ProviderID(device.ID) {
			return fmt.Errorf("device %s has the name of Node %s, which is %s", device.ID, node.Name, node.Spec.ProviderID)
		}
		node.Status.Conditions = nil
	case err != nil:
		return fmt.Errorf("making Node %s: %w", device.Hostname, err)
	}
	before := node.DeepCopy()
	for kind, status := range map[corev1.NodeConditionType]corev1.ConditionStatus{
		corev1.NodeReady: corev1.ConditionTrue, corev1.NodeDiskPressure: corev1.ConditionFalse,
		corev1.NodeMemoryPressure: corev1.ConditionFalse, corev1.NodePIDPressure: corev1.ConditionFalse,
	} {
		node.Status.Conditions = append(node.Status.Conditions, corev1.NodeCondition{
			Type: kind, Status: status, Reason: "Benchmark", LastTransitionTime: metav1.Now(), LastHeartbeatTime: metav1.Now(),
		})
	}
	node.Status.NodeInfo.KubeletVersion = "v1.36.4"
	if err := env.Client.Status().Patch(ctx, node, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("making Node %s Ready: %w", node.Name, err)
	}
	if master {
		endpoint.rise()
	}
	return nil
}
