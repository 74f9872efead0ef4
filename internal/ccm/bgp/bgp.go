// Package bgp makes a project and its devices speak BGP, and writes into the
// annotations of nodes what a BGP speaker on them needs to know.
//
// Its cost does not grow with the number of nodes: sessions come from one
// listing of the project, and a device is asked for its neighbours once, when
// something about it has changed.
package bgp

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	"github.com/packetyard/packetyard/pkg/packet"
)

// For how long what the API said is taken to be so. Whatever is found missing
// is looked for again before anything is made.
const (
	projectTTL  = 10 * time.Minute
	sessionsTTL = 5 * time.Minute
)

// deviceWorkers is how many devices are asked at a time.
const deviceWorkers = 8

// API is what is asked of the Packet API; *packet.Client is one.
type API interface {
	BGPConfig(ctx context.Context, projectID string, options ...packet.QueryOption) (*packet.BGPConfig, error)
	RequestBGPConfig(ctx context.Context, projectID string, config packet.BGPConfigRequest) error
	ProjectBGPSessions(ctx context.Context, projectID string, options ...packet.QueryOption) ([]packet.BGPSession, error)
	BGPSessions(ctx context.Context, deviceID string, options ...packet.QueryOption) ([]packet.BGPSession, error)
	CreateBGPSession(ctx context.Context, deviceID string, create packet.BGPSessionCreate) (*packet.BGPSession, error)
	BGPNeighbors(ctx context.Context, deviceID string) ([]packet.BGPNeighbor, error)
}

// Devices is the shared listing of the project; *packet.DeviceCache is one. For
// the annotation of the private network it must include
// ip_addresses.parent_block.
type Devices interface {
	Recent(ctx context.Context) (*packet.DeviceSnapshot, error)
	Fresh(ctx context.Context) (*packet.DeviceSnapshot, error)
}

// Nodes changes nodes; the client of Kubernetes has one.
type Nodes interface {
	Patch(ctx context.Context, name string, pt types.PatchType, data []byte, opts metav1.PatchOptions, subresources ...string) (*corev1.Node, error)
}

// Config configures BGP. All fields are required but Recorder, LocalASN and
// Password.
type Config struct {
	API       API
	ProjectID string
	Devices   Devices
	Nodes     Nodes
	// Recorder takes events on nodes.
	Recorder record.EventRecorder
	// Annotations name what is written on nodes.
	Annotations Annotations
	// Families are those for which devices get sessions: packet.BGPIPv4 and
	// packet.BGPIPv6. A device without an address of a family gets none.
	Families []string
	// LocalASN and Password are for enabling BGP on a project that has none.
	LocalASN int64
	Password string
	Clock    packet.Clock
}

// BGP keeps the BGP of one project. It is safe for concurrent use.
type BGP struct {
	config Config
	owned  *regexp.Regexp

	// mu makes callers wait for each other, because two that look for the
	// same session at the same time would both make it.
	mu            sync.Mutex
	project       *packet.BGPConfig
	projectTaken  time.Time
	sessions      sessions
	sessionsTaken time.Time
	neighbors     *answers
}

// New makes a BGP. Nothing is asked yet.
func New(config Config) *BGP {
	return &BGP{config: config, owned: config.Annotations.pattern(), neighbors: newAnswers()}
}

// Peers are those that a node's annotations tell of, with no request at all.
func (b *BGP) Peers(node *corev1.Node) ([]Peer, error) {
	peers, err := b.config.Annotations.Peers(node.Annotations)
	if err != nil {
		return nil, fmt.Errorf("reading the BGP peers of node %s: %w", node.Name, err)
	}
	return peers, nil
}

// EnsureDevices enables BGP for the project and for the devices of nodes, and
// keeps the nodes' annotations current. It returns the peers of each node by
// its name, and an error for all nodes for which it could not; the others are
// done nevertheless. Nodes of other clouds, and those that wait for their
// provider ID, are left out.
//
// It costs no request where nothing has changed, one listing of the project's
// sessions in sessionsTTL, and for a new device one request for its session
// and one for its neighbours.
func (b *BGP) EnsureDevices(ctx context.Context, nodes []*corev1.Node) (map[string][]Peer, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	project, err := b.ensureProject(ctx)
	if err != nil {
		return nil, err
	}
	targets, err := b.targets(ctx, nodes)
	if err != nil {
		return nil, err
	}
	if err := b.ensureListing(ctx, targets); err != nil {
		return nil, err
	}

	var collect sync.Mutex
	var problems []error
	peers := make(map[string][]Peer, len(targets))
	workqueue.ParallelizeUntil(ctx, deviceWorkers, len(targets), func(i int) {
		found, err := b.ensureDevice(ctx, project, targets[i])
		collect.Lock()
		defer collect.Unlock()
		if err != nil {
			problems = append(problems, fmt.Errorf("node %s: %w", targets[i].node.Name, err))
			return
		}
		peers[targets[i].node.Name] = found
	})
	if ctx.Err() != nil {
		problems = append(problems, ctx.Err())
	}
	return peers, errors.Join(problems...)
}

// target is a node and its device.
type target struct {
	node   *corev1.Node
	device *packet.Device
	// families are those of the configuration that the device has an address of.
	families []string
}

func (b *BGP) targets(ctx context.Context, nodes []*corev1.Node) ([]target, error) {
	listing, err := b.config.Devices.Recent(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing the devices of project %s: %w", b.config.ProjectID, err)
	}
	var found []target
	refreshed := false
	for _, node := range nodes {
		id, err := packet.DeviceID(node.Spec.ProviderID)
		if err != nil {
			// Another cloud's, or not initialised yet: both come back by themselves.
			continue
		}
		device := listing.ByID(id)
		if device == nil && !refreshed {
			// The device may be newer than the listing.
			refreshed = true
			if listing, err = b.config.Devices.Fresh(ctx); err != nil {
				return nil, fmt.Errorf("listing the devices of project %s: %w", b.config.ProjectID, err)
			}
			device = listing.ByID(id)
		}
		if device == nil || device.State == packet.StateDeleted || device.State == packet.StateDeprovisioning {
			klog.V(2).InfoS("No BGP for a node whose device is gone", "node", klog.KObj(node), "device", id)
			continue
		}
		families := slices.DeleteFunc(slices.Clone(b.config.Families), func(family string) bool {
			return !sourceAddress(device, family).IsValid()
		})
		found = append(found, target{node: node, device: device, families: families})
	}
	b.neighbors.keep(func(deviceID string) bool { return listing.ByID(deviceID) != nil })
	return found, nil
}

// ensureDevice makes the sessions that a device lacks and keeps the node's
// annotations. The caller holds the lock; others of its calls run beside this
// one, for other devices.
func (b *BGP) ensureDevice(ctx context.Context, project *packet.BGPConfig, t target) ([]Peer, error) {
	for _, family := range t.families {
		if b.sessions.has(t.device.ID, family) {
			continue
		}
		if err := b.createSession(ctx, t, family); err != nil {
			return nil, err
		}
	}
	peers, checksum, err := b.peers(ctx, project, t)
	if err != nil {
		return nil, err
	}
	wanted := b.config.Annotations.write(peers, privateNetwork(t.device))
	wanted[ChecksumAnnotation] = sum(checksum, wanted)
	return peers, b.annotate(ctx, t.node, wanted)
}

// event tells of a node what its owner must know.
func (b *BGP) event(node *corev1.Node, kind, reason, format string, args ...any) {
	if b.config.Recorder != nil {
		b.config.Recorder.Eventf(node, kind, reason, format, args...)
	}
}
