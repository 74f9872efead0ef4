// Package capitest runs a real kube-apiserver and etcd for the tests of the Cluster API provider, with everything that
// provider-components.yaml puts into a bootstrap cluster.
//
// The programs come from the folder in KUBEBUILDER_ASSETS; `make test` builds them. A test that cannot find them fails: to
// skip it would be to say that it passed.
package capitest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/packetyard/packetyard/internal/capi/components"
	"github.com/packetyard/packetyard/internal/capi/manager"
	"github.com/packetyard/packetyard/internal/controlplanetest"
)

// Environment is a control plane under test.
type Environment struct {
	// Config has all rights.
	Config *rest.Config
	// Client reads and writes live.
	Client client.Client
	// Host is an address of this machine that the API server accepts as the endpoint of a Service.
	Host string

	kubectl string
	server  *envtest.Environment
	dir     string
}

// Contents are what is in an environment when the tests begin.
type Contents int

const (
	// Everything is what provider-components.yaml holds. Its webhooks need a manager that runs.
	Everything Contents = iota
	// DefinitionsOnly are the CustomResourceDefinitions, without conversion: for tests of controllers that run alone.
	DefinitionsOnly
)

// Run starts an environment for all tests of a package and runs them; call it from TestMain.
// The function gets the environment and returns what is to be done at the end.
func Run(m *testing.M, contents Contents, prepare func(*Environment) (finish func(), err error)) int {
	e, err := newEnvironment()
	if err != nil {
		fmt.Fprintf(os.Stderr, "preparing the test control plane: %v\n", err)
		return 1
	}
	return controlplanetest.Run(m, e.server, func(suite *controlplanetest.Suite) error {
		if err := e.fill(suite, contents); err != nil {
			return err
		}
		finish, err := prepare(e)
		if err != nil {
			return err
		}
		suite.Cleanup(func() error {
			finish()
			return nil
		})
		return nil
	})
}

// newEnvironment is one that does not run yet.
func newEnvironment() (_ *Environment, err error) {
	e := &Environment{server: controlplanetest.New()}
	if e.kubectl, err = controlplanetest.Program("kubectl"); err != nil {
		return nil, err
	}
	if e.Host, err = hostAddress(); err != nil {
		return nil, err
	}
	// Cluster API tries to reach the API server of every cluster that is made. Its address is in a range for benchmarks, and
	// there is nothing behind it: the attempts end at a port of this machine where nobody listens. Go reads these variables
	// only once, so they are set before the first request.
	for name, value := range map[string]string{"HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "localhost,127.0.0.1,.svc," + e.Host} {
		if err := os.Setenv(name, value); err != nil {
			return nil, fmt.Errorf("setting %s: %w", name, err)
		}
	}
	// Without kube-proxy, the API server has to find the webhooks behind their Service by itself.
	e.server.ControlPlane.GetAPIServer().Configure().Set("enable-aggregator-routing", "true")
	return e, nil
}

// fill puts into an environment that runs what it has for all tests.
func (e *Environment) fill(suite *controlplanetest.Suite, contents Contents) (err error) {
	if e.dir, err = os.MkdirTemp("", "capitest-"); err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	suite.Cleanup(func() error { return os.RemoveAll(e.dir) })
	e.Config = suite.Config
	scheme, err := manager.NewScheme()
	if err != nil {
		return err
	}
	if e.Client, err = client.New(e.Config, client.Options{Scheme: scheme}); err != nil {
		return fmt.Errorf("making the client: %w", err)
	}
	return e.applyComponents(contents)
}

