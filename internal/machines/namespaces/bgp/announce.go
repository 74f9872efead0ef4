package bgp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/osrg/gobgp/v4/api"
	"github.com/osrg/gobgp/v4/pkg/apiutil"
	"github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"github.com/packetyard/packetyard/internal/machines"
)

// defaultRoute names the policy by which some peers learn of the default
// route, the set of these, and the set of what they learn of.
const defaultRoute = "default-route"

// nobody stands in the set of peers when it is empty, because the library
// takes an empty one for everybody. It is no machine's address.
const nobody = "192.0.2.0/32"

// announceNothing has the switch keep to itself what it learns, but for the
// default route, which it announces to those whom announceDefaultRoute names.
func (s *speaker) announceNothing(ctx context.Context) error {
	everywhere := []*api.Prefix{{IpPrefix: "0.0.0.0/0"}}
	paths := []*apiutil.Path{{
		Family: bgp.RF_IPv4_UC, Nlri: must(bgp.NewIPAddrPrefix(netip.MustParsePrefix("0.0.0.0/0"))),
		Attrs: []bgp.PathAttributeInterface{bgp.NewPathAttributeOrigin(0), must(bgp.NewPathAttributeNextHop(netip.IPv4Unspecified()))},
	}}
	sets := []*api.DefinedSet{
		{DefinedType: api.DefinedType_DEFINED_TYPE_NEIGHBOR, Name: defaultRoute, List: []string{nobody}},
		{DefinedType: api.DefinedType_DEFINED_TYPE_PREFIX, Name: defaultRoute, Prefixes: everywhere},
	}
	statement := func(name string) *api.Statement {
		return &api.Statement{
			Name: name,
			Conditions: &api.Conditions{
				NeighborSet: &api.MatchSet{Type: api.MatchSet_TYPE_ANY, Name: defaultRoute},
				PrefixSet:   &api.MatchSet{Type: api.MatchSet_TYPE_ANY, Name: name},
			},
			Actions: &api.Actions{RouteAction: api.RouteAction_ROUTE_ACTION_ACCEPT},
		}
	}
	policy := &api.Policy{Name: defaultRoute, Statements: []*api.Statement{statement(defaultRoute)}}
	if s.ipv6 {
		const six = defaultRoute + "-ipv6"
		sets = append(sets, &api.DefinedSet{DefinedType: api.DefinedType_DEFINED_TYPE_PREFIX, Name: six, Prefixes: []*api.Prefix{{IpPrefix: "::/0"}}})
		policy.Statements = append(policy.Statements, statement(six))
		nlri := must(bgp.NewIPAddrPrefix(netip.MustParsePrefix("::/0")))
		paths = append(paths, &apiutil.Path{Family: bgp.RF_IPv6_UC, Nlri: nlri, Attrs: []bgp.PathAttributeInterface{
			bgp.NewPathAttributeOrigin(0),
			must(bgp.NewPathAttributeMpReachNLRI(bgp.RF_IPv6_UC, []bgp.PathNLRI{{NLRI: nlri}}, netip.IPv6Unspecified())),
		}})
	}
	var problems []error
	for _, set := range sets {
		problems = append(problems, s.server.AddDefinedSet(ctx, &api.AddDefinedSetRequest{DefinedSet: set}))
	}
	problems = append(problems,
		s.server.AddPolicy(ctx, &api.AddPolicyRequest{Policy: policy}),
		s.server.SetPolicyAssignment(ctx, &api.SetPolicyAssignmentRequest{Assignment: &api.PolicyAssignment{
			Name: "global", Direction: api.PolicyDirection_POLICY_DIRECTION_EXPORT,
			Policies: []*api.Policy{policy}, DefaultAction: api.RouteAction_ROUTE_ACTION_REJECT,
		}}))
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("setting what %s announces: %w", s.at.IPv4, err)
	}
	s.defaults = paths
	return s.addDefaultRoute()
}

// addDefaultRoute has the peers hear of it who are in the set.
func (s *speaker) addDefaultRoute() error {
	if _, err := s.server.AddPath(apiutil.AddPathRequest{Paths: s.defaults}); err != nil {
		return fmt.Errorf("adding the default route that %s announces: %w", s.at.IPv4, err)
	}
	return nil
}

// announceDefaultRoute announces it to the wanted peers that want it, and
// takes it back from those that do not any more.
func (s *speaker) announceDefaultRoute(ctx context.Context, wanted map[netip.Addr]machines.BGPPeer) error {
	var listed, unlisted []string
	var again []netip.Addr
	for address, peer := range wanted {
		had, known := s.peers[address]
		if peer.DefaultRoute && !had.DefaultRoute {
			listed = append(listed, single(address))
		}
		if known && peer.DefaultRoute != had.DefaultRoute {
			again = append(again, address)
		}
	}
	for address, had := range s.peers {
		if had.DefaultRoute && !wanted[address].DefaultRoute {
			unlisted = append(unlisted, single(address))
		}
	}
	set := func(list []string) *api.DefinedSet {
		return &api.DefinedSet{DefinedType: api.DefinedType_DEFINED_TYPE_NEIGHBOR, Name: defaultRoute, List: list}
	}
	var problems []error
	if len(unlisted) > 0 {
		// Who is no longer in the set would not hear that the route is withdrawn.
		problems = append(problems, s.server.DeletePath(apiutil.DeletePathRequest{Paths: s.defaults}))
	}
	// Replacing the set would not reach the policy, which has the first one.
	if len(listed) > 0 {
		problems = append(problems, s.server.AddDefinedSet(ctx, &api.AddDefinedSetRequest{DefinedSet: set(listed)}))
	}
	if len(unlisted) > 0 {
		problems = append(problems, s.server.DeleteDefinedSet(ctx, &api.DeleteDefinedSetRequest{DefinedSet: set(unlisted)}), s.addDefaultRoute())
	}
	for _, address := range again {
		problems = append(problems, s.server.ResetPeer(ctx, &api.ResetPeerRequest{
			Address: address.String(), Soft: true, Direction: api.ResetPeerRequest_DIRECTION_OUT,
		}))
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("setting to whom %s announces the default route: %w", s.at.IPv4, err)
	}
	return nil
}

func single(address netip.Addr) string {
	return netip.PrefixFrom(address, address.BitLen()).String()
}

// must is for what cannot fail with the constants it is given.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
