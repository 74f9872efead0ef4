package example_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	yamlreader "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"

	configv1alpha1 "github.com/packetyard/packetyard/api/config/v1alpha1"
	"github.com/packetyard/packetyard/api/packet/validation"
	"github.com/packetyard/packetyard/internal/apiserver/catalogue"
	"github.com/packetyard/packetyard/internal/gardener/decode"
	"github.com/packetyard/packetyard/pkg/packet"
)

// The documents link to these lines, and people copy them.
func TestLinesThatDocumentsLinkTo(t *testing.T) {
	for file, want := range map[string]struct {
		line int
		kind string
	}{
		"30-infrastructure.yaml": {48, "InfrastructureConfig"},
		"30-controlplane.yaml":   {58, "ControlPlaneConfig"},
	} {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(content), "\n")
		got := []string{strings.TrimSpace(lines[want.line-1]), strings.TrimSpace(lines[want.line])}
		if !slices.Equal(got, []string{"apiVersion: packet.provider.extensions.gardener.cloud/v1alpha1", "kind: " + want.kind}) {
			t.Errorf("%s has, from line %d, %q", file, want.line, got)
		}
	}
}

// The names that documents tell people to look for, and how files refer to each other.
func TestNames(t *testing.T) {
	for file, wants := range map[string][]string{
		"23-project.yaml":                 {"Project em", "namespace garden-em"},
		"25-secret.yaml":                  {"Secret garden-em/core-packet", "SecretBinding garden-em/core-packet"},
		"25-credentialsbinding.yaml":      {"CredentialsBinding garden-em/core-packet"},
		"26-cloudprofile.yaml":            {"CloudProfile packet"},
		"27-namespacedcloudprofile.yaml":  {"NamespacedCloudProfile garden-em/packet-em"},
		"30-infrastructure.yaml":          {"Infrastructure shoot--foobar--packet/infrastructure"},
		"infrastructure.yaml":             {"Infrastructure shoot--foobar--packet/infrastructure"},
		"30-controlplane.yaml":            {"ControlPlane shoot--foobar--packet/controlplane"},
		"30-worker.yaml":                  {"Worker shoot--foobar--packet/worker"},
		"30-bastion.yaml":                 {"Bastion shoot--foobar--packet/"},
		"90-shoot.yaml":                   {"Shoot garden-em/em-test", "credentialsBindingName core-packet", "region ny"},
		"90-shoot-secretbinding.yaml":     {"Shoot garden-em/em-test", "secretBindingName core-packet", "cloudProfileName packet", "region ny"},
		"10-fake-shoot-controlplane.yaml": {"Namespace shoot--foobar--packet", "Deployment shoot--foobar--packet/kube-apiserver"},
	} {
		var has []string
		for _, object := range objects(t, file) {
			has = append(has, strings.TrimPrefix(object.GetKind()+" "+object.GetNamespace()+"/"+object.GetName(), ""))
			has = append(has, object.GetKind()+" "+object.GetName())
			for _, name := range []string{"namespace", "region", "secretBindingName", "credentialsBindingName", "cloudProfileName"} {
				if value, set, _ := unstructured.NestedString(object.Object, "spec", name); set {
					has = append(has, name+" "+value)
				}
			}
		}
		for _, want := range wants {
			if !slices.ContainsFunc(has, func(is string) bool { return strings.HasPrefix(is, want) }) {
				t.Errorf("%s has %q, without %s", file, has, want)
			}
		}
	}
}

func TestComponentConfig(t *testing.T) {
	content, err := os.ReadFile("00-componentconfig.yaml")
	if err != nil {
		t.Fatal(err)
	}
	config := &configv1alpha1.ControllerConfiguration{}
	if err := yaml.UnmarshalStrict(content, config); err != nil {
		t.Fatal(err)
	}
	if config.APIVersion != configv1alpha1.GroupVersion.String() || config.Kind != "ControllerConfiguration" {
		t.Errorf("the type is %+v", config.TypeMeta)
	}
}

// TestCloudProfileIsOfTheCatalogue proves that a Packet API server of this project has all that the CloudProfile offers.
func TestCloudProfileIsOfTheCatalogue(t *testing.T) {
	profile := &gardencorev1beta1.CloudProfile{}
	typed(t, "26-cloudprofile.yaml", "CloudProfile", profile)
	config, err := decode.CloudProfileConfig(profile.Spec.ProviderConfig)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range validation.ValidateCloudProfileConfig(config, &profile.Spec, field.NewPath("spec", "providerConfig")) {
		t.Error(problem)
	}
	has := catalogue.New()
	for _, machine := range profile.Spec.MachineTypes {
		at := slices.IndexFunc(has.Plans, func(plan catalogue.Plan) bool { return plan.Slug == machine.Name })
		if at < 0 {
			t.Errorf("there is no plan %s", machine.Name)
			continue
		}
		plan := has.Plans[at]
		arm := machine.Architecture != nil && *machine.Architecture == "arm64"
		if int64(plan.CPUs) != machine.CPU.Value() || plan.MemoryBytes != machine.Memory.Value() || plan.ARM != arm {
			t.Errorf("plan %s has %d cores and %d bytes, ARM %t, which is not what the CloudProfile says", plan.Slug, plan.CPUs, plan.MemoryBytes, plan.ARM)
		}
	}
	for _, region := range profile.Spec.Regions {
		for _, zone := range region.Zones {
			if !slices.ContainsFunc(has.Facilities, func(facility packet.Facility) bool {
				return facility.Code == zone.Name && facility.Metro.Code == region.Name
			}) {
				t.Errorf("there is no facility %s in metro %s", zone.Name, region.Name)
			}
		}
	}
	for _, image := range config.MachineImages {
		for _, version := range image.Versions {
			if !slices.ContainsFunc(has.OperatingSystems, func(system catalogue.OperatingSystem) bool { return system.Slug == *version.ID }) {
				t.Errorf("there is no operating system %s", *version.ID)
			}
		}
	}
}

