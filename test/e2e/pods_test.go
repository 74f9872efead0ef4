//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// twoOnEachNode are pods that listen at the same port, two on each node. A
// kubelet finds them ready by asking them there.
const twoOnEachNode = `
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: NAME}
spec:
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME, listens: "true"}}
    spec:
      tolerations: [{operator: Exists}]
      containers:
      - name: etcd
        image: etcd
        command: [etcd, --data-dir=/tmp/etcd, "--listen-client-urls=http://0.0.0.0:2379", "--advertise-client-urls=http://127.0.0.1:2379"]
        readinessProbe: {httpGet: {port: 2379, path: /version}}
`

const servesBoth = `
apiVersion: v1
kind: Service
metadata: {name: listens}
spec: {selector: {listens: "true"}, ports: [{name: http, port: 80, targetPort: 2379}]}
`

// podsConverse sees that pods of one machine do not share its ports, and that
// pods reach each other and services whatever machine they are on.
func (y *yard) podsConverse(t *testing.T, kubeconfig string) {
	file := filepath.Join(t.TempDir(), "pods.yaml")
	manifest := strings.Join([]string{strings.ReplaceAll(twoOnEachNode, "NAME", "one"), strings.ReplaceAll(twoOnEachNode, "NAME", "two"), servesBoth}, "---")
	if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	y.kubectl(t, kubeconfig, "apply", "-f", file)
	y.kubectl(t, kubeconfig, "rollout", "status", "--timeout", soon.String(), "daemonset/one", "daemonset/two")
	pods, err := get[corev1.PodList](y, t.Context(), kubeconfig, "pods", "-l", "listens=true")
	if err != nil {
		t.Fatal(err)
	}
	if len(pods.Items) != 6 {
		t.Fatalf("%d pods, want two on each of three nodes", len(pods.Items))
	}
	service, err := get[corev1.Service](y, t.Context(), kubeconfig, "service/listens")
	if err != nil {
		t.Fatal(err)
	}
	asked := map[string]string{"the service": service.Spec.ClusterIP}
	seen := map[string]string{}
	for _, pod := range pods.Items {
		if other := seen[pod.Status.PodIP]; other != "" || pod.Status.PodIP == pod.Status.HostIP {
			t.Errorf("pod %s has the address %s, which is that of its machine or of pod %s", pod.Name, pod.Status.PodIP, other)
		}
		seen[pod.Status.PodIP] = pod.Name
		asked[fmt.Sprintf("pod %s of %s", pod.Name, pod.Spec.NodeName)] = pod.Status.PodIP + ":2379"
		// The API server asks from its own machine.
		eventually(t, "the API server reaches "+pod.Name, func(ctx context.Context) error {
			return y.asksVersion(ctx, kubeconfig, "get", "--raw", "/api/v1/namespaces/default/pods/"+pod.Name+":2379/proxy/version")
		})
	}
	for _, pod := range pods.Items {
		for what, address := range asked {
			eventually(t, fmt.Sprintf("pod %s of %s reaches %s", pod.Name, pod.Spec.NodeName, what), func(ctx context.Context) error {
				// The image has kubectl too, by another name.
				return y.asksVersion(ctx, kubeconfig, "exec", pod.Name, "--", "/bin/sh", "-c",
					"ln -sf /etcd /tmp/kubectl && exec /tmp/kubectl get --raw /version --request-timeout 5s --server http://"+address)
			})
		}
	}
	y.kubectl(t, kubeconfig, "delete", "-f", file)
}

func (y *yard) asksVersion(ctx context.Context, kubeconfig string, arguments ...string) error {
	answer, err := y.tryKubectl(ctx, kubeconfig, arguments...)
	if err == nil && !strings.Contains(answer, "etcdserver") {
		err = fmt.Errorf("the answer is %q", answer)
	}
	return err
}
