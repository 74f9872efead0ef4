//go:build kubernetes1_35

package kubelet

import (
	"context"

	v1 "k8s.io/api/core/v1"
	upstream "k8s.io/kubernetes/pkg/kubelet"
	"k8s.io/kubernetes/pkg/kubelet/config"
)

func newPodConfig(d *upstream.Dependencies) *config.PodConfig {
	return config.NewPodConfig(config.PodConfigNotificationIncremental, lateRecorder{dependencies: d}, d.PodStartupLatencyTracker)
}

func nodeOf(_ context.Context, k *upstream.Kubelet) (*v1.Node, error) { return k.GetNode() }
