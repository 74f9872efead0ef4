package registration_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/version"
	"sigs.k8s.io/yaml"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	"github.com/gardener/gardener/pkg/chartrenderer"

	"github.com/packetyard/packetyard/internal/gardener/registration"
)

const (
	root  = "../../.."
	chart = "gardener-extension-provider-packet"
)

func file(t *testing.T) []byte {
	t.Helper()
	content, err := registration.ControllerRegistration(os.DirFS(filepath.Join(root, "charts")), chart, "v1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// TestTheGuidesCommandShowsTheChart runs what the contributors' guide says, word for word.
func TestTheGuidesCommandShowsTheChart(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "example"), 0o755); err != nil { //nolint:gosec // It is as open as a checkout is.
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "example", "controller-registration.yaml"), file(t), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "sh", "-c", `cat example/controller-registration.yaml | grep chart | awk {'print $2'} | base64 -d | tar zxvf -`)
	command.Dir = dir
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	packed, err := os.ReadFile(filepath.Join(dir, chart, "values.yaml"))
	if err != nil {
		t.Fatalf("%v, the command printed %s", err, out)
	}
	if values, err := os.ReadFile(filepath.Join(root, "charts", chart, "values.yaml")); err != nil || !bytes.Equal(values, packed) {
		t.Errorf("%v, values.yaml in the archive is not the chart's", err)
	}
}

func TestTheSameChartHasTheSameBytes(t *testing.T) {
	if first, second := file(t), file(t); !bytes.Equal(first, second) {
		t.Error("two files of the same chart differ")
	}
}

// TestGardenletGivesAccessToTheGarden is about injectGardenKubeconfig, without which gardenlet gives none.
func TestGardenletGivesAccessToTheGarden(t *testing.T) {
	deployment, controllerRegistration := gardencorev1beta1.ControllerDeployment{}, gardencorev1beta1.ControllerRegistration{}
	documents := strings.Split(string(file(t)), "\n---\n")
	for n, into := range []any{&deployment, &controllerRegistration} {
		if err := yaml.UnmarshalStrict([]byte(documents[n+1]), into); err != nil {
			t.Fatal(err)
		}
	}
	if deployment.InjectGardenKubeconfig == nil || !*deployment.InjectGardenKubeconfig {
		t.Error("injectGardenKubeconfig is not set")
	}
	var kinds []string
	for _, resource := range controllerRegistration.Spec.Resources {
		if resource.Type != "packet" {
			t.Errorf("type of %s is %q", resource.Kind, resource.Type)
		}
		kinds = append(kinds, resource.Kind)
	}
	if want := []string{"Bastion", "ControlPlane", "Infrastructure", "Worker"}; !slices.Equal(kinds, want) {
		t.Errorf("kinds are %v, want %v", kinds, want)
	}
}

// TestServerPortStandsInLine45 is where the contributors' guide points to.
func TestServerPortStandsInLine45(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(root, "charts", chart, "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(content), "\n")
	if got := lines[43:45]; got[0] != "  servicePort: 443" || got[1] != "  serverPort: 10250" {
		t.Errorf("lines 44 and 45 are %q", got)
	}
}

// render renders a chart as gardenlet does, with the name and the namespace that it gives.
func render(t *testing.T, values map[string]any) *chartrenderer.RenderedChart {
	t.Helper()
	archive, err := registration.Archive(os.DirFS(filepath.Join(root, "charts")), chart)
	if err != nil {
		t.Fatal(err)
	}
	renderer := chartrenderer.NewWithServerVersion(&version.Info{GitVersion: "v1.36.4", Major: "1", Minor: "36"})
	rendered, err := renderer.RenderArchive(archive, registration.Name, "extension-provider-packet-9r7xh", values)
	if err != nil {
		t.Fatal(err)
	}
	return rendered
}

func object[T any](t *testing.T, rendered *chartrenderer.RenderedChart, name string) (into T) {
	t.Helper()
	content, ok := rendered.Files()[chart+"/templates/"+name]
	if !ok {
		t.Fatalf("the chart has no %s", name)
	}
	for _, document := range content {
		if err := yaml.UnmarshalStrict([]byte(document), &into); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, document)
		}
		break
	}
	return into
}

