package yard

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/pkg/packet"
)

// uninitializedTaint is on a node until the cloud controller manager has
// given it its provider ID, addresses and labels.
const uninitializedTaint = "node.cloudprovider.kubernetes.io/uninitialized"

// clusterView is what the bootstrap cluster and the workload cluster say of
// one cluster at one moment.
type clusterView struct {
	packetCluster  *infrav1.PacketCluster
	machines       []clusterv1.Machine
	packetMachines []infrav1.PacketMachine
	nodes          []corev1.Node
	// nodesProblem is why nodes are not known.
	nodesProblem error
}

// workload is the way to a workload cluster, once there is one.
type workload struct {
	scheme   *runtime.Scheme
	proxyURL string

	client client.Client
	// kubeconfig is the one in the bootstrap cluster, without the yard's proxy.
	kubeconfig []byte
}

// connect makes the client when the cluster's kubeconfig exists.
func (w *workload) connect(ctx context.Context, bootstrap client.Client, key client.ObjectKey) error {
	if w.client != nil {
		return nil
	}
	kubeconfig, err := clusterKubeconfig(ctx, bootstrap, key)
	if err != nil {
		return err
	}
	proxied, err := throughProxy(kubeconfig, w.proxyURL)
	if err != nil {
		return err
	}
	connected, err := kubeClient(proxied, w.scheme)
	if err != nil {
		return err
	}
	w.client, w.kubeconfig = connected, kubeconfig
	return nil
}

// errNoKubeconfig says that a cluster's kubeconfig does not exist yet.
var errNoKubeconfig = errors.New("the cluster has no kubeconfig yet")

// clusterKubeconfig reads the kubeconfig that Cluster API keeps of a cluster.
func clusterKubeconfig(ctx context.Context, bootstrap client.Client, key client.ObjectKey) ([]byte, error) {
	var secret corev1.Secret
	key.Name += "-kubeconfig"
	err := bootstrap.Get(ctx, key, &secret)
	if apierrors.IsNotFound(err) || err == nil && len(secret.Data["value"]) == 0 {
		return nil, errNoKubeconfig
	}
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig of cluster %s: %w", key.Name, err)
	}
	return secret.Data["value"], nil
}

// look takes a view of a cluster. An error means that the bootstrap cluster
// did not answer; that the workload cluster does not is a part of the view.
func look(ctx context.Context, bootstrap client.Client, workload *workload, cluster client.ObjectKey) (*clusterView, error) {
	view := &clusterView{}
	ours := []client.ListOption{client.InNamespace(cluster.Namespace), client.MatchingLabels{clusterv1.ClusterNameLabel: cluster.Name}}
	var machines clusterv1.MachineList
	if err := bootstrap.List(ctx, &machines, ours...); err != nil {
		return nil, fmt.Errorf("listing the machines of cluster %s: %w", cluster.Name, err)
	}
	var packetMachines infrav1.PacketMachineList
	if err := bootstrap.List(ctx, &packetMachines, ours...); err != nil {
		return nil, fmt.Errorf("listing the Packet machines of cluster %s: %w", cluster.Name, err)
	}
	view.machines, view.packetMachines = machines.Items, packetMachines.Items

	var packetClusters infrav1.PacketClusterList
	if err := bootstrap.List(ctx, &packetClusters, ours...); err != nil {
		return nil, fmt.Errorf("reading the Packet cluster of cluster %s: %w", cluster.Name, err)
	}
	if len(packetClusters.Items) > 0 {
		view.packetCluster = &packetClusters.Items[0]
	}

	if view.nodesProblem = workload.connect(ctx, bootstrap, cluster); view.nodesProblem == nil {
		var nodes corev1.NodeList
		view.nodesProblem = workload.client.List(ctx, &nodes)
		view.nodes = nodes.Items
	}
	return view, nil
}

// failure returns why the cluster cannot become ready without somebody doing
// something about it, or nil.
func (v *clusterView) failure() error {
	if v.packetCluster != nil {
		if problem := badCondition(v.packetCluster.Status.Conditions, infrav1.ElasticIPReadyCondition, infrav1.ElasticIPReservationFailedReason); problem != "" {
			return fmt.Errorf("cluster %s: the address of its control plane: %s", v.packetCluster.Name, problem)
		}
		if problem := badCondition(v.packetCluster.Status.Conditions, infrav1.CredentialsAvailableCondition, infrav1.CredentialsRejectedReason); problem != "" {
			return fmt.Errorf("cluster %s: %s", v.packetCluster.Name, problem)
		}
	}
	for _, machine := range v.packetMachines {
		// What is being deleted is somebody's cure already.
		if !machine.DeletionTimestamp.IsZero() {
			continue
		}
		name := v.machineName(machine)
		conditions := machine.Status.Conditions
		if problem := badCondition(conditions, infrav1.BootstrapSucceededCondition, infrav1.BootstrapFailedReason); problem != "" {
			return &MachineFailedError{Name: name, Problem: "its bootstrap failed", Console: problem}
		}
		if problem := badCondition(conditions, infrav1.DeviceReadyCondition, infrav1.DeviceFailedReason, infrav1.DeviceCreateFailedReason); problem != "" {
			return &MachineFailedError{Name: name, Problem: "its device could not be made", Console: problem}
		}
	}
	return nil
}

