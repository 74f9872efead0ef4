package infrastructure

import (
	"context"
	"fmt"
	"slices"

	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/packetyard/packetyard/internal/gardener/faults"
)

// findNodes finds out which addresses the nodes will have: those that the Shoot says, else those of its private reservation,
// else those that the Packet API gives the project in the metro (findIPReservations). Gardener needs them before there is a
// Worker, and refuses to go on without.
func (s *scope) findNodes(ctx context.Context) error {
	networks := s.config.Networks
	if networks != nil && networks.Nodes != nil {
		s.networks().Nodes = []string{*networks.Nodes}
		return nil
	}
	if err := s.listBlocks(ctx); err != nil {
		return err
	}
	if networks != nil && networks.PrivateReservation != nil {
		block, ok := cidr(*s.findReservation())
		if !ok {
			return fmt.Errorf("the private reservation %s has no addresses yet", s.state.PrivateReservationID)
		}
		s.networks().Nodes = []string{block.String()}
		return nil
	}
	if held := s.findReservation(); held != nil && s.state.PrivateReservationID == "" {
		// It was made, and the note of it was lost.
		s.state.PrivateReservationID, s.state.HoldsBlock = held.ID, true
	}
	if found := s.metroBlocks(); len(found) > 0 {
		s.networks().Nodes = inOrder(s.networks().Nodes, found)
		return nil
	}
	// The API takes the block back with the last device in the metro, as when the Shoot is hibernated. What Gardener knows
	// already cannot be changed any more, and the Worker adds what its machines really have.
	if len(s.networks().Nodes) > 0 {
		return nil
	}
	if known := s.knownNodes(); known != "" {
		s.networks().Nodes = []string{known}
		return nil
	}
	return s.holdBlock(ctx)
}

// metroBlocks are the blocks that the Packet API gave the project in the metro by itself.
func (s *scope) metroBlocks() []string {
	var found []string
	for _, block := range s.blocks {
		if prefix, ok := cidr(block); ok && block.Management && inMetro(block, s.state.Metro) {
			found = append(found, prefix.String())
		}
	}
	return found
}

// holdBlock has the Packet API give the project its block in the metro, which it only does with the first thing that needs it: the
// smallest reservation there is. It stays as long as the Shoot, so that the block does.
func (s *scope) holdBlock(ctx context.Context) error {
	made, err := s.reserve(ctx, smallestReservation)
	if err != nil {
		return fmt.Errorf("the project has no private addresses in metro %s yet, and reserving some failed; networks.vlan or "+
			"networks.privateReservation in the Shoot's infrastructureConfig would have the API give it some, too: %w", s.state.Metro, err)
	}
	// It is not in the status, where it would have machines take their addresses from it.
	s.state.PrivateReservationID, s.state.HoldsBlock = made.ID, true
	s.blocks = nil
	if err := s.listBlocks(ctx); err != nil {
		return err
	}
	found := s.metroBlocks()
	if len(found) == 0 {
		return faults.Configuration("the project has no private addresses in metro %s, so nobody can say which addresses the nodes will have: "+
			"set networks.privateReservation in the Shoot's infrastructureConfig, or the Shoot's spec.networking.nodes", s.state.Metro)
	}
	s.networks().Nodes = found
	return nil
}

// knownNodes is what the Shoot itself says about its nodes' addresses.
func (s *scope) knownNodes() string {
	if s.cluster == nil || s.cluster.Shoot == nil || s.cluster.Shoot.Spec.Networking == nil {
		return ""
	}
	return ptr.Deref(s.cluster.Shoot.Spec.Networking.Nodes, "")
}

// inOrder sorts blocks: those that were known before keep their places, because the first one is what Gardener writes into the
// Shoot for good.
func inOrder(before, found []string) []string {
	var ordered []string
	for _, block := range before {
		if slices.Contains(found, block) {
			ordered = append(ordered, block)
		}
	}
	rest := slices.DeleteFunc(slices.Clone(found), func(block string) bool { return slices.Contains(ordered, block) })
	slices.Sort(rest)
	return append(ordered, rest...)
}

// reportNodes writes the nodes' addresses to where gardenlet reads them: status.networking.nodes, and the older field
// status.nodesCIDR, which has a single one. What others have added stays: the Worker adds what its machines really have.
func (s *scope) reportNodes(ctx context.Context) error {
	ours := s.networks().Nodes
	latest := s.infra
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		before := latest.DeepCopy()
		if latest.Status.Networking == nil {
			latest.Status.Networking = &extensionsv1alpha1.InfrastructureStatusNetworking{}
		}
		nodes := slices.Clone(ours)
		for _, block := range latest.Status.Networking.Nodes {
			if !slices.Contains(nodes, block) {
				nodes = append(nodes, block)
			}
		}
		if slices.Equal(nodes, latest.Status.Networking.Nodes) && latest.Status.NodesCIDR != nil && *latest.Status.NodesCIDR == nodes[0] {
			return nil
		}
		latest.Status.Networking.Nodes = nodes
		latest.Status.NodesCIDR = ptr.To(nodes[0])
		err := s.kube.Status().Patch(ctx, latest, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
		if err != nil {
			latest = &extensionsv1alpha1.Infrastructure{}
			if reading := s.reader.Get(ctx, client.ObjectKeyFromObject(s.infra), latest); reading != nil {
				return reading
			}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("writing the nodes' addresses to the Infrastructure: %w", err)
	}
	s.infra.Status, s.infra.ResourceVersion = latest.Status, latest.ResourceVersion
	return nil
}
