package loadbalancers

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/dynamic"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/packetyard/packetyard/internal/ccm/bgp"
	"github.com/packetyard/packetyard/internal/ccm/loadbalancers/metallb"
	"github.com/packetyard/packetyard/pkg/packet"
)

const (
	// fieldManager is by what name Kubernetes knows the writer of fields.
	fieldManager = "packet-cloud-controller-manager"

	// reservationsTTL is how long one listing of the reservations answers. What
	// this process changes itself is seen at once.
	reservationsTTL = time.Minute
	// pendingRetry is when to look again for an address that is not granted yet.
	pendingRetry = 15 * time.Second
	// invalidRetry is when to look again at a Service that asks for something
	// impossible. A change of the Service is looked at without waiting.
	invalidRetry = 5 * time.Minute
	// changedRetry is when to look again at a Service that changed meanwhile.
	changedRetry = time.Second
)

// API is what is asked of the Packet API; *packet.Client is one.
type API interface {
	IPReservations(ctx context.Context, projectID string, options ...packet.QueryOption) ([]packet.IPReservation, error)
	IPReservation(ctx context.Context, id string, options ...packet.QueryOption) (*packet.IPReservation, error)
	CreateIPReservation(ctx context.Context, projectID string, create packet.IPReservationCreate, options ...packet.QueryOption) (*packet.IPReservation, error)
	DeleteIP(ctx context.Context, id string) error
}

// BGP tells the BGP peers of nodes; *bgp.BGP is one.
type BGP interface {
	Peers(node *corev1.Node) ([]bgp.Peer, error)
}

// Config configures LoadBalancers.
type Config struct {
	API       API
	ProjectID string
	// Reservations is the shared listing of the project's reservations, made
	// of API if nil.
	Reservations *packet.IPReservationCache

	Kubernetes kubernetes.Interface
	// Dynamic is for MetalLB's custom resources, and required for MetalLB only.
	Dynamic dynamic.Interface
	// Services and Nodes are shared informers, which somebody else starts.
	Services coreinformers.ServiceInformer
	Nodes    coreinformers.NodeInformer
	// Recorder takes events on Services.
	Recorder record.EventRecorder
	// BGP is required for MetalLB only.
	BGP BGP

	// Setting is what ParseSetting gave, and enabled.
	Setting Setting
	// Class is the loadBalancerClass of Services to serve besides those that
	// have none; "" for no other. Run serves them, because the service
	// controller of k8s.io/cloud-provider leaves them alone.
	Class string
	// ClassOnly leaves Services without a class to somebody else.
	ClassOnly bool
	// Metro and Facility are where addresses are reserved for Services that do
	// not say. One of them is set at most.
	Metro    string
	Facility string
	// Annotations are names that differ from the usual ones.
	Annotations Annotations
	// NodeSelector selects the nodes that announce addresses, nil for all.
	NodeSelector labels.Selector

	// Clock defaults to packet.SystemClock.
	Clock packet.Clock
}

// Validate returns everything that is wrong with the configuration.
func (c Config) Validate() error {
	var problems []error
	for _, field := range []struct {
		name    string
		missing bool
	}{
		{"API", c.API == nil},
		{"ProjectID", c.ProjectID == ""},
		{"Kubernetes", c.Kubernetes == nil},
		{"Services", c.Services == nil},
		{"Nodes", c.Nodes == nil},
		{"Recorder", c.Recorder == nil},
		{"Setting", !c.Setting.Enabled()},
		{"Dynamic", c.Setting.Implementation == MetalLB && c.Dynamic == nil},
		{"BGP", c.Setting.Implementation == MetalLB && c.BGP == nil},
	} {
		if field.missing {
			problems = append(problems, fmt.Errorf("%s is missing", field.name))
		}
	}
	if c.Metro != "" && c.Facility != "" {
		problems = append(problems, fmt.Errorf("metro is %q and facility is %q, allowed is one of them", c.Metro, c.Facility))
	}
	for _, location := range []struct{ name, code string }{{"metro", c.Metro}, {"facility", c.Facility}} {
		if location.code != "" && !locationCode.MatchString(location.code) {
			problems = append(problems, fmt.Errorf("%s is %q, allowed is a code such as da or da11", location.name, location.code))
		}
	}
	if c.Class != "" {
		if errs := validation.IsQualifiedName(c.Class); len(errs) > 0 {
			problems = append(problems, fmt.Errorf("load balancer class is %q: %s", c.Class, strings.Join(errs, "; ")))
		}
	}
	if c.ClassOnly && c.Class == "" {
		problems = append(problems, errors.New("only Services of a load balancer class are to be served, and no class is given"))
	}
	return errors.Join(problems...)
}

