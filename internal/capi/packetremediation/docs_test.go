package packetremediation_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/pkg/packet"
)

// TestTheExampleOfTheManual applies what docs/remediation.md says, and has a machine healed by it.
func TestTheExampleOfTheManual(t *testing.T) {
	w, cluster, _ := newWorld(t, 1)
	machine := workers(t, w, cluster)
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "remediation.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```yaml\n")
	example, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("the manual has no example")
	}
	// Nobody waits five minutes here, and one of one machine is more than 40%.
	example = strings.NewReplacer("timeoutSeconds: 300", "timeoutSeconds: 0", "40%", "100%").Replace(example)
	file := filepath.Join(t.TempDir(), "remediation.yaml")
	if err := os.WriteFile(file, []byte(example), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := w.Kubectl(t.Context(), "apply", "-n", w.Namespace, "-f", file); err != nil {
		t.Fatal(out, err)
	}
	w.SetNodeReady(machine.Name, corev1.ConditionUnknown)
	asked(t, w, packet.ActionReboot)
	remediation := remediationOf(machine)
	says(w, remediation, infrav1.RemediationWaitingReason)
	w.SetNodeReady(machine.Name, corev1.ConditionTrue)
	isGone(w, remediation)
}
