package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	coreinformers "k8s.io/client-go/informers/core/v1"
	discoveryinformers "k8s.io/client-go/informers/discovery/v1"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"

	"github.com/packetyard/packetyard/pkg/packet"
)

const (
	// probeInterval is how often the API server behind the address is asked
	// whether it is well. That costs the Packet API nothing.
	probeInterval = 5 * time.Second
	// failuresToMove is how many probes in a row have to fail, so that one lost
	// packet moves nothing.
	failuresToMove = 2
	// reservationTTL is how long the reservation is taken to be as it was read,
	// unless something here changed it or the holder fails.
	reservationTTL = 5 * time.Minute
)

// api is what is asked of the Packet API; *packet.Client is one.
type api interface {
	IPReservations(ctx context.Context, projectID string, options ...packet.QueryOption) ([]packet.IPReservation, error)
	AssignIP(ctx context.Context, deviceID, address string, options ...packet.QueryOption) (*packet.IPAssignment, error)
	DeleteIP(ctx context.Context, id string) error
}

// Config is what a Controller works with. All but Port and ProbeNodes is required.
type Config struct {
	API       api
	ProjectID string
	// Tag is that of the one reservation.
	Tag string
	// Port is where API servers answer; 0 is the target port of the Service
	// default/kubernetes.
	Port int32
	// ProbeNodes has the holder probed at its node's own addresses alone, rather
	// than there and at the elastic IP, for networks in which that cannot be
	// reached from inside.
	ProbeNodes bool

	Nodes      coreinformers.NodeInformer
	Services   coreinformers.ServiceInformer
	Slices     discoveryinformers.EndpointSliceInformer
	Kubernetes kubernetes.Interface
	// REST is how Kubernetes is reached. Its CA and its name for the API server
	// are what candidates are verified with.
	REST     *rest.Config
	Recorder record.EventRecorder
	Clock    packet.Clock
	// Dial opens connections for probes; nil is net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Controller is described in the package's documentation.
type Controller struct {
	Config
	prober   *prober
	nodes    corelisters.NodeLister
	services corelisters.ServiceLister
	slices   discoverylisters.EndpointSliceLister
	synced   []cache.InformerSynced
	again    chan struct{}

	// What follows is of the one goroutine that runs rounds.
	reservation *packet.IPReservation
	readAt      time.Time
	failures    int

	mu sync.Mutex
	// complained is the last problem that was told, so that one that stays is
	// told once.
	complained string
}

// New makes a Controller, which takes part in the informers.
func New(config Config) (*Controller, error) {
	prober, err := newProber(config.REST, config.Dial)
	if err != nil {
		return nil, fmt.Errorf("preparing to probe API servers: %w", err)
	}
	c := &Controller{
		Config: config, prober: prober,
		nodes: config.Nodes.Lister(), services: config.Services.Lister(), slices: config.Slices.Lister(),
		again: make(chan struct{}, 1),
	}
	for _, informer := range []cache.SharedIndexInformer{config.Nodes.Informer(), config.Services.Informer(), config.Slices.Informer()} {
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(object any) { c.noticed(nil, object) },
			UpdateFunc: func(before, after any) { c.noticed(before, after) },
			DeleteFunc: func(object any) { c.noticed(object, nil) },
		}); err != nil {
			return nil, fmt.Errorf("watching for changes: %w", err)
		}
		c.synced = append(c.synced, informer.HasSynced)
	}
	return c, nil
}

// noticed has everything looked at where a change may matter. A node that
// only reports that it is alive does not.
func (c *Controller) noticed(before, after any) {
	old, wasNode := before.(*corev1.Node)
	updated, isNode := after.(*corev1.Node)
	if wasNode && isNode && sameForUs(old, updated) {
		return
	}
	if service, ok := after.(*corev1.Service); ok && !ofInterest(service.Namespace, service.Name) {
		return
	}
	select {
	case c.again <- struct{}{}:
	default:
	}
}

