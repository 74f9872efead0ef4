package infrastructure

import (
	"context"

	"github.com/gardener/gardener/pkg/utils/flow"

	"github.com/packetyard/packetyard/pkg/packet"
)

// delete removes what was made for the Shoot, in the order in which the API lets it go. What the state does not name is looked
// for by its tags, because a process can have died before it wrote down what it had made.
func (s *scope) delete(ctx context.Context) error {
	graph := flow.NewGraph("Packet infrastructure deletion")
	steps := sequence{graph: graph}
	steps.add("Delete the VLAN", false, s.recorded(s.deleteVLANs))
	steps.add("Give back the private reservation", false, s.recorded(s.deleteReservations))
	steps.add("Delete the SSH key", false, s.recorded(s.deleteSSHKeys))
	return graph.Compile().Run(ctx, flow.Opts{Log: s.log})
}

// recorded is persisted, but leaves an Infrastructure alone that has no state to keep.
func (s *scope) recorded(step flow.TaskFn) flow.TaskFn {
	if s.infra.Status.State == nil && s.infra.Status.ProviderStatus == nil {
		return step
	}
	return s.persisted(step)
}

func (s *scope) deleteVLANs(ctx context.Context) error {
	networks, err := s.api.VirtualNetworks(ctx, s.project)
	if err != nil {
		return wrap(err, "listing the VLANs of the project")
	}
	for _, network := range networks {
		if network.ID != s.state.VLANID && !s.owner.Has(network.Tags) {
			continue
		}
		if err := s.removeVLAN(ctx, network.ID); err != nil {
			return err
		}
	}
	s.state.VLANID = ""
	return nil
}

func (s *scope) deleteReservations(ctx context.Context) error {
	if err := s.listBlocks(ctx); err != nil {
		return err
	}
	for _, block := range s.blocks {
		if block.ID != s.state.PrivateReservationID && !s.owner.Has(block.Tags) {
			continue
		}
		if err := s.removeReservation(ctx, block.ID); err != nil {
			return err
		}
	}
	s.state.PrivateReservationID = ""
	return nil
}

func (s *scope) deleteSSHKeys(ctx context.Context) error {
	if err := s.listSSHKeys(ctx); err != nil {
		return err
	}
	for _, key := range s.keys {
		if key.ID != s.state.SSHKeyID && !s.owner.isOurs(key) {
			continue
		}
		if err := s.api.DeleteSSHKey(ctx, key.ID); err != nil && !packet.IsNotFound(err) {
			return wrap(err, "deleting the SSH key "+key.ID)
		}
	}
	s.state.SSHKeyID, s.status.SSHKeyID = "", ""
	return nil
}
