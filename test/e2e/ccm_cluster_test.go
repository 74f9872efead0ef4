//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	chartfiles "github.com/packetyard/packetyard/charts"
	"github.com/packetyard/packetyard/internal/charts"
	"github.com/packetyard/packetyard/pkg/packet"
)

// The names of the cloud controller manager, in the workload cluster and, for
// its manifest, in the bootstrap cluster.
const (
	ccmName     = "packet-cloud-controller-manager"
	ccmSelector = "app.kubernetes.io/name=" + ccmName
	ccmAccount  = "system:serviceaccount:kube-system:" + ccmName
)

// ccmManifest is what `helm template` makes of the chart with some values.
func ccmManifest(t *testing.T, values string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, chartfiles.Files); err != nil {
		t.Fatal(err)
	}
	text, err := charts.Render(filepath.Join(dir, ccmName), ccmName, metav1.NamespaceSystem, values)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// ccmConfigMap is what a cluster's ClusterResourceSet takes the cloud
// controller manager's manifest from.
func ccmConfigMap(t *testing.T, manifest string) string {
	t.Helper()
	text, err := yaml.Marshal(&corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Name: ccmName, Namespace: metav1.NamespaceDefault},
		Data:       map[string]string{ccmName + ".yaml": manifest},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// withCCM is a cluster file with another manifest of the cloud controller manager.
func withCCM(t *testing.T, cluster, manifest string) string {
	t.Helper()
	const separator = "\n---\n"
	documents, replaced := strings.Split(cluster, separator), 0
	for i, document := range documents {
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal([]byte(document), &kind); err != nil {
			t.Fatal(err)
		}
		if kind.Kind == "ConfigMap" {
			documents[i] = strings.TrimSpace(ccmConfigMap(t, manifest))
			replaced++
		}
	}
	if replaced != 1 {
		t.Fatalf("the cluster file has %d ConfigMaps, want the one with the manifest", replaced)
	}
	return writeFile(t, "cluster.yaml", strings.Join(documents, separator))
}

func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// kubernetes is a client of a cluster.
func (y *yard) kubernetes(t *testing.T, kubeconfig string) kubernetes.Interface {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// nodesByName are the nodes of a cluster.
func nodesByName(ctx context.Context, kube kubernetes.Interface) (map[string]corev1.Node, error) {
	list, err := kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	nodes := map[string]corev1.Node{}
	for _, node := range list.Items {
		nodes[node.Name] = node
	}
	return nodes, nil
}

func mustNodes(t *testing.T, kube kubernetes.Interface) map[string]corev1.Node {
	t.Helper()
	nodes, err := nodesByName(t.Context(), kube)
	if err != nil {
		t.Fatal(err)
	}
	return nodes
}

func isControlPlane(node corev1.Node) bool {
	_, ok := node.Labels["node-role.kubernetes.io/control-plane"]
	return ok
}

func isReady(node corev1.Node) bool {
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// isShutDown tells whether a node has the taint of a device that is off. Its
// name is written out, because clusters and users rely on it.
func isShutDown(node corev1.Node) bool {
	for _, taint := range node.Spec.Taints {
		if taint.Key == "node.cloudprovider.kubernetes.io/shutdown" {
			return true
		}
	}
	return false
}

// deviceOf is the ID of the device that a node names.
func deviceOf(t *testing.T, node corev1.Node) string {
	t.Helper()
	id, err := packet.DeviceID(node.Spec.ProviderID)
	if err != nil {
		t.Fatalf("node %s: %v", node.Name, err)
	}
	return id
}

// power switches the device of a node.
func (y *yard) power(t *testing.T, node corev1.Node, action string) {
	t.Helper()
	client, _ := y.api(t)
	if err := client.DeviceAction(t.Context(), deviceOf(t, node), packet.DeviceAction{Type: action}); err != nil {
		t.Fatalf("%s of %s: %v", action, node.Name, err)
	}
}

// ccmPods are the pods of the cloud controller manager that are not ending.
func ccmPods(ctx context.Context, kube kubernetes.Interface) ([]corev1.Pod, error) {
	list, err := kube.CoreV1().Pods(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{LabelSelector: ccmSelector})
	if err != nil {
		return nil, err
	}
	var pods []corev1.Pod
	for _, pod := range list.Items {
		if pod.DeletionTimestamp == nil {
			pods = append(pods, pod)
		}
	}
	return pods, nil
}

// theCCMPod is the one pod of a Deployment of the cloud controller manager.
func theCCMPod(t *testing.T, kube kubernetes.Interface) corev1.Pod {
	t.Helper()
	pods, err := ccmPods(t.Context(), kube)
	if err != nil || len(pods) != 1 {
		t.Fatalf("%d pods of the cloud controller manager, %v; want one", len(pods), err)
	}
	return pods[0]
}

// useCCM gives the workload cluster another manifest of the cloud controller
// manager, as docs/load-balancers.md tells users to, and waits for its pod.
func (y *yard) useCCM(t *testing.T, kube kubernetes.Interface, manifest, argument string) {
	t.Helper()
	y.kubectl(t, y.kubeconfig(t, "bootstrap"), "replace", "-f", writeFile(t, "configmap.yaml", ccmConfigMap(t, manifest)))
	eventually(t, "the cloud controller manager runs with "+argument, func(ctx context.Context) error {
		pods, err := ccmPods(ctx, kube)
		if err != nil {
			return err
		}
		if len(pods) != 1 {
			return fmt.Errorf("%d pods", len(pods))
		}
		arguments := pods[0].Spec.Containers[0].Args
		if !strings.Contains(strings.Join(arguments, "\n")+"\n", argument+"\n") {
			return fmt.Errorf("its arguments are %q", arguments)
		}
		for _, condition := range pods[0].Status.Conditions {
			if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
				return nil
			}
		}
		return fmt.Errorf("it is not ready")
	})
}

// checkRights looks for what the cloud controller manager was refused.
func (y *yard) checkRights(t *testing.T, kubeconfig string, kube kubernetes.Interface) {
	t.Helper()
	pods, err := ccmPods(t.Context(), kube)
	if err != nil {
		t.Fatal(err)
	}
	for _, pod := range pods {
		if pod.Spec.ServiceAccountName != ccmName {
			t.Errorf("pod %s runs as %s, want its own account", pod.Name, pod.Spec.ServiceAccountName)
		}
		log := y.kubectl(t, kubeconfig, "logs", "-n", metav1.NamespaceSystem, pod.Name)
		if log == "" {
			t.Errorf("pod %s has no log, which proves nothing", pod.Name)
		}
		for line := range strings.Lines(log) {
			if strings.Contains(line, "forbidden") {
				t.Errorf("a right is lacking: %s", line)
			}
		}
	}
}
