package worker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"
	"sync"

	machinev1alpha1 "github.com/gardener/machine-controller-manager/pkg/apis/machine/v1alpha1"
	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"

	"github.com/packetyard/packetyard/internal/gardener/account"
	"github.com/packetyard/packetyard/pkg/packet"
)

// ipReservationLister lists the blocks of a project.
type ipReservationLister interface {
	IPReservations(ctx context.Context, projectID string, options ...packet.QueryOption) ([]packet.IPReservation, error)
}

// nodeNetworks tells the Infrastructure of the private blocks that machines have addresses from, so that the VPN has routes to
// all of them. The Infrastructure controller has told of one before there was any machine; when that is full, the Packet API
// begins another.
//
// A project's blocks are listed once for all machines, and only after a machine came or went: the private address of a device
// never changes.
type nodeNetworks struct {
	client client.Client
	// live reads past the cache what is about to be written.
	live client.Reader

	mu sync.Mutex
	// reported is for every Worker what was known when its blocks were last listed.
	reported map[types.UID]string
}

func newNodeNetworks(c client.Client, live client.Reader) *nodeNetworks {
	return &nodeNetworks{client: c, live: live, reported: map[types.UID]string{}}
}

// forget drops what is known of a Worker that goes.
func (n *nodeNetworks) forget(w *extensionsv1alpha1.Worker) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.reported, w.UID)
}

