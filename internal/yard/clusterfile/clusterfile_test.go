package clusterfile

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
)

// good is a small file with one control plane machine and a deployment of two.
const good = `# A cluster.
apiVersion: cluster.x-k8s.io/v1beta2
kind: Cluster
metadata:
  name: first
  namespace: default
spec:
  infrastructureRef: {apiGroup: infrastructure.cluster.x-k8s.io, kind: PacketCluster, name: first}
---
apiVersion: infrastructure.cluster.x-k8s.io/v1beta2
kind: PacketCluster
metadata:
  name: first
spec:
  metro: da
---
apiVersion: cluster.x-k8s.io/v1beta2
kind: Machine
metadata:
  name: first-master-0
  labels:
    cluster.x-k8s.io/control-plane: ""
spec:
  clusterName: first
  version: v1.36.4
  bootstrap:
    configRef: {apiGroup: bootstrap.cluster.x-k8s.io, kind: KubeadmConfig, name: first-master-0}
  infrastructureRef: {apiGroup: infrastructure.cluster.x-k8s.io, kind: PacketMachine, name: first-master-0}
---
apiVersion: infrastructure.cluster.x-k8s.io/v1beta2
kind: PacketMachine
metadata:
  name: first-master-0
spec:
  os: ubuntu_24_04
  machineType: c3.small.x86
---
apiVersion: bootstrap.cluster.x-k8s.io/v1beta2
kind: KubeadmConfig
metadata:
  name: first-master-0
---
apiVersion: cluster.x-k8s.io/v1beta2
kind: MachineDeployment
metadata:
  name: first-workers
spec:
  clusterName: first
  replicas: 2
  template:
    spec:
      clusterName: first
      bootstrap:
        configRef: {apiGroup: bootstrap.cluster.x-k8s.io, kind: KubeadmConfigTemplate, name: first-workers}
      infrastructureRef: {apiGroup: infrastructure.cluster.x-k8s.io, kind: PacketMachineTemplate, name: first-workers}
---
apiVersion: bootstrap.cluster.x-k8s.io/v1beta2
kind: KubeadmConfigTemplate
metadata:
  name: first-workers
---
apiVersion: infrastructure.cluster.x-k8s.io/v1beta2
kind: PacketMachineTemplate
metadata:
  name: first-workers
spec:
  template:
    spec:
      os: ubuntu_24_04
      machineType: c3.small.x86
---
# Nothing but a comment.
`

func scheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme, err := NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	return scheme
}

func TestParse(t *testing.T) {
	file, err := Parse("cluster.yaml", []byte(good), scheme(t))
	if err != nil {
		t.Fatal(err)
	}
	if file.Cluster.Name != "first" || file.Namespace() != "default" {
		t.Errorf("cluster %s/%s, want default/first", file.Namespace(), file.Cluster.Name)
	}
	if file.ControlPlanes() != 1 || file.Workers() != 2 {
		t.Errorf("%d control planes and %d workers, want 1 and 2", file.ControlPlanes(), file.Workers())
	}
	if err := file.OverrideWorkers(4); err != nil {
		t.Fatal(err)
	}
	if err := file.OverrideControlPlanes(1); err != nil {
		t.Errorf("the number of control planes that the file has anyway: %v", err)
	}
	manifest, err := file.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse("again.yaml", manifest, scheme(t))
	if err != nil {
		t.Fatalf("the manifest is not good itself: %v\n%s", err, manifest)
	}
	if again.Workers() != 4 {
		t.Errorf("the manifest wants %d workers, want 4", again.Workers())
	}
	if strings.Contains(string(manifest), "status") {
		t.Errorf("the manifest has fields that the user did not write:\n%s", manifest)
	}
}

