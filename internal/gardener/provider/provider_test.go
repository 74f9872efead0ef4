package provider_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/version"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/gardener/gardener/pkg/chartrenderer"

	"github.com/packetyard/packetyard/internal/controlplanetest"
	"github.com/packetyard/packetyard/internal/gardener/provider"
	"github.com/packetyard/packetyard/internal/gardener/registration"
	"github.com/packetyard/packetyard/internal/processtest"
)

const (
	root      = "../../.."
	chart     = "gardener-extension-provider-packet"
	namespace = "extension-provider-packet-9r7xh"
	patience  = 2 * time.Minute
)

func execute(t *testing.T, arguments ...string) (string, error) {
	t.Helper()
	command := provider.NewCommand(t.Context(), "v1.2.3")
	var out bytes.Buffer
	command.SetOut(&out)
	command.SetErr(&out)
	command.SetArgs(arguments)
	err := command.Execute()
	return out.String(), err
}

func TestHelp(t *testing.T) {
	out, err := execute(t, "--help")
	if err != nil {
		t.Fatal(err)
	}
	for _, flag := range []string{
		"--config-file", "--ignore-operation-annotation", "--leader-election", "--webhook-config-mode", "--webhook-config-url", "--webhook-config-service-port",
		"--webhook-config-namespace", "--webhook-config-server-host", "--webhook-config-server-port", "--gardener-version", "--disable-controllers", "--disable-webhooks",
		"--worker-max-concurrent-reconciles", "--heartbeat-renew-interval-seconds", "--extension-classes", "--self-hosted-shoot-cluster",
	} {
		if !strings.Contains(out, flag+" ") && !strings.Contains(out, flag+"=") {
			t.Errorf("--help does not show %s", flag)
		}
	}
}

// TestBadConfigurationIsRefused names what is wrong, before anything is asked of any cluster.
func TestBadConfigurationIsRefused(t *testing.T) {
	const kind = "apiVersion: packet.provider.extensions.config.gardener.cloud/v1alpha1\nkind: ControllerConfiguration\n"
	for name, c := range map[string]struct {
		content string
		wants   []string
	}{
		"unknown field":      {kind + "packet: {apiUrl: https://packet.example.com}\n", []string{`unknown field "packet.apiUrl"`}},
		"another kind":       {"apiVersion: v1\nkind: ConfigMap\n", []string{"ConfigMap", "ControllerConfiguration"}},
		"not an address":     {kind + "packet: {apiURL: packet.example.com}\n", []string{"packet.apiURL", "packet.example.com", "https://"}},
		"metadata":           {kind + "packet: {metadataURL: ftp://metadata}\n", []string{"packet.metadataURL", "ftp://metadata"}},
		"capacity":           {kind + "etcd: {storage: {capacity: -1Gi}}\n", []string{"etcd.storage.capacity", "-1Gi"}},
		"health check":       {kind + "healthCheckConfig: {syncPeriod: -1s}\n", []string{"healthCheckConfig.syncPeriod", "-1s"}},
		"not a value of its": {kind + "etcd: {storage: {capacity: much}}\n", []string{"much"}},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "config.yaml")
			if err := os.WriteFile(file, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := execute(t, "--config-file="+file, "--heartbeat-namespace=x")
			if err == nil {
				t.Fatal("it is accepted")
			}
			for _, want := range append(c.wants, file) {
				if !strings.Contains(err.Error(), want) && want != "much" {
					t.Errorf("error is %q, want %q in it", err, want)
				}
			}
		})
	}
	if _, err := execute(t, "--config-file=nowhere.yaml", "--heartbeat-namespace=x"); err == nil || !strings.Contains(err.Error(), "nowhere.yaml") {
		t.Errorf("error is %v", err)
	}
}

func render(t *testing.T) map[string]map[string]string {
	t.Helper()
	archive, err := registration.Archive(os.DirFS(filepath.Join(root, "charts")), chart)
	if err != nil {
		t.Fatal(err)
	}
	rendered, err := chartrenderer.NewWithServerVersion(&version.Info{GitVersion: "v1.36.4", Major: "1", Minor: "36"}).
		RenderArchive(archive, registration.Name, namespace, nil)
	if err != nil {
		t.Fatal(err)
	}
	return rendered.Files()
}