// machineName is the name of the Machine that a PacketMachine belongs to.
func (v *clusterView) machineName(packetMachine infrav1.PacketMachine) string {
	for _, owner := range packetMachine.OwnerReferences {
		if owner.Kind == "Machine" {
			return owner.Name
		}
	}
	return packetMachine.Name
}

// badCondition returns the message of a condition that is false for one of
// the given reasons.
func badCondition(conditions []metav1.Condition, kind string, reasons ...string) string {
	condition := meta.FindStatusCondition(conditions, kind)
	if condition == nil || condition.Status != metav1.ConditionFalse || !slices.Contains(reasons, condition.Reason) {
		return ""
	}
	if condition.Message == "" {
		return condition.Reason
	}
	return condition.Message
}

// waitingFor says what the cluster still lacks. Nothing means that it is ready.
func (v *clusterView) waitingFor(controlPlanes, workers int) []string {
	var waiting []string
	// What several lack is told once, with the names of all.
	var lacks []string
	lacking := map[string][]string{}
	add := func(name, lack string) {
		if lacking[lack] == nil {
			lacks = append(lacks, lack)
		}
		lacking[lack] = append(lacking[lack], name)
	}
	wanted := controlPlanes + workers
	alive := 0
	for _, machine := range v.machines {
		if !machine.DeletionTimestamp.IsZero() {
			add(machine.Name, "being deleted")
			continue
		}
		alive++
		if node := v.node(machine); node == nil {
			add(machine.Name, v.stage(machine))
		} else if lack := nodeLacks(*node); len(lack) > 0 {
			add(node.Name, "node "+strings.Join(lack, ", "))
		}
	}
	for _, lack := range lacks {
		waiting = append(waiting, strings.Join(lacking[lack], ", ")+": "+lack)
	}
	if alive < wanted {
		waiting = append(waiting, fmt.Sprintf("%d more machines to be created", wanted-alive))
	}
	if alive > wanted {
		waiting = append(waiting, fmt.Sprintf("%d machines too many to be deleted", alive-wanted))
	}
	if len(waiting) == 0 && v.nodesProblem != nil {
		waiting = append(waiting, fmt.Sprintf("its API server: %v", v.nodesProblem))
	}
	if len(waiting) == 0 && len(v.nodes) != wanted {
		waiting = append(waiting, fmt.Sprintf("%d nodes instead of %d", wanted, len(v.nodes)))
	}
	return waiting
}

// node returns the node of a machine, by the provider ID, or before it has
// one by the name.
func (v *clusterView) node(machine clusterv1.Machine) *corev1.Node {
	for i, node := range v.nodes {
		if node.Spec.ProviderID != "" && node.Spec.ProviderID == machine.Spec.ProviderID || node.Name == machine.Status.NodeRef.Name {
			return &v.nodes[i]
		}
	}
	return nil
}

// stage says what a machine that is no node yet is at.
func (v *clusterView) stage(machine clusterv1.Machine) string {
	for _, packetMachine := range v.packetMachines {
		if packetMachine.Name != machine.Spec.InfrastructureRef.Name {
			continue
		}
		for _, stage := range []struct{ condition, of string }{
			{infrav1.DeviceReadyCondition, "device"}, {infrav1.BootstrapSucceededCondition, "bootstrap"},
		} {
			condition := meta.FindStatusCondition(packetMachine.Status.Conditions, stage.condition)
			if condition != nil && condition.Status != metav1.ConditionTrue {
				return stage.of + " " + condition.Reason
			}
		}
	}
	if machine.Status.Phase == "" {
		return "new"
	}
	return "machine " + machine.Status.Phase
}

// nodeLacks says what a node does not have of what every node must have.
func nodeLacks(node corev1.Node) []string {
	var lacks []string
	ready := false
	for _, condition := range node.Status.Conditions {
		ready = ready || condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue
	}
	if !ready {
		lacks = append(lacks, "not Ready")
	}
	for _, taint := range node.Spec.Taints {
		if taint.Key == uninitializedTaint {
			// All that follows is what it has not done yet.
			return append(lacks, "not initialised by the cloud controller manager")
		}
	}
	if !strings.HasPrefix(node.Spec.ProviderID, packet.ProviderIDScheme+"://") {
		lacks = append(lacks, "no "+packet.ProviderIDScheme+":// provider ID")
	}
	for _, label := range []string{corev1.LabelTopologyRegion, corev1.LabelTopologyZone, corev1.LabelInstanceTypeStable} {
		if node.Labels[label] == "" {
			lacks = append(lacks, "no label "+label)
		}
	}
	for _, kind := range []corev1.NodeAddressType{corev1.NodeInternalIP, corev1.NodeExternalIP} {
		if !slices.ContainsFunc(node.Status.Addresses, func(address corev1.NodeAddress) bool { return address.Type == kind }) {
			lacks = append(lacks, fmt.Sprintf("no %s", kind))
		}
	}
	return lacks
}
