package clusterctl

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/packetyard/packetyard/internal/controlplanetest"
)

// bootstrapCluster is a real API server that knows the resources of Cluster API
// and of the packet provider, but runs no controller.
type bootstrapCluster struct {
	config *rest.Config
	client client.Client
}

func startBootstrapCluster(t *testing.T) bootstrapCluster {
	t.Helper()
	return startAPIServer(t,
		clusterAPIFolder(t, "core/config/crd/bases"),
		clusterAPIFolder(t, "bootstrap/kubeadm/config/crd/bases"),
		clusterAPIFolder(t, "controlplane/kubeadm/config/crd/bases"),
		filepath.Join("..", "..", "config", "crd", "bases"))
}

func startAPIServer(t *testing.T, resourceDefinitions ...string) bootstrapCluster {
	t.Helper()
	config := controlplanetest.StartFor(t, controlplanetest.New(resourceDefinitions...))
	c, err := client.New(config, client.Options{Scheme: newScheme(t)})
	if err != nil {
		t.Fatal(err)
	}
	return bootstrapCluster{config: config, client: c}
}

// clusterAPIFolder returns a folder of Cluster API's module, in the version of
// this repository's go.mod.
func clusterAPIFolder(t *testing.T, folder string) string {
	t.Helper()
	module, err := controlplanetest.ModuleFolder("sigs.k8s.io/cluster-api")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(module, "@"+clusterAPIVersion) {
		t.Errorf("go.mod has the Cluster API of %s, this package %s", module, clusterAPIVersion)
	}
	return filepath.Join(module, filepath.FromSlash(folder))
}

// apply creates every object of a manifest, as `kubectl apply` would on a new
// cluster: an unknown field is an error.
func (b bootstrapCluster) apply(t *testing.T, manifest string, options ...client.CreateOption) error {
	t.Helper()
	decoder := utilyaml.NewYAMLOrJSONDecoder(strings.NewReader(manifest), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(object)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(object.Object) == 0 {
			continue
		}
		if object.GetNamespace() == "" {
			object.SetNamespace("default")
		}
		if err := client.WithFieldValidation(b.client, metav1.FieldValidationStrict).Create(t.Context(), object, options...); err != nil {
			return err
		}
	}
}

// kubeconfig writes a kubeconfig for the cluster that leads through a proxy:
// without the proxy its address leads nowhere.
func (b bootstrapCluster) kubeconfig(t *testing.T, proxy string) string {
	t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["bootstrap"] = &clientcmdapi.Cluster{
		Server:                   "https://198.18.0.99:6443",
		ProxyURL:                 proxy,
		TLSServerName:            "localhost",
		CertificateAuthorityData: b.config.CAData,
	}
	config.AuthInfos["admin"] = &clientcmdapi.AuthInfo{ClientCertificateData: b.config.CertData, ClientKeyData: b.config.KeyData}
	config.Contexts["bootstrap"] = &clientcmdapi.Context{Cluster: "bootstrap", AuthInfo: "admin"}
	config.CurrentContext = "bootstrap"
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	return file
}

// proxy starts an HTTP CONNECT proxy that leads every tunnel to the API server,
// and counts the tunnels.
func (b bootstrapCluster) proxy(t *testing.T) (address string, tunnels *atomic.Int64) {
	t.Helper()
	tunnels = &atomic.Int64{}
	host, err := url.Parse(b.config.Host)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			http.Error(w, "only CONNECT", http.StatusMethodNotAllowed)
			return
		}
		upstream, err := net.Dial("tcp", host.Host)
		if err != nil {
			t.Errorf("connecting to the API server: %v", err)
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer upstream.Close()
		w.WriteHeader(http.StatusOK)
		downstream, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Errorf("taking over the connection: %v", err)
			return
		}
		defer downstream.Close()
		tunnels.Add(1)
		go func() {
			defer upstream.Close()
			_, _ = io.Copy(upstream, buffered)
		}()
		_, _ = io.Copy(downstream, upstream)
	}))
	t.Cleanup(server.CloseClientConnections)
	return server.URL, tunnels
}

// TestBootstrapCluster shares one API server, because starting it with every
// resource takes seconds.
func TestBootstrapCluster(t *testing.T) {
	cluster := startBootstrapCluster(t)
	t.Run("cluster files are accepted", cluster.testFiles)
	t.Run("project left out", cluster.testProjectLeftOut)
	t.Run("commands through a proxy", cluster.testProxy)
}

