package yard

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"time"

	"github.com/packetyard/packetyard/internal/yard/progress"
)

// Print tells what `up` made, what it took, and what to do with it.
func (r *Result) Print(ctx context.Context, out io.Writer) error {
	fmt.Fprintf(out, "\n$ kubectl get nodes -o wide\n")
	nodes := exec.CommandContext(ctx, r.kube, "kubectl", "--kubeconfig", r.Kubeconfig, "get", "nodes", "-o", "wide")
	nodes.Stdout, nodes.Stderr = out, out
	if err := nodes.Run(); err != nil {
		return fmt.Errorf("running kubectl get nodes: %w", err)
	}
	fmt.Fprintf(out, "\n$ %s status\n", r.command)
	if err := r.Status.PrintMachines(out); err != nil {
		return err
	}
	var total time.Duration
	for _, timing := range r.Timings {
		total += timing.Took
	}
	fmt.Fprintf(out, "\nCluster %s is ready after %s.\n", r.Cluster, progress.Short(total))
	fmt.Fprintf(out, "\nTry next:\n")
	fmt.Fprintf(out, "  export KUBECONFIG=%s\n", ShellQuote(r.Kubeconfig))
	for _, line := range [][2]string{
		{r.kubectl() + " create deployment hello --image=hello --replicas=10", "pods on its nodes"},
		{"KUBECONFIG=" + ShellQuote(r.Dir.BootstrapKubeconfig()) + " " + r.kubectl() + " get machines", "the machines, where Cluster API has them"},
		{r.command + " status", "devices, machines and nodes side by side"},
		{r.command + " exec -- ip addr", "a command in the control plane's machine"},
		{r.command + " down", "the end of all of it"},
	} {
		fmt.Fprintf(out, "  %s   # %s\n", line[0], line[1])
	}
	return nil
}

// kubectl is how the user can call kubectl, which may not be installed.
func (r *Result) kubectl() string {
	if _, err := exec.LookPath("kubectl"); err == nil {
		return "kubectl"
	}
	return ShellQuote(r.kube) + " kubectl"
}
