//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/blang/semver/v4"
	bootstrapv1 "sigs.k8s.io/cluster-api/api/bootstrap/kubeadm/v1beta2"
	"sigs.k8s.io/cluster-api/bootstrap/kubeadm/pkg/cloudinit"
	"sigs.k8s.io/cluster-api/bootstrap/kubeadm/pkg/ignition"
)

// TestFlatcarBootsFromIgnition boots a control plane with the Ignition document
// that Cluster API's kubeadm bootstrap provider makes, and with a Kubernetes that
// the document brings as a system extension, as on a real Flatcar.
func TestFlatcarBootsFromIgnition(t *testing.T) {
	room := newMachineRoom(t)
	older := olderVersion(t, room)
	raw := "kubernetes-" + older + "-x86-64.raw"
	document, _, err := ignition.NewInitControlPlane(&ignition.ControlPlaneInput{
		ControlPlaneInput: &cloudinit.ControlPlaneInput{
			BaseUserData: cloudinit.BaseUserData{
				PreKubeadmCommands:  []string{`sed -i "s/NODE_NAME/$COREOS_PACKET_HOSTNAME/" /etc/kubeadm.yml`, "systemctl enable --now kubelet"},
				PostKubeadmCommands: []string{"systemctl is-active kubelet"},
				KubernetesVersion:   semver.MustParse(strings.TrimPrefix(older, "v")),
			},
			ClusterConfiguration: "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nkubernetesVersion: " + older,
			InitConfiguration:    "apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\nnodeRegistration:\n  name: NODE_NAME",
		},
		Ignition: &bootstrapv1.IgnitionSpec{ContainerLinuxConfig: bootstrapv1.ContainerLinuxConfig{AdditionalConfig: `
storage:
  files:
  - path: /opt/extensions/kubernetes/` + raw + `
    contents:
      remote:
        url: https://extensions.flatcar.org/extensions/` + raw + `
  - path: /etc/metadata.json
    contents:
      remote:
        url: https://metadata.packet.net/metadata
  links:
  - path: /etc/extensions/kubernetes.raw
    target: /opt/extensions/kubernetes/` + raw + `
systemd:
  units:
  - name: kubeadm.service
    enabled: true
    dropins:
    - name: 10-flatcar.conf
      contents: |
        [Unit]
        Requires=containerd.service coreos-metadata.service
        After=containerd.service coreos-metadata.service
        [Service]
        EnvironmentFile=/run/metadata/flatcar
`}},
	})
	if err != nil {
		t.Fatal(err)
	}
	node := room.make(t, "flatcar", "flatcar_stable", string(document))
	eventually(t, "Flatcar's node is Ready", func(ctx context.Context) error {
		nodes, err := room.try(ctx, node, adminKubectl+`get nodes --no-headers`)
		if err != nil {
			return err
		}
		if fields := strings.Fields(nodes); len(fields) != 5 || fields[0] != "flatcar" || fields[1] != "Ready" || fields[4] != older {
			return fmt.Errorf("the nodes are %q", nodes)
		}
		return nil
	})
	if state := room.run(t, node, "systemctl is-enabled kubeadm; systemctl is-active kubelet; journalctl -u kubeadm | grep -c 'initialized successfully'"); state != "enabled\nactive\n1" {
		t.Errorf("of the units is said %q", state)
	}
	if metadata := room.run(t, node, "cat /etc/metadata.json"); !strings.Contains(metadata, node.ID) {
		t.Errorf("what the metadata service says by HTTPS is %s", metadata)
	}
	events, err := room.DeviceEvents(t.Context(), node.ID)
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	for _, event := range events {
		fmt.Fprintln(&said, event.Type, event.Body)
	}
	for _, stage := range []string{"fetch", "disks", "files"} {
		if want := "[" + stage + "] Ignition status: finished successfully"; !strings.Contains(said.String(), want) {
			t.Errorf("the device's events lack %q:\n%s", want, said.String())
		}
	}
}