// testFiles creates each cluster in a real API server, whose schemas know more
// than the Go types: required fields, patterns, limits.
func (b bootstrapCluster) testFiles(t *testing.T) {
	p := newProgram(t)
	read := func(file string) string {
		manifest, err := os.ReadFile(filepath.Join("..", "..", "example", file))
		if err != nil {
			t.Fatal(err)
		}
		return string(manifest)
	}
	example := read("cluster.yaml")
	for name, manifest := range map[string]string{
		"example":                     example,
		"example KubeadmControlPlane": read("cluster-kubeadmcontrolplane.yaml"),
		"example Deployment":          read("deployment.yaml"),
		"template":                    p.mustRun(t, "generate", "cluster", "one"),
		"template machines":           p.mustRun(t, "generate", "cluster", "two", "--flavor", "machines"),
		"template with a project":     p.with("PROJECT_ID=f6a1a6a8-6a3a-4e4b-8a0e-1d2f3a4b5c6d").mustRun(t, "generate", "cluster", "three"),
	} {
		if err := b.apply(t, manifest, client.DryRunAll); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	broken := strings.Replace(example, "  metro: da\n", "  metro: da\n  metroo: da\n", 1)
	if err := b.apply(t, broken, client.DryRunAll); err == nil || !strings.Contains(err.Error(), "metroo") {
		t.Errorf("an unknown field was answered with %v", err)
	}
}

// testProjectLeftOut: without a project the cluster is in that of the credentials.
// The file is applied by the server, which refuses a null.
func (b bootstrapCluster) testProjectLeftOut(t *testing.T) {
	if err := b.apply(t, newProgram(t).mustRun(t, "generate", "cluster", "one", "--target-namespace", "kube-public")); err != nil {
		t.Fatal(err)
	}
	object := &unstructured.Unstructured{}
	object.SetAPIVersion("infrastructure.cluster.x-k8s.io/v1beta2")
	object.SetKind("PacketCluster")
	if err := b.client.Get(t.Context(), types.NamespacedName{Namespace: "kube-public", Name: "one"}, object); err != nil {
		t.Fatal(err)
	}
	if project, _, _ := unstructured.NestedString(object.Object, "spec", "projectID"); project != "" {
		t.Errorf("the project is %v, want none", project)
	}
}

// testProxy runs the commands for an existing cluster against a bootstrap
// cluster that is reached through a proxy, as one inside the yard is.
func (b bootstrapCluster) testProxy(t *testing.T) {
	address, tunnels := b.proxy(t)
	p := newProgram(t).with("KUBECONFIG=" + b.kubeconfig(t, address))

	manifest, err := os.ReadFile(filepath.Join("..", "..", "example", "cluster.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.apply(t, string(manifest)); err != nil {
		t.Fatal(err)
	}
	const content = "the kubeconfig of demo"
	if err := b.client.Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "demo-kubeconfig", Labels: map[string]string{clusterv1.ClusterNameLabel: "demo"}},
		Type:       clusterv1.ClusterSecretType,
		Data:       map[string][]byte{"value": []byte(content)},
	}); err != nil {
		t.Fatal(err)
	}

	if out := p.mustRun(t, "get", "kubeconfig", "demo"); out != content+"\n" {
		t.Errorf("the kubeconfig is %q, want %q", out, content)
	}
	p.mustFail(t, "not found", "get", "kubeconfig", "other")
	if out := p.mustRun(t, "describe", "cluster", "demo"); !strings.Contains(out, "Cluster default/demo") || !strings.Contains(out, "PacketCluster default/demo") {
		t.Errorf("the description is\n%s", out)
	}
	if tunnels.Load() == 0 {
		t.Error("nothing went through the proxy")
	}
	if entries, err := os.ReadDir(filepath.Join(p.home, ".cache", "packetyard")); err == nil {
		t.Errorf("commands that read no provider wrote %v into the cache", entries)
	}
}

// TestInit installs the four providers in an empty cluster, without network and
// without cert-manager, and finds nothing newer. What `make` builds is installed
// and run in cmd/manager's tests.
func TestInit(t *testing.T) {
	cluster := startBootstrapCluster(t)
	address, _ := cluster.proxy(t)
	p := newProgram(t).with("KUBECONFIG="+cluster.kubeconfig(t, address)).beside(t, "bin")

	// The second one finds everything there.
	for range 2 {
		p.mustRun(t, "init", "--infrastructure", "packet")
	}
	for _, provider := range builtInProviders {
		deployment := &appsv1.Deployment{}
		key := types.NamespacedName{Namespace: provider.label + "-system", Name: provider.label + "-controller-manager"}
		if err := cluster.client.Get(t.Context(), key, deployment); err != nil {
			t.Error(err)
		}
	}
	const installed = "bootstrap-kubeadm v1.14.2, cluster-api v1.14.2, control-plane-kubeadm v1.14.2, infrastructure-packet " + Version
	if got := cluster.providers(t); got != installed {
		t.Errorf("the installed providers are %s, want %s", got, installed)
	}
	if out := p.mustRun(t, "init", "list-images", "--infrastructure", "packet"); strings.TrimSpace(out) != "docker.io/packetyard/manager:dev" {
		t.Errorf("the images are %q", out)
	}
	if out := p.mustRun(t, "generate", "cluster", "one"); !strings.Contains(out, "kind: PacketCluster") {
		t.Errorf("the cluster is\n%s", out)
	}
}

// providers lists what clusterctl's inventory in the cluster holds.
func (b bootstrapCluster) providers(t *testing.T) string {
	t.Helper()
	list := &unstructured.UnstructuredList{}
	list.SetAPIVersion("clusterctl.cluster.x-k8s.io/v1alpha3")
	list.SetKind("ProviderList")
	if err := b.client.List(context.WithoutCancel(t.Context()), list); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for i, provider := range list.Items {
		if i > 0 {
			out.WriteString(", ")
		}
		version, _, _ := unstructured.NestedString(provider.Object, "version")
		out.WriteString(provider.GetName() + " " + version)
	}
	return out.String()
}
