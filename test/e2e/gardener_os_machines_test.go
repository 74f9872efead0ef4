//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	nodeagentconfigv1alpha1 "github.com/gardener/gardener/pkg/apis/config/nodeagent/v1alpha1"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
)

// bootedByGardener waits until each machine of the Shoot has carried out the OperatingSystemConfig of its pool, and looks in the
// machines for what the extension's webhook put there.
func (h *hosted) bootedByGardener(t *testing.T) {
	t.Helper()
	for _, node := range h.nodes(t) {
		eventually(t, node.Name+" has applied its OperatingSystemConfig", func(ctx context.Context) error { return h.appliedConfig(ctx, node.Name) })

		// The unit is Gardener's. How it runs is what counts: a machine has a kubelet of its own, for kubeadm.
		command := h.inMachine(t, node.Name, "tr '\\0' '\\n' < /proc/$(pgrep -o -f '^/opt/bin/kubelet ')/cmdline")
		for _, argument := range []string{"--cloud-provider=external", "--config=/var/lib/kubelet/config/kubelet", "--bootstrap-kubeconfig=/var/lib/kubelet/kubeconfig-bootstrap"} {
			if !strings.Contains(command+"\n", argument+"\n") {
				t.Errorf("the kubelet of %s runs without %s:\n%s", node.Name, argument, command)
			}
		}
		for _, unit := range []string{"kubelet.service", "gardener-node-agent.service"} {
			if state := h.inMachine(t, node.Name, "systemctl is-active "+unit); state != "active" {
				t.Errorf("%s is %s on %s", unit, state, node.Name)
			}
		}
		gateway := h.inMachine(t, node.Name, "cat /run/bgp-peer-gateway")
		for _, peer := range []string{"169.254.255.1", "169.254.255.2"} {
			if route := h.inMachine(t, node.Name, "ip route show "+peer); !strings.Contains(route, " via "+gateway+" ") {
				t.Errorf("%s reaches the BGP peer %s by %q, want the gateway of its private network, %s", node.Name, peer, route, gateway)
			}
		}
	}
}

// appliedConfig finds what a node's agent has not done yet.
func (h *hosted) appliedConfig(ctx context.Context, name string) error {
	node, err := h.node(ctx, name)
	if err != nil {
		return err
	}
	secret, err := get[corev1.Secret](h.yard, ctx, h.target, "-n", metav1.NamespaceSystem, "secret", node.Labels[v1beta1constants.LabelWorkerPoolGardenerNodeAgentSecretName])
	if err != nil {
		return err
	}
	want := secret.Annotations[nodeagentconfigv1alpha1.AnnotationKeyChecksumDownloadedOperatingSystemConfig]
	if applied := node.Annotations[nodeagentconfigv1alpha1.AnnotationKeyChecksumAppliedOperatingSystemConfig]; want == "" || applied != want {
		return fmt.Errorf("it has applied the configuration with the checksum %q, want %q", applied, want)
	}
	return nil
}

// nodes are the Shoot's workers.
func (h *hosted) nodes(t *testing.T) []corev1.Node {
	t.Helper()
	nodes, err := get[corev1.NodeList](h.yard, t.Context(), h.target, "nodes", "-l", "!node-role.kubernetes.io/control-plane")
	if err != nil {
		t.Fatal(err)
	}
	return nodes.Items
}

func (h *hosted) node(ctx context.Context, node string) (corev1.Node, error) {
	return get[corev1.Node](h.yard, ctx, h.target, "node", node)
}

// inMachine is what a shell's command line prints in a machine.
func (h *hosted) inMachine(t *testing.T, machine, line string) string {
	t.Helper()
	code, output := h.run(t.Context(), "exec", machine, "--", "/bin/sh", "-c", line)
	if code != 0 {
		t.Errorf("%s: %s: it ended with %d:\n%s", machine, line, code, output)
	}
	return strings.TrimSpace(output)
}
