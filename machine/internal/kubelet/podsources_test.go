package kubelet

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/kubernetes/cmd/kubelet/app/options"
	upstream "k8s.io/kubernetes/pkg/kubelet"
	"k8s.io/kubernetes/pkg/kubelet/util"

	"github.com/packetyard/packetyard/machine/internal/hollow"
)

const staticPod = `
apiVersion: v1
kind: Pod
metadata: {name: etcd, namespace: kube-system}
spec:
  hostNetwork: true
  containers:
  - name: etcd
    image: registry.k8s.io/etcd:3.6
    startupProbe: {httpGet: {port: 2381}, initialDelaySeconds: 10, periodSeconds: 10, failureThreshold: 24}
  - name: helper
    image: registry.example/helper:1
    readinessProbe: {httpGet: {port: 80}}
`

func TestStaticPodsComeFiltered(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "etcd.yaml"), []byte(staticPod), 0o600); err != nil {
		t.Fatal(err)
	}
	settings := &options.KubeletServer{}
	settings.StaticPodPath = dir
	settings.FileCheckFrequency.Duration = time.Minute
	d := &upstream.Dependencies{PodStartupLatencyTracker: util.NewPodStartupLatencyTracker()}
	addPodSources(t.Context(), d, settings, "node-1", hollow.Images{Dir: dir}.Known)
	for _, option := range d.Options {
		option(nil)
	}
	select {
	case update := <-d.PodConfig.Updates():
		if len(update.Pods) != 1 {
			t.Fatalf("%d pods, want 1", len(update.Pods))
		}
		process, helper := update.Pods[0].Spec.Containers[0], update.Pods[0].Spec.Containers[1]
		if p := process.StartupProbe; p == nil || p.PeriodSeconds != 1 || p.FailureThreshold != 250 {
			t.Errorf("the process's startup probe is %+v", p)
		}
		if helper.ReadinessProbe != nil || len(helper.Env) != 1 || helper.Env[0].Value != hollow.ModeRun {
			t.Errorf("the hollow container is %+v", helper)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the static pod did not come")
	}
}