// New makes load balancers. Nothing is asked yet.
//
// They are served by the service controller of k8s.io/cloud-provider and, for
// what that leaves undone, by Run.
func New(config Config) (*LoadBalancers, error) {
	config.Metro, config.Facility = strings.ToLower(config.Metro), strings.ToLower(config.Facility)
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("configuring load balancers: %w", err)
	}
	if config.Clock == nil {
		config.Clock = packet.SystemClock{}
	}
	if config.NodeSelector == nil {
		config.NodeSelector = labels.Everything()
	}
	if config.Reservations == nil {
		config.Reservations = packet.NewIPReservationCache(config.API, config.ProjectID, reservationsTTL, config.Clock)
	}
	l := &LoadBalancers{
		config:       config,
		setting:      config.Setting,
		annotations:  config.Annotations.withDefaults(),
		services:     config.Services.Lister(),
		nodes:        config.Nodes.Lister(),
		informers:    []cache.InformerSynced{config.Services.Informer().HasSynced, config.Nodes.Informer().HasSynced},
		decided:      map[cache.ObjectName]current{},
		sweepWanted:  make(chan struct{}, 1),
		configWanted: make(chan struct{}, 1),
	}
	l.reservations = &reservations{api: config.API, projectID: config.ProjectID, listing: config.Reservations, readCluster: l.readCluster}
	if config.Setting.Implementation == MetalLB {
		setting := config.Setting.MetalLB
		l.announcer = metallb.New(metallb.Config{
			Dynamic:      config.Dynamic,
			Kubernetes:   config.Kubernetes,
			Namespace:    setting.Namespace,
			ConfigMap:    setting.ConfigMap,
			Format:       metallb.Format(setting.Format),
			SharedPeers:  setting.SharedPeers,
			FieldManager: fieldManager,
			Clock:        config.Clock,
		})
	}
	return l, nil
}

// LoadBalancers implements cloudprovider.LoadBalancer. It is safe for
// concurrent use.
type LoadBalancers struct {
	config      Config
	setting     Setting
	annotations Annotations
	services    corelisters.ServiceLister
	nodes       corelisters.NodeLister
	informers   []cache.InformerSynced

	reservations *reservations
	// announcer is nil if nothing has to be written for the addresses to be
	// announced.
	announcer announcer

	// serving is held for reading by all who work on a Service, and for
	// writing by the sweep, which must not take an orphan from a Service that
	// is about to adopt it.
	serving sync.RWMutex
	// owners are the locks of Services and sharing keys, by their tags.
	owners locks
	// choosing is held from the choice of an address from a user's
	// reservation until the choice is written down.
	choosing sync.Mutex
	// announcing is held while the announcer is told of all Services. It
	// guards decided.
	announcing sync.Mutex
	decided    map[cache.ObjectName]current

	// sweepWanted and configWanted wake Run.
	sweepWanted  chan struct{}
	configWanted chan struct{}
}

// announcer makes nodes announce addresses.
type announcer interface {
	// Apply makes a state the configuration of what announces addresses. It
	// returns those that were refused, and why.
	Apply(ctx context.Context, state metallb.State) (refused map[netip.Addr]error, err error)
}

// readCluster reads the tag of this cluster: the UID of its namespace kube-system,
// which is as old as the cluster.
func (l *LoadBalancers) readCluster(ctx context.Context) (string, error) {
	namespace, err := l.config.Kubernetes.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("reading the cluster's identity: %w", err)
	}
	return tagPrefixCluster + string(namespace.UID), nil
}