// applyComponents does what a user does: plain `kubectl apply`.
func (e *Environment) applyComponents(contents Contents) error {
	root, err := repository()
	if err != nil {
		return err
	}
	upstream, err := controlplanetest.ModuleFolder("sigs.k8s.io/cluster-api")
	if err != nil {
		return err
	}
	manifests, err := components.Build(os.DirFS(upstream), os.DirFS(filepath.Join(root, "config")), "packetyard/manager:dev")
	if err != nil {
		return err
	}
	if contents == DefinitionsOnly {
		manifests = slices.DeleteFunc(manifests, func(object *unstructured.Unstructured) bool {
			unstructured.RemoveNestedField(object.Object, "spec", "conversion")
			return object.GetKind() != "CustomResourceDefinition"
		})
	}
	var file bytes.Buffer
	if err := manifests.Write(&file, components.Header); err != nil {
		return err
	}
	path := filepath.Join(e.dir, "provider-components.yaml")
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		return fmt.Errorf("writing the components: %w", err)
	}
	if out, err := e.Kubectl(context.Background(), "apply", "-f", path); err != nil {
		return fmt.Errorf("applying the components: %w\n%s", err, out)
	}
	if out, err := e.Kubectl(context.Background(), "wait", "--for=condition=Established", "crd", "--all"); err != nil {
		return fmt.Errorf("waiting for the CustomResourceDefinitions: %w\n%s", err, out)
	}
	return nil
}

// Kubectl runs kubectl with all rights and returns what it printed.
func (e *Environment) Kubectl(ctx context.Context, arguments ...string) (string, error) {
	kubeconfig := filepath.Join(e.dir, "kubeconfig")
	if _, err := os.Stat(kubeconfig); err != nil {
		user, err := e.server.AddUser(envtest.User{Name: "kubectl", Groups: []string{"system:masters"}}, nil)
		if err != nil {
			return "", fmt.Errorf("making a user for kubectl: %w", err)
		}
		content, err := user.KubeConfig()
		if err != nil {
			return "", fmt.Errorf("making a kubeconfig: %w", err)
		}
		if err := os.WriteFile(kubeconfig, content, 0o600); err != nil {
			return "", fmt.Errorf("writing a kubeconfig: %w", err)
		}
	}
	command := exec.CommandContext(ctx, e.kubectl, arguments...)
	command.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "HOME="+e.dir)
	out, err := command.CombinedOutput()
	return string(out), err
}

// ServeWebhooks makes the Service of the webhooks lead to a port of this machine, as the endpoint controller would.
func (e *Environment) ServeWebhooks(ctx context.Context, port int) error {
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: manager.DefaultNamespace, Name: manager.DefaultWebhookService,
			Labels: map[string]string{discoveryv1.LabelServiceName: manager.DefaultWebhookService},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{e.Host}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)}}},
		Ports:       []discoveryv1.EndpointPort{{Name: ptr.To(""), Port: ptr.To(int32(port)), Protocol: ptr.To(corev1.ProtocolTCP)}},
	}
	if err := e.Client.Create(ctx, slice); err != nil {
		return fmt.Errorf("making the endpoint of the webhooks: %w", err)
	}
	return nil
}

// Namespace makes a namespace that is the test's own.
func (e *Environment) Namespace(t testing.TB) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	if err := e.Client.Create(t.Context(), namespace); err != nil {
		t.Fatalf("making a namespace: %v", err)
	}
	return namespace.Name
}

// hostAddress is an IPv4 address of this machine that is not a loopback address: the API server refuses those as endpoints.
// Nothing leaves the machine: it talks to itself.
func hostAddress() (string, error) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return "", fmt.Errorf("listing the addresses of this machine: %w", err)
	}
	for _, address := range addresses {
		if network, ok := address.(*net.IPNet); ok && network.IP.To4() != nil && network.IP.IsGlobalUnicast() {
			return network.IP.String(), nil
		}
	}
	return "", fmt.Errorf("this machine has no IPv4 address besides loopback, and the API server calls webhooks at no other")
}

// repository is the root folder of this repository.
func repository() (string, error) {
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		return "", fmt.Errorf("finding the source of the tests")
	}
	return filepath.Join(filepath.Dir(file), "..", "..", ".."), nil
}
