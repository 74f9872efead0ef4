package main

import (
	"slices"
	"strings"
	"testing"
)

func TestChoose(t *testing.T) {
	for name, test := range map[string]struct {
		argv    []string
		want    string
		args    []string
		mention string
	}{
		"by symbolic link":             {argv: []string{"/usr/local/bin/kubeadm", "init"}, want: "kubeadm", args: []string{"kubeadm", "init"}},
		"by argv[0] of exec":           {argv: []string{"kube-proxy"}, want: "kube-proxy", args: []string{"kube-proxy"}},
		"by first argument":            {argv: []string{"/opt/packetyard/kube", "etcd", "--version"}, want: "etcd", args: []string{"etcd", "--version"}},
		"the name wins over arguments": {argv: []string{"kubectl", "kubelet"}, want: "kubectl", args: []string{"kubectl", "kubelet"}},
		"unknown argument":             {argv: []string{"kube", "nginx"}, mention: `"nginx"`},
		"no argument":                  {argv: []string{"kube"}, mention: "usage"},
		"nothing at all":               {mention: "usage"},
	} {
		t.Run(name, func(t *testing.T) {
			got, args, err := choose(applets(), test.argv)
			if test.mention != "" {
				if err == nil || !strings.Contains(err.Error(), test.mention) || !strings.Contains(err.Error(), "kube-scheduler") {
					t.Errorf("error %v, want one that mentions %s and what there is", err, test.mention)
				}
				return
			}
			if err != nil || got.name != test.want || !slices.Equal(args, test.args) {
				t.Errorf("got %q with %q, error %v; want %q with %q", got.name, args, err, test.want, test.args)
			}
		})
	}
}

func TestEveryProgramOfAMachineIsThere(t *testing.T) {
	for _, name := range []string{"kubeadm", "kubelet", "kubectl", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "etcd"} {
		if _, _, err := choose(applets(), []string{name}); err != nil {
			t.Error(err)
		}
	}
}

func TestArgumentsPutDefaultsFirst(t *testing.T) {
	a := applet{name: "etcd", defaults: []string{"--unsafe-no-fsync"}}
	for name, test := range map[string]struct{ given, want []string }{
		"before the user's, which win": {given: []string{"etcd", "--name=a"}, want: []string{"etcd", "--unsafe-no-fsync", "--name=a"}},
		"without any":                  {given: []string{"etcd"}, want: []string{"etcd", "--unsafe-no-fsync"}},
		"not before a subcommand":      {given: []string{"etcd", "gateway", "start"}, want: []string{"etcd", "gateway", "start"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := a.arguments(test.given); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
