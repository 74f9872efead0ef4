package kubeadm

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestWithPreflight(t *testing.T) {
	files := map[string]string{
		"plain.yaml": "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n---\nkind: InitConfiguration\nnodeRegistration:\n  ignorePreflightErrors: [Swap]\n",
		"all.yaml":   "kind: ClusterConfiguration\n---\nkind: InitConfiguration\nnodeRegistration:\n  ignorePreflightErrors: [ALL]\n",
	}
	read := func(name string) ([]byte, error) {
		content, ok := files[name]
		if !ok {
			return nil, errors.New("no such file")
		}
		return []byte(content), nil
	}
	for _, test := range []struct {
		line  string
		added bool
	}{
		{line: "kubeadm init", added: true},
		{line: "kubeadm --v=5 init --config plain.yaml", added: true},
		{line: "kubeadm join 10.0.0.1:6443 --token x", added: true},
		{line: "kubeadm init phase preflight", added: true},
		{line: "kubeadm init phase certs all"},
		{line: "kubeadm init --ignore-preflight-errors=all"},
		{line: "kubeadm init --ignore-preflight-errors Swap"},
		{line: "kubeadm init --config=all.yaml"},
		{line: "kubeadm version"},
		{line: "kubeadm token create"},
		{line: "kubeadm"},
	} {
		t.Run(test.line, func(t *testing.T) {
			args := strings.Fields(test.line)
			got, err := withPreflight(args, read)
			if err != nil {
				t.Fatal(err)
			}
			last := got[len(got)-1]
			added := len(got) == len(args)+1 && strings.HasPrefix(last, ignoreFlag+"=") && strings.Contains(last, "SystemVerification")
			if added != test.added {
				t.Errorf("got %q, want the flag added: %v", got, test.added)
			}
			if !slices.Equal(got[:len(args)], args) {
				t.Errorf("the user's arguments changed: %q", got)
			}
		})
	}
}

func TestWithPreflightReportsABadFile(t *testing.T) {
	for name, test := range map[string]struct {
		content string
		err     error
	}{
		"missing":  {err: errors.New("no such file")},
		"not YAML": {content: "a: b: c"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := withPreflight([]string{"kubeadm", "init", "--config", "x.yaml"}, func(string) ([]byte, error) {
				return []byte(test.content), test.err
			})
			if err == nil {
				t.Error("no error")
			}
		})
	}
}
