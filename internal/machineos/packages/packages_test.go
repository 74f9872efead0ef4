package packages

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packetyard/packetyard/internal/machineos/kubernetes"
)

// machine is a machine's root whose image has v1.36.4, its default, and v1.35.4.
type machine struct {
	*testing.T
	root, image string
}

func newMachine(t *testing.T) machine {
	t.Helper()
	m := machine{T: t, root: t.TempDir(), image: t.TempDir()}
	for name, content := range map[string]string{"kube": "", "kubernetes/default": "v1.36.4\n", "kubernetes/v1.35.4/kube": ""} {
		m.write(m.image, name, content)
	}
	for _, name := range Names {
		if err := (kubernetes.Image{Directory: m.image}).Select("", filepath.Join(m.root, "bin", name)); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func (m machine) write(directory, name, content string) {
	m.Helper()
	file := filepath.Join(directory, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o755)); err != nil {
		m.Fatal(err)
	}
}

// run runs a command line and returns its exit code and all that it printed.
func (m machine) run(line string) (int, string) {
	m.Helper()
	var output bytes.Buffer
	fields := strings.Fields(line)
	manager := Manager{Root: m.root, Image: kubernetes.Image{Directory: m.image}, Programs: "bin", Stdout: &output, Stderr: &output}
	code := manager.Run(fields[0], fields[1:])
	return code, output.String()
}

// versions are those of the programs, in one text.
func (m machine) versions() string {
	m.Helper()
	var versions []string
	for _, name := range Names {
		version, ok := kubernetes.Image{Directory: m.image}.Of(filepath.Join(m.root, "bin", name))
		if !ok {
			m.Fatalf("%s leads to no version", name)
		}
		versions = append(versions, version)
	}
	return strings.Join(versions, " ")
}

func TestInstallingPackagesChoosesTheVersion(t *testing.T) {
	const preset, older = "v1.36.4 v1.36.4 v1.36.4", "v1.35.4 v1.35.4 v1.35.4"
	for line, want := range map[string]string{
		"apt-get install -y kubelet=1.35.4-* kubeadm=1.35.4-* kubectl=1.35.4-*":                              older,
		"apt-get -qq -o DPkg::Lock::Timeout=60 install -y kubelet=1.35.* kubeadm=1.35.* kubectl=*":           "v1.35.4 v1.35.4 v1.36.4",
		"apt install -y kubelet=1.35.4-1.1 kubeadm=1.35.4-00 kubectl:amd64=1.35.4-2.1":                       older,
		"apt-get install -y kubelet kubeadm kubectl containerd.io=1.7.* socat":                               preset,
		"apt-get install -y apt-transport-https ca-certificates curl gpg":                                    preset,
		"yum install -y kubelet-1.35.4 kubeadm-1.35.4-150500.1.1 kubectl-1.35* --disableexcludes=kubernetes": older,
		"dnf install -y kubelet-1.35.4-* kubeadm-1.35.4-0":                                                   "v1.35.4 v1.35.4 v1.36.4",
		"dnf install -y kubelet kubeadm conntrack-tools":                                                     preset,
	} {
		m := newMachine(t)
		if code, output := m.run(line); code != 0 || m.versions() != want {
			t.Errorf("%s: exit code %d, versions %s, want %s\n%s", line, code, m.versions(), want, output)
		}
	}
}

func TestVersionThatThereIsNotChangesNothing(t *testing.T) {
	for line, want := range map[string]string{
		"apt-get install -y kubectl=1.35.4-* kubelet=1.34.0-*": "E: Version '1.34.0-*' for 'kubelet' was not found\nN: Versions of kubelet in the machine image and the configured repositories: 1.35.4-1.1, 1.36.4-1.1\n",
		"apt-get install -y kubelet=1.35.4":                    "E: Version '1.35.4' for 'kubelet' was not found",
		"apt-get install -y kubelet=[":                         "E: Version '[' for 'kubelet' was not found",
		"yum install -y kubectl-1.35.4 kubelet-1.34.0":         "No match for argument: kubelet-1.34.0\n",
	} {
		m := newMachine(t)
		if code, output := m.run(line); code == 0 || !strings.Contains(output, want) || m.versions() != "v1.36.4 v1.36.4 v1.36.4" {
			t.Errorf("%s: exit code %d, versions %s\n%s", line, code, m.versions(), output)
		}
	}
}

func TestRepositoryChoosesTheMinorVersion(t *testing.T) {
	for name, line := range map[string]string{
		"etc/apt/sources.list.d/kubernetes.list":    "deb [signed-by=/etc/apt/keyrings/kubernetes-apt-keyring.gpg] https://pkgs.k8s.io/core:/stable:/v1.35/deb/ /\n",
		"etc/apt/sources.list.d/kubernetes.sources": "Types: deb\nURIs: https://pkgs.k8s.io/core:/stable:/v1.35/deb/\nSuites: /\n",
		"etc/yum.repos.d/kubernetes.repo":           "[kubernetes]\n#baseurl=https://pkgs.k8s.io/core:/stable:/v1.36/rpm/\nbaseurl=https://pkgs.k8s.io/core:/stable:/v1.35/rpm/\n",
	} {
		m := newMachine(t)
		m.write(m.root, name, line)
		if code, output := m.run("apt-get update"); code != 0 || !strings.Contains(output, "Hit:1 https://pkgs.k8s.io/core:/stable:/v1.35/deb") {
			t.Errorf("%s: update ends with %d\n%s", name, code, output)
		}
		if code, output := m.run("apt-get install -y kubelet kubeadm kubectl"); code != 0 || m.versions() != "v1.35.4 v1.35.4 v1.35.4" {
			t.Errorf("%s: versions are %s\n%s", name, m.versions(), output)
		}
		if code, output := m.run("apt-get install -y kubelet=1.36.4-*"); code == 0 {
			t.Errorf("%s: a version of another repository was installed\n%s", name, output)
		}
	}
}

func TestRepositoryWithNothingForTheMachine(t *testing.T) {
	m := newMachine(t)
	m.write(m.root, "etc/apt/sources.list.d/kubernetes.list", "deb https://pkgs.k8s.io/core:/stable:/v1.30/deb/ /\n")
	if code, output := m.run("apt-get update"); code != 100 || !strings.Contains(output, "v1.35.4, v1.36.4") {
		t.Errorf("update ends with %d\n%s", code, output)
	}
	if code, output := m.run("apt-get install -y kubelet"); code != 100 || !strings.Contains(output, "no installation candidate") {
		t.Errorf("install ends with %d\n%s", code, output)
	}
}

func TestHeldPackageStays(t *testing.T) {
	m := newMachine(t)
	for _, line := range []string{"apt-get install -y kubelet=1.35.4-*", "apt-mark hold kubelet kubeadm", "apt-get install -y kubelet=1.35.4-*", "apt-mark unhold kubeadm"} {
		if code, output := m.run(line); code != 0 {
			t.Fatalf("%s ends with %d\n%s", line, code, output)
		}
	}
	if _, output := m.run("apt-mark showhold"); output != "kubelet\n" {
		t.Errorf("held are %q", output)
	}
	if code, output := m.run("apt-get install -y kubelet=1.36.4-*"); code != 100 || !strings.Contains(output, "Held packages were changed") {
		t.Errorf("install ends with %d\n%s", code, output)
	}
	if code, output := m.run("apt-get install -y --allow-change-held-packages kubelet=1.36.4-*"); code != 0 || !strings.HasSuffix(m.versions(), "v1.36.4 v1.36.4") {
		t.Errorf("install ends with %d, versions are %s\n%s", code, m.versions(), output)
	}
}

func TestVersionsAreListedNewestFirst(t *testing.T) {
	m := newMachine(t)
	_, output := m.run("apt-cache madison kubeadm")
	lines := strings.Split(strings.TrimSpace(output), "\n")
	if len(lines) != 2 || strings.Fields(lines[0])[2] != "1.36.4-1.1" || strings.Fields(lines[1])[2] != "1.35.4-1.1" {
		t.Errorf("madison prints %q", output)
	}
}

func TestUnknownCommands(t *testing.T) {
	m := newMachine(t)
	for line, want := range map[string]int{"apt-get frobnicate": 100, "apt-get": 100, "apt-mark": 100, "apt-mark x": 100, "dnf": 1, "yum frobnicate": 1, "apt-get --version": 0} {
		if code, output := m.run(line); code != want || output == "" {
			t.Errorf("%s ends with %d, want %d\n%s", line, code, want, output)
		}
	}
}
