//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/packetyard/packetyard/pkg/packet"
)

// TestCloudControllerManager is the life of nodes and Services with the cloud
// controller manager as the pod of its own manifest.
func TestCloudControllerManager(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	step(t, "up", func(t *testing.T) { y.must(t, "up", "--workers", "3") })
	kubeconfig := y.kubeconfig(t, "")
	kube := y.kubernetes(t, kubeconfig)

	step(t, "nodes are initialised by a pod with rights of its own", func(t *testing.T) {
		if err := y.checkNodes(t.Context(), kubeconfig, 4); err != nil {
			t.Fatal(err)
		}
		y.checkRights(t, kubeconfig, kube)
		for verb, want := range map[string]bool{"delete nodes": true, "create pods": false, "list secrets": false, "list services": false} {
			arguments := append([]string{"auth", "can-i", "--as", ccmAccount}, strings.Fields(verb)...)
			// kubectl ends with 1 where the answer is no.
			output, err := y.tryKubectl(t.Context(), kubeconfig, arguments...)
			if allowed := err == nil && strings.TrimSpace(output) == "yes"; allowed != want {
				t.Errorf("%s: allowed %t, want %t (%v)", verb, allowed, want, err)
			}
		}
	})
	step(t, "a device that is gone and one that is off", func(t *testing.T) { checkLostDevices(t, y, kube) })
	checkServices(t, y, kubeconfig, kube)
}

// checkLostDevices deletes one worker's device, switches another's off and on,
// and has a third that nothing may happen to.
func checkLostDevices(t *testing.T, y *yard, kube kubernetes.Interface) {
	var workers []corev1.Node
	for _, node := range mustNodes(t, kube) {
		if !isControlPlane(node) {
			workers = append(workers, node)
		}
	}
	gone, off, stays := workers[0], workers[1], workers[2]
	client, _ := y.api(t)
	if err := client.DeleteDevice(t.Context(), deviceOf(t, gone), true); err != nil {
		t.Fatal(err)
	}
	y.power(t, off, packet.ActionPowerOff)

	eventually(t, "the node of the device that was deleted is removed", func(ctx context.Context) error {
		nodes, err := nodesByName(ctx, kube)
		if _, there := nodes[gone.Name]; err == nil && there {
			err = errors.New("it is there")
		}
		return err
	})
	eventually(t, "the cloud controller manager says that it was it", func(ctx context.Context) error {
		events, err := kube.CoreV1().Events(metav1.NamespaceAll).List(ctx, metav1.ListOptions{FieldSelector: "reason=DeletingNode,involvedObject.name=" + gone.Name})
		if err == nil && len(events.Items) == 0 {
			err = errors.New("there is no such event")
		}
		return err
	})
	eventually(t, "the node of the device that is off is tainted", func(ctx context.Context) error {
		return checkShutDown(ctx, kube, off, true)
	})
	if err := checkShutDown(t.Context(), kube, stays, false); err != nil {
		t.Error(err)
	}

	y.power(t, off, packet.ActionPowerOn)
	eventually(t, "the node whose device is on again is Ready and not tainted", func(ctx context.Context) error {
		nodes, err := nodesByName(ctx, kube)
		if err == nil && !isReady(nodes[off.Name]) {
			err = errors.New("it is not Ready")
		}
		return errors.Join(err, checkShutDown(ctx, kube, off, false))
	})
}

// checkShutDown finds a node that is not the same any more, or whose taint is
// not as wanted.
func checkShutDown(ctx context.Context, kube kubernetes.Interface, was corev1.Node, want bool) error {
	node, err := kube.CoreV1().Nodes().Get(ctx, was.Name, metav1.GetOptions{})
	switch {
	case err != nil:
		return err
	case node.UID != was.UID:
		return fmt.Errorf("node %s was deleted and is another one", was.Name)
	case isShutDown(*node) != want:
		return fmt.Errorf("node %s has the taint of a shutdown: %t, want %t", was.Name, !want, want)
	}
	return nil
}
