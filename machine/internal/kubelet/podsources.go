package kubelet

import (
	"context"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
	upstream "k8s.io/kubernetes/pkg/kubelet"
	"k8s.io/kubernetes/pkg/kubelet/config"
	kubelettypes "k8s.io/kubernetes/pkg/kubelet/types"

	"github.com/packetyard/packetyard/machine/internal/hollow"
)

// addPodSources gives the kubelet its usual sources of pods, static files and
// the API server, each through the hollow filter.
//
// The sources are opened when the kubelet applies its options: it has its client
// and its event recorder by then, which it only gets in the course of the TLS
// bootstrap, and it has not started to work yet.
func addPodSources(ctx context.Context, d *upstream.Dependencies, settings *options.KubeletServer, node types.NodeName, known func(string) bool) {
	logger := klog.FromContext(ctx)
	pods := config.NewPodConfig(lateRecorder{dependencies: d}, d.PodStartupLatencyTracker)
	d.PodConfig = pods

	// A channel must exist from the start for every source there will be: the
	// kubelet waits for all of them before it deletes anything.
	if path := settings.StaticPodPath; path != "" {
		files := pods.Channel(ctx, kubelettypes.FileSource)
		d.Options = append(d.Options, func(*upstream.Kubelet) {
			unfiltered := sameKind(files)
			go func() {
				for update := range unfiltered {
					filterAll(update.Pods, known)
					for _, pod := range update.Pods {
						quickenStartupProbes(pod)
					}
					files <- update
				}
			}()
			config.NewSourceFile(logger, path, node, settings.FileCheckFrequency.Duration, unfiltered)
		})
	}
	if settings.KubeConfig == "" {
		return // A kubelet without an API server.
	}
	api := pods.Channel(ctx, kubelettypes.ApiserverSource)
	d.Options = append(d.Options, func(k *upstream.Kubelet) {
		unfiltered := sameKind(api)
		go func() {
			for update := range unfiltered {
				filterAll(update.Pods, known)
				api <- update
			}
		}()
		// Pods are admitted by the node's labels and taints, so they must not
		// come before the node is known.
		nodeIsKnown := func() bool {
			_, err := k.GetNode(ctx)
			return err == nil
		}
		config.NewSourceApiserver(logger, d.KubeClient, node, nodeIsKnown, unfiltered)
	})
}

// sameKind makes a channel of the elements that another one takes. The type of a
// source's updates has no exported name; only their pods are of interest here.
func sameKind[T any](chan<- T) chan T { return make(chan T) }

// filterAll replaces every pod by what the machine can run of it.
func filterAll(pods []*v1.Pod, known func(string) bool) {
	for i, pod := range pods {
		pods[i] = hollow.Filter(pod, known)
	}
}
