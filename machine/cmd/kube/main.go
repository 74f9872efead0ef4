// Command kube is the whole Kubernetes software of a simulated machine in one
// executable: kubeadm, kubelet, kubectl, kube-apiserver, kube-controller-manager,
// kube-scheduler, kube-proxy and etcd. It behaves as the program whose name it
// was started under, or as the one that its first argument names.
package main

import (
	"fmt"
	"os"
)

func main() {
	chosen, args, err := choose(applets(), os.Args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "kube:", err)
		os.Exit(2)
	}
	chosen.memory.Apply(os.Getenv)
	args = chosen.arguments(args)
	// The components read os.Args themselves, each in its own way: they must
	// find there what their own binary would have found.
	os.Args = args
	os.Exit(chosen.main(args))
}
