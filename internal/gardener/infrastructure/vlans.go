package infrastructure

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/utils/ptr"

	"github.com/packetyard/packetyard/api/packet/v1alpha1"
	"github.com/packetyard/packetyard/internal/gardener/faults"
	"github.com/packetyard/packetyard/pkg/packet"
)

// ensureVLAN sees to it that there is the VLAN that the Shoot asks for (getVirtualNetwork, findVirtualNetworks,
// createVirtualNetwork).
func (s *scope) ensureVLAN(ctx context.Context) error {
	network, err := s.findVLAN(ctx)
	if err != nil {
		return err
	}
	wanted := s.config.Networks.VLAN.VXLAN
	if network == nil {
		create := packet.VirtualNetworkCreate{Metro: s.state.Metro, Description: s.owner.describe(s.infra), Tags: s.owner.Tags()}
		if wanted != nil {
			create.VXLAN = ptr.To(int(*wanted))
		}
		if network, err = s.api.CreateVirtualNetwork(ctx, s.project, create); err != nil {
			return fmt.Errorf("making a VLAN: %w", err)
		}
	}
	s.state.VLANID = network.ID
	s.networks().VLAN = &v1alpha1.VLANStatus{ID: network.ID, VXLAN: int32(network.VXLAN)} // #nosec G115 -- the API's numbers end at 3999.
	if wanted != nil && int(*wanted) != network.VXLAN {
		return faults.Configuration("networks.vlan.vxlan is %d, but the Shoot's VLAN has the number %d, which cannot be changed: "+
			"take networks.vlan out of the infrastructureConfig, and put it back with the other number when the VLAN is gone", *wanted, network.VXLAN)
	}
	return nil
}

// findVLAN is the Shoot's VLAN, nil if there is none.
func (s *scope) findVLAN(ctx context.Context) (*packet.VirtualNetwork, error) {
	if s.state.VLANID != "" {
		network, err := s.api.VirtualNetwork(ctx, s.state.VLANID)
		if err == nil || !packet.IsNotFound(err) {
			return network, wrap(err, "reading the VLAN "+s.state.VLANID)
		}
	}
	networks, err := s.api.VirtualNetworks(ctx, s.project)
	if err != nil {
		return nil, fmt.Errorf("listing the VLANs of the project: %w", err)
	}
	if n := slices.IndexFunc(networks, func(v packet.VirtualNetwork) bool { return s.owner.Has(v.Tags) }); n >= 0 {
		return &networks[n], nil
	}
	return nil, nil
}

// removeVLAN deletes the Shoot's VLAN (deleteVirtualNetwork), which the API refuses while a port is in it.
func (s *scope) removeVLAN(ctx context.Context, id string) error {
	if err := s.api.DeleteVirtualNetwork(ctx, id); err != nil && !packet.IsNotFound(err) {
		return fmt.Errorf("deleting the VLAN %s: %w", id, err)
	}
	s.state.VLANID = ""
	if s.status.Networks != nil {
		s.status.Networks.VLAN = nil
	}
	return nil
}

// wrap says what was being done when an error happened.
func wrap(err error, doing string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}

func isInUse(err error) bool { return faults.IsInUse(err) }