// TestServiceIsTheOneOfTheGuide has the labels, selector and ports that the guide shows.
func TestServiceIsTheOneOfTheGuide(t *testing.T) {
	service := object[corev1.Service](t, render(t, nil), "service.yaml")
	if service.Name != chart || service.Spec.Type != corev1.ServiceTypeClusterIP {
		t.Errorf("Service %s of type %s", service.Name, service.Spec.Type)
	}
	for label, want := range map[string]string{"app": chart, "app.kubernetes.io/instance": "provider-packet", "app.kubernetes.io/name": chart} {
		if service.Labels[label] != want {
			t.Errorf("label %s is %q, want %q", label, service.Labels[label], want)
		}
		if label != "app" && service.Spec.Selector[label] != want {
			t.Errorf("selector %s is %q, want %q", label, service.Spec.Selector[label], want)
		}
	}
	if len(service.Spec.Selector) != 2 {
		t.Errorf("selector is %v", service.Spec.Selector)
	}
	if ports := service.Spec.Ports; len(ports) != 1 || ports[0].Port != 443 || ports[0].TargetPort != intstr.FromInt32(10250) {
		t.Errorf("ports are %v", ports)
	}
}

// TestPodsAreProbed is about an extension before this one, whose pods had no probes, no security context, and could not be
// scheduled twice on one node.
func TestPodsAreProbed(t *testing.T) {
	deployment := object[appsv1.Deployment](t, render(t, nil), "deployment.yaml")
	pod := deployment.Spec.Template.Spec
	container := pod.Containers[0]
	if container.LivenessProbe == nil || container.ReadinessProbe == nil || container.SecurityContext == nil || pod.SecurityContext == nil {
		t.Errorf("container is %+v", container)
	}
	if affinity := pod.Affinity.PodAntiAffinity; len(affinity.RequiredDuringSchedulingIgnoredDuringExecution) > 0 || len(affinity.PreferredDuringSchedulingIgnoredDuringExecution) != 1 {
		t.Errorf("anti-affinity is %+v", affinity)
	}
	if *deployment.Spec.Replicas != 1 || container.Image != "packetyard/gardener-extension-provider-packet:dev" || container.ImagePullPolicy != corev1.PullIfNotPresent {
		t.Errorf("%d replicas of %s (%s)", *deployment.Spec.Replicas, container.Image, container.ImagePullPolicy)
	}
}

// TestValuesThatDevelopersSet are those of the contributors' guide.
func TestValuesThatDevelopersSet(t *testing.T) {
	rendered := render(t, map[string]any{
		"replicaCount": 0, "ignoreResources": true,
		"image":                map[string]any{"tag": "testing", "pullPolicy": "Always"},
		"gardener":             map[string]any{"version": "v1.150.0", "selfHostedShootCluster": true},
		"usablePorts":          []int{18080, 20250, 18081},
		"webhookConfig":        map[string]any{"servicePort": 8443},
		"imageVectorOverwrite": map[string]any{"images": []any{map[string]any{"name": "metallb-speaker", "repository": "example/speaker", "tag": "v1"}}},
	})
	deployment := object[appsv1.Deployment](t, rendered, "deployment.yaml")
	container := deployment.Spec.Template.Spec.Containers[0]
	if *deployment.Spec.Replicas != 0 || !strings.HasSuffix(container.Image, ":testing") || container.ImagePullPolicy != corev1.PullAlways {
		t.Errorf("%d replicas of %s (%s)", *deployment.Spec.Replicas, container.Image, container.ImagePullPolicy)
	}
	if deployment.Annotations["resources.gardener.cloud/ignore"] != "true" {
		t.Errorf("annotations are %v", deployment.Annotations)
	}
	for _, want := range []string{"--gardener-version=v1.150.0", "--self-hosted-shoot-cluster=true", "--webhook-config-server-port=20250", "--metrics-bind-address=:18080", "--health-bind-address=:18081", "--webhook-config-service-port=8443"} {
		if !slices.Contains(container.Args, want) {
			t.Errorf("arguments are %v, want %s among them", container.Args, want)
		}
	}
	service := object[corev1.Service](t, rendered, "service.yaml")
	if service.Spec.Ports[0].TargetPort != intstr.FromInt32(20250) || service.Annotations["resources.gardener.cloud/ignore"] != "true" {
		t.Errorf("Service is %+v", service)
	}
}
