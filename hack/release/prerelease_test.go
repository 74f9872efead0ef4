package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const repository = "registry.example/packetyard/packet-cloud-controller-manager"

func TestPrereleaseWritesTheFilesOfARelease(t *testing.T) {
	w := newWorld(t)
	w.variables["RELEASE_TAG"] = "v1.2.3"
	w.run([]string{"prerelease", repository})
	for _, name := range []string{"packet-cloud-controller-manager.yaml", "packet-cloud-controller-manager-ha.yaml"} {
		text := w.read("deploy/release/v1.2.3/" + name)
		for _, want := range []string{"image: " + repository + ":v1.2.3\n", "`make prerelease RELEASE_TAG=v1.2.3`", "kind: ClusterRole\n"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %q:\n%s", name, want, text)
			}
		}
	}
	readme := w.read("README.md")
	for _, want := range []string{"\nLatest release: [v1.2.3](deploy/release/v1.2.3).\n", "deploy/release/v1.2.3/packet-cloud-controller-manager.yaml`, and"} {
		if !strings.Contains(readme, want) {
			t.Errorf("README.md lacks %q:\n%s", want, readme)
		}
	}
	if !strings.Contains(w.out.String(), "git add deploy/release/v1.2.3 README.md") {
		t.Errorf("it said %q", w.out.String())
	}

	// Until it is tagged, it can be made again, without what a release has no
	// longer. Afterwards it cannot.
	w.write("deploy/release/v1.2.3/old.yaml", "")
	w.run([]string{"prerelease", repository})
	if _, err := os.Stat(filepath.Join(w.dir, "deploy/release/v1.2.3/old.yaml")); !errors.Is(err, os.ErrNotExist) {
		t.Error("a file that is of the release no longer is still there")
	}
	w.commit()
	w.git("tag", "v1.2.3")
	w.run([]string{"prerelease", repository}, `RELEASE_TAG is "v1.2.3"`, w.state().Commit)
	w.variables["RELEASE_TAG"] = "v1.3.0-rc.1"
	w.run([]string{"prerelease", repository})
	if readme := w.read("README.md"); strings.Contains(readme, "v1.2.3") || strings.Count(readme, "v1.3.0-rc.1") != 3 {
		t.Errorf("README.md is %s", readme)
	}
	if w.read("deploy/release/v1.2.3/packet-cloud-controller-manager.yaml") == "" {
		t.Error("the release before is gone")
	}
}

func TestPrereleaseWithoutLineInREADME(t *testing.T) {
	w := newWorld(t)
	w.write("README.md", "# A project\n")
	w.variables["RELEASE_TAG"] = "v1.2.3"
	w.run([]string{"prerelease", repository})
	if text := w.read("README.md"); text != "# A project\n" || !strings.Contains(w.out.String(), "README.md stays as it is") {
		t.Errorf("README.md is %q, and it said %q", text, w.out.String())
	}
}

func TestPrereleaseRefusesAndChangesNothing(t *testing.T) {
	for tag, wants := range map[string][]string{
		"":               {`RELEASE_TAG is ""`, "v1.2.3"},
		"1.2.3":          {`RELEASE_TAG is "1.2.3"`},
		"v1.2.3/../../x": {`RELEASE_TAG is "v1.2.3/../../x"`},
	} {
		w := newWorld(t)
		w.variables["RELEASE_TAG"] = tag
		w.run([]string{"prerelease", repository}, wants...)
		if w.state().Changed {
			t.Errorf("RELEASE_TAG=%s changed the working tree", tag)
		}
	}
	w := newWorld(t)
	w.variables["RELEASE_TAG"] = "v1.2.3"
	w.run([]string{"prerelease", "Not A Repository"}, `"Not A Repository"`)
	w.write("charts/packet-cloud-controller-manager/templates/broken.yaml", "{{ fail \"broken\" }}")
	w.commit()
	w.run([]string{"prerelease", repository}, "broken")
	if w.state().Changed {
		t.Error("a chart that is broken left files")
	}
}
