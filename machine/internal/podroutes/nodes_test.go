package podroutes

import (
	"context"
	"testing"
	"testing/synctest"

	v1 "k8s.io/api/core/v1"
	cachetesting "k8s.io/client-go/tools/cache/testing"
)

func TestWatchTellsOnlyWhatRoutesDependOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := cachetesting.NewFakeControllerSource()
		source.Add(node("a", "10.244.0.0/24", "10.0.0.1"))
		watch := newNodeWatch(source)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- watch.run(ctx) }()

		// told waits until everything has settled and tells whether there was a change.
		told := func() bool {
			synctest.Wait()
			select {
			case <-watch.changed:
				return true
			default:
				return false
			}
		}
		if !told() || !watch.synced() || len(watch.nodes()) != 1 {
			t.Errorf("the first list: synced %v, nodes %v", watch.synced(), watch.nodes())
		}
		busy := node("a", "10.244.0.0/24", "10.0.0.1")
		busy.Status.Conditions = []v1.NodeCondition{{Type: v1.NodeReady, Status: v1.ConditionTrue}}
		busy.Status.Images = []v1.ContainerImage{{Names: []string{"large"}}}
		source.Modify(busy)
		if told() {
			t.Error("a kubelet's heartbeat was announced")
		}
		if kept := watch.nodes(); len(kept) != 1 || len(kept[0].Status.Conditions)+len(kept[0].Status.Images) != 0 {
			t.Errorf("more is kept than needed: %v", kept)
		}
		source.Modify(node("a", "10.244.0.0/24", "10.0.0.9"))
		if !told() {
			t.Error("a new address was not announced")
		}
		source.Add(node("b", ""))
		if !told() {
			t.Error("a new node was not announced")
		}
		source.Modify(node("b", "10.244.1.0/24"))
		if !told() {
			t.Error("a new range was not announced")
		}
		source.Delete(node("b", ""))
		if !told() || len(watch.nodes()) != 1 {
			t.Errorf("a removed node was not announced: %v", watch.nodes())
		}
		stop()
		source.Shutdown()
		<-done
	})
}
