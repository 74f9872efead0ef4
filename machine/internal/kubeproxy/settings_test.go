package kubeproxy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const kubeconfig = `
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://198.18.1.1:6443"}}]
users: [{name: u, user: {tokenFile: TOKEN}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
`

func TestReadSettings(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	token := write("token", "secret")
	credentials := write("kubeconfig", strings.ReplaceAll(kubeconfig, "TOKEN", token))
	head := "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
	client := "clientConnection: {kubeconfig: " + credentials + "}\n"

	got, err := readSettings(write("good", head+client+"conntrack: {min: null}\nmode: \"\"\n"), "node-1")
	if err != nil {
		t.Fatal(err)
	}
	if got.node != "node-1" || got.client.Host != "https://198.18.1.1:6443" || got.client.BearerTokenFile != token || got.healthzAddress != "0.0.0.0:10256" {
		t.Errorf("settings %+v", got)
	}

	for name, test := range map[string]struct{ content, mentions string }{
		"wrong kind":       {content: "apiVersion: v1\nkind: Pod\n", mentions: "KubeProxyConfiguration"},
		"not YAML":         {content: "{", mentions: "--config"},
		"bad healthz":      {content: head + client + "healthzBindAddress: nowhere\n", mentions: "healthzBindAddress"},
		"no such file":     {content: head + "clientConnection: {kubeconfig: /does/not/exist}\n", mentions: "clientConnection.kubeconfig"},
		"wrong field type": {content: head + "hostnameOverride: [1]\n", mentions: "hostnameOverride"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readSettings(write(strings.ReplaceAll(name, " ", "-"), test.content), "node-1")
			if err == nil || !strings.Contains(err.Error(), test.mentions) {
				t.Errorf("error %v, want one that mentions %q", err, test.mentions)
			}
		})
	}
}
