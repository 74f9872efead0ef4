package bgp

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/wait"
	coreinformers "k8s.io/client-go/informers/core/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	"github.com/packetyard/packetyard/pkg/packet"
)

// Mode says which nodes get BGP.
type Mode string

// The modes.
const (
	// ModeOff is for no node. Annotations that were written here go.
	ModeOff Mode = "off"
	// ModeServices is for the selected nodes, from the first Service of type
	// LoadBalancer on, and for as long as there is one.
	ModeServices Mode = "services"
	// ModeNodes is for the selected nodes, from their initialisation on.
	ModeNodes Mode = "nodes"
)

const (
	// resyncPeriod is how often everything is looked at though nothing seems to
	// have changed, so that a session that somebody deleted comes back.
	resyncPeriod = sessionsTTL
	// settling is how long changes are gathered before they are looked at:
	// nodes join, and report, many at a time.
	settling = time.Second
	// The waits after failures: doubled from the first to the longest.
	firstRetry = time.Second
	lastRetry  = 5 * time.Minute
)

// ensurer is what a Controller directs; *BGP is one.
type ensurer interface {
	EnsureDevices(ctx context.Context, nodes []*corev1.Node) (map[string][]Peer, error)
	Withdraw(ctx context.Context, nodes []*corev1.Node) error
}

// Controller decides which nodes get BGP and has it kept so. One round looks at
// all nodes: what it asks of the API are lists, whatever the number of nodes.
type Controller struct {
	bgp      ensurer
	mode     Mode
	selector labels.Selector
	// wants tells whether a Service is one that needs BGP.
	wants    func(*corev1.Service) bool
	nodes    corelisters.NodeLister
	services corelisters.ServiceLister
	synced   []cache.InformerSynced
	queue    workqueue.TypedRateLimitingInterface[round]
}

// round is what is queued: there is one kind of it.
type round struct{}

// ControllerConfig configures a Controller.
type ControllerConfig struct {
	BGP  *BGP
	Mode Mode
	// Selector tells which nodes.
	Selector labels.Selector
	Nodes    coreinformers.NodeInformer
	// Services and Wants are for ModeServices: which Services need BGP.
	Services coreinformers.ServiceInformer
	Wants    func(*corev1.Service) bool
}

// NewController makes a Controller, which takes part in the informers.
func NewController(config ControllerConfig) (*Controller, error) {
	c := &Controller{
		bgp: config.BGP, mode: config.Mode, selector: config.Selector, wants: config.Wants,
		nodes: config.Nodes.Lister(),
		queue: workqueue.NewTypedRateLimitingQueueWithConfig(
			workqueue.NewTypedItemExponentialFailureRateLimiter[round](firstRetry, lastRetry),
			workqueue.TypedRateLimitingQueueConfig[round]{Name: "packet_bgp"}),
	}
	if err := c.watchNodes(config.Nodes.Informer()); err != nil {
		return nil, err
	}
	if config.Mode == ModeServices {
		c.services = config.Services.Lister()
		if err := c.watchServices(config.Services.Informer()); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *Controller) watchNodes(informer cache.SharedIndexInformer) error {
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { c.enqueue() },
		UpdateFunc: func(before, after any) {
			old, isOld := before.(*corev1.Node)
			updated, isNode := after.(*corev1.Node)
			// A node reports every few minutes, which is of no interest here.
			if isOld && isNode && old.Spec.ProviderID == updated.Spec.ProviderID &&
				labels.Equals(old.Labels, updated.Labels) && labels.Equals(old.Annotations, updated.Annotations) {
				return
			}
			c.enqueue()
		},
	})
	if err != nil {
		return fmt.Errorf("watching nodes for BGP: %w", err)
	}
	c.synced = append(c.synced, informer.HasSynced)
	return nil
}

func (c *Controller) watchServices(informer cache.SharedIndexInformer) error {
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(added any) {
			if service, ok := added.(*corev1.Service); ok && c.wants(service) {
				c.enqueue()
			}
		},
		UpdateFunc: func(before, after any) {
			old, isOld := before.(*corev1.Service)
			updated, isService := after.(*corev1.Service)
			if isOld && isService && c.wants(old) != c.wants(updated) {
				c.enqueue()
			}
		},
		// What was deleted may come as a tombstone. To look once too often is cheap.
		DeleteFunc: func(any) { c.enqueue() },
	})
	if err != nil {
		return fmt.Errorf("watching services for BGP: %w", err)
	}
	c.synced = append(c.synced, informer.HasSynced)
	return nil
}

// enqueue has everything looked at soon. Waiting gathers many changes in one round.
func (c *Controller) enqueue() { c.queue.AddAfter(round{}, settling) }

// Run works until the context ends.
func (c *Controller) Run(ctx context.Context) {
	defer c.queue.ShutDown()
	if !cache.WaitForCacheSync(ctx.Done(), c.synced...) {
		return
	}
	c.queue.Add(round{})
	go func() {
		<-ctx.Done()
		c.queue.ShutDown()
	}()
	wait.UntilWithContext(ctx, func(ctx context.Context) {
		for c.next(ctx) {
		}
	}, time.Second)
}

func (c *Controller) next(ctx context.Context) bool {
	item, quit := c.queue.Get()
	if quit {
		return false
	}
	defer c.queue.Done(item)
	err := c.Sync(ctx)
	switch {
	case ctx.Err() != nil:
		return false
	case err == nil:
		c.queue.Forget(item)
		c.queue.AddAfter(item, resyncPeriod)
		return true
	}
	klog.ErrorS(err, "Keeping BGP failed and is tried again")
	if after, told := packet.RetryAfter(err); told {
		c.queue.AddAfter(item, after)
		return true
	}
	c.queue.AddRateLimited(item)
	return true
}

// Sync does one round: nodes that are to have BGP get it, and others lose the
// annotations that were written here.
func (c *Controller) Sync(ctx context.Context) error {
	all, err := c.nodes.List(labels.Everything())
	if err != nil {
		return fmt.Errorf("listing nodes: %w", err)
	}
	wanted, err := c.wanted()
	if err != nil {
		return err
	}
	var with, without []*corev1.Node
	for _, node := range all {
		if wanted && c.selector.Matches(labels.Set(node.Labels)) {
			with = append(with, node)
		} else {
			without = append(without, node)
		}
	}
	problems := []error{c.bgp.Withdraw(ctx, without)}
	if len(with) > 0 {
		_, err := c.bgp.EnsureDevices(ctx, with)
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

// wanted tells whether any node is to have BGP.
func (c *Controller) wanted() (bool, error) {
	if c.mode != ModeServices {
		return c.mode == ModeNodes, nil
	}
	services, err := c.services.List(labels.Everything())
	if err != nil {
		return false, fmt.Errorf("listing services: %w", err)
	}
	for _, service := range services {
		if c.wants(service) {
			return true, nil
		}
	}
	return false, nil
}
