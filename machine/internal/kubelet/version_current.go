//go:build !kubernetes1_35

package kubelet

import (
	"context"

	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"
	upstream "k8s.io/kubernetes/pkg/kubelet"
	"k8s.io/kubernetes/pkg/kubelet/config"
)

// What differs between the versions of Kubernetes that this is built for is
// here and in version_1_35.go.

func newPodConfig(d *upstream.Dependencies) *config.PodConfig {
	return config.NewPodConfig(lateRecorder{dependencies: d}, d.PodStartupLatencyTracker)
}

func nodeOf(ctx context.Context, k *upstream.Kubelet) (*v1.Node, error) { return k.GetNode(ctx) }

var _ record.EventRecorderLogger = lateRecorder{}

func (l lateRecorder) WithLogger(logger klog.Logger) record.EventRecorderLogger {
	if r := l.dependencies.Recorder; r != nil {
		return r.WithLogger(logger)
	}
	return l
}
