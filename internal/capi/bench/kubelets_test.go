package bench_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/capitest"
)

// kubelets have every machine whose device is active become a node.
type kubelets struct {
	w      *capitest.World
	queue  chan string
	mutex  sync.Mutex
	seen   map[string]bool
	joined int
	// changed is closed and made anew when a machine joined.
	changed chan struct{}
}

// patience is how long a benchmark waits for its machines.
const patience = 20 * time.Minute

// startKubelets watches the PacketMachines of a world until the benchmark ends.
func startKubelets(b *testing.B, w *capitest.World) *kubelets {
	b.Helper()
	const writers = 8
	// The queue has room for every machine that there can be, so that the watch never waits.
	k := &kubelets{w: w, queue: make(chan string, *fleet+2**clusters), seen: map[string]bool{}, changed: make(chan struct{})}
	objects, err := cache.New(w.Config, cache.Options{Scheme: w.Client.Scheme(), DefaultNamespaces: map[string]cache.Config{w.Namespace: {}}})
	if err != nil {
		b.Fatalf("watching PacketMachines: %v", err)
	}
	informer, err := objects.GetInformer(b.Context(), &infrav1.PacketMachine{}, cache.BlockUntilSynced(false))
	if err != nil {
		b.Fatalf("watching PacketMachines: %v", err)
	}
	if _, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    k.look,
		UpdateFunc: func(_, object any) { k.look(object) },
	}); err != nil {
		b.Fatalf("watching PacketMachines: %v", err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	var wait sync.WaitGroup
	wait.Go(func() {
		if err := objects.Start(ctx); err != nil {
			b.Errorf("watching PacketMachines: %v", err)
		}
	})
	for range writers {
		wait.Go(func() { k.work(ctx, b) })
	}
	b.Cleanup(func() { cancel(); wait.Wait() })
	return k
}

// look takes note of a PacketMachine.
func (k *kubelets) look(object any) {
	machine, ok := object.(*infrav1.PacketMachine)
	if !ok || !ptr.Deref(machine.Status.Initialization.Provisioned, false) {
		return
	}
	k.mutex.Lock()
	defer k.mutex.Unlock()
	if !k.seen[machine.Name] {
		k.seen[machine.Name] = true
		k.queue <- machine.Name
	}
}

// work writes what Cluster API writes when it finds the Node of a Machine.
func (k *kubelets) work(ctx context.Context, b *testing.B) {
	for {
		var name string
		select {
		case <-ctx.Done():
			return
		case name = <-k.queue:
		}
		machine := &clusterv1.Machine{}
		machine.Namespace, machine.Name = k.w.Namespace, name
		patch := client.RawPatch(types.MergePatchType, []byte(`{"status":{"nodeRef":{"name":"`+name+`"}}}`))
		if err := k.w.Client.Status().Patch(ctx, machine, patch); err != nil {
			if ctx.Err() == nil {
				b.Errorf("writing the node of Machine %s: %v", name, err)
			}
			return
		}
		k.mutex.Lock()
		k.joined++
		close(k.changed)
		k.changed = make(chan struct{})
		k.mutex.Unlock()
	}
}

// wait returns when so many machines are nodes.
func (k *kubelets) wait(b *testing.B, count int) {
	b.Helper()
	deadline := time.After(patience)
	for {
		k.mutex.Lock()
		joined, changed := k.joined, k.changed
		k.mutex.Unlock()
		if joined == count {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			b.Fatalf("%d of %d machines are nodes after %s", joined, count, patience)
		}
	}
}
