package loadbalancers

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

const (
	// sweepPeriod is how often orphaned reservations are looked for, though
	// nothing points to any. It costs one listing.
	sweepPeriod = 10 * time.Minute
	// announcePeriod is how often what is announced is compared with what
	// should be, though nothing seems to have changed.
	announcePeriod = 10 * time.Minute
	// settling is how long changes of nodes are gathered: they come in many.
	settling = time.Second
	// The waits after failures: doubled from the first to the longest.
	firstRetry = 5 * time.Second
	lastRetry  = 5 * time.Minute
)

// Run does what the service controller of k8s.io/cloud-provider leaves undone,
// until the context ends: it serves Services of Config.Class, keeps what is
// announced in line with the nodes, and releases addresses that no Service has.
// Workers is how many Services of the class are worked on at a time.
func (l *LoadBalancers) Run(ctx context.Context, workers int) error {
	classes, err := l.newClassController()
	if err != nil {
		return err
	}
	if l.announcer != nil {
		registration, err := l.config.Nodes.Informer().AddEventHandler(l.nodeEvents())
		if err != nil {
			return fmt.Errorf("watching nodes: %w", err)
		}
		defer func() { _ = l.config.Nodes.Informer().RemoveEventHandler(registration) }()
	}
	if !cache.WaitForNamedCacheSyncWithContext(ctx, l.informers...) {
		return nil
	}
	var group sync.WaitGroup
	if l.announcer != nil {
		group.Go(func() {
			l.repeat(ctx, "announcing load balancers", l.configWanted, announcePeriod, func(ctx context.Context) error { return l.announce(ctx, nil) })
		})
	}
	group.Go(func() {
		l.repeat(ctx, "looking for addresses that no Service has", l.sweepWanted, sweepPeriod, l.sweep)
	})
	if classes != nil {
		group.Go(func() { classes.run(ctx, workers) })
	}
	group.Wait()
	return nil
}

// repeat does something now, whenever it is wanted, and once in a period; and
// again after a while if it failed.
func (l *LoadBalancers) repeat(ctx context.Context, what string, wanted <-chan struct{}, period time.Duration, do func(context.Context) error) {
	retry := firstRetry
	for ctx.Err() == nil {
		pause := period
		if err := do(ctx); err == nil {
			retry = firstRetry
		} else if ctx.Err() == nil {
			klog.ErrorS(err, "Failed, will try again", "what", what, "after", retry)
			pause, retry = retry, min(2*retry, lastRetry)
		}
		l.await(ctx, wanted, pause)
		// More of the same may be coming.
		_ = l.config.Clock.Sleep(ctx, settling)
	}
}

// await returns when something is wanted, after a pause, or when the context ends.
func (l *LoadBalancers) await(ctx context.Context, wanted <-chan struct{}, pause time.Duration) {
	sleeping, stop := context.WithCancel(ctx)
	defer stop()
	over := make(chan struct{})
	go func() {
		defer close(over)
		_ = l.config.Clock.Sleep(sleeping, pause)
	}()
	select {
	case <-wanted:
	case <-over:
	}
}

// nodeEvents are those that change who announces load balancers.
func (l *LoadBalancers) nodeEvents() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { wake(l.configWanted) },
		DeleteFunc: func(any) { wake(l.configWanted) },
		UpdateFunc: func(before, after any) {
			a, ok1 := before.(*corev1.Node)
			b, ok2 := after.(*corev1.Node)
			if ok1 && ok2 && (announces(a) != announces(b) || !maps.Equal(a.Labels, b.Labels) || !maps.Equal(a.Annotations, b.Annotations)) {
				wake(l.configWanted)
			}
		},
	}
}

// hasFinalizer tells whether Run has to clean up after a Service.
func hasFinalizer(service *corev1.Service) bool {
	return slices.Contains(service.Finalizers, classFinalizer)
}
