package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/packetyard/packetyard/machine/internal/apiserver"
	"github.com/packetyard/packetyard/machine/internal/controllermanager"
	"github.com/packetyard/packetyard/machine/internal/etcd"
	"github.com/packetyard/packetyard/machine/internal/footprint"
	"github.com/packetyard/packetyard/machine/internal/kubeadm"
	"github.com/packetyard/packetyard/machine/internal/kubectl"
	"github.com/packetyard/packetyard/machine/internal/kubelet"
	"github.com/packetyard/packetyard/machine/internal/kubeproxy"
	"github.com/packetyard/packetyard/machine/internal/scheduler"
)

// ownName is the base name under which the binary expects an applet's name as
// its first argument.
const ownName = "kube"

// applet is one of the programs in this binary.
type applet struct {
	name string
	// memory is how the program trades memory against time. The zero value
	// leaves Go's defaults to programs that end soon.
	memory footprint.Plan
	// defaults are flags that the program is given before those of its user,
	// which win.
	defaults []string
	// main runs the program; args[0] is its name. It returns the exit code.
	main func(args []string) int
}

// applets lists the programs. Nothing of a program is constructed here: their
// flags and feature gates live in globals, and only the chosen one may touch them.
func applets() []applet {
	return []applet{
		{
			name: "etcd", main: etcd.Main,
			memory:   footprint.Plan{Start: 100, Steady: 50, Settle: 20 * time.Second},
			defaults: etcd.Defaults(),
		},
		{
			name: "kube-apiserver", main: apiserver.Main,
			memory: footprint.Plan{Start: 200, Steady: 40, Settle: 20 * time.Second},
		},
		{
			name: "kube-controller-manager", main: controllermanager.Main,
			memory:   footprint.Plan{Start: 100, Steady: 50, Settle: 20 * time.Second},
			defaults: controllermanager.Defaults(),
		},
		{
			name: "kube-proxy", main: kubeproxy.Main,
			memory: footprint.Plan{Start: 50, Steady: 25, Settle: 2 * time.Second},
		},
		{
			name: "kube-scheduler", main: scheduler.Main,
			memory:   footprint.Plan{Start: 100, Steady: 50, Settle: 20 * time.Second},
			defaults: scheduler.Defaults(),
		},
		{name: "kubeadm", main: kubeadm.Main},
		{name: "kubectl", main: kubectl.Main},
		{
			name: "kubelet", main: kubelet.Main,
			memory: footprint.Plan{Start: 100, Steady: 30, Settle: 5 * time.Second},
		},
	}
}

// arguments returns the command line that the program is run with. A
// subcommand, such as etcd's gateway, has flags of its own and gets no defaults.
func (a applet) arguments(given []string) []string {
	if len(a.defaults) == 0 || len(given) > 1 && !strings.HasPrefix(given[1], "-") {
		return given
	}
	return append(append([]string{given[0]}, a.defaults...), given[1:]...)
}

// choose finds the applet for a command line: by the base name of argv[0] (a
// symbolic link, or what exec was given), else by the first argument. The
// returned args start with the applet's name.
func choose(known []applet, argv []string) (applet, []string, error) {
	if len(argv) > 0 {
		base := filepath.Base(argv[0])
		for _, a := range known {
			if a.name == base {
				return a, append([]string{base}, argv[1:]...), nil
			}
		}
	}
	if len(argv) > 1 {
		for _, a := range known {
			if a.name == argv[1] {
				return a, argv[1:], nil
			}
		}
		return applet{}, nil, fmt.Errorf("no program %q in this binary; it has: %s", argv[1], names(known))
	}
	return applet{}, nil, fmt.Errorf("usage: %s PROGRAM [ARGUMENT...], or a symbolic link named after the program; programs: %s", ownName, names(known))
}

func names(known []applet) string {
	list := make([]string, len(known))
	for i, a := range known {
		list[i] = a.name
	}
	return strings.Join(list, ", ")
}
