package admission_test

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/yaml"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/admission"
	"github.com/packetyard/packetyard/internal/controlplanetest"
)

var (
	// api reads and writes live, as a user without any controller. A field that the API server does not know is an error.
	api client.Client
	// config is how the API server is reached.
	config *rest.Config
)

// All tests share one API server, with the definitions and webhooks as they are in config/.
func TestMain(m *testing.M) {
	ctrl.SetLogger(klog.Background())
	if fuzzing() {
		os.Exit(m.Run())
	}
	folder := filepath.Join("..", "..", "..", "config")
	environment := controlplanetest.New(filepath.Join(folder, "crd", "bases"))
	environment.WebhookInstallOptions = envtest.WebhookInstallOptions{Paths: []string{filepath.Join(folder, "webhook")}}
	os.Exit(controlplanetest.Run(m, environment, func(suite *controlplanetest.Suite) error {
		return serve(suite, environment.WebhookInstallOptions)
	}))
}

// fuzzing tells whether this process only looks for input that breaks a function, which several processes do at a time and
// which needs no API server.
func fuzzing() bool {
	flag.Parse()
	for _, name := range []string{"test.fuzz", "test.fuzzworker"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != f.DefValue {
			return true
		}
	}
	return false
}

// serve runs the webhooks where the API server looks for them.
func serve(suite *controlplanetest.Suite, hooks envtest.WebhookInstallOptions) error {
	config = suite.Config
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, infrav1.AddToScheme} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	plain, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return err
	}
	api = client.WithFieldValidation(plain, metav1.FieldValidationStrict)
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:  scheme,
		Metrics: server.Options{BindAddress: "0"},
		WebhookServer: webhook.NewServer(webhook.Options{
			Host: hooks.LocalServingHost, Port: hooks.LocalServingPort, CertDir: hooks.LocalServingCertDir,
		}),
	})
	if err != nil {
		return err
	}
	if err := admission.SetupWithManager(mgr); err != nil {
		return err
	}
	suite.Go(mgr.Start)
	return listening(context.Background(), net.JoinHostPort(hooks.LocalServingHost, strconv.Itoa(hooks.LocalServingPort)))
}

// listening returns when somebody listens at the address.
func listening(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	for {
		connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			return connection.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the webhook server does not listen: %w", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// object makes an object of the infrastructure group out of what a user would write below the name.
func object(t *testing.T, kind, name, body string) *unstructured.Unstructured {
	t.Helper()
	content := map[string]any{}
	if err := yaml.Unmarshal([]byte(body), &content); err != nil {
		t.Fatalf("reading the body of %s: %v\n%s", kind, err, body)
	}
	o := &unstructured.Unstructured{Object: content}
	o.SetGroupVersionKind(infrav1.GroupVersion.WithKind(kind))
	o.SetNamespace("default")
	o.SetName(name)
	return o
}

// nameOf is an object name for a (sub)test.
func nameOf(t *testing.T) string {
	t.Helper()
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(t.Name()))
	return "t-" + strings.Trim(name, "-")
}

// refused asserts that an error is the API server's, and says all that is wanted.
func refused(t *testing.T, err error, want ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("it was accepted, want a rejection with %q", want)
	}
	if !apierrors.IsInvalid(err) {
		t.Fatalf("error is %v, want one of an invalid object", err)
	}
	for _, text := range want {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("the rejection lacks %q: %v", text, err)
		}
	}
}
