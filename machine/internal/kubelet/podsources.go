package kubelet

import (
	"context"
	"reflect"

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
	pods := newPodConfig(d)
	d.PodConfig = pods

	// A channel must exist from the start for every source there will be: the
	// kubelet waits for all of them before it deletes anything.
	if path := settings.StaticPodPath; path != "" {
		files := pods.Channel(ctx, kubelettypes.FileSource)
		d.Options = append(d.Options, func(*upstream.Kubelet) {
			unfiltered := sameKind(files)
			go func() {
				for update := range unfiltered {
					filterAll(podsOf(update), known)
					for _, pod := range podsOf(update) {
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
				filterAll(podsOf(update), known)
				api <- update
			}
		}()
		// Pods are admitted by the node's labels and taints, so they must not
		// come before the node is known.
		nodeIsKnown := func() bool {
			_, err := nodeOf(ctx, k)
			return err == nil
		}
		config.NewSourceApiserver(logger, d.KubeClient, node, nodeIsKnown, unfiltered)
	})
}

// sameKind makes a channel of the elements that another one takes. The type of a
// source's updates has no exported name; only their pods are of interest here.
func sameKind[T any](chan<- T) chan T { return make(chan T) }

// podsOf are the pods of a source's update, to be changed in place. The update's
// type differs between the versions of Kubernetes that this is built for.
func podsOf(update any) []*v1.Pod {
	return reflect.ValueOf(update).FieldByName("Pods").Interface().([]*v1.Pod)
}

// filterAll replaces every pod by what the machine can run of it.
func filterAll(pods []*v1.Pod, known func(string) bool) {
	for i, pod := range pods {
		pods[i] = hollow.Filter(pod, known)
	}
}
