package bgp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/osrg/gobgp/v4/api"
	"github.com/osrg/gobgp/v4/pkg/apiutil"
	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
	"github.com/osrg/gobgp/v4/pkg/server"

	"github.com/packetyard/packetyard/internal/machines"
)

const (
	// port is BGP's (RFC 4271).
	port = 179
	// hops is how far a peer may be away. It is one hop for a machine, whose
	// software is told that the switches are multihop peers.
	hops = 64
)

// speaker is the BGP of one switch. A peer has a session with each switch, so
// each is a server of its own: one server takes a second session with the same
// peer for a mistake.
type speaker struct {
	at     machines.BGPSwitch
	ipv6   bool
	logger *slog.Logger
	// changed is called when a session or what a peer announces is another one.
	changed func()

	server *server.BgpServer
	stop   context.CancelFunc
	peers  map[netip.Addr]machines.BGPPeer
	// defaults are the default routes of each family.
	defaults []*apiutil.Path
	// keyed are the addresses for which the listener wants signatures. The
	// library never takes that back.
	keyed map[netip.Addr]bool
}

// start listens and speaks to nobody yet.
func (s *speaker) start(ctx context.Context) error {
	s.peers, s.keyed = map[netip.Addr]machines.BGPPeer{}, map[netip.Addr]bool{}
	s.server = server.NewBgpServer(server.LoggerOption(s.logger, nil))
	go s.server.Serve()
	listen := []string{s.at.IPv4.String()}
	if s.ipv6 {
		listen = append(listen, s.at.IPv6.String())
	}
	if err := s.server.StartBgp(ctx, &api.StartBgpRequest{Global: &api.Global{
		Asn: machines.BGPSwitchASN, RouterId: s.at.IPv4.String(), ListenPort: port, ListenAddresses: listen,
	}}); err != nil {
		return errors.Join(fmt.Errorf("speaking BGP at %s: %w", s.at.IPv4, err), s.end(ctx))
	}
	if err := s.announceNothing(ctx); err != nil {
		return errors.Join(err, s.end(ctx))
	}
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	err := s.server.WatchEvent(watching, server.WatchEventMessageCallbacks{
		OnPeerUpdate: func(*apiutil.WatchEventMessage_PeerEvent, time.Time) { s.changed() },
		OnPathUpdate: func([]*apiutil.Path, time.Time) { s.changed() },
	}, server.WatchPeer(), server.WatchUpdate(false, "", ""))
	if err != nil {
		return errors.Join(fmt.Errorf("watching the BGP sessions of %s: %w", s.at.IPv4, err), s.end(ctx))
	}
	return nil
}

// end closes all sessions and the listener.
func (s *speaker) end(ctx context.Context) error {
	if s.stop != nil {
		s.stop()
	}
	if err := s.server.StopBgp(ctx, &api.StopBgpRequest{}); err != nil {
		return fmt.Errorf("ending BGP at %s: %w", s.at.IPv4, err)
	}
	return nil
}

// setPeers speaks with exactly the given peers.
func (s *speaker) setPeers(ctx context.Context, peers []machines.BGPPeer) error {
	wanted := map[netip.Addr]machines.BGPPeer{}
	for _, peer := range peers {
		if peer.Address.Is4() || s.ipv6 {
			wanted[peer.Address] = peer
		}
	}
	for address, peer := range wanted {
		if peer.Password == "" && s.keyed[address] {
			s.logger.Info("switch closes its sessions, because an address needs no password any more", "switch", s.at.IPv4, "peer", address)
			if err := errors.Join(s.end(ctx), s.start(ctx)); err != nil {
				return err
			}
			break
		}
	}
	problems := []error{s.announceDefaultRoute(ctx, wanted)}
	for address, had := range s.peers {
		if peer, stays := wanted[address]; stays && sameSession(peer, had) {
			s.peers[address] = peer
			continue
		}
		if err := s.server.DeletePeer(ctx, &api.DeletePeerRequest{Address: address.String()}); err != nil {
			problems = append(problems, fmt.Errorf("closing the BGP session with %s: %w", address, err))
			continue
		}
		delete(s.peers, address)
	}
	for address, peer := range wanted {
		if _, known := s.peers[address]; known {
			continue
		}
		if err := s.add(ctx, peer); err != nil {
			problems = append(problems, err)
			continue
		}
		s.peers[address] = peer
	}
	return errors.Join(problems...)
}

// sameSession tells whether a session can go on where a peer is described anew.
func sameSession(a, b machines.BGPPeer) bool {
	return a.ASN == b.ASN && a.Password == b.Password && a.MaxPrefixes == b.MaxPrefixes
}

