package apiserver_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/machines"
	"github.com/packetyard/packetyard/internal/machines/none"
	"github.com/packetyard/packetyard/pkg/packet"
)

// switches are those of a rack whose machines a test plays.
type switches struct {
	none.Driver
	reports chan []machines.BGPStatus

	mutex sync.Mutex
	calls int
	// failures are how many of the next calls fail.
	failures int
	peers    []machines.BGPPeer
}

func (s *switches) SetBGPPeers(_ context.Context, peers []machines.BGPPeer) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.calls++
	if s.failures > 0 {
		s.failures--
		return errors.New("the rack is busy")
	}
	s.peers = peers
	return nil
}

func (s *switches) WatchBGP(context.Context) <-chan []machines.BGPStatus { return s.reports }

func (s *switches) told() (peers []machines.BGPPeer, calls int) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.peers, s.calls
}

// TestSwitchesSpeakBGPWithDevices follows a session from the API to the
// switches, and what they know of it back.
func TestSwitchesSpeakBGPWithDevices(t *testing.T) {
	// The first call fails, so it is made again.
	rack := &switches{reports: make(chan []machines.BGPStatus), failures: 1}
	server := apiservertest.Start(t, apiservertest.Options{Driver: rack})
	c, ctx := server.Client(t), t.Context()
	device := activeDevice(t, c, server.ProjectID, order("speaker"))
	if err := c.RequestBGPConfig(ctx, server.ProjectID, packet.BGPConfigRequest{DeploymentType: packet.BGPLocal, ASN: 65001, MD5: "correcthorse"}); err != nil {
		t.Fatal(err)
	}
	elastic := reserveIPs(t, c, server.ProjectID, packet.IPTypePublicIPv4, 1)
	session, err := c.CreateBGPSession(ctx, device.ID, packet.BGPSessionCreate{AddressFamily: packet.BGPIPv4, DefaultRoute: true})
	if err != nil {
		t.Fatal(err)
	}
	neighbors, err := c.BGPNeighbors(ctx, device.ID)
	if err != nil || len(neighbors) != 1 {
		t.Fatalf("the neighbours are %+v, %v", neighbors, err)
	}
	endpoint := netip.MustParsePrefix(elastic.Network + "/32")
	announces := func(peer machines.BGPPeer) bool {
		return slices.Contains(peer.Allowed, machines.BGPPrefix{Prefix: endpoint, Exact: true})
	}
	until(t, "the switches have the peer", func() bool {
		peers, _ := rack.told()
		return len(peers) == 1 && announces(peers[0])
	})
	peers, calls := rack.told()
	peer := peers[0]
	if peer.Session != session.ID || peer.Address.String() != neighbors[0].CustomerIP || peer.ASN != 65001 || peer.Password != "correcthorse" ||
		!peer.DefaultRoute || peer.MaxPrefixes != 10 || len(peer.Allowed) != len(neighbors[0].RoutesIn) {
		t.Errorf("the peer is %+v, want what the neighbours say: %+v", peer, neighbors[0])
	}

	shows := func(status string, routes ...string) {
		t.Helper()
		until(t, "the session is "+status, func() bool {
			sessions, err := c.ProjectBGPSessions(ctx, server.ProjectID)
			if err != nil {
				t.Fatal(err)
			}
			return len(sessions) == 1 && sessions[0].Status == status && slices.Equal(sessions[0].LearnedRoutes, routes)
		})
	}
	report := func(learned []netip.Prefix, states ...machines.BGPState) []machines.BGPStatus {
		return []machines.BGPStatus{{Session: session.ID, States: states, Learned: learned}, {Session: "gone", States: states}}
	}
	shows("unknown")
	rack.reports <- report(nil, machines.BGPDown, machines.BGPDown)
	shows("down")
	rack.reports <- report([]netip.Prefix{endpoint}, machines.BGPUp, machines.BGPDown)
	shows("up,down", endpoint.String())
	rack.reports <- report([]netip.Prefix{endpoint}, machines.BGPUp, machines.BGPUp)
	shows("up", endpoint.String())
	// What the switches tell is no reason to tell them anything.
	if _, now := rack.told(); now != calls {
		t.Errorf("the switches were told %d times, want %d: nothing changed", now, calls)
	}
	// Switches that cannot be heard tell nothing.
	rack.reports <- nil
	shows("unknown")
	rack.reports <- report([]netip.Prefix{endpoint}, machines.BGPUp, machines.BGPUp)
	shows("up", endpoint.String())

	// An address that was given back may not be announced any more, nor a
	// device speak whose session was deleted.
	if err := c.DeleteIP(ctx, elastic.ID); err != nil {
		t.Fatal(err)
	}
	until(t, "the address may not be announced", func() bool {
		peers, _ := rack.told()
		return len(peers) == 1 && !announces(peers[0])
	})
	if err := c.DeleteBGPSession(ctx, session.ID); err != nil {
		t.Fatal(err)
	}
	until(t, "the switches have no peer", func() bool {
		peers, _ := rack.told()
		return len(peers) == 0
	})
	// The device goes while its session is there.
	if _, err := c.CreateBGPSession(ctx, device.ID, packet.BGPSessionCreate{AddressFamily: packet.BGPIPv4}); err != nil {
		t.Fatal(err)
	}
	until(t, "the switches have a peer again", func() bool {
		peers, _ := rack.told()
		return len(peers) == 1 && peers[0].Session != session.ID && !peers[0].DefaultRoute
	})
	if err := c.DeleteDevice(ctx, device.ID, true); err != nil {
		t.Fatal(err)
	}
	until(t, "the switches have no peer when its device is gone", func() bool {
		peers, _ := rack.told()
		return len(peers) == 0
	})
}
