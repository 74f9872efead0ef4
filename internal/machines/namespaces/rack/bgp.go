package rack

import (
	"context"
	"net/netip"

	"github.com/packetyard/packetyard/internal/machines"
	"github.com/packetyard/packetyard/internal/machines/namespaces/bgp"
)

// SetBGPPeers implements the driver's method of that name. A rack does not
// remember them, because they hold passwords: after its start it is told again.
func (r *Rack) SetBGPPeers(ctx context.Context, peers []machines.BGPPeer) error {
	if err := bgp.Check(peers); err != nil {
		return invalidError{err}
	}
	return r.bgp.SetPeers(ctx, peers)
}

// endBGP closes the sessions of a machine whose link is gone. Where that
// fails they end when their hold time is over.
func (r *Rack) endBGP(m *machine) {
	var addresses []netip.Addr
	for _, address := range m.record.Spec.Addresses {
		if parsed, err := netip.ParseAddr(address.Address); err == nil && address.Management {
			addresses = append(addresses, parsed)
		}
	}
	if err := r.bgp.Disconnected(context.Background(), addresses); err != nil {
		r.config.Logger.Error("machine's BGP sessions are not closed", "id", m.id, "error", err)
	}
}