// report appends new blocks to the Infrastructure's status.networking.nodes. It does nothing while there is no Infrastructure,
// or no machine.
func (n *nodeNetworks) report(ctx context.Context, log logr.Logger, api ipReservationLister, projectID string, w *extensionsv1alpha1.Worker, shoot string) error {
	infrastructure, err := n.infrastructure(ctx, w.Namespace, shoot)
	if err != nil || infrastructure == nil {
		return err
	}
	devices, err := n.devices(ctx, log, w.Namespace)
	if err != nil || len(devices) == 0 {
		return err
	}
	known := knownNetworks(infrastructure)
	state := fingerprint(devices, known)
	if n.isReported(w.UID, state) {
		return nil
	}
	reservations, err := api.IPReservations(ctx, projectID, packet.IPTypes(packet.IPTypePrivateIPv4), packet.Include("assignments"))
	if err != nil {
		return fmt.Errorf("listing the private blocks of the machines: %w", err)
	}
	blocks := newBlocks(reservations, devices, known)
	if len(blocks) > 0 {
		log.Info("Machines have addresses from new private blocks", "infrastructure", infrastructure.Name, "blocks", blocks)
		if known, err = n.append(ctx, client.ObjectKeyFromObject(infrastructure), blocks); err != nil {
			return fmt.Errorf("writing the private blocks of the machines into Infrastructure %s: %w", infrastructure.Name, err)
		}
		state = fingerprint(devices, known)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.reported[w.UID] = state
	return nil
}

func (n *nodeNetworks) isReported(worker types.UID, state string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.reported[worker] == state
}

// infrastructure is that of the Shoot, nil if it is gone or about to go. gardenlet names it after the Shoot, and there is one to
// a namespace; who drives the contract by hand may name it otherwise.
func (n *nodeNetworks) infrastructure(ctx context.Context, namespace, shoot string) (*extensionsv1alpha1.Infrastructure, error) {
	list := &extensionsv1alpha1.InfrastructureList{}
	if err := n.client.List(ctx, list, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("listing the Infrastructures in namespace %s: %w", namespace, err)
	}
	ours := slices.DeleteFunc(list.Items, func(i extensionsv1alpha1.Infrastructure) bool {
		return i.Spec.Type != account.Type || i.DeletionTimestamp != nil
	})
	if len(ours) == 1 {
		return &ours[0], nil
	}
	for i := range ours {
		if ours[i].Name == shoot {
			return &ours[i], nil
		}
	}
	if len(ours) > 1 {
		return nil, fmt.Errorf("namespace %s has %d Infrastructures of type %s and none is named %s, as the Shoot is", namespace, len(ours), account.Type, shoot)
	}
	return nil, nil
}

// devices are the IDs of the devices of all Machines, sorted. Machines without one have no addresses yet.
func (n *nodeNetworks) devices(ctx context.Context, log logr.Logger, namespace string) ([]string, error) {
	machines := &machinev1alpha1.MachineList{}
	if err := n.client.List(ctx, machines, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("listing the Machines in namespace %s: %w", namespace, err)
	}
	var devices []string
	for i := range machines.Items {
		machine := &machines.Items[i]
		if machine.Spec.ProviderID == "" {
			continue
		}
		device, err := packet.DeviceID(machine.Spec.ProviderID)
		if err != nil {
			log.Error(err, "A Machine is left out of the node networks", "machine", machine.Name)
			continue
		}
		devices = append(devices, device)
	}
	slices.Sort(devices)
	return devices, nil
}

// append writes blocks into the status. Somebody else may write it at the same time, so each attempt begins with what is there.
func (n *nodeNetworks) append(ctx context.Context, key client.ObjectKey, blocks []netip.Prefix) (known []netip.Prefix, err error) {
	err = retry.RetryOnConflict(retry.DefaultRetry, func() error {
		current := &extensionsv1alpha1.Infrastructure{}
		if err := n.live.Get(ctx, key, current); err != nil {
			return client.IgnoreNotFound(err)
		}
		known = knownNetworks(current)
		before := current.DeepCopy()
		if current.Status.Networking == nil {
			current.Status.Networking = &extensionsv1alpha1.InfrastructureStatusNetworking{}
		}
		networking := current.Status.Networking
		if len(networking.Nodes) == 0 && ptr.Deref(current.Status.NodesCIDR, "") != "" {
			// The first one is that of the Shoot's spec, where it cannot be changed.
			networking.Nodes = []string{*current.Status.NodesCIDR}
		}
		for _, block := range blocks {
			if !covered(block, known) {
				networking.Nodes = append(networking.Nodes, block.String())
				known = append(known, block)
			}
		}
		return n.client.Status().Patch(ctx, current, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	})
	return known, err
}

// knownNetworks are the blocks that the Infrastructure tells of.
func knownNetworks(infrastructure *extensionsv1alpha1.Infrastructure) []netip.Prefix {
	texts := []string{ptr.Deref(infrastructure.Status.NodesCIDR, "")}
	if infrastructure.Status.Networking != nil {
		texts = append(texts, infrastructure.Status.Networking.Nodes...)
	}
	var known []netip.Prefix
	for _, text := range texts {
		if block, err := netip.ParsePrefix(text); err == nil && !slices.Contains(known, block.Masked()) {
			known = append(known, block.Masked())
		}
	}
	return known
}

// newBlocks are those that one of the devices has an address from and that are not known, in the order of their addresses.
func newBlocks(reservations []packet.IPReservation, devices []string, known []netip.Prefix) []netip.Prefix {
	var blocks []netip.Prefix
	for _, reservation := range reservations {
		network, err := netip.ParseAddr(reservation.Network)
		if err != nil || reservation.Public || reservation.Type != packet.IPTypePrivateIPv4 {
			continue
		}
		block := netip.PrefixFrom(network, reservation.CIDR).Masked()
		if !block.IsValid() || covered(block, known) || covered(block, blocks) {
			continue
		}
		if slices.ContainsFunc(reservation.Assignments, func(assignment packet.IPAssignment) bool {
			return assignment.AssignedTo != nil && has(devices, path.Base(assignment.AssignedTo.Href))
		}) {
			blocks = append(blocks, block)
		}
	}
	slices.SortFunc(blocks, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	return blocks
}

// has tells whether a device is among sorted ones.
func has(devices []string, device string) bool {
	_, found := slices.BinarySearch(devices, strings.ToLower(device))
	return found
}

func covered(block netip.Prefix, known []netip.Prefix) bool {
	return slices.ContainsFunc(known, func(k netip.Prefix) bool { return k.Bits() <= block.Bits() && k.Contains(block.Addr()) })
}

// fingerprint is the same for the same devices and blocks.
func fingerprint(devices []string, known []netip.Prefix) string {
	hash := sha256.New()
	for _, device := range devices {
		hash.Write([]byte(device + "\n"))
	}
	for _, block := range known {
		hash.Write([]byte(block.String() + "\n"))
	}
	return hex.EncodeToString(hash.Sum(nil))
}
