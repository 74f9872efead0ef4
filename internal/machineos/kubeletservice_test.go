package machineos

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/packetyard/packetyard/internal/machineos/units"
)

// Gardener's kubelet.service has the kubelet's whole command line, and had no effect: the kubelet ran as kubeadm's packages run it.
func TestAnOwnersKubeletServiceCounts(t *testing.T) {
	for name, test := range map[string]struct {
		unit, dropIn string
		want         bool
	}{
		"no unit file": {},
		"Gardener's": {
			unit: "[Service]\nExecStart=/opt/bin/kubelet \\\n    --config=/var/lib/kubelet/config/kubelet \\\n    --v=2 $KUBELET_EXTRA_ARGS\n", want: true,
		},
		"that of the kubeadm packages": {
			unit:   "[Service]\nExecStart=/usr/bin/kubelet\nRestart=always\n",
			dropIn: "[Service]\nExecStart=\nExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS\n",
		},
		"the program alone": {unit: "[Service]\nExecStart=/usr/bin/kubelet\n"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for file, content := range map[string]string{"kubelet.service": test.unit, "kubelet.service.d/10-kubeadm.conf": test.dropIn} {
				if content == "" {
					continue
				}
				path := filepath.Join(root, "etc/systemd/system", file)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got := ownersKubelet(units.New(t.Context(), units.Config{Store: units.Store{Root: root}})); got != test.want {
				t.Errorf("it counts: %t, want %t", got, test.want)
			}
		})
	}
}
