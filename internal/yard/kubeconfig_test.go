package yard

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/packetyard/packetyard/internal/yard/statedir"
)

const kubeconfig = `apiVersion: v1
kind: Config
clusters:
- name: demo
  cluster: {server: "https://198.18.1.1:6443", certificate-authority-data: Y2E=}
contexts:
- name: admin@demo
  context: {cluster: demo, user: admin}
current-context: admin@demo
users:
- name: admin
  user: {client-certificate-data: Y2VydA==, client-key-data: a2V5}
`

func TestWriteKubeconfig(t *testing.T) {
	path := filepath.Join(t.TempDir(), "demo.kubeconfig")
	if err := writeKubeconfig(path, []byte(kubeconfig), "http://127.0.0.1:4000"); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	config, err := clientcmd.LoadFromFile(path)
	if err != nil {
		t.Fatal(err)
	}
	cluster := config.Clusters["demo"]
	if cluster.ProxyURL != "http://127.0.0.1:4000" || cluster.Server != "https://198.18.1.1:6443" || string(cluster.CertificateAuthorityData) != "ca" {
		t.Errorf("the cluster is %+v", cluster)
	}
	if config.CurrentContext != "admin@demo" || string(config.AuthInfos["admin"].ClientKeyData) != "key" {
		t.Errorf("the rest has changed: %+v", config)
	}
}

func TestThroughProxyRefuses(t *testing.T) {
	for _, content := range []string{"", "{", "apiVersion: v1\nkind: Config\n"} {
		if _, err := throughProxy([]byte(content), "http://127.0.0.1:4000"); err == nil {
			t.Errorf("%q was taken for a kubeconfig", content)
		}
	}
}

func TestKubeconfigPath(t *testing.T) {
	dir, err := statedir.Create(filepath.Join(t.TempDir(), "yard"))
	if err != nil {
		t.Fatal(err)
	}
	check := func(cluster, want, wantError string) {
		t.Helper()
		got, err := KubeconfigPath(t.Context(), dir, cluster)
		if wantError != "" {
			if err == nil || !strings.Contains(err.Error(), wantError) {
				t.Errorf("%q: got %v, want an error with %q", cluster, err, wantError)
			}
			return
		}
		if err != nil || got != want {
			t.Errorf("%q: got %s, %v; want %s", cluster, got, err, want)
		}
	}
	check("", "", "there is no cluster yet")
	check("bootstrap", "", "run `packetyard up`")
	for _, name := range []string{"bootstrap", "demo"} {
		if err := statedir.WriteFile(dir.Kubeconfig(name), []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	check("bootstrap", dir.BootstrapKubeconfig(), "")
	check("", dir.Kubeconfig("demo"), "")
	check("demo", dir.Kubeconfig("demo"), "")
	check("dema", "", `there is no cluster "dema"; there are: demo, bootstrap`)
	if err := statedir.WriteFile(dir.Kubeconfig("other"), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	check("", "", "demo, other")
}
