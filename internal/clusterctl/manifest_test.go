package clusterctl

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	addonsv1 "sigs.k8s.io/cluster-api/api/addons/v1beta2"
	bootstrapv1 "sigs.k8s.io/cluster-api/api/bootstrap/kubeadm/v1beta2"
	controlplanev1 "sigs.k8s.io/cluster-api/api/controlplane/kubeadm/v1beta2"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
)

// newScheme returns a scheme of everything that a cluster file may hold.
func newScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, appsv1.AddToScheme, rbacv1.AddToScheme,
		clusterv1.AddToScheme, bootstrapv1.AddToScheme, controlplanev1.AddToScheme, addonsv1.AddToScheme,
		infrav1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return scheme
}

// decode decodes every document of a manifest into its Go type. A field that
// the type does not have is an error.
func decode(t *testing.T, manifest []byte) ([]runtime.Object, error) {
	t.Helper()
	decoder := serializer.NewCodecFactory(newScheme(t), serializer.EnableStrict).UniversalDeserializer()
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(manifest)))
	var objects []runtime.Object
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		if onlyComments(document) {
			continue
		}
		object, _, err := decoder.Decode(document, nil, nil)
		if err != nil {
			return nil, err
		}
		objects = append(objects, object)
	}
}

func onlyComments(document []byte) bool {
	for line := range strings.SplitSeq(string(document), "\n") {
		if line = strings.TrimSpace(line); line != "" && line != "---" && !strings.HasPrefix(line, "#") {
			return false
		}
	}
	return true
}

// wanted counts the kinds of a cluster file.
type wanted map[string]int

var (
	withMachine = wanted{
		"Cluster": 1, "PacketCluster": 1, "Machine": 1, "KubeadmConfig": 1, "PacketMachine": 1,
		"MachineDeployment": 1, "KubeadmConfigTemplate": 1, "PacketMachineTemplate": 1, "ClusterResourceSet": 1, "ConfigMap": 1,
	}
	withKubeadmControlPlane = wanted{
		"Cluster": 1, "PacketCluster": 1, "KubeadmControlPlane": 1,
		"MachineDeployment": 1, "KubeadmConfigTemplate": 1, "PacketMachineTemplate": 2, "ClusterResourceSet": 1, "ConfigMap": 1,
	}
)

// checkCluster decodes a cluster file strictly and checks that its parts fit
// together: what one object refers to by name is in the file.
func checkCluster(t *testing.T, manifest []byte, name string, want wanted) []runtime.Object {
	t.Helper()
	objects, err := decode(t, manifest)
	if err != nil {
		t.Fatalf("%v\nin\n%s", err, manifest)
	}

	found := wanted{}
	names := map[string]bool{}
	for _, object := range objects {
		kind := object.GetObjectKind().GroupVersionKind().Kind
		found[kind]++
		named, ok := object.(interface{ GetName() string })
		if !ok {
			t.Fatalf("a %s has no name", kind)
		}
		names[kind+"/"+named.GetName()] = true
	}
	for kind, count := range want {
		if found[kind] != count {
			t.Errorf("%d of kind %s, want %d", found[kind], kind, count)
		}
	}
	for kind := range found {
		if want[kind] == 0 {
			t.Errorf("the kind %s was not expected", kind)
		}
	}

	refer := func(from, kind, target string) {
		if kind != "" && !names[kind+"/"+target] {
			t.Errorf("%s refers to %s %s, which is not in the file", from, kind, target)
		}
	}
	for _, object := range objects {
		switch o := object.(type) {
		case *clusterv1.Cluster:
			if o.Name != name {
				t.Errorf("the cluster's name is %q, want %q", o.Name, name)
			}
			if o.Labels["ccm"] != "packet" {
				t.Errorf("the cluster's labels are %v, want ccm: packet", o.Labels)
			}
			refer("the cluster", o.Spec.InfrastructureRef.Kind, o.Spec.InfrastructureRef.Name)
			refer("the cluster", o.Spec.ControlPlaneRef.Kind, o.Spec.ControlPlaneRef.Name)
		case *clusterv1.Machine:
			if _, labelled := o.Labels[clusterv1.MachineControlPlaneLabel]; !labelled {
				t.Errorf("the master Machine lacks the label %s", clusterv1.MachineControlPlaneLabel)
			}
			refer("the master", o.Spec.Bootstrap.ConfigRef.Kind, o.Spec.Bootstrap.ConfigRef.Name)
			refer("the master", o.Spec.InfrastructureRef.Kind, o.Spec.InfrastructureRef.Name)
			refer("the master", "Cluster", o.Spec.ClusterName)
		case *controlplanev1.KubeadmControlPlane:
			refer("the control plane", o.Spec.MachineTemplate.Spec.InfrastructureRef.Kind, o.Spec.MachineTemplate.Spec.InfrastructureRef.Name)
			checkKubelet(t, "a joining control plane", o.Spec.KubeadmConfigSpec.JoinConfiguration.NodeRegistration)
			checkInit(t, o.Spec.KubeadmConfigSpec)
		case *bootstrapv1.KubeadmConfig:
			checkInit(t, o.Spec)
		case *clusterv1.MachineDeployment:
			refer("the workers", o.Spec.Template.Spec.Bootstrap.ConfigRef.Kind, o.Spec.Template.Spec.Bootstrap.ConfigRef.Name)
			refer("the workers", o.Spec.Template.Spec.InfrastructureRef.Kind, o.Spec.Template.Spec.InfrastructureRef.Name)
			refer("the workers", "Cluster", o.Spec.ClusterName)
		case *bootstrapv1.KubeadmConfigTemplate:
			checkKubelet(t, "a worker", o.Spec.Template.Spec.JoinConfiguration.NodeRegistration)
		case *addonsv1.ClusterResourceSet:
			want := []addonsv1.ResourceRef{
				{Kind: "Secret", Name: name + "-packet-cloud-config"},
				{Kind: "ConfigMap", Name: "packet-cloud-controller-manager"},
			}
			if len(o.Spec.Resources) != 2 || o.Spec.Resources[0] != want[0] || o.Spec.Resources[1] != want[1] {
				t.Errorf("the ClusterResourceSet has %v, want %v", o.Spec.Resources, want)
			}
		case *corev1.ConfigMap:
			for key, value := range o.Data {
				if _, err := decode(t, []byte(value)); err != nil {
					t.Errorf("the manifest %s in the ConfigMap: %v", key, err)
				}
			}
		}
	}
	return objects
}

