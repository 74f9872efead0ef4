package clusterctl

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"sigs.k8s.io/cluster-api/cmd/clusterctl/cmd"
)

// runAsProgram makes the test binary be clusterctl itself, so that the tests run
// real processes with an environment of their own.
const runAsProgram = "PACKETYARD_TEST_RUN_AS_CLUSTERCTL"

func TestMain(m *testing.M) {
	if os.Getenv(runAsProgram) == "" {
		os.Exit(m.Run())
	}
	if err := Extend(cmd.RootCmd); err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
	cmd.Execute()
}

// program is a clusterctl with a home of its own and no network: every proxy is
// a port that was closed.
type program struct {
	path string
	home string
	env  []string
}

func newProgram(t *testing.T) program {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	proxy := "http://" + closedPort(t)
	return program{path: executable, home: home, env: []string{
		runAsProgram + "=1",
		"HOME=" + home,
		"PATH=" + os.Getenv("PATH"),
		"HTTP_PROXY=" + proxy, "HTTPS_PROXY=" + proxy, "http_proxy=" + proxy, "https_proxy=" + proxy,
		"GOPROXY=" + proxy,
	}}
}

func closedPort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func (p program) with(env ...string) program {
	p.env = append(append([]string(nil), p.env...), env...)
	return p
}

// run returns what a command printed.
func (p program) run(args ...string) (stdout, stderr string, err error) {
	command := exec.Command(p.path, args...)
	command.Env = p.env
	command.Dir = p.home
	var out, errOut bytes.Buffer
	command.Stdout, command.Stderr = &out, &errOut
	err = command.Run()
	return out.String(), errOut.String(), err
}

func (p program) mustRun(t *testing.T, args ...string) string {
	t.Helper()
	stdout, stderr, err := p.run(args...)
	if err != nil {
		t.Fatalf("clusterctl %s: %v\n%s", strings.Join(args, " "), err, stderr)
	}
	return stdout
}

func (p program) mustFail(t *testing.T, want string, args ...string) {
	t.Helper()
	stdout, stderr, err := p.run(args...)
	if err == nil {
		t.Fatalf("clusterctl %s succeeded:\n%s", strings.Join(args, " "), stdout)
	}
	if !strings.Contains(stderr, want) {
		t.Errorf("clusterctl %s says\n%s\nwant it to say %q", strings.Join(args, " "), stderr, want)
	}
}

