package yard

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
)

// readyNode is a node that lacks nothing.
func readyNode(name string) corev1.Node {
	return corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			corev1.LabelTopologyRegion: "da", corev1.LabelTopologyZone: "da11", corev1.LabelInstanceTypeStable: "c3.small.x86",
		}},
		Spec: corev1.NodeSpec{ProviderID: "packet://" + name},
		Status: corev1.NodeStatus{
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
			Addresses:  []corev1.NodeAddress{{Type: corev1.NodeInternalIP}, {Type: corev1.NodeExternalIP}},
		},
	}
}

// readyMachine is the Machine of the node of the same name.
func readyMachine(name string) clusterv1.Machine {
	machine := clusterv1.Machine{ObjectMeta: metav1.ObjectMeta{Name: name}}
	machine.Spec.ProviderID = "packet://" + name
	machine.Spec.InfrastructureRef.Name = name
	return machine
}

func packetMachine(name string, conditions ...metav1.Condition) infrav1.PacketMachine {
	return infrav1.PacketMachine{
		ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: []metav1.OwnerReference{{Kind: "Machine", Name: name}}},
		Status:     infrav1.PacketMachineStatus{Conditions: conditions},
	}
}

func falseBecause(kind, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: metav1.ConditionFalse, Reason: reason, Message: message}
}

func TestNodeLacks(t *testing.T) {
	if lacks := nodeLacks(readyNode("a")); len(lacks) != 0 {
		t.Fatalf("a node that has everything lacks %v", lacks)
	}
	for want, spoil := range map[string]func(*corev1.Node){
		"not Ready":       func(n *corev1.Node) { n.Status.Conditions[0].Status = corev1.ConditionUnknown },
		"not initialised": func(n *corev1.Node) { n.Spec.Taints = []corev1.Taint{{Key: uninitializedTaint}} },
		"provider ID":     func(n *corev1.Node) { n.Spec.ProviderID = "equinixmetal://a" },
		"region":          func(n *corev1.Node) { delete(n.Labels, corev1.LabelTopologyRegion) },
		"zone":            func(n *corev1.Node) { delete(n.Labels, corev1.LabelTopologyZone) },
		"instance-type":   func(n *corev1.Node) { delete(n.Labels, corev1.LabelInstanceTypeStable) },
		"InternalIP":      func(n *corev1.Node) { n.Status.Addresses = n.Status.Addresses[1:] },
		"ExternalIP":      func(n *corev1.Node) { n.Status.Addresses = n.Status.Addresses[:1] },
	} {
		node := readyNode("a")
		spoil(&node)
		if lacks := nodeLacks(node); len(lacks) != 1 || !strings.Contains(lacks[0], want) {
			t.Errorf("got %v, want one lack with %q", lacks, want)
		}
	}
}

func TestWaitingFor(t *testing.T) {
	now := metav1.Now()
	deleted := readyMachine("c")
	deleted.DeletionTimestamp = &now
	unready := readyNode("b")
	unready.Status.Conditions = nil
	for _, test := range []struct {
		name string
		view clusterView
		want []string
	}{
		{"nothing yet", clusterView{}, []string{"2 more machines"}},
		{"all there", clusterView{machines: []clusterv1.Machine{readyMachine("a"), readyMachine("b")}, nodes: []corev1.Node{readyNode("a"), readyNode("b")}}, nil},
		{"one node is not ready", clusterView{machines: []clusterv1.Machine{readyMachine("a"), readyMachine("b")}, nodes: []corev1.Node{readyNode("a"), unready}}, []string{"b: node not Ready"}},
		{"one machine is provisioned", clusterView{
			machines:       []clusterv1.Machine{readyMachine("a"), readyMachine("b")},
			packetMachines: []infrav1.PacketMachine{packetMachine("b", falseBecause(infrav1.DeviceReadyCondition, infrav1.DeviceProvisioningReason, ""))},
			nodes:          []corev1.Node{readyNode("a")},
		}, []string{"b: device Provisioning"}},
		{"two are at the same", clusterView{machines: []clusterv1.Machine{readyMachine("a"), readyMachine("b")}}, []string{"a, b: new"}},
		{"one is still being deleted", clusterView{machines: []clusterv1.Machine{readyMachine("a"), readyMachine("b"), deleted}, nodes: []corev1.Node{readyNode("a"), readyNode("b")}}, []string{"c: being deleted"}},
		{"a node too many", clusterView{machines: []clusterv1.Machine{readyMachine("a"), readyMachine("b")}, nodes: []corev1.Node{readyNode("a"), readyNode("b"), readyNode("c")}}, []string{"instead of 3"}},
		{"a machine too many", clusterView{machines: []clusterv1.Machine{readyMachine("a"), readyMachine("b"), readyMachine("c")}, nodes: []corev1.Node{readyNode("a"), readyNode("b"), readyNode("c")}}, []string{"1 machines too many"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := test.view.waitingFor(1, 1)
			if len(got) != len(test.want) {
				t.Fatalf("waits for %q, want %q", got, test.want)
			}
			for i := range got {
				if !strings.Contains(got[i], test.want[i]) {
					t.Errorf("waits for %q, want %q", got[i], test.want[i])
				}
			}
		})
	}
}

func TestFailure(t *testing.T) {
	now := metav1.Now()
	deleting := packetMachine("a", falseBecause(infrav1.BootstrapSucceededCondition, infrav1.BootstrapFailedReason, "no"))
	deleting.DeletionTimestamp = &now
	for _, test := range []struct {
		name string
		view clusterView
		want string
	}{
		{"none", clusterView{packetMachines: []infrav1.PacketMachine{packetMachine("a", falseBecause(infrav1.DeviceReadyCondition, infrav1.DeviceProvisioningReason, ""))}}, ""},
		{"the API is away", clusterView{packetMachines: []infrav1.PacketMachine{packetMachine("a", falseBecause(infrav1.DeviceReadyCondition, infrav1.DeviceAPIErrorReason, ""))}}, ""},
		{"bootstrap", clusterView{packetMachines: []infrav1.PacketMachine{packetMachine("a", falseBecause(infrav1.BootstrapSucceededCondition, infrav1.BootstrapFailedReason, "kubeadm: it broke"))}}, "machine a: its bootstrap failed:\n    kubeadm: it broke"},
		{"plan", clusterView{packetMachines: []infrav1.PacketMachine{packetMachine("a", falseBecause(infrav1.DeviceReadyCondition, infrav1.DeviceCreateFailedReason, "plan x does not exist"))}}, "plan x does not exist"},
		{"installation", clusterView{packetMachines: []infrav1.PacketMachine{packetMachine("a", falseBecause(infrav1.DeviceReadyCondition, infrav1.DeviceFailedReason, ""))}}, "machine a"},
		{"deleted already", clusterView{packetMachines: []infrav1.PacketMachine{deleting}}, ""},
		{"address", clusterView{packetCluster: &infrav1.PacketCluster{Status: infrav1.PacketClusterStatus{Conditions: []metav1.Condition{falseBecause(infrav1.ElasticIPReadyCondition, infrav1.ElasticIPReservationFailedReason, "no more addresses")}}}}, "no more addresses"},
		{"credentials", clusterView{packetCluster: &infrav1.PacketCluster{Status: infrav1.PacketClusterStatus{Conditions: []metav1.Condition{falseBecause(infrav1.CredentialsAvailableCondition, infrav1.CredentialsRejectedReason, "401")}}}}, "401"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := test.view.failure()
			if test.want == "" {
				if err != nil {
					t.Errorf("got %v, want none", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
