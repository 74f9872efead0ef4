package charts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const root = "../.."

// TestManifestsAreCurrent compares the manifests that are committed with what
// the chart makes now.
func TestManifestsAreCurrent(t *testing.T) {
	for _, manifest := range CloudControllerManager() {
		text, err := manifest.Text(root, "", "make generate")
		if err != nil {
			t.Fatal(err)
		}
		checkObjects(t, text)
		committed, err := os.ReadFile(filepath.Join(root, "deploy", "ccm", manifest.Name))
		if err != nil {
			t.Fatal(err)
		}
		if text != string(committed) {
			t.Errorf("deploy/ccm/%s is not current: make generate", manifest.Name)
		}
	}
}

// TestManifestOfARelease differs in the image and in nothing else.
func TestManifestOfARelease(t *testing.T) {
	for _, manifest := range CloudControllerManager() {
		own, err := manifest.Text(root, "", "make")
		if err != nil {
			t.Fatal(err)
		}
		released, err := manifest.Text(root, "registry.example:5000/ccm:v1.2.3", "make")
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.Replace(own, " packetyard/packet-cloud-controller-manager:dev\n", " registry.example:5000/ccm:v1.2.3\n", 1); released != want || released == own {
			t.Errorf("%s of a release is\n%s", manifest.Name, released)
		}
		if _, err := manifest.Text(root, "registry.example:5000/ccm", "make"); err == nil || !strings.Contains(err.Error(), `"registry.example:5000/ccm"`) {
			t.Errorf("an image without tag: %v", err)
		}
	}
}
