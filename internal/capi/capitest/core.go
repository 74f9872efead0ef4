package capitest

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util/secret"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/manager"
	"github.com/packetyard/packetyard/internal/capi/webhookcerts"
	"github.com/packetyard/packetyard/pkg/packet"
)

// RunCore starts Cluster API's own controllers, as the manager runs them, for all tests of a package: those of Machines,
// MachinePools, MachineSets, MachineHealthChecks, and the kubeadm bootstrap provider. They run beside the controllers of the
// infrastructure, which tests start and stop as they need. The environment must hold DefinitionsOnly.
func (e *Environment) RunCore() (stop func(), err error) {
	ctx := context.Background()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: manager.DefaultNamespace}}
	if err := e.Client.Create(ctx, namespace); err != nil && !apierrors.IsAlreadyExists(err) {
		return nil, fmt.Errorf("making the namespace of the manager: %w", err)
	}
	if err := e.withoutWebhooks(ctx); err != nil {
		return nil, err
	}
	options, err := listening("127.0.0.1")
	if err != nil {
		return nil, err
	}
	options.Providers = []string{string(manager.ProviderCore), string(manager.ProviderBootstrap)}
	options.ClusterCacheRetryInterval = 100 * time.Millisecond
	return start(e.Config, options)
}

// withoutWebhooks keeps the manager from putting its certificates into definitions that call no webhook.
func (e *Environment) withoutWebhooks(ctx context.Context) error {
	definitions := &apiextensionsv1.CustomResourceDefinitionList{}
	if err := e.Client.List(ctx, definitions, client.HasLabels{webhookcerts.InjectLabel}); err != nil {
		return fmt.Errorf("listing the CustomResourceDefinitions: %w", err)
	}
	for n := range definitions.Items {
		changed := definitions.Items[n].DeepCopy()
		delete(changed.Labels, webhookcerts.InjectLabel)
		if err := e.Client.Patch(ctx, changed, client.MergeFrom(&definitions.Items[n])); err != nil {
			return fmt.Errorf("changing CustomResourceDefinition %s: %w", changed.Name, err)
		}
	}
	return nil
}

// HostingItself makes a Cluster, with its PacketCluster, whose workload cluster is the API server that it is made in: its
// Nodes are those that the test makes there. It needs RunCore.
func (w *World) HostingItself(name string) *clusterv1.Cluster {
	w.t.Helper()
	user, err := w.server.AddUser(envtest.User{Name: "admin-of-" + name, Groups: []string{"system:masters"}}, nil)
	if err != nil {
		w.t.Fatalf("making a user for cluster %s: %v", name, err)
	}
	kubeconfig, err := user.KubeConfig()
	if err != nil {
		w.t.Fatalf("making a kubeconfig for cluster %s: %v", name, err)
	}
	w.Create(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: w.Namespace, Name: secret.Name(name, secret.Kubeconfig),
			Labels: map[string]string{clusterv1.ClusterNameLabel: name},
		},
		Type: clusterv1.ClusterSecretType,
		Data: map[string][]byte{secret.KubeconfigDataName: kubeconfig},
	})
	cluster, _ := w.Cluster(w.Namespace, name)
	return cluster
}

// Bare makes a Machine that has its bootstrap data from a Secret, with its PacketMachine, and leaves all else to Cluster
// API. Its name has to be one that no other Node has.
func (w *World) Bare(cluster *clusterv1.Cluster, name string, controlPlane bool, labels map[string]string) (*clusterv1.Machine, *infrav1.PacketMachine) {
	w.t.Helper()
	all := map[string]string{clusterv1.ClusterNameLabel: cluster.Name}
	for key, value := range labels {
		all[key] = value
	}
	if controlPlane {
		all[clusterv1.MachineControlPlaneLabel] = ""
	}
	data := name + "-bootstrap"
	w.Create(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: cluster.Namespace, Name: data},
		StringData: map[string]string{"value": UserData},
	})
	infrastructure := &infrav1.PacketMachine{
		ObjectMeta: metav1.ObjectMeta{Namespace: cluster.Namespace, Name: name, Labels: all},
		Spec:       infrav1.PacketMachineSpec{OS: "ubuntu_24_04", MachineType: "c3.small.x86"},
	}
	w.Create(infrastructure)
	machine := &clusterv1.Machine{
		ObjectMeta: metav1.ObjectMeta{Namespace: cluster.Namespace, Name: name, Labels: all},
		Spec: clusterv1.MachineSpec{
			ClusterName: cluster.Name,
			Bootstrap:   clusterv1.Bootstrap{DataSecretName: &data},
			InfrastructureRef: clusterv1.ContractVersionedObjectReference{
				APIGroup: infrav1.GroupVersion.Group, Kind: infrav1.InfrastructureMachineKind, Name: name,
			},
		},
	}
	w.Create(machine)
	return machine, infrastructure
}

// Join makes a Node for every active device that has none, of the device's host name, until the test ends. It stands in for
// the kubelets of the machines.
func (w *World) Join() {
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	w.t.Cleanup(func() {
		cancel()
		<-done
		for _, node := range w.nodes(context.Background()) {
			_ = w.Client.Delete(context.Background(), &node)
		}
	})
	go func() {
		defer close(done)
		joined := map[string]bool{}
		for ; ctx.Err() == nil; <-time.After(50 * time.Millisecond) {
			devices, err := w.Packet.Devices(ctx, w.API.ProjectID, packet.DeviceFilter{})
			if err != nil {
				continue
			}
			for n := range devices {
				if device := &devices[n]; device.State == packet.StateActive && !joined[device.ID] {
					joined[device.ID] = w.join(ctx, device) == nil
				}
			}
		}
	}()
}

// nodes are those of this test: of the devices of its API.
func (w *World) nodes(ctx context.Context) []corev1.Node {
	list := &corev1.NodeList{}
	if err := w.Client.List(ctx, list, client.MatchingLabels{"project": w.API.ProjectID}); err != nil {
		return nil
	}
	return list.Items
}

func (w *World) join(ctx context.Context, device *packet.Device) error {
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: device.Hostname, Labels: map[string]string{"project": w.API.ProjectID}},
		Spec:       corev1.NodeSpec{ProviderID: packet.ProviderID(device.ID)},
	}
	if packet.HasTags(device.Tags, packet.TagRoleMaster) {
		node.Labels["node-role.kubernetes.io/control-plane"] = ""
	}
	if err := w.Client.Create(ctx, node); err != nil {
		return err
	}
	setReady(node, corev1.ConditionTrue)
	return w.Client.Status().Update(ctx, node)
}

// SetNodeReady has the kubelet of a machine report that it works, that it does not, or nothing any more.
func (w *World) SetNodeReady(name string, status corev1.ConditionStatus) {
	w.t.Helper()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	w.SetStatus(node, func() { setReady(node, status) })
}

func setReady(node *corev1.Node, status corev1.ConditionStatus) {
	node.Status.Conditions = nil
	for kind, want := range map[corev1.NodeConditionType]corev1.ConditionStatus{
		corev1.NodeReady: status, corev1.NodeDiskPressure: corev1.ConditionFalse,
		corev1.NodeMemoryPressure: corev1.ConditionFalse, corev1.NodePIDPressure: corev1.ConditionFalse,
	} {
		node.Status.Conditions = append(node.Status.Conditions, corev1.NodeCondition{
			Type: kind, Status: want, Reason: "Test", LastTransitionTime: metav1.Now(), LastHeartbeatTime: metav1.Now(),
		})
	}
	node.Status.NodeInfo.KubeletVersion = "v1.36.0"
}
