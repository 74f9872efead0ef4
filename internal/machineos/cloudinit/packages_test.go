package cloudinit_test

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"
)

func TestPackagesAreInstalledBeforeScriptsRun(t *testing.T) {
	s := newSystem(t)
	var installed []string
	s.install = func(_ context.Context, names []string, output io.Writer) error {
		installed = names
		_, err := io.WriteString(output, "installing\n")
		return err
	}
	err := s.execute(t, `#cloud-config
apt:
  sources:
    kubernetes:
      source: deb [signed-by=$KEY_FILE] https://pkgs.k8s.io/core:/stable:/v1.35/deb/ /
packages:
- socat
- kubelet=1.35.4-*
- [kubeadm, 1.35.4-1.1]
- apt: [kubectl, [cri-tools, "1.35"]]
- snap: [certbot]
runcmd:
- echo running
`)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"socat", "kubelet=1.35.4-*", "kubeadm=1.35.4-1.1", "kubectl", "cri-tools=1.35"}; !slices.Equal(installed, want) {
		t.Errorf("installed are %q, want %q", installed, want)
	}
	if output := s.output.String(); output != "installing\nrunning\n" {
		t.Errorf("output is %q", output)
	}
	if list := s.read(t, "/etc/apt/sources.list.d/kubernetes.list"); !strings.Contains(list, "/v1.35/deb/") {
		t.Errorf("the repository's file has %q", list)
	}
}

func TestPackagesThatAreNone(t *testing.T) {
	for document, want := range map[string]string{
		"packages: kubelet":         "packages is a string, it must be a list",
		"packages: [[a, b, c]]":     "packages[0]: it is a list of 3, it must be a name and a version",
		"packages: [x, null]":       "packages[1]: it is empty",
		"apt: {sources: [kubelet]}": "apt.sources must be a map of maps",
	} {
		s := newSystem(t)
		s.install = func(context.Context, []string, io.Writer) error {
			t.Errorf("%s: packages were installed", document)
			return nil
		}
		if err := s.execute(t, "#cloud-config\n"+document+"\n"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v, want %q", document, err, want)
		}
	}
}
