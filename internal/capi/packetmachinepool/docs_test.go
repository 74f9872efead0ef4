package packetmachinepool_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/capitest"
)

// TestTheExampleOfTheManual applies what docs/machine-pools.md says, with the kubeadm bootstrap provider: three workers that
// would join the cluster.
func TestTheExampleOfTheManual(t *testing.T) {
	w, cluster := newWorld(t)
	w.Add(capitest.ClusterSecrets)
	w.Run()
	hasControlPlane(t, w, cluster)
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "machine-pools.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```yaml\n")
	example, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("the manual has no example")
	}
	file := filepath.Join(t.TempDir(), "pool.yaml")
	if err := os.WriteFile(file, []byte(example), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := w.Kubectl(t.Context(), "apply", "-n", w.Namespace, "-f", file); err != nil {
		t.Fatal(out, err)
	}
	machinePool := &clusterv1.MachinePool{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "demo-pool"}}
	pool := &infrav1.PacketMachinePool{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "demo-pool"}}
	settles(t, w, machinePool, pool, 3)
	for _, device := range workers(w) {
		if !strings.Contains(device.Userdata, "kubeadm join") {
			t.Errorf("the user data of %s does not join the cluster", device.Hostname)
		}
		if device.Metro.Code != "da" {
			t.Errorf("device %s is in %s", device.Hostname, device.Metro.Code)
		}
	}
}
