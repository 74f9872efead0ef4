//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/packetyard/packetyard/example"
)

func exampleCluster(t *testing.T) string {
	t.Helper()
	return string(example.Cluster)
}

func exampleControlPlane(t *testing.T) string {
	t.Helper()
	return string(example.ClusterKubeadmControlPlane)
}

// checkFailedBootstrap makes a cluster whose master ends its user data with an
// error before kubeadm runs.
func checkFailedBootstrap(t *testing.T, y *yard) {
	const lament = "the disk is on fire"
	kubeadmConfig := "kind: KubeadmConfig\nmetadata:\n  name: demo-master-0\nspec:\n"
	if !strings.Contains(exampleCluster(t), kubeadmConfig) {
		t.Fatal("the example does not have the KubeadmConfig that this test changes")
	}
	broken := strings.Replace(exampleCluster(t), kubeadmConfig,
		kubeadmConfig+"  preKubeadmCommands:\n    - echo "+lament+"\n    - exit 1\n", 1)
	broken = strings.ReplaceAll(broken, "demo", "broken")
	file := filepath.Join(t.TempDir(), "broken.yaml")
	if err := os.WriteFile(file, []byte(broken), 0o600); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	code, output := y.run(t.Context(), "up", "-f", file, "--timeout", "10m")
	took := time.Since(began)
	t.Logf("up ended with %d after %s:\n%s", code, took.Round(time.Second), output)
	if code == 0 || took > 5*time.Minute {
		t.Errorf("up ended with %d after %s; want a failure, and not at the time-out", code, took)
	}
	for _, want := range []string{"broken-master-0", lament, "packetyard console broken-master-0"} {
		if !strings.Contains(output, want) {
			t.Errorf("the output lacks %q", want)
		}
	}
	if console := y.must(t, "console", "broken-master-0"); !strings.Contains(console, lament) {
		t.Errorf("the console lacks %q:\n%s", lament, console)
	}
	bootstrap := y.kubeconfig(t, "bootstrap")
	// Cluster API repeats the PacketMachine's condition in the Machine's.
	eventually(t, "the Machine's condition tells why", func(ctx context.Context) error {
		conditions, err := y.tryKubectl(ctx, bootstrap, "get", "machine", "broken-master-0", "-o", "jsonpath={.status.conditions}")
		if err == nil && !strings.Contains(conditions, lament) {
			err = fmt.Errorf("the conditions are %s", conditions)
		}
		return err
	})
	deleteCluster(t, y, "broken")
}
