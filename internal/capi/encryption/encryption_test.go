package encryption_test

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/packetyard/packetyard/internal/capi/encryption"
	"github.com/packetyard/packetyard/internal/controlplanetest"
)

// apiServer starts an API server that has one Secret, and encrypts what a configuration says, if there is one.
func apiServer(t *testing.T, configuration string) (*envtest.Environment, *rest.Config) {
	t.Helper()
	server := controlplanetest.New()
	if configuration != "" {
		path := filepath.Join(t.TempDir(), "encryption.yaml")
		if err := os.WriteFile(path, []byte(configuration), 0o600); err != nil {
			t.Fatal(err)
		}
		server.ControlPlane.GetAPIServer().Configure().Set("encryption-provider-config", path)
	}
	config := controlplanetest.StartFor(t, server)
	c, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "any"}}); err != nil {
		t.Fatal(err)
	}
	return server, config
}

const configuration = `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
  - resources: [%s]
    providers:
      %s
`

func secretbox(t *testing.T) string {
	t.Helper()
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		t.Fatal(err)
	}
	return "- secretbox: {keys: [{name: key1, secret: " + base64.StdEncoding.EncodeToString(key) + "}]}\n      - identity: {}"
}

func check(t *testing.T, config *rest.Config, registerer prometheus.Registerer) (*encryption.Watch, map[string]encryption.Finding) {
	t.Helper()
	watch, err := encryption.NewWatch(config, time.Hour, registerer)
	if err != nil {
		t.Fatal(err)
	}
	return watch, watch.Check(t.Context())
}

// Real API servers tell by their metrics whether they encrypt.
func TestARealAPIServerTells(t *testing.T) {
	for name, test := range map[string]struct {
		configuration string
		secrets       encryption.State
		warning       string
	}{
		"no configuration": {"", encryption.NotEncrypted, "secrets and kubeadmconfigs"},
		"secretbox":        {fmt.Sprintf(configuration, "secrets", secretbox(t)), encryption.Encrypted, "encrypt kubeadmconfigs.bootstrap.cluster.x-k8s.io at rest"},
		"everything":       {fmt.Sprintf(configuration, `"*.*"`, secretbox(t)), encryption.Encrypted, ""},
		"identity":         {fmt.Sprintf(configuration, "secrets", "- identity: {}"), encryption.NotEncrypted, "secrets"},
	} {
		t.Run(name, func(t *testing.T) {
			_, config := apiServer(t, test.configuration)
			registry := prometheus.NewRegistry()
			watch, findings := check(t, config, registry)
			if got := findings["secrets"]; got.State != test.secrets {
				t.Errorf("Secrets are %s (%s), want %s", got.State, got.Reason, test.secrets)
			}
			if name != "everything" { // No KubeadmConfig was written, so nothing is known of them there.
				if got := watch.Warning(); !strings.Contains(got, test.warning) || !strings.Contains(got, "docs/encryption.md") {
					t.Errorf("the warning is %q, want it to mention %q", got, test.warning)
				}
			}
			if got := value(t, registry, "secrets", string(test.secrets)); got != 1 {
				t.Errorf("the metric of state %s is %v, want 1", test.secrets, got)
			}
			if news := watch.Check(t.Context()); len(news) != 0 {
				t.Errorf("the second look has news: %v", news)
			}
		})
	}
}

// Who may not read the metrics says that it does not know, and warns of nothing.
func TestUnknownIsSaid(t *testing.T) {
	server, config := apiServer(t, "")
	nobody, err := server.AddUser(envtest.User{Name: "nobody", Groups: []string{"system:authenticated"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	watch, findings := check(t, nobody.Config(), nil)
	if got := findings["secrets"]; got.State != encryption.Unknown || !strings.Contains(got.Reason, "403") || watch.Warning() != "" {
		t.Errorf("Secrets are %s (%s) and the warning is %q, want unknown and none", got.State, got.Reason, watch.Warning())
	}
	unreachable := rest.CopyConfig(config)
	unreachable.Host = "https://127.0.0.1:9"
	if _, findings := check(t, unreachable, nil); findings["secrets"].State != encryption.Unknown {
		t.Errorf("behind a port that nobody listens on, Secrets are %s", findings["secrets"].State)
	}
}

func value(t *testing.T, registry *prometheus.Registry, resource, state string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	has := func(m *dto.Metric, want string) bool {
		for _, label := range m.GetLabel() {
			if label.GetValue() == want {
				return true
			}
		}
		return false
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == "packet_bootstrap_encryption_at_rest" && has(m, resource) && has(m, state) {
				return m.GetGauge().GetValue()
			}
		}
	}
	return -1
}
