package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/processtest"
	"github.com/packetyard/packetyard/pkg/packet"
)

// flavors are clusterctl's templates, and what the user data of their first master must have.
var flavors = map[string][]string{
	"":             {"#cloud-config", "KUBERNETES_VERSION=v1.36.4 /usr/local/bin/install-kubernetes", "kubeadm init"},
	"machines":     {"#cloud-config", "bootstrap-token-", "kubectl --kubeconfig /etc/kubernetes/admin.conf apply", "/etc/kubernetes/pki/ca.key", "kubeadm init"},
	"ha":           {"#cloud-config", "kubeadm init"},
	"kube-vip":     {"#cloud-config", "KUBE_VIP_VERSION=v1.2.2 /usr/local/bin/run-kube-vip before-kubeadm", "/etc/kubernetes/manifests/kube-vip.yaml"},
	"machinepool":  {"#cloud-config", "kubeadm init"},
	"flatcar":      {`"ignition":`, "/opt/bin/install-kubernetes"},
	"clusterclass": {"#cloud-config", "KUBERNETES_VERSION=v1.36.4 /usr/local/bin/install-kubernetes", "kubeadm init"},
}

// Every template, with its defaults, is applied by the server with all webhooks of the real manager, and makes a cluster as
// far as one comes without machines: to the user data of its first master. Then it goes, and leaves nothing.
func TestEveryTemplateMakesACluster(t *testing.T) {
	b, api := startBootstrap(t), apiservertest.Start(t, apiservertest.Options{})
	b.applyComponents(t)
	b.credentials(t, api)
	managers := b.runManagers(t)
	c := newClusterctl(t, builtManifests(t), "KUBECONFIG="+b.kubeconfig)

	files, err := filepath.Glob(filepath.Join("..", "..", "templates", "cluster-template*.yaml"))
	if err != nil || len(files) != len(flavors) {
		t.Fatalf("there are %d templates, %v; this test knows %d", len(files), err, len(flavors))
	}
	for flavor := range flavors {
		namespace := namespaceOf(flavor)
		if err := b.client.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); err != nil {
			t.Fatal(err)
		}
		// clusterctl prints warnings of the API server too, so the file is not its output.
		file := filepath.Join(t.TempDir(), "cluster.yaml")
		arguments := []string{"generate", "cluster", "demo", "--target-namespace", namespace, "--worker-machine-count", "1", "--write-to", file}
		if flavor != "" {
			arguments = append(arguments, "--flavor", flavor)
		}
		c.run(t, arguments...)
		b.kubectl(t, "apply", "--server-side", "-f", file)
	}
	for flavor, wanted := range flavors {
		namespace := namespaceOf(flavor)
		var master *packet.Device
		processtest.Succeeds(t, 3*minute, "flavor "+flavor+" has a master", func() error {
			devices, err := api.Client(t).Devices(t.Context(), api.ProjectID, packet.DeviceFilter{Tag: packet.TagRoleMaster})
			if err != nil {
				return err
			}
			for n := range devices {
				for _, tag := range devices[n].Tags {
					if strings.HasSuffix(tag, ":"+namespace) {
						master = &devices[n]
						return nil
					}
				}
			}
			return fmt.Errorf("no device of %d\n%s", len(devices), b.kubectl(t, "get", "-n", namespace, "-o", "wide",
				"clusters,packetclusters,kubeadmcontrolplanes,machines,packetmachines,kubeadmconfigs"))
		})
		for _, want := range wanted {
			if !strings.Contains(master.Userdata, want) {
				t.Errorf("the user data of the master of flavor %q has no %q", flavor, want)
			}
		}
		b.hasSecrets(t, namespace)
	}
	b.deleteClusters(t)
	nothingLeft(t, api)
	for _, p := range managers {
		p.lacksNoRight(t)
	}
}

func namespaceOf(flavor string) string {
	if flavor == "" {
		return "flavor-default"
	}
	return "flavor-" + flavor
}

// hasSecrets checks what seed 002 has made when a Cluster is created.
func (b *bootstrap) hasSecrets(t *testing.T, namespace string) {
	t.Helper()
	for _, name := range []string{"demo-ca", "demo-kubeadm-token", "demo-kubeconfig"} {
		processtest.Succeeds(t, minute, "there is Secret "+name+" in "+namespace, func() error {
			return b.client.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, &corev1.Secret{})
		})
	}
}

// deleteClusters deletes all Clusters and waits until they are gone.
func (b *bootstrap) deleteClusters(t *testing.T) {
	t.Helper()
	clusters := &clusterv1.ClusterList{}
	if err := b.client.List(t.Context(), clusters); err != nil {
		t.Fatal(err)
	}
	for n := range clusters.Items {
		if err := b.client.Delete(t.Context(), &clusters.Items[n]); err != nil {
			t.Fatal(err)
		}
	}
	for n := range clusters.Items {
		key := client.ObjectKeyFromObject(&clusters.Items[n])
		processtest.Succeeds(t, 3*minute, "the cluster in "+key.Namespace+" is gone", func() error {
			if err := b.client.Get(t.Context(), key, &clusterv1.Cluster{}); !apierrors.IsNotFound(err) {
				return fmt.Errorf("%w\n%s", err, b.kubectl(t, "get", "-n", key.Namespace, "-o", "wide",
					"clusters,packetclusters,machines,packetmachines,machinepools,packetmachinepools"))
			}
			return nil
		})
	}
}

// The ClusterClass has no variables of clusterctl: it is applied as it stands.
func TestTheClusterClassHasNoVariables(t *testing.T) {
	content, err := os.ReadFile(filepath.Join("..", "..", "templates", "clusterclass-packet.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(content), "${") {
		t.Error("clusterclass-packet.yaml has a variable")
	}
}
