//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/packetyard/packetyard/internal/machineos/kubernetes"
	"github.com/packetyard/packetyard/pkg/packet"
)

const adminKubectl = "kubectl --kubeconfig /etc/kubernetes/admin.conf "

// olderVersion is a version of the machine image that is not its default.
func olderVersion(t *testing.T, room *machineRoom) string {
	t.Helper()
	image := kubernetes.Image{Directory: room.image}
	versions := image.Versions()
	if len(versions) < 2 || image.Default() != versions[len(versions)-1] {
		t.Fatalf("the machine image has the versions %v and its default is %q; make kube-previous adds an older one", versions, image.Default())
	}
	return versions[len(versions)-2]
}

// TestMachineRunsTheVersionThatIsInstalled boots a control plane of an older
// Kubernetes with the command lines of Kubernetes' own documentation.
func TestMachineRunsTheVersionThatIsInstalled(t *testing.T) {
	room := newMachineRoom(t)
	older := olderVersion(t, room)
	minor := older[:strings.LastIndex(older, ".")]
	node := room.make(t, "older", "ubuntu_24_04", `#cloud-config
runcmd:
- sudo apt-get update
- sudo apt-get install -y apt-transport-https ca-certificates curl gpg
- sudo mkdir -p -m 755 /etc/apt/keyrings
- echo 'deb [signed-by=/etc/apt/keyrings/kubernetes-apt-keyring.gpg] https://pkgs.k8s.io/core:/stable:/`+minor+`/deb/ /' | sudo tee /etc/apt/sources.list.d/kubernetes.list
- sudo apt-get update
- sudo apt-get install -y kubelet kubeadm kubectl && sudo apt-mark hold kubelet kubeadm kubectl
- sudo systemctl enable --now kubelet
- kubeadm init --kubernetes-version `+older+` --pod-network-cidr 10.244.0.0/16
`)
	eventually(t, "the node of the older version is Ready", func(ctx context.Context) error {
		nodes, err := room.try(ctx, node, adminKubectl+`get nodes --no-headers`)
		if err != nil {
			return err
		}
		if fields := strings.Fields(nodes); len(fields) != 5 || fields[1] != "Ready" || fields[4] != older {
			return fmt.Errorf("the nodes are %q", nodes)
		}
		return nil
	})
	if version := room.run(t, node, adminKubectl+"get --raw /version"); !strings.Contains(version, `"gitVersion": "`+older+`"`) {
		t.Errorf("the API server's version is %s", version)
	}
	// The API server learns of its own pod a moment after it runs.
	eventually(t, "the control plane is of the older version", func(ctx context.Context) error {
		images, err := room.try(ctx, node, adminKubectl+`-n kube-system get pods -o jsonpath='{range .items[*]}{.status.phase} {.spec.containers[0].image}{"\n"}{end}'`)
		if err != nil {
			return err
		}
		for _, program := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler"} {
			want := "Running registry.k8s.io/" + program + ":" + older
			if !slices.Contains(strings.Split(images, "\n"), want) {
				return fmt.Errorf("no pod is %q:\n%s", want, images)
			}
		}
		return nil
	})
	t.Run("an unknown version", func(t *testing.T) {
		output, err := room.try(t.Context(), node, "apt-get install -y kubelet=1.20.0-* 2>&1 || true")
		if err != nil || !strings.Contains(output, "Version '1.20.0-*' for 'kubelet' was not found") {
			t.Errorf("apt prints %s, %v", output, err)
		}
	})
	t.Run("drain with a PodDisruptionBudget", func(t *testing.T) { checkDrain(t, room, node) })
	t.Run("after a reboot", func(t *testing.T) {
		before := room.run(t, node, "cat /run/machine-boot-id")
		if err := room.DeviceAction(t.Context(), node.ID, packet.DeviceAction{Type: packet.ActionReboot}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the older kubelet runs again", func(ctx context.Context) error {
			after, err := room.try(ctx, node, "cat /run/machine-boot-id && kubelet --version")
			if err == nil && (strings.Contains(after, before) || !strings.Contains(after, "Kubernetes "+older)) {
				err = fmt.Errorf("boot and version are %s", after)
			}
			return err
		})
	})
}

// checkDrain drains a cluster's only node of two pods of which one has to stay,
// as long as there is a budget that says so.
func checkDrain(t *testing.T, room *machineRoom, node *packet.Device) {
	room.run(t, node, adminKubectl+"taint nodes --all node-role.kubernetes.io/control-plane-")
	room.run(t, node, adminKubectl+"create deployment web --image nginx:1.29 --replicas 2")
	room.run(t, node, adminKubectl+"create poddisruptionbudget web --selector app=web --min-available 1")
	eventually(t, "the budget allows for one pod less", func(ctx context.Context) error {
		allowed, err := room.try(ctx, node, adminKubectl+"get poddisruptionbudget web -o jsonpath={.status.disruptionsAllowed}")
		if err == nil && allowed != "1" {
			err = fmt.Errorf("it allows for %q", allowed)
		}
		return err
	})
	const drain = adminKubectl + `drain "$(hostname)" --pod-selector app=web --ignore-daemonsets --delete-emptydir-data --timeout `
	const running = adminKubectl + "get pods -l app=web -o jsonpath='{.items[*].status.phase}'"
	if output, err := room.try(t.Context(), node, drain+"8s"); err == nil || !strings.Contains(err.Error(), "violate the pod's disruption budget") {
		t.Errorf("with the budget, draining gives %s, %v", output, err)
	}
	if phases := strings.Fields(room.run(t, node, running)); !slices.Contains(phases, "Running") || !slices.Contains(phases, "Pending") {
		t.Errorf("with the budget the pods are %v, want one to run and one to wait", phases)
	}
	room.run(t, node, adminKubectl+"delete poddisruptionbudget web")
	room.run(t, node, drain+"50s")
	if phases := strings.Fields(room.run(t, node, running)); slices.Contains(phases, "Running") || len(phases) != 2 {
		t.Errorf("after the drain the pods are %v, want two that wait", phases)
	}
}
