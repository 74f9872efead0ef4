package imagevector

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gardener/gardener/pkg/utils/imagevector"
)

func TestRead(t *testing.T) {
	vector, err := Read("v1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		CloudControllerManager: "packetyard/packet-cloud-controller-manager:v1.2.3",
		MachineDriver:          "packetyard/machine-controller-manager-provider-packet:v1.2.3",
		MetalLBController:      "quay.io/metallb/controller:v0.16.2",
		MetalLBSpeaker:         "quay.io/metallb/speaker:v0.16.2",
	} {
		if got, err := Find(vector, name); err != nil || got != want {
			t.Errorf("%s is %q (%v), want %q", name, got, err, want)
		}
	}
	if len(vector) != 4 {
		t.Errorf("there are %d images, and 4 names", len(vector))
	}
	if _, err := Find(vector, "no-such-image"); err == nil || !strings.Contains(err.Error(), "no-such-image") {
		t.Errorf("looking for an image that there is not: %v", err)
	}
	if _, err := Read(""); err == nil {
		t.Error("no release is no tag")
	}
}

func TestReadOverwrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "overwrite.yaml")
	t.Setenv(imagevector.OverrideEnv, path)
	if _, err := Read("v1"); err == nil || !strings.Contains(err.Error(), imagevector.OverrideEnv) {
		t.Errorf("a file that is not there: %v", err)
	}
	overwrite := "images:\n" +
		"- {name: packet-cloud-controller-manager, repository: mirror.example/ccm}\n" +
		"- {name: metallb-speaker, ref: 'mirror.example/speaker@sha256:4f2b3d1c'}\n" +
		"- {name: machine-controller-manager-provider-packet, repository: mirror.example/driver, tag: mine}\n"
	if err := os.WriteFile(path, []byte(overwrite), 0o600); err != nil {
		t.Fatal(err)
	}
	vector, err := Read("v1")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		CloudControllerManager: "mirror.example/ccm:v1",
		MachineDriver:          "mirror.example/driver:mine",
		MetalLBController:      "quay.io/metallb/controller:v0.16.2",
		MetalLBSpeaker:         "mirror.example/speaker@sha256:4f2b3d1c",
	} {
		if got, err := Find(vector, name); err != nil || got != want {
			t.Errorf("%s is %q (%v), want %q", name, got, err, want)
		}
	}
}
