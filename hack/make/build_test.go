package maketest

import (
	"debug/elf"
	"debug/macho"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestHelp shows every target that is meant for people, and all that the
// documents name.
func TestHelp(t *testing.T) {
	tr := newTree(t)
	out := tr.make("help")
	for _, target := range []string{
		"all", "up", "down", "test", "e2e", "bench", "fuzz", "clean", "build", "programs", "kube", "machine-image", "assets", "components",
		"image", "image-packet-api-server", "docker-build", "image-name", "images", "ci", "cd", "prerelease", "release", "generate", "verify", "fmt", "lint",
		"gardener", "start", "start-provider-packet", "debug", "hook-me", "show-chart", "install-requirements", "install", "check", "check-generate", "format", "test-cov",
		"test-clean", "verify-extended", "docker-images", "docker-login",
	} {
		if !regexp.MustCompile(`(?m)^  ` + target + ` +[A-Z]`).MatchString(out) {
			t.Errorf("make help does not show %s:\n%s", target, out)
		}
	}
	for _, heading := range []string{"what most people need", "the parts", "container images", "shipping", "the Gardener extension", "keeping it right"} {
		if !strings.Contains(out, "\n"+heading+"\n") {
			t.Errorf("make help does not have the heading %q", heading)
		}
	}
}

// TestDryRuns finds targets that are no longer there.
func TestDryRuns(t *testing.T) {
	tr := newTree(t)
	for target, wants := range map[string][]string{
		"":           {"./cmd/kube", "bin/machine-image/init", "hack/components", "dist/bin/packet-cloud-controller-manager--" + host},
		"up":         {"hack/hostcheck", "bin/machine-image/init", "bin/packetyard up"},
		"down":       {"bin/packetyard down"},
		"test":       {"bin/envtest", "PACKETYARD_IMAGE=" + filepath.Join(tr.dir, "bin", "machine-image") + " go test -p"},
		"e2e":        {"bin/machine-image/init", "e2e.test -test.v"},
		"bench":      {"-bench ."},
		"fuzz":       {"hack/fuzz.sh 10s"},
		"verify":     {"golangci-lint", "hack/verify.sh"},
		"generate":   {"hack/generate.sh"},
		"clean":      {"bin dist provider-components.yaml"},
		"ci":         {"go test", "e2e.test -test.v", "linux/arm64=dist/bin/packet-cloud-controller-manager--linux-arm64", "manager.oci.tar", "packet-api-server.oci.tar"},
		"cd":         {"./hack/release cd 'dist/images/packet-cloud-controller-manager.oci.tar=packetyard/packet-cloud-controller-manager:latest'"},
		"prerelease": {"./hack/release prerelease 'packetyard/packet-cloud-controller-manager'"},
	} {
		arguments := []string{"-n"}
		if target != "" {
			arguments = append(arguments, target)
		}
		out := tr.make(arguments...)
		for _, want := range wants {
			if !strings.Contains(out, want) {
				t.Errorf("make -n %s does not show %q:\n%s", target, want, out)
			}
		}
	}
	if out := tr.make("-n", "ci", "PLATFORMS=linux/riscv64", "CI_TESTS=test"); strings.Contains(out, "arm64") || strings.Contains(out, "e2e") || !strings.Contains(out, "linux-riscv64") {
		t.Errorf("make ci does not take PLATFORMS and CI_TESTS:\n%s", out)
	}
}

// TestBuildForOtherPlatforms builds the cloud controller manager and nothing
// else: the rest could not be run.
func TestBuildForOtherPlatforms(t *testing.T) {
	tr := newTree(t)
	tr.make("build", "OS=darwin", "ARCH=arm64")
	apple, err := macho.Open(filepath.Join(tr.dir, "dist/bin/packet-cloud-controller-manager--darwin-arm64"))
	if err != nil {
		t.Fatal(err)
	}
	if apple.Cpu != macho.CpuArm64 {
		t.Errorf("the program is for %s", apple.Cpu)
	}
	tr.make("build", "OS=linux", "ARCH=riscv64")
	other, err := elf.Open(filepath.Join(tr.dir, "dist/bin/packet-cloud-controller-manager--linux-riscv64"))
	if err != nil {
		t.Fatal(err)
	}
	if other.Machine != elf.EM_RISCV {
		t.Errorf("the program is for %s", other.Machine)
	}
	if tr.exists("bin") || tr.exists("provider-components.yaml") {
		t.Error("more was built than the cloud controller manager")
	}
	tr.make("dist/bin/manager--" + host)
	out, err := exec.CommandContext(t.Context(), filepath.Join(tr.dir, "dist/bin/manager--"+host)).CombinedOutput()
	if err != nil || string(out) != "this is manager\n" {
		t.Errorf("%s, %v", out, err)
	}
	tr.make("clean")
	if tr.exists("dist") {
		t.Error("make clean leaves dist")
	}
}

func TestBuildRefuses(t *testing.T) {
	tr := newTree(t)
	tr.refuses([]string{"build", "OS=plan10"}, "OS=plan10", "linux/arm64")
	tr.refuses([]string{"build", "ARCH=z80"}, "ARCH=z80", "linux/arm64")
	tr.refuses([]string{"build", "DOCKERBUILD=yes"}, `DOCKERBUILD is "yes"`, "true")
	tr.refuses([]string{"build", "DOCKERBUILD=true"}, "DOCKERBUILD=true", "neither Docker nor Podman answers", "docker.io/library/golang:1.")
	tr.refuses([]string{"up", "OS=darwin"}, "OS=darwin", "builds for linux/")
	tr.refuses([]string{"e2e", "ARCH=s390x"}, "ARCH=s390x")
	tr.refuses([]string{"dist/bin/nothing--linux-amd64"}, "nothing", "packet-cloud-controller-manager")
	tr.refuses([]string{"dist/bin/manager"}, "<program>--<os>-<arch>")
	if tr.exists("dist/bin") || tr.exists("bin") {
		t.Error("something was built")
	}
}

// TestDockerBuild runs make again in a container, as the user and on this
// folder, with whichever engine answers.
func TestDockerBuild(t *testing.T) {
	tr := newTree(t)
	tr.environment = append(tr.environment, "XDG_CACHE_HOME="+t.TempDir(), "GOPROXY=https://proxy.example")
	tr.engine("podman", `[ "$1" = info ] || { shift; echo "in a container:" "$@"; }`)
	out := tr.make("build", "OS=linux", "ARCH=arm64", "DOCKERBUILD=true")
	for _, want := range []string{"--volume " + tr.dir + ":/src", "--workdir /src", "--user ", "--env GOPROXY", "golang:1.26 make build OS=linux ARCH=arm64 DOCKERBUILD=false"} {
		if !strings.Contains(out, want) {
			t.Errorf("make build DOCKERBUILD=true does not have %q:\n%s", want, out)
		}
	}
	tr.engine("docker", `[ "$1" = info ] || { shift; echo "in Docker:" "$@"; }`)
	out = tr.make("dist/bin/manager--linux-arm64", "DOCKERBUILD=true", "GO_IMAGE=golang:mine")
	if !strings.Contains(out, "in Docker:") || !strings.Contains(out, "golang:mine make dist/bin/manager--linux-arm64 DOCKERBUILD=false") {
		t.Errorf("one program in a container:\n%s", out)
	}
}
