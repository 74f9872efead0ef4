//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/packetyard/packetyard/deploy"
	"github.com/packetyard/packetyard/pkg/packet"
)

// TestControlPlaneEndpoint has three control planes with the manifest that is
// shipped for them, and loses the one with the elastic IP: switched off while
// the cloud controller manager's leader is elsewhere, and killed together with it.
func TestControlPlaneEndpoint(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	manifest := string(bytes.ReplaceAll(deploy.CloudControllerManagerHA, []byte("CLUSTER"), []byte("demo")))
	file := withCCM(t, exampleControlPlane(t), manifest)
	step(t, "up", func(t *testing.T) {
		y.must(t, "up", "-f", file, "--control-planes", "3", "--workers", "1", "--timeout", "15m")
	})
	e := &endpointWorld{y: y, kubeconfig: y.kubeconfig(t, "")}
	e.kube = y.kubernetes(t, e.kubeconfig)
	e.client, e.project = y.api(t)

	step(t, "one cloud controller manager on each control plane", func(t *testing.T) {
		eventually(t, "all of them run", func(ctx context.Context) error {
			pods, err := ccmPods(ctx, e.kube)
			if err == nil && len(pods) != 3 {
				err = fmt.Errorf("%d of 3 pods", len(pods))
			}
			for _, pod := range pods {
				err = errors.Join(err, checkRunning(pod))
			}
			return err
		})
		eventually(t, "the control plane's address is published", func(ctx context.Context) error {
			service, err := e.kube.CoreV1().Services(metav1.NamespaceSystem).Get(ctx, "cloud-provider-equinix-metal-kubernetes-external", metav1.GetOptions{})
			if err == nil && (len(service.Status.LoadBalancer.Ingress) != 1 || service.Status.LoadBalancer.Ingress[0].IP != e.reservation(t).Address) {
				err = fmt.Errorf("the Service has %v", service.Status.LoadBalancer.Ingress)
			}
			return err
		})
		y.checkRights(t, e.kubeconfig, e.kube)
	})

	step(t, "the holder is switched off, and the leader is elsewhere", func(t *testing.T) {
		holder := e.holder(t)
		e.lead(t, func(node string) bool { return node != holder.Name })
		y.power(t, holder, packet.ActionPowerOff)
		// The Cluster API provider may be first here.
		e.moved(t, holder)
		y.power(t, holder, packet.ActionPowerOn)
		e.awaitReady(t, holder)
		if now := e.holder(t); now.Name == holder.Name {
			t.Errorf("the address went back to %s, from a node that was well", holder.Name)
		}
	})

	step(t, "the holder is killed, and the leader with it", func(t *testing.T) {
		holder := e.holder(t)
		e.lead(t, func(node string) bool { return node == holder.Name })
		// The cloud controller manager is left to itself: it has to do it alone.
		y.kubectl(t, y.kubeconfig(t, "bootstrap"), "patch", "cluster", "demo", "--type=merge", "--patch", `{"spec":{"paused":true}}`)
		process := y.firstProcesses(t)[deviceOf(t, holder)]
		if process == 0 {
			t.Fatalf("no process of %s is known", holder.Name)
		}
		if err := syscall.Kill(process, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		e.moved(t, holder)
		e.told(t)
		eventually(t, "another leads", func(ctx context.Context) error {
			leader, err := e.leader(ctx)
			if err == nil && leader == holder.Name {
				err = fmt.Errorf("%s does", leader)
			}
			return err
		})
	})
}

// endpointWorld is a cluster with several control planes.
type endpointWorld struct {
	y          *yard
	kubeconfig string
	kube       kubernetes.Interface
	client     *packet.Client
	project    string
}

// reservation is the elastic IP of the cluster, with its assignments.
func (e *endpointWorld) reservation(t *testing.T) packet.IPReservation {
	t.Helper()
	all, err := e.client.IPReservations(t.Context(), e.project, packet.Include("assignments"))
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(all, func(r packet.IPReservation) bool {
		return packet.HasTags(r.Tags, "capp:cluster-id:demo")
	})
	if at < 0 {
		t.Fatal("the cluster has no elastic IP")
	}
	return all[at]
}

// holder is the node that has the address.
func (e *endpointWorld) holder(t *testing.T) corev1.Node {
	t.Helper()
	reservation := e.reservation(t)
	if len(reservation.Assignments) != 1 {
		t.Fatalf("the address is assigned %d times, want once", len(reservation.Assignments))
	}
	id := reservation.Assignments[0].AssignedTo.ID()
	for _, node := range mustNodes(t, e.kube) {
		if deviceOf(t, node) == id {
			return node
		}
	}
	t.Fatalf("device %s has the address and is no node", id)
	return corev1.Node{}
}

// moved waits until another device has the address, and kubectl works with it.
func (e *endpointWorld) moved(t *testing.T, from corev1.Node) {
	t.Helper()
	was := deviceOf(t, from)
	eventually(t, "the address moved", func(context.Context) error {
		reservation := e.reservation(t)
		switch {
		case len(reservation.Assignments) == 0:
			return errors.New("no device has it")
		case reservation.Assignments[0].AssignedTo.ID() == was:
			return fmt.Errorf("%s has it", from.Name)
		}
		return nil
	})
	eventually(t, "kubectl works", func(ctx context.Context) error {
		output, err := e.y.tryKubectl(ctx, e.kubeconfig, "get", "nodes", "--request-timeout=10s")
		if err == nil && !strings.Contains(output, from.Name) {
			err = fmt.Errorf("it does not show %s: %s", from.Name, output)
		}
		return err
	})
}

// told waits for the cloud controller manager's word that it moved the address.
func (e *endpointWorld) told(t *testing.T) {
	t.Helper()
	eventually(t, "the new holder has an event that tells why", func(ctx context.Context) error {
		holder := e.holder(t)
		events, err := e.kube.CoreV1().Events(metav1.NamespaceAll).List(ctx, metav1.ListOptions{FieldSelector: "reason=ControlPlaneEndpointReceived,involvedObject.name=" + holder.Name})
		if err == nil && len(events.Items) == 0 {
			err = fmt.Errorf("%s has none", holder.Name)
		}
		for _, event := range events.Items {
			t.Logf("%s: %s", holder.Name, event.Message)
		}
		return err
	})
}

// awaitReady waits until a node that was away is back. What the node's object
// says may be from before, so that its API server is asked itself.
func (e *endpointWorld) awaitReady(t *testing.T, node corev1.Node) {
	t.Helper()
	own := ""
	for _, address := range node.Status.Addresses {
		if address.Type == corev1.NodeInternalIP {
			own = "https://" + net.JoinHostPort(address.Address, "6443")
		}
	}
	eventually(t, "the API server of "+node.Name+" answers again", func(ctx context.Context) error {
		_, err := e.y.tryKubectl(ctx, e.kubeconfig, "get", "--raw", "/readyz", "--server", own, "--tls-server-name", "kubernetes", "--request-timeout=5s")
		return err
	})
	eventually(t, node.Name+" is Ready", func(ctx context.Context) error {
		now, err := e.kube.CoreV1().Nodes().Get(ctx, node.Name, metav1.GetOptions{})
		if err == nil && (!isReady(*now) || isShutDown(*now)) {
			err = errors.New("it is not")
		}
		return err
	})
}

func checkRunning(pod corev1.Pod) error {
	for _, container := range pod.Status.ContainerStatuses {
		if container.State.Running != nil {
			return nil
		}
	}
	return fmt.Errorf("pod %s does not run", pod.Name)
}

// leader is the node of the cloud controller manager that leads.
func (e *endpointWorld) leader(ctx context.Context) (string, error) {
	lease, err := e.kube.CoordinationV1().Leases(metav1.NamespaceSystem).Get(ctx, "cloud-controller-manager", metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	if lease.Spec.HolderIdentity == nil {
		return "", errors.New("nobody leads")
	}
	node, _, _ := strings.Cut(*lease.Spec.HolderIdentity, "_")
	return node, nil
}

// lead makes the leader one whose node is wanted: as long as it is another,
// all that are not wanted are ended.
func (e *endpointWorld) lead(t *testing.T, wanted func(node string) bool) {
	t.Helper()
	ended := ""
	eventually(t, "the leader is where the test wants it", func(ctx context.Context) error {
		leader, err := e.leader(ctx)
		if err != nil || wanted(leader) {
			return err
		}
		if leader == ended {
			return fmt.Errorf("%s still leads", leader)
		}
		pods, err := ccmPods(ctx, e.kube)
		for _, pod := range pods {
			if !wanted(pod.Spec.NodeName) {
				err = errors.Join(err, e.kube.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{}))
			}
		}
		ended = leader
		return errors.Join(err, fmt.Errorf("%s leads", leader))
	})
}
