package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/packetyard/packetyard/internal/capi/components"
	"github.com/packetyard/packetyard/internal/capi/manager"
	"github.com/packetyard/packetyard/internal/controlplanetest"
	"github.com/packetyard/packetyard/internal/processtest"
)

// bootstrap is a bootstrap cluster: a real API server and etcd. What its controller manager and kubelets would do for the
// managers, the test does: it runs what Deployments say, as the ServiceAccounts that they name.
type bootstrap struct {
	server *envtest.Environment
	client client.Client
	// host is an address of this machine that the API server accepts as the endpoint of a Service.
	host       string
	kubeconfig string
}

func startBootstrap(t testing.TB) *bootstrap {
	t.Helper()
	b := &bootstrap{server: controlplanetest.New(), host: hostAddress(t)}
	apiServer := b.server.ControlPlane.GetAPIServer().Configure()
	// Without kube-proxy, the API server has to find the webhooks behind their Service by itself.
	apiServer.Set("enable-aggregator-routing", "true")
	// Owner references are checked as a careful administrator has them checked.
	apiServer.Set("enable-admission-plugins", "OwnerReferencesPermissionEnforcement")
	config := controlplanetest.StartFor(t, b.server)
	scheme, err := manager.NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	if b.client, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	b.kubeconfig = b.user(t, envtest.User{Name: "admin", Groups: []string{"system:masters"}})
	return b
}

// user writes a kubeconfig.
func (b *bootstrap) user(t testing.TB, user envtest.User) string {
	t.Helper()
	added, err := b.server.AddUser(user, nil)
	if err != nil {
		t.Fatal(err)
	}
	content, err := added.KubeConfig()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (b *bootstrap) kubectl(t testing.TB, arguments ...string) string {
	t.Helper()
	program, err := controlplanetest.Program("kubectl")
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), program, arguments...)
	command.Env = append(os.Environ(), "KUBECONFIG="+b.kubeconfig, "HOME="+t.TempDir())
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(arguments, " "), err, out)
	}
	return string(out)
}

// runManagers runs every manager that the bootstrap cluster has a Deployment of: its arguments, its environment, and the
// rights of its ServiceAccount and no others. Only addresses are changed, since all share one machine.
func (b *bootstrap) runManagers(t testing.TB, extra ...string) map[string]*process {
	t.Helper()
	deployments := &appsv1.DeploymentList{}
	if err := b.client.List(t.Context(), deployments); err != nil {
		t.Fatal(err)
	}
	running, ports := map[string]*process{}, map[string]int{}
	for _, deployment := range deployments.Items {
		pod := deployment.Spec.Template.Spec
		account := b.user(t, envtest.User{
			Name:   "system:serviceaccount:" + deployment.Namespace + ":" + pod.ServiceAccountName,
			Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + deployment.Namespace, "system:authenticated"},
		})
		webhook, health := processtest.FreePort(t), processtest.FreePort(t)
		b.serve(t, deployment.Namespace, webhook)
		environment := append(b.environment(t, deployment.Namespace, pod.Containers[0].Env),
			"KUBECONFIG="+account, "HTTPS_PROXY=http://127.0.0.1:9", "NO_PROXY=127.0.0.1,localhost,"+b.host)
		running[deployment.Name] = startProcess(t, deployment.Name, environment, append(append(append([]string{}, pod.Containers[0].Args...),
			fmt.Sprintf("--webhook-host=%s", b.host), fmt.Sprintf("--webhook-port=%d", webhook),
			fmt.Sprintf("--health-addr=127.0.0.1:%d", health), "--diagnostics-address=0"), extra...)...)
		ports[deployment.Name] = health
	}
	for name, p := range running {
		p.awaitReady(t, ports[name])
	}
	return running
}

// environment is what the kubelet would make of the variables of a container.
func (b *bootstrap) environment(t testing.TB, namespace string, variables []corev1.EnvVar) []string {
	t.Helper()
	var environment []string
	for _, variable := range variables {
		value := variable.Value
		switch from := variable.ValueFrom; {
		case from == nil:
		case from.FieldRef != nil:
			value = map[string]string{"metadata.namespace": namespace, "metadata.name": "manager-0", "metadata.uid": "0"}[from.FieldRef.FieldPath]
		case from.SecretKeyRef != nil:
			secret := &corev1.Secret{}
			key := client.ObjectKey{Namespace: namespace, Name: from.SecretKeyRef.Name}
			if err := b.client.Get(t.Context(), key, secret); client.IgnoreNotFound(err) != nil {
				t.Fatal(err)
			}
			value = string(secret.Data[from.SecretKeyRef.Key])
		}
		if value != "" {
			environment = append(environment, variable.Name+"="+value)
		}
	}
	return environment
}

// serve makes the Service of a namespace lead to a port of this machine, as the endpoint controller would.
func (b *bootstrap) serve(t testing.TB, namespace string, port int) {
	t.Helper()
	services := &corev1.ServiceList{}
	if err := b.client.List(t.Context(), services, client.InNamespace(namespace)); err != nil || len(services.Items) != 1 {
		t.Fatalf("%d Services in %s, %v; want 1", len(services.Items), namespace, err)
	}
	name := services.Items[0].Name
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: name}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{b.host}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)}}},
		Ports:       []discoveryv1.EndpointPort{{Name: ptr.To(""), Port: ptr.To(int32(port)), Protocol: ptr.To(corev1.ProtocolTCP)}},
	}
	if err := client.IgnoreNotFound(b.client.Delete(t.Context(), slice.DeepCopy())); err != nil {
		t.Fatal(err)
	}
	if err := b.client.Create(t.Context(), slice); err != nil {
		t.Fatal(err)
	}
}

// hostAddress is an IPv4 address of this machine that is not a loopback address: the API server refuses those as endpoints.
func hostAddress(t testing.TB) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range addresses {
		if network, ok := address.(*net.IPNet); ok && network.IP.To4() != nil && network.IP.IsGlobalUnicast() {
			return network.IP.String()
		}
	}
	t.Fatal("this machine has no IPv4 address besides loopback, and the API server calls webhooks at no other")
	return ""
}

// manifests are what `make components` writes, by the names of the files.
var manifests = sync.OnceValues(func() (map[string][]byte, error) {
	folder, err := controlplanetest.ModuleFolder("sigs.k8s.io/cluster-api")
	if err != nil {
		return nil, err
	}
	upstream, ours := os.DirFS(folder), os.DirFS(filepath.Join("..", "..", "config"))
	const image = "example.com/packetyard/manager:v1"
	files := map[string][]byte{}
	write := func(name, header string, objects components.Manifests, err error) error {
		var file bytes.Buffer
		if err == nil {
			err = objects.Write(&file, header)
		}
		files[name] = file.Bytes()
		return err
	}
	objects, err := components.Build(upstream, ours, image)
	if err := write("provider-components.yaml", components.Header, objects, err); err != nil {
		return nil, err
	}
	for _, provider := range components.Providers() {
		objects, err := components.BuildProvider(upstream, ours, image, provider)
		if err := write(provider.File, provider.Header(), objects, err); err != nil {
			return nil, err
		}
	}
	return files, nil
})

func builtManifests(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := manifests()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// applyComponents is `kubectl apply -f provider-components.yaml`.
func (b *bootstrap) applyComponents(t testing.TB) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "provider-components.yaml")
	if err := os.WriteFile(path, builtManifests(t)["provider-components.yaml"], 0o600); err != nil {
		t.Fatal(err)
	}
	b.kubectl(t, "apply", "-f", path)
	b.kubectl(t, "wait", "--for=condition=Established", "crd", "--all")
}