func TestParseNamesWhatIsWrong(t *testing.T) {
	replace := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("the good file does not have %q", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	for _, test := range []struct {
		name, content string
		want          []string
	}{
		{"unknown field", replace("metro: da", "metro: da\n  metroo: da"), []string{`cluster.yaml: PacketCluster "first" (line 10)`, `unknown field "spec.metroo"`}},
		{"unknown field deep in a template", replace("      os: ubuntu_24_04\n      machineType", "      oss: x\n      machineType"), []string{`PacketMachineTemplate "first-workers"`, `unknown field "spec.template.spec.oss"`}},
		{"two unknown fields in two objects", strings.Replace(replace("metro: da", "metroo: da"), "replicas: 2", "replica: 2", 1), []string{`"spec.metroo"`, `"spec.replica"`}},
		{"field twice", replace("metro: da", "metro: da\n  metro: ny"), []string{`PacketCluster "first"`, `"metro" already set`}},
		{"wrong type", replace("replicas: 2", "replicas: two"), []string{`MachineDeployment "first-workers"`, "replicas"}},
		{"not YAML", replace("metro: da", "metro: [da"), []string{"cluster.yaml", "line 10"}},
		{"not an object", "- a\n- b\n", []string{"cluster.yaml", "line 1"}},
		{"no kind", replace("kind: PacketCluster\n", ""), []string{"line 10", "kind"}},
		{"no name", replace("  name: first\nspec:\n  metro", "  labels: {}\nspec:\n  metro"), []string{"PacketCluster (line 10)", "metadata.name is missing"}},
		{"old version", replace("infrastructure.cluster.x-k8s.io/v1beta2", "infrastructure.cluster.x-k8s.io/v1beta1"), []string{"infrastructure.cluster.x-k8s.io/v1beta1", "it is in infrastructure.cluster.x-k8s.io/v1beta2"}},
		{"unknown kind", replace("kind: PacketCluster\n", "kind: PaketCluster\n"), []string{"PaketCluster", "not known"}},
		{"no cluster", "", []string{"exactly one Cluster; found: none"}},
		{"two clusters", good + "---\n" + strings.ReplaceAll(good, "first", "second"), []string{"exactly one Cluster; found: first, second"}},
		{"same object twice", good + "---\n" + "apiVersion: bootstrap.cluster.x-k8s.io/v1beta2\nkind: KubeadmConfig\nmetadata: {name: first-master-0}\n", []string{`KubeadmConfig "first-master-0"`, "twice"}},
		{"reserved name", strings.ReplaceAll(good, "first", "bootstrap"), []string{"yard's own cluster"}},
		{"dangling template", replace("kind: PacketMachineTemplate, name: first-workers", "kind: PacketMachineTemplate, name: last-workers"), []string{`MachineDeployment "first-workers"`, "spec.template.spec.infrastructureRef", `"last-workers"`, "not in the file"}},
		{"reference to another group", replace("{apiGroup: infrastructure.cluster.x-k8s.io, kind: PacketCluster", "{apiGroup: infra.example.com, kind: PacketCluster"), []string{"spec.infrastructureRef", "infra.example.com"}},
		{"no reference", replace("    configRef: {apiGroup: bootstrap.cluster.x-k8s.io, kind: KubeadmConfig, name: first-master-0}\n", "    {}\n"), []string{`Machine "first-master-0"`, "spec.bootstrap.configRef is missing"}},
		{"another cluster's machine", replace("clusterName: first\n  version", "clusterName: second\n  version"), []string{`Machine "first-master-0"`, `spec.clusterName is "second"`}},
		{"no control plane", replace("    cluster.x-k8s.io/control-plane: \"\"\n", "    a: b\n"), []string{"control plane"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Parse("cluster.yaml", []byte(test.content), scheme(t))
			if err == nil {
				t.Fatal("found nothing wrong")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error lacks %q:\n%v", want, err)
				}
			}
		})
	}
}

func TestOverridesThatCannotBe(t *testing.T) {
	two := good + "---\n" + strings.Replace(good[strings.Index(good, "apiVersion: cluster.x-k8s.io/v1beta2\nkind: MachineDeployment"):strings.Index(good, "---\napiVersion: bootstrap.cluster.x-k8s.io/v1beta2\nkind: KubeadmConfigTemplate")], "name: first-workers\nspec", "name: more-workers\nspec", 1)
	for _, test := range []struct {
		name, content string
		override      func(*File) error
		want          string
	}{
		{"control plane of Machines", good, func(f *File) error { return f.OverrideControlPlanes(3) }, "KubeadmControlPlane"},
		{"no control plane", good, func(f *File) error { return f.OverrideControlPlanes(0) }, "at least 1"},
		{"negative", good, func(f *File) error { return f.OverrideWorkers(-1) }, "negative"},
		{"two deployments", two, func(f *File) error { return f.OverrideWorkers(7) }, `MachineDeployment "more-workers"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			file, err := Parse("cluster.yaml", []byte(test.content), scheme(t))
			if err != nil {
				t.Fatal(err)
			}
			if err := test.override(file); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}