// add waits for a peer's connection from now on.
func (s *speaker) add(ctx context.Context, peer machines.BGPPeer) error {
	err := s.server.AddPeer(ctx, &api.AddPeerRequest{Peer: &api.Peer{
		Conf:         &api.PeerConf{NeighborAddress: peer.Address.String(), PeerAsn: peer.ASN, AuthPassword: peer.Password},
		EbgpMultihop: &api.EbgpMultihop{Enabled: true, MultihopTtl: hops},
		// A machine calls, as it did at Packet: the switch cannot know when it is there.
		Transport: &api.Transport{LocalAddress: s.address(peer).String(), PassiveMode: true},
		AfiSafis: []*api.AfiSafi{{
			Config:       &api.AfiSafiConfig{Family: familyOf(peer.Address), Enabled: true},
			PrefixLimits: &api.PrefixLimit{Family: familyOf(peer.Address), MaxPrefixes: peer.MaxPrefixes},
		}},
	}})
	if err != nil {
		return fmt.Errorf("waiting for the BGP session of %s: %w", peer.Address, err)
	}
	if peer.Password != "" {
		s.keyed[peer.Address] = true
	}
	return nil
}

// address is the switch's that a peer calls.
func (s *speaker) address(peer machines.BGPPeer) netip.Addr {
	if peer.Address.Is4() {
		return s.at.IPv4
	}
	return s.at.IPv6
}

// sessions tells how each peer's session is. over are the peers whose session
// is closed because they announced too much.
func (s *speaker) sessions(ctx context.Context) (found sessions, over []netip.Addr, err error) {
	found = sessions{}
	err = s.server.ListPeer(ctx, &api.ListPeerRequest{}, func(peer *api.Peer) {
		address, err := netip.ParseAddr(peer.GetConf().GetNeighborAddress())
		if err != nil {
			return
		}
		found[address] = session{up: peer.GetState().GetSessionState() == api.PeerState_SESSION_STATE_ESTABLISHED}
		if peer.GetState().GetAdminState() == api.PeerState_ADMIN_STATE_PFX_CT {
			over = append(over, address)
		}
	})
	if err != nil {
		return nil, nil, fmt.Errorf("listing the BGP sessions of %s: %w", s.at.IPv4, err)
	}
	for address, held := range found {
		if !held.up {
			continue
		}
		family := bgp.RF_IPv4_UC
		if address.Is6() {
			family = bgp.RF_IPv6_UC
		}
		err := s.server.ListPath(apiutil.ListPathRequest{TableType: api.TableType_TABLE_TYPE_ADJ_IN, Name: address.String(), Family: family},
			func(nlri bgp.NLRI, paths []*apiutil.Path) {
				if prefix, err := netip.ParsePrefix(nlri.String()); err == nil && !slices.ContainsFunc(paths, looped) {
					held.announced = append(held.announced, prefix.Masked())
				}
			})
		if err != nil {
			return nil, nil, fmt.Errorf("listing what %s announces to %s: %w", address, s.at.IPv4, err)
		}
		found[address] = held
	}
	return found, over, nil
}

// looped tells whether a path leads by the switches already, as the default
// route does that one machine tells both switches of. Such a path counts for
// nothing (RFC 4271, section 9.1.2).
func looped(path *apiutil.Path) bool {
	return slices.ContainsFunc(path.Attrs, func(attribute bgp.PathAttributeInterface) bool {
		as, ok := attribute.(*bgp.PathAttributeAsPath)
		return ok && slices.ContainsFunc(as.Value, func(part bgp.AsPathParamInterface) bool {
			return slices.Contains(part.GetAS(), uint32(machines.BGPSwitchASN))
		})
	})
}

// reset ends the session with a peer, which may open another at once. The
// peer is made anew: told to close a session that is closed already, the
// library would close the next one.
func (s *speaker) reset(ctx context.Context, address netip.Addr) error {
	peer, known := s.peers[address]
	if !known {
		return nil
	}
	if err := s.server.DeletePeer(ctx, &api.DeletePeerRequest{Address: address.String()}); err != nil {
		return fmt.Errorf("closing the BGP session with %s: %w", address, err)
	}
	delete(s.peers, address)
	if err := s.add(ctx, peer); err != nil {
		return err
	}
	s.peers[address] = peer
	return nil
}

// admit lets a peer open its session again that was closed because it
// announced too much.
func (s *speaker) admit(ctx context.Context, address netip.Addr) error {
	if _, known := s.peers[address]; !known {
		return nil
	}
	if err := s.server.EnablePeer(ctx, &api.EnablePeerRequest{Address: address.String()}); err != nil {
		return fmt.Errorf("admitting the BGP session of %s: %w", address, err)
	}
	return nil
}

func familyOf(address netip.Addr) *api.Family {
	if address.Is4() {
		return &api.Family{Afi: api.Family_AFI_IP, Safi: api.Family_SAFI_UNICAST}
	}
	return &api.Family{Afi: api.Family_AFI_IP6, Safi: api.Family_SAFI_UNICAST}
}
