//go:build e2e

package e2e

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/clientcmd"
	bootstrapv1 "sigs.k8s.io/cluster-api/api/bootstrap/kubeadm/v1beta2"
)

// checkEncryption searches the files of the bootstrap cluster's etcd for what
// must not lie there readable: the CA keys, the kubeadm token and the
// administrator's certificate. That the search finds what is not encrypted is
// shown by a ConfigMap.
func checkEncryption(t *testing.T, y *yard) {
	bootstrap := y.kubeconfig(t, "bootstrap")
	marker, secret := "marker-"+rand.Text(), "secret-"+rand.Text()
	y.kubectl(t, bootstrap, "create", "configmap", "marker", "--from-literal=marker="+marker)
	y.kubectl(t, bootstrap, "create", "secret", "generic", "marker", "--from-literal=marker="+secret)

	forbidden := map[string]string{
		"a Secret's value":       secret,
		"a private key":          "PRIVATE KEY",
		"a private key (base64)": base64.StdEncoding.EncodeToString([]byte("-----BEGIN EC PRIVATE KEY"))[:32],
	}
	kubeconfig, err := get[corev1.Secret](y, t.Context(), bootstrap, "secret", "demo-kubeconfig")
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.Load(kubeconfig.Data["value"])
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range config.AuthInfos {
		forbidden["the administrator's certificate"] = base64.StdEncoding.EncodeToString(user.ClientCertificateData)
		forbidden["the administrator's key"] = base64.StdEncoding.EncodeToString(user.ClientKeyData)
	}
	configs, err := get[bootstrapv1.KubeadmConfigList](y, t.Context(), bootstrap, "kubeadmconfigs", "-A")
	if err != nil {
		t.Fatal(err)
	}
	tokens := 0
	for _, config := range configs.Items {
		if token := config.Spec.JoinConfiguration.Discovery.BootstrapToken.Token; token != "" {
			tokens++
			// The part after the point is the secret one.
			forbidden["the kubeadm token of "+config.Name] = token[strings.IndexByte(token, '.')+1:]
		}
	}
	if tokens == 0 {
		t.Fatal("no KubeadmConfig holds a kubeadm token, so nothing is checked")
	}
	token, err := os.ReadFile(filepath.Join(y.state, "api", "credentials.json"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(token), `"apiToken": "`)
	forbidden["the Packet API's token"], _, _ = strings.Cut(rest, `"`)

	content := etcdFiles(t, y)
	if !bytes.Contains(content, []byte(marker)) {
		t.Fatalf("the ConfigMap's value is not found in %d bytes of etcd's files: the search is good for nothing", len(content))
	}
	for what, text := range forbidden {
		if len(text) < 8 {
			t.Errorf("%s is %q: nothing to search for", what, text)
			continue
		}
		if bytes.Contains(content, []byte(text)) {
			t.Errorf("%s lies readable in the bootstrap cluster's etcd", what)
		}
	}
}

// etcdFiles returns all bytes of the bootstrap machine's etcd: its database
// and its log.
func etcdFiles(t *testing.T, y *yard) []byte {
	t.Helper()
	machine := filepath.Join(y.state, "api", "machines", y.devices(t)["bootstrap"].ID)
	var content []byte
	files := 0
	err := filepath.WalkDir(machine, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			// The machine makes and removes files while this looks, and some
			// folders are the kernel's alone.
			return nil //nolint:nilerr // See above.
		}
		if entry.IsDir() || !strings.Contains(path, "/etcd/member/") {
			return nil
		}
		part, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		content = append(content, part...)
		return nil
	})
	if err != nil || files < 2 {
		t.Fatalf("found %d files of etcd below %s, %v; want its database and its log", files, machine, err)
	}
	return content
}
