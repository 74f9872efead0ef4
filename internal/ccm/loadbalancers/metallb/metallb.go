// Package metallb writes MetalLB's configuration: a pool for each address, the
// BGP peers of each node, and what is advertised by whom.
//
// It is told everything that should be there every time, and makes it so:
// what is missing is made, what differs is changed, what is ours and no longer
// wanted is removed. What others made is left alone.
package metallb

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/packetyard/packetyard/pkg/packet"
)

// relistPeriod is for how long what was written is taken to be still there.
const relistPeriod = 10 * time.Minute

// Format is how MetalLB is configured.
type Format string

const (
	// Automatic is Resources where the cluster has them, else ConfigMap.
	Automatic Format = ""
	// Resources are the custom resources of MetalLB 0.13.2 and later.
	Resources Format = "resources"
	// ConfigMap is the configuration of MetalLB up to 0.12.
	ConfigMap Format = "configmap"
)

// State is what MetalLB is to announce. Its lists are sorted.
type State struct {
	Pools []Pool
	// Peers is empty if there are no pools.
	Peers []Peer
}

// Pool is one address.
type Pool struct {
	Address netip.Addr
	// AllNodes tells that all nodes with peers announce the address. Else
	// those do that one of Selectors selects, of which no requirement is a
	// comparison by < or >.
	AllNodes  bool
	Selectors []labels.Selector
	// KeepSelectors tells that the pool's selectors are not known, and stay as
	// they are if there is a pool.
	KeepSelectors bool
}

// Peer is one BGP session of one node.
type Peer struct {
	// Node is the node's name and Hostname its label kubernetes.io/hostname.
	Node, Hostname string
	// Number tells the peers of one node apart.
	Number          int
	MyASN, PeerASN  uint32
	Address, Source netip.Addr
	// Password is a secret. It is kept in a Secret where MetalLB knows those.
	Password string
	MultiHop bool
}

// String shows everything but the password.
func (p Peer) String() string {
	return fmt.Sprintf("{%s: AS %d at %s, from AS %d at %s, password: %t, multi-hop: %t}",
		p.Node, p.PeerASN, p.Address, p.MyASN, p.Source, p.Password != "", p.MultiHop)
}

// GoString implements fmt.GoStringer, so that %#v shows no password either.
func (p Peer) GoString() string { return "metallb.Peer" + p.String() }

// ErrNotInstalled is a cluster without the MetalLB that is to be configured.
var ErrNotInstalled = errors.New("MetalLB is not installed")

// Config configures MetalLB's configuration. All fields are required, except
// that Format and SharedPeers have useful zero values.
type Config struct {
	Dynamic    dynamic.Interface
	Kubernetes kubernetes.Interface
	// Namespace is where MetalLB runs.
	Namespace string
	// ConfigMap is the name of the configuration in the ConfigMap format.
	ConfigMap string
	Format    Format
	// SharedPeers makes one peer of all nodes that have the same one, without
	// a source address.
	SharedPeers bool
	// FieldManager is by what name Kubernetes knows the writer.
	FieldManager string
	Clock        packet.Clock
}

// MetalLB is the configuration of one MetalLB. It is safe for concurrent use.
type MetalLB struct {
	config Config

	mu     sync.Mutex
	writer writer
	// chosen is when the writer was.
	chosen time.Time
}

// writer writes one format.
type writer interface {
	apply(ctx context.Context, state State) (refused map[netip.Addr]error, err error)
}

// New makes a MetalLB. Nothing is asked yet.
func New(config Config) *MetalLB { return &MetalLB{config: config} }

// Apply makes a state the configuration. It costs no request if the state is
// the one that was written less than relistPeriod ago. Addresses whose pools
// were refused are returned with the reason, and stop no others.
func (m *MetalLB) Apply(ctx context.Context, state State) (refused map[netip.Addr]error, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	// A cluster gets custom resources when its MetalLB is upgraded.
	if _, old := m.writer.(*configMap); old && m.config.Format == Automatic && m.config.Clock.Now().Sub(m.chosen) >= relistPeriod {
		m.writer = nil
	}
	if m.writer == nil {
		w, err := m.chooseWriter(ctx)
		if err != nil {
			return nil, fmt.Errorf("finding out how MetalLB in namespace %s is configured: %w", m.config.Namespace, err)
		}
		m.writer, m.chosen = w, m.config.Clock.Now()
	}
	if refused, err = m.writer.apply(ctx, state); err != nil {
		return nil, fmt.Errorf("configuring MetalLB in namespace %s: %w", m.config.Namespace, err)
	}
	return refused, nil
}

func (m *MetalLB) chooseWriter(ctx context.Context) (writer, error) {
	format := m.config.Format
	if format == Automatic {
		var err error
		if format, err = m.detect(ctx); err != nil {
			return nil, err
		}
	}
	switch format {
	case Resources:
		return newResources(m.config), nil
	case ConfigMap:
		return &configMap{config: m.config}, nil
	}
	return nil, fmt.Errorf("format %q is not known", format)
}

// detect finds the format of the MetalLB that is there.
func (m *MetalLB) detect(ctx context.Context) (Format, error) {
	groups, err := m.config.Kubernetes.Discovery().ServerGroups()
	if err != nil {
		return "", fmt.Errorf("asking which API groups there are: %w", err)
	}
	for _, group := range groups.Groups {
		if group.Name == apiGroup {
			return Resources, nil
		}
	}
	_, err = m.config.Kubernetes.CoreV1().ConfigMaps(m.config.Namespace).Get(ctx, m.config.ConfigMap, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return "", fmt.Errorf("%w: there are neither custom resources of %s nor a ConfigMap %s", ErrNotInstalled, apiGroup, m.config.ConfigMap)
	}
	return ConfigMap, err
}