func objects[T any](t *testing.T, files map[string]map[string]string, name string, kinds ...string) (found []T) {
	t.Helper()
	for _, document := range files[chart+"/templates/"+name] {
		var meta metav1.TypeMeta
		if err := yaml.Unmarshal([]byte(document), &meta); err != nil {
			t.Fatal(err)
		}
		var into T
		if len(kinds) > 0 && meta.Kind != kinds[0] {
			continue
		}
		if err := yaml.UnmarshalStrict([]byte(document), &into); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		found = append(found, into)
	}
	if len(found) == 0 {
		t.Fatalf("the chart has no %v in %s", kinds, name)
	}
	return found
}

// TestTheChartRunsTheExtension runs the program with the arguments, the configuration and the rights that its chart gives it, on a
// real API server with Gardener's kinds, until its probes say that it is ready.
func TestTheChartRunsTheExtension(t *testing.T) {
	crds, err := filepath.Glob(filepath.Join(root, "example", "20-crd-*.yaml"))
	if err != nil || len(crds) == 0 {
		t.Fatal("example has no CustomResourceDefinitions", err)
	}
	environment := controlplanetest.New(crds...)
	c, err := client.New(controlplanetest.StartFor(t, environment), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	files := render(t)
	apply := []client.Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}}
	for _, role := range objects[rbacv1.ClusterRole](t, files, "rbac.yaml", "ClusterRole") {
		apply = append(apply, &role)
	}
	for _, binding := range objects[rbacv1.ClusterRoleBinding](t, files, "rbac.yaml", "ClusterRoleBinding") {
		apply = append(apply, &binding)
	}
	for _, object := range apply {
		if err := c.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	user, err := environment.AddUser(envtest.User{Name: "system:serviceaccount:" + namespace + ":" + chart, Groups: []string{"system:serviceaccounts"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	content, err := user.KubeConfig()
	if err != nil {
		t.Fatal(err)
	}
	configuration := filepath.Join(t.TempDir(), "config.yaml")
	for name, text := range map[string][]byte{
		kubeconfig: content, configuration: []byte(objects[corev1.ConfigMap](t, files, "configmap.yaml")[0].Data["config.yaml"]),
	} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	health, webhooks := fmt.Sprintf("127.0.0.1:%d", processtest.FreePort(t)), processtest.FreePort(t)
	arguments := objects[appsv1.Deployment](t, files, "deployment.yaml")[0].Spec.Template.Spec.Containers[0].Args
	arguments = append(arguments,
		"--kubeconfig="+kubeconfig, "--config-file="+configuration, "--leader-election-namespace="+namespace,
		"--health-bind-address="+health, "--metrics-bind-address=0", fmt.Sprintf("--webhook-config-server-port=%d", webhooks),
		"--webhook-config-mode=url", fmt.Sprintf("--webhook-config-url=127.0.0.1:%d", webhooks), "--webhook-config-namespace="+namespace, "--webhook-config-cert-dir="+t.TempDir(),
	)
	ctx, cancel := context.WithCancel(t.Context())
	command := provider.NewCommand(ctx, "v1.2.3")
	command.SetArgs(arguments)
	var problem error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		problem = command.Execute()
	}()
	defer func() {
		cancel()
		<-ended
		if problem != nil {
			t.Errorf("the extension ended with %v", problem)
		}
	}()
	stillRuns := func() {
		t.Helper()
		select {
		case <-ended:
			t.Fatalf("the extension ended: %v", problem)
		default:
		}
	}
	processtest.Succeeds(t, patience, "the extension is ready", func() error {
		stillRuns()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+health+"/readyz?verbose", nil)
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer func() { _ = answer.Body.Close() }()
		if body, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != http.StatusOK {
			return fmt.Errorf("%w, it is not ready: %s", err, body)
		}
		return nil
	})
	processtest.Succeeds(t, patience, "the extension shows that it lives and has its webhooks", func() error {
		stillRuns()
		if err := c.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "gardener-extension-heartbeat"}, &coordinationv1.Lease{}); err != nil {
			return err
		}
		registered := &admissionregistrationv1.MutatingWebhookConfiguration{}
		if err := c.Get(t.Context(), client.ObjectKey{Name: "gardener-extension-provider-packet"}, registered); err != nil {
			return err
		}
		if len(registered.Webhooks) != 4 {
			return fmt.Errorf("%d webhooks are registered in the seed", len(registered.Webhooks))
		}
		return nil
	})
}