// TestProviderConfigsAreValid reads what gardenlet would hand to the extension as the extension does.
func TestProviderConfigsAreValid(t *testing.T) {
	var problems field.ErrorList
	for _, file := range []string{"30-infrastructure.yaml", "infrastructure.yaml"} {
		infrastructure := &extensionsv1alpha1.Infrastructure{}
		typed(t, file, "Infrastructure", infrastructure)
		config, err := decode.InfrastructureConfig(infrastructure.Spec.ProviderConfig)
		if err != nil {
			t.Fatal(err)
		}
		problems = append(problems, validation.ValidateInfrastructureConfig(config, nil, nil)...)
		if !strings.HasPrefix(string(infrastructure.Spec.SSHPublicKey), "ssh-ed25519 ") {
			t.Errorf("%s has no SSH key in base64", file)
		}
	}
	plane := &extensionsv1alpha1.ControlPlane{}
	typed(t, "30-controlplane.yaml", "ControlPlane", plane)
	planeConfig, err := decode.ControlPlaneConfig(plane.Spec.ProviderConfig)
	if err != nil {
		t.Fatal(err)
	}
	problems = append(problems, validation.ValidateControlPlaneConfig(planeConfig, "1.36.4", nil)...)
	worker := &extensionsv1alpha1.Worker{}
	typed(t, "30-worker.yaml", "Worker", worker)
	for _, status := range []*runtime.RawExtension{plane.Spec.InfrastructureProviderStatus, worker.Spec.InfrastructureProviderStatus} {
		if _, err := decode.InfrastructureStatus(status); err != nil {
			t.Error(err)
		}
	}
	for _, pool := range worker.Spec.Pools {
		config, err := decode.WorkerConfig(pool.ProviderConfig)
		if err != nil {
			t.Fatal(err)
		}
		problems = append(problems, validation.ValidateWorkerConfig(config, field.NewPath("providerConfig"))...)
	}
	for _, problem := range problems {
		t.Error(problem)
	}
}

// TestWhatIsCommentedOut uncomments what the examples only show, and wants it read without a mistake.
func TestWhatIsCommentedOut(t *testing.T) {
	for file, kind := range map[string]string{"30-infrastructure.yaml": "Infrastructure", "30-controlplane.yaml": "ControlPlane", "30-worker.yaml": "Worker", "90-shoot.yaml": "Shoot"} {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		shown, count := uncommented(string(content))
		if count == 0 {
			t.Errorf("%s shows nothing", file)
		}
		object := parse(t, file, []byte(shown))[kind]
		switch kind {
		case "Infrastructure":
			_, err = decode.InfrastructureConfig(rawAt(t, object, "spec", "providerConfig"))
		case "ControlPlane":
			_, err = decode.ControlPlaneConfig(rawAt(t, object, "spec", "providerConfig"))
		case "Worker":
			pools, _, _ := unstructured.NestedSlice(object.Object, "spec", "pools")
			_, err = decode.WorkerConfig(rawAt(t, &unstructured.Unstructured{Object: pools[0].(map[string]any)}, "providerConfig"))
		case "Shoot":
			workers, _, _ := unstructured.NestedSlice(object.Object, "spec", "provider", "workers")
			_, err = decode.WorkerConfig(rawAt(t, &unstructured.Unstructured{Object: workers[0].(map[string]any)}, "providerConfig"))
		}
		if err != nil {
			t.Errorf("%s, with all that it shows: %v", file, err)
		}
	}
}

// uncommented takes the marks off the comments that are YAML: those behind spaces that begin with a key or an item.
func uncommented(text string) (string, int) {
	lines, count := strings.Split(text, "\n"), 0
	for i, line := range lines {
		trimmed := strings.TrimLeft(line, " ")
		spaces := line[:len(line)-len(trimmed)]
		content, isComment := strings.CutPrefix(trimmed, "# ")
		key, _, hasColon := strings.Cut(strings.TrimSpace(content), ":")
		if isComment && spaces != "" && (hasColon && !strings.Contains(key, " ") || strings.HasPrefix(strings.TrimSpace(content), "- ")) {
			lines[i], count = spaces+content, count+1
		}
	}
	return strings.Join(lines, "\n"), count
}

func rawAt(t *testing.T, object *unstructured.Unstructured, path ...string) *runtime.RawExtension {
	t.Helper()
	config, _, err := unstructured.NestedMap(object.Object, path...)
	if err != nil {
		t.Fatal(err)
	}
	data, err := (&unstructured.Unstructured{Object: config}).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return &runtime.RawExtension{Raw: data}
}

func objects(t *testing.T, file string) map[string]*unstructured.Unstructured {
	t.Helper()
	content, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, file, content)
}

// parse reads the objects of a file, by kind; of several, the last.
func parse(t *testing.T, file string, content []byte) map[string]*unstructured.Unstructured {
	t.Helper()
	result := map[string]*unstructured.Unstructured{}
	reader := yamlreader.NewYAMLReader(bufio.NewReader(bytes.NewReader(content)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return result
		}
		if err != nil {
			t.Fatal(err)
		}
		object := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict(document, &object.Object); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if len(object.Object) > 0 {
			result[object.GetKind()] = object
		}
	}
}

func typed(t *testing.T, file, kind string, into any) {
	t.Helper()
	object, has := objects(t, file)[kind]
	if !has {
		t.Fatalf("%s has no %s", file, kind)
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, into, true); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}