func (p program) writeConfig(t *testing.T, content string) {
	t.Helper()
	folder := filepath.Join(p.home, ".config", "cluster-api")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "clusterctl.yaml"), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestGenerateCluster(t *testing.T) {
	p := newProgram(t)

	t.Run("default", func(t *testing.T) {
		out := p.mustRun(t, "generate", "cluster", "first")
		checkCluster(t, []byte(out), "first", withKubeadmControlPlane)
		for _, want := range []string{"version: v1.36.4", "machineType: c3.small.x86", "metro: da", "namespace: default", "replicas: 0"} {
			if !strings.Contains(out, want) {
				t.Errorf("the cluster has no %q", want)
			}
		}
	})

	t.Run("every variable", func(t *testing.T) {
		out := p.with(
			"METRO=am", "CONTROLPLANE_NODE_TYPE=m3.large.x86", "WORKER_NODE_TYPE=c3.medium.x86", "NODE_OS=flatcar_stable",
			"POD_CIDR=10.244.0.0/16", "SERVICE_CIDR=10.96.0.0/16", "PROJECT_ID=f6a1a6a8-6a3a-4e4b-8a0e-1d2f3a4b5c6d",
		).mustRun(t, "generate", "cluster", "second", "--infrastructure", "packet", "--target-namespace", "team",
			"--kubernetes-version", "v1.35.1", "--control-plane-machine-count", "3", "--worker-machine-count", "5")
		checkCluster(t, []byte(out), "second", withKubeadmControlPlane)
		for _, want := range []string{
			"metro: am", "machineType: m3.large.x86", "machineType: c3.medium.x86", "os: flatcar_stable", "- 10.244.0.0/16", "- 10.96.0.0/16",
			"projectID: f6a1a6a8-6a3a-4e4b-8a0e-1d2f3a4b5c6d", "version: v1.35.1", "replicas: 3", "replicas: 5", "namespace: team",
		} {
			if !strings.Contains(out, want) {
				t.Errorf("the cluster has no %q", want)
			}
		}
		if strings.Contains(out, "metro: da") {
			t.Error("a metro is still the default one")
		}
	})

	t.Run("machines", func(t *testing.T) {
		out := p.mustRun(t, "generate", "cluster", "third", "--flavor", "machines", "--worker-machine-count", "2")
		checkCluster(t, []byte(out), "third", withMachine)
	})

	t.Run("namespace of the kubeconfig", func(t *testing.T) {
		kubeconfig := filepath.Join(p.home, "kubeconfig")
		content := "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts:\n- name: a\n  context: {cluster: c, user: u, namespace: of-a}\n- name: b\n  context: {cluster: c, user: u, namespace: of-b}\n"
		if err := os.WriteFile(kubeconfig, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		p := p.with("KUBECONFIG=" + kubeconfig)
		if out := p.mustRun(t, "generate", "cluster", "fourth"); !strings.Contains(out, "namespace: of-a") {
			t.Error("the cluster is not in the namespace of the current context")
		}
		if out := p.mustRun(t, "generate", "cluster", "fourth", "--kubeconfig-context", "b"); !strings.Contains(out, "namespace: of-b") {
			t.Error("the cluster is not in the namespace of the chosen context")
		}
		p.mustFail(t, `--kubeconfig-context is "c", which is not in the kubeconfig; it has ["a" "b"]`,
			"generate", "cluster", "fourth", "--kubeconfig-context", "c")
	})

	t.Run("other source", func(t *testing.T) {
		template := filepath.Join(p.home, "template.yaml")
		if err := os.WriteFile(template, []byte("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ${CLUSTER_NAME}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if out := p.mustRun(t, "generate", "cluster", "fifth", "--from", template); !strings.Contains(out, "name: fifth") {
			t.Errorf("the template of --from was not used:\n%s", out)
		}
	})

	p.mustFail(t, "cluster-template-nonsense.yaml", "generate", "cluster", "sixth", "--flavor", "nonsense")
	p.mustFail(t, "invalid cluster name", "generate", "cluster", "Not_A_Name")
}

func TestConfigRepositories(t *testing.T) {
	const own = `
SOME_VARIABLE: kept
providers:
  - name: mine
    type: InfrastructureProvider
    url: https://github.com/example/mine/releases/latest/infrastructure-components.yaml
`
	t.Run("without configuration", func(t *testing.T) {
		p := newProgram(t)
		checkRepository(t, p.mustRun(t, "config", "repositories"), "packet", "InfrastructureProvider", "file://"+p.home+"/.cache/packetyard/")
	})
	t.Run("merged with the user's", func(t *testing.T) {
		p := newProgram(t)
		p.writeConfig(t, own)
		out := p.mustRun(t, "config", "repositories")
		checkRepository(t, out, "packet", "InfrastructureProvider", "file://")
		checkRepository(t, out, "mine", "InfrastructureProvider", "https://github.com/example/mine/")
		after, err := os.ReadFile(filepath.Join(p.home, ".config", "cluster-api", "clusterctl.yaml"))
		if err != nil || string(after) != own {
			t.Errorf("the user's file is now %q (%v)", after, err)
		}
	})
	t.Run("a packet provider of the user's wins", func(t *testing.T) {
		p := newProgram(t)
		p.writeConfig(t, strings.ReplaceAll(own, "mine", "packet"))
		out := p.mustRun(t, "config", "repositories")
		checkRepository(t, out, "packet", "InfrastructureProvider", "https://github.com/example/packet/")
		if strings.Contains(out, p.home) {
			t.Errorf("the built-in provider is still there:\n%s", out)
		}
	})
	t.Run("other packet providers do not count", func(t *testing.T) {
		p := newProgram(t)
		p.writeConfig(t, strings.ReplaceAll(strings.ReplaceAll(own, "mine", "packet"), "InfrastructureProvider", "IPAMProvider"))
		out := p.mustRun(t, "config", "repositories")
		checkRepository(t, out, "packet", "InfrastructureProvider", "file://")
		checkRepository(t, out, "packet", "IPAMProvider", "https://")
	})
	t.Run("file of --config", func(t *testing.T) {
		p := newProgram(t)
		file := filepath.Join(p.home, "other.yaml")
		if err := os.WriteFile(file, []byte(own), 0o600); err != nil {
			t.Fatal(err)
		}
		out := p.mustRun(t, "config", "repositories", "--config", file)
		checkRepository(t, out, "packet", "InfrastructureProvider", "file://")
		checkRepository(t, out, "mine", "InfrastructureProvider", "https://")
	})
	t.Run("bad configuration", func(t *testing.T) {
		p := newProgram(t)
		p.writeConfig(t, "providers: nonsense\n")
		p.mustFail(t, `field "providers"`, "config", "repositories")
		p.mustFail(t, "no-such-file", "config", "repositories", "--config", "no-such-file")
	})
}

// checkRepository looks for a provider in the table of `config repositories`.
func checkRepository(t *testing.T, table, name, kind, urlPrefix string) {
	t.Helper()
	for line := range strings.SplitSeq(table, "\n") {
		fields := strings.Fields(line)
		if len(fields) >= 3 && fields[0] == name && fields[1] == kind {
			if !strings.HasPrefix(fields[2], urlPrefix) {
				t.Errorf("%s is read from %s, want %s…", name, fields[2], urlPrefix)
			}
			return
		}
	}
	t.Errorf("no %s %s in\n%s", kind, name, table)
}

func TestVersion(t *testing.T) {
	p := newProgram(t)
	if out := p.mustRun(t, "version", "-o", "short"); out != clusterAPIVersion+"\n" {
		t.Errorf("the short version is %q", out)
	}
	if out := p.mustRun(t, "version"); !strings.Contains(out, "packet provider version: "+Version) || !strings.Contains(out, `Minor:"14"`) {
		t.Errorf("the version is %q", out)
	}
	if out := p.mustRun(t, "version", "-o", "json"); !strings.Contains(out, `"clusterctl"`) || !strings.Contains(out, `"packet": "`+Version) {
		t.Errorf("the version is %q", out)
	}
	p.mustFail(t, "allowed are yaml, json and short", "version", "-o", "xml")
	if entries, err := os.ReadDir(filepath.Join(p.home, ".cache", "packetyard")); err == nil {
		t.Errorf("a command that reads no provider wrote %v into the cache", entries)
	}
}

// TestConcurrentRuns: runs at the same time, the first of them on an empty cache,
// all see whole files, and leave no temporary ones.
func TestConcurrentRuns(t *testing.T) {
	p := newProgram(t)
	var group sync.WaitGroup
	outputs := make([]string, 8)
	for i := range outputs {
		group.Go(func() {
			out, stderr, err := p.run("generate", "cluster", "same")
			if err != nil {
				t.Errorf("%v: %s", err, stderr)
			}
			outputs[i] = out
		})
	}
	group.Wait()
	for _, out := range outputs {
		if out != outputs[0] {
			t.Error("two runs printed different clusters")
		}
	}
	err := filepath.WalkDir(filepath.Join(p.home, ".cache"), func(path string, _ os.DirEntry, err error) error {
		if strings.HasPrefix(filepath.Base(path), ".new-") {
			t.Errorf("%s was left behind", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestDamagedCache: a file that is not what it should be is made anew.
func TestDamagedCache(t *testing.T) {
	p := newProgram(t)
	before := p.mustRun(t, "generate", "cluster", "same")
	matches, err := filepath.Glob(filepath.Join(p.home, ".cache/packetyard/clusterctl/*/infrastructure-packet", Version, "cluster-template.yaml"))
	if err != nil || len(matches) != 1 {
		t.Fatalf("%v in the cache (%v), want one template", matches, err)
	}
	if err := os.WriteFile(matches[0], []byte("half"), 0o644); err != nil {
		t.Fatal(err)
	}
	if after := p.mustRun(t, "generate", "cluster", "same"); after != before {
		t.Errorf("after the damage the cluster is\n%s", after)
	}
}

func TestUnwritableCache(t *testing.T) {
	p := newProgram(t)
	file := filepath.Join(p.home, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p.with("XDG_CACHE_HOME="+file).mustFail(t, "set XDG_CACHE_HOME", "generate", "cluster", "same")
}

// beside puts a copy of the program and the manifests that `make` builds into
// one folder, or into a folder and the one above it.
func (p program) beside(t *testing.T, folder string) program {
	t.Helper()
	root := t.TempDir()
	target := filepath.Join(root, folder, "clusterctl")
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		t.Fatal(err)
	}
	// A hard link, because the test binary is large; a copy where that fails.
	if err := os.Link(p.path, target); err != nil {
		content, err := os.ReadFile(p.path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(target, content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, provider := range builtInProviders {
		manifest := strings.ReplaceAll(componentsManifest, "LABEL", provider.label)
		if err := os.WriteFile(filepath.Join(root, provider.components), []byte(manifest), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p.path = target
	return p
}

// componentsManifest is the least that clusterctl takes for a provider. What
// `make` builds is installed in cmd/manager's tests.
const componentsManifest = `apiVersion: v1
kind: Namespace
metadata:
  name: LABEL-system
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: LABEL-controller-manager
  namespace: LABEL-system
spec:
  selector:
    matchLabels: {app: manager}
  template:
    metadata:
      labels: {app: manager}
    spec:
      containers:
        - name: manager
          image: packetyard/manager:dev
`

func TestGenerateProvider(t *testing.T) {
	p := newProgram(t)
	p.mustFail(t, "infrastructure-components.yaml) are neither beside this program", "generate", "provider", "--infrastructure", "packet")
	p.mustFail(t, "infrastructure-components.yaml) are neither beside this program", "init", "--infrastructure", "packet")
	for _, folder := range []string{"", "bin"} {
		out := p.beside(t, folder).mustRun(t, "generate", "provider", "--infrastructure", "packet")
		if !strings.Contains(out, "cluster.x-k8s.io/provider: infrastructure-packet") || !strings.Contains(out, "image: docker.io/packetyard/manager:dev") {
			t.Errorf("the provider is\n%s", out)
		}
	}
	// A program that has lost one of the manifests does not install the others.
	incomplete := p.beside(t, "")
	if err := os.Remove(filepath.Join(filepath.Dir(incomplete.path), "core-components.yaml")); err != nil {
		t.Fatal(err)
	}
	incomplete.mustFail(t, "core-components.yaml", "init", "--infrastructure", "packet")
}

func TestWithFullImageNames(t *testing.T) {
	for line, want := range map[string]string{
		"  image: packetyard/manager:dev":               "  image: docker.io/packetyard/manager:dev",
		"- image: 'nginx'":                              "- image: docker.io/library/nginx",
		"  image: registry.example:5000/manager:v1":     "  image: registry.example:5000/manager:v1",
		"  image: ghcr.io/packetyard/manager@sha256:00": "  image: ghcr.io/packetyard/manager@sha256:00",
		"  image:":                         "  image:",
		"  image: Not A Name":              "  image: Not A Name",
		"  description: image: some/thing": "  description: image: some/thing",
	} {
		if got := string(withFullImageNames([]byte(line))); got != want {
			t.Errorf("%q becomes %q, want %q", line, got, want)
		}
	}
}
