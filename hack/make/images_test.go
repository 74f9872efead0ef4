package maketest

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func TestImageName(t *testing.T) {
	tr := newTree(t)
	for want, arguments := range map[string][]string{
		"packetyard/manager:dev":                       nil,
		"myname/img-provider":                          {"IMG=myname/img-provider"},
		"registry.example:5000/packetyard/manager:dev": {"REGISTRY=registry.example:5000/"},
	} {
		if got := tr.make(append([]string{"-s", "image-name"}, arguments...)...); got != want+"\n" {
			t.Errorf("make image-name %v prints %q, want %q", arguments, got, want)
		}
	}
}

func TestImagesRefuse(t *testing.T) {
	tr := newTree(t)
	tr.refuses([]string{"image", "IMAGE=packetyard/ccm:v1"}, `IMAGE is "packetyard/ccm:v1"`, "without tag")
	tr.refuses([]string{"image", "IMAGE=Not-Lower"}, `"Not-Lower:latest"`, "[registry/]repository[:tag]")
	tr.refuses([]string{"image", "PLATFORMS=darwin/arm64"}, `PLATFORMS is "darwin/arm64"`, "linux/amd64,linux/arm64")
	tr.refuses([]string{"image", "PLATFORMS="}, "PLATFORMS is empty")
	tr.refuses([]string{"docker-build", "IMG=a:b:c"}, `"a:b:c"`)
	if tr.exists("dist/images") || tr.exists("provider-components.yaml") {
		t.Error("something was written")
	}
}

// TestDockerBuildOfTheManager has one name in the image and in
// provider-components.yaml, and loads the image where an engine answers.
func TestDockerBuildOfTheManager(t *testing.T) {
	tr := newTree(t)
	// The components are made of the whole repository; here it is enough how.
	tr.write("hack/components/main.go", `package main

import (
	"os"
	"strings"
)

func main() { os.WriteFile("provider-components.yaml", []byte(strings.Join(os.Args[1:], " ")), 0o644) }
`)
	tr.engine("docker", `[ "$1" = info ] || echo "in Docker:" "$@"`)
	out := tr.make("docker-build", "IMG=myname/img-provider")
	if !strings.Contains(out, "in Docker: load --input dist/images/manager.oci.tar") {
		t.Errorf("the image is not loaded:\n%s", out)
	}
	if got := string(tr.read("provider-components.yaml")); !strings.Contains(got, "-image myname/img-provider ") {
		t.Errorf("provider-components.yaml is made with %q", got)
	}
	if !bytes.Contains(tr.read("dist/images/manager.oci.tar"), []byte(`"docker.io/myname/img-provider:latest"`)) {
		t.Error("the image has another name")
	}
}

// TestPipeline goes from a commit to a release in a registry, as
// docs/development/releasing.md tells it.
func TestPipeline(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	address := strings.TrimPrefix(server.URL, "http://")
	tr := newTree(t)
	hash := tr.commit()
	images, to := "IMAGES=packet-cloud-controller-manager packet-api-server", "REGISTRY="+address

	tr.refuses([]string{"cd", images, to}, "make cd: CONFIRM is", "CONFIRM=true", "BRANCH_NAME is")
	tr.refuses([]string{"cd", images, to, "CONFIRM=true", "BRANCH_NAME=it's/bad"}, `BRANCH_NAME is "it's/bad"`)
	tr.refuses([]string{"cd", images, to, "CONFIRM=true", "BRANCH_NAME=main"}, "dist/images/packet-cloud-controller-manager.oci.tar is not there: run make ci")
	tr.refuses([]string{"release", images, to}, "make release: CONFIRM is", "RELEASE_TAG is")
	tr.refuses([]string{"prerelease"}, "make prerelease: RELEASE_TAG is")

	platforms := "PLATFORMS=linux/" + runtime.GOARCH + ",linux/riscv64"
	out := tr.make("images", images, platforms)
	if !strings.Contains(out, "packet-cloud-controller-manager.oci.tar is packetyard/packet-cloud-controller-manager:latest: docker load -i") {
		t.Errorf("make image does not say how to go on:\n%s", out)
	}
	first := tr.read("dist/images/packet-cloud-controller-manager.oci.tar")
	tr.make("clean")
	tr.make("images", images, platforms)
	if !bytes.Equal(first, tr.read("dist/images/packet-cloud-controller-manager.oci.tar")) {
		t.Error("the same commit made another image")
	}

	tr.make("cd", images, to, "CONFIRM=true", "BRANCH_NAME=main")
	branch := pull(t, address+"/packetyard/packet-cloud-controller-manager:main")
	if commit := pull(t, address+"/packetyard/packet-cloud-controller-manager:"+hash); digest(t, commit) != digest(t, branch) {
		t.Error("the branch and the commit are two images")
	}
	pull(t, address+"/packetyard/packet-api-server:main")
	runs(t, branch)

	tr.make("prerelease", "RELEASE_TAG=v1.2.3")
	if text := string(tr.read("deploy/release/v1.2.3/packet-cloud-controller-manager.yaml")); !strings.Contains(text, "image: packetyard/packet-cloud-controller-manager:v1.2.3\n") {
		t.Error(text)
	}
	if !strings.Contains(string(tr.read("README.md")), "Latest release: [v1.2.3](deploy/release/v1.2.3).") {
		t.Error("README.md does not name the release")
	}
	tr.commit()
	tr.git("tag", "v1.2.3")
	tr.refuses([]string{"release", images, to, "CONFIRM=true", "RELEASE_TAG=v1.2.3"}, "was made from commit "+hash)
	tr.make("images", images, platforms)
	tr.make("release", images, to, "CONFIRM=true", "RELEASE_TAG=v1.2.3")
	released := pull(t, address+"/packetyard/packet-cloud-controller-manager:v1.2.3")
	manifest, err := released.IndexManifest()
	if err != nil || len(manifest.Manifests) != 2 || manifest.Annotations["org.opencontainers.image.version"] != "v1.2.3" {
		t.Errorf("%+v, %v", manifest, err)
	}
}

func pull(t *testing.T, image string) v1.ImageIndex {
	t.Helper()
	reference, err := name.ParseReference(image)
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Index(reference)
	if err != nil {
		t.Fatal(err)
	}
	return index
}

func digest(t *testing.T, index v1.ImageIndex) v1.Hash {
	t.Helper()
	hash, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

// runs runs the program in the image that is for this machine.
func runs(t *testing.T, index v1.ImageIndex) {
	t.Helper()
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	image, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	files := mutate.Extract(image)
	defer func() { _ = files.Close() }()
	path := filepath.Join(t.TempDir(), "program")
	for reader := tar.NewReader(files); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			t.Fatal("the image has no program")
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Name != "packet-cloud-controller-manager" {
			continue
		}
		data, err := io.ReadAll(reader)
		if err == nil {
			err = os.WriteFile(path, data, 0o700)
		}
		if err != nil {
			t.Fatal(err)
		}
		break
	}
	out, err := exec.CommandContext(t.Context(), path).CombinedOutput()
	if err != nil || string(out) != "this is packet-cloud-controller-manager\n" {
		t.Errorf("%s, %v", out, err)
	}
}
