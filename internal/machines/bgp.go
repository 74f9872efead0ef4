package machines

import (
	"context"
	"net/netip"
)

// BGPSwitchASN is the AS number of the switches.
const BGPSwitchASN = 65530

// BGPSwitch is where one of the two switches that a machine hangs on speaks BGP.
type BGPSwitch struct {
	IPv4, IPv6 netip.Addr
}

// BGPSwitches are the same everywhere, and some hops away: who speaks BGP with
// them has to allow for that.
func BGPSwitches() []BGPSwitch {
	return []BGPSwitch{
		{netip.AddrFrom4([4]byte{169, 254, 255, 1}), netip.AddrFrom16([16]byte{0: 0xfc, 15: 0x0e})},
		{netip.AddrFrom4([4]byte{169, 254, 255, 2}), netip.AddrFrom16([16]byte{0: 0xfc, 15: 0x0f})},
	}
}

// BGP is implemented by a Driver whose switches speak BGP with the machines.
type BGP interface {
	// SetBGPPeers has the switches speak BGP with exactly the given peers. A
	// session with a peer that was among them before goes on, unless its AS
	// number or its password is another one now. The list holds secrets.
	SetBGPPeers(ctx context.Context, peers []BGPPeer) error
	// WatchBGP sends what the switches know of all their peers, as soon as that
	// is known and whenever it changed, until the context ends; then the channel
	// is closed. Nil says that the switches cannot be heard. Who reads slowly
	// misses what is out of date already.
	WatchBGP(ctx context.Context) <-chan []BGPStatus
}

// BGPPeer is a machine's side of a BGP session of the API, which stands for
// one session with each switch.
type BGPPeer struct {
	// Session is the UUID of the API's session.
	Session string `json:"session"`
	// Address is the machine's, and of its family the session is.
	Address netip.Addr `json:"address"`
	ASN     uint32     `json:"asn"`
	// Password signs the segments of TCP (RFC 2385); there need not be one.
	Password string `json:"password,omitempty"`
	// DefaultRoute has the switches announce themselves as the way to everywhere.
	DefaultRoute bool `json:"defaultRoute,omitempty"`
	// MaxPrefixes is how many prefixes the peer may announce: a session with more is closed.
	MaxPrefixes uint32 `json:"maxPrefixes"`
	// Allowed are the prefixes of which the switches take announcements. They ignore others.
	Allowed []BGPPrefix `json:"allowed"`
}

// BGPPrefix is what a peer may announce.
type BGPPrefix struct {
	Prefix netip.Prefix `json:"prefix"`
	// Exact is set where parts of the prefix may not be announced.
	Exact bool `json:"exact,omitempty"`
}

// BGPState is that of a session with one switch, in the API's words.
type BGPState string

// The states of a session.
const (
	BGPUp   BGPState = "up"
	BGPDown BGPState = "down"
)

// BGPStatus is what the switches know of one peer.
type BGPStatus struct {
	Session string `json:"session"`
	// States has one for each switch, in the order of BGPSwitches.
	States []BGPState `json:"states"`
	// Learned are the prefixes that were taken from the peer, in order and each once.
	Learned []netip.Prefix `json:"learned"`
}