func checkInit(t *testing.T, spec bootstrapv1.KubeadmConfigSpec) {
	t.Helper()
	checkKubelet(t, "the first control plane", spec.InitConfiguration.NodeRegistration)
	if !argument(spec.ClusterConfiguration.ControllerManager.ExtraArgs, "cloud-provider", "external") {
		t.Error("kube-controller-manager does not leave clouds to the cloud controller manager")
	}
}

func checkKubelet(t *testing.T, machine string, options bootstrapv1.NodeRegistrationOptions) {
	t.Helper()
	if !argument(options.KubeletExtraArgs, "cloud-provider", "external") {
		t.Errorf("the kubelet of %s does not wait for the cloud controller manager", machine)
	}
	if !argument(options.KubeletExtraArgs, "provider-id", "packet://{{ v1.instance_id }}") {
		t.Errorf("the kubelet of %s does not know its provider ID", machine)
	}
}

func argument(args []bootstrapv1.Arg, name, value string) bool {
	for _, arg := range args {
		if arg.Name == name && arg.Value != nil && *arg.Value == value {
			return true
		}
	}
	return false
}

func TestExamples(t *testing.T) {
	for file, want := range map[string]wanted{
		"cluster.yaml":                     withMachine,
		"cluster-kubeadmcontrolplane.yaml": withKubeadmControlPlane,
	} {
		t.Run(file, func(t *testing.T) {
			manifest, err := os.ReadFile(filepath.Join("..", "..", "example", file))
			if err != nil {
				t.Fatal(err)
			}
			checkCluster(t, manifest, "demo", want)
		})
	}
}

func TestExampleDeployment(t *testing.T) {
	manifest, err := os.ReadFile(filepath.Join("..", "..", "example", "deployment.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	objects, err := decode(t, manifest)
	if err != nil {
		t.Fatal(err)
	}
	deployment, ok := objects[0].(*appsv1.Deployment)
	if !ok || len(objects) != 1 {
		t.Fatalf("the file holds %d objects, the first a %T; want one Deployment", len(objects), objects[0])
	}
	if *deployment.Spec.Replicas != 10 {
		t.Errorf("%d replicas, want 10", *deployment.Spec.Replicas)
	}
}

// TestDecodeIsStrict guards the other tests: they prove nothing if the decoder
// lets an unknown field pass.
func TestDecodeIsStrict(t *testing.T) {
	manifest, err := os.ReadFile(filepath.Join("..", "..", "example", "cluster.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"clusterNetwork:", "metro: da", "clusterConfiguration:", "clusterName: demo"} {
		broken := bytes.Replace(manifest, []byte(field), []byte("unknownField: x\n  "+field), 1)
		if bytes.Equal(broken, manifest) {
			t.Fatalf("the example has no %q to break", field)
		}
		if _, err := decode(t, broken); err == nil {
			t.Errorf("an unknown field before %q was accepted", field)
		}
	}
}