// Run works until the context ends.
func (c *Controller) Run(ctx context.Context) {
	if !cache.WaitForCacheSync(ctx.Done(), c.synced...) {
		return
	}
	for ctx.Err() == nil {
		if err := c.Sync(ctx); err != nil && ctx.Err() == nil {
			c.complain(err)
		}
		c.pause(ctx)
	}
}

// pause waits for the next probe, or for a change.
func (c *Controller) pause(ctx context.Context) {
	sleeping, wake := context.WithCancel(ctx)
	defer wake()
	go func() {
		select {
		case <-c.again:
			wake()
		case <-sleeping.Done():
		}
	}()
	_ = c.Clock.Sleep(sleeping, probeInterval)
}

// complain logs a problem when it is another one than before.
func (c *Controller) complain(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if text := err.Error(); text != c.complained {
		c.complained = text
		klog.ErrorS(err, "The control plane's elastic IP is not as it should be; trying again", "tag", c.Tag)
	}
}

// Sync does one round: it sees to it that the address is where an API server
// answers, and that the Service tells it.
func (c *Controller) Sync(ctx context.Context) error {
	reservation, err := c.read(ctx)
	if err != nil {
		return err
	}
	address, err := netip.ParseAddr(reservation.Address)
	if err != nil {
		return fmt.Errorf("reservation %s with the tag %q has the address %q: %w", reservation.ID, c.Tag, reservation.Address, err)
	}
	port, err := c.port()
	if err != nil {
		return err
	}
	if host := c.prober.host; host == address.String() {
		c.complain(fmt.Errorf("this process reaches Kubernetes at %s, the very address that it is to move: when that fails, so does this process; "+
			"run it as a pod without a kubeconfig, or give it another --master", host))
	}
	nodes, err := c.nodes.List(labels.Everything())
	if err != nil {
		return fmt.Errorf("listing nodes: %w", err)
	}
	return errors.Join(
		c.place(ctx, reservation, controlPlane(nodes), port),
		c.publish(ctx, address, port))
}

// read returns the one reservation with the tag.
func (c *Controller) read(ctx context.Context) (*packet.IPReservation, error) {
	if c.reservation != nil && c.Clock.Now().Sub(c.readAt) < reservationTTL {
		return c.reservation, nil
	}
	all, err := c.API.IPReservations(ctx, c.ProjectID, packet.Include("assignments"))
	if err != nil {
		return nil, fmt.Errorf("looking for the reservation with the tag %q: %w", c.Tag, err)
	}
	var found []*packet.IPReservation
	for i := range all {
		if packet.HasTags(all[i].Tags, c.Tag) {
			found = append(found, &all[i])
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("no reservation of project %s has the tag %q: make one, or set another eipTag", c.ProjectID, c.Tag)
	case 1:
		c.reservation, c.readAt = found[0], c.Clock.Now()
		return found[0], nil
	}
	return nil, fmt.Errorf("%d reservations of project %s have the tag %q, among them %s and %s: it has to be one",
		len(found), c.ProjectID, c.Tag, found[0].Address, found[1].Address)
}

// forget has the reservation read anew.
func (c *Controller) forget() { c.reservation = nil }

// port is where the API servers answer.
func (c *Controller) port() (int32, error) {
	if c.Port != 0 {
		return c.Port, nil
	}
	service, err := c.services.Services(corev1.NamespaceDefault).Get(kubernetesService)
	if err != nil {
		return 0, fmt.Errorf("looking for the API servers' port: %w", err)
	}
	for _, port := range service.Spec.Ports {
		if port.Name == "https" && port.TargetPort.IntVal != 0 {
			return port.TargetPort.IntVal, nil
		}
	}
	return 0, fmt.Errorf("the Service %s/%s has no port named https with a number for its target: set apiServerPort", service.Namespace, service.Name)
}
