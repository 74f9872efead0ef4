package bgp

import (
	"net/netip"
	"reflect"
	"testing"

	"github.com/packetyard/packetyard/internal/machines"
)

func prefixes(texts ...string) []netip.Prefix {
	list := []netip.Prefix{}
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

func TestAccepts(t *testing.T) {
	peer := machines.BGPPeer{Allowed: []machines.BGPPrefix{
		{Prefix: netip.MustParsePrefix("198.18.2.10/32"), Exact: true},
		{Prefix: netip.MustParsePrefix("198.18.3.0/29")},
		{Prefix: netip.MustParsePrefix("192.0.2.0/24"), Exact: true},
		{Prefix: netip.MustParsePrefix("2001:db8:9::/64")},
	}}
	for prefix, want := range map[string]bool{
		"198.18.2.10/32":    true,
		"198.18.2.11/32":    false,
		"198.18.2.0/24":     false,
		"198.18.3.0/29":     true,
		"198.18.3.4/30":     true,
		"198.18.3.7/32":     true,
		"198.18.3.8/32":     false,
		"198.18.3.0/28":     false,
		"192.0.2.0/24":      true,
		"192.0.2.1/32":      false,
		"0.0.0.0/0":         false,
		"::/0":              false,
		"2001:db8:9::1/128": true,
		"2001:db8:8::1/128": false,
		"2001:db8::/32":     false,
	} {
		if got := accepts(peer, netip.MustParsePrefix(prefix)); got != want {
			t.Errorf("%s is accepted: %t, want %t", prefix, got, want)
		}
	}
	if accepts(machines.BGPPeer{}, netip.MustParsePrefix("198.18.2.10/32")) {
		t.Error("a peer that may announce nothing announces something")
	}
}

func TestEvaluate(t *testing.T) {
	first, second, third := netip.MustParseAddr("10.70.0.1"), netip.MustParseAddr("10.70.0.3"), netip.MustParseAddr("10.70.0.5")
	shared := machines.BGPPrefix{Prefix: netip.MustParsePrefix("198.18.2.10/32"), Exact: true}
	peers := []machines.BGPPeer{
		{Session: "second", Address: second, Allowed: []machines.BGPPrefix{shared}},
		{Session: "first", Address: first, Allowed: []machines.BGPPrefix{shared, {Prefix: netip.MustParsePrefix("198.18.3.0/29")}}},
		{Session: "third", Address: third, Allowed: []machines.BGPPrefix{shared}},
	}
	got := evaluate(peers, []sessions{
		{
			first:  {up: true, announced: prefixes("198.18.3.2/32", "198.18.2.10/32", "0.0.0.0/0")},
			second: {up: true, announced: prefixes("198.18.2.10/32")},
			// What was announced counts no more when the session is gone.
			third: {announced: prefixes("198.18.2.10/32")},
			// Nobody asked for this peer.
			netip.MustParseAddr("10.70.0.7"): {up: true, announced: prefixes("198.18.2.10/32")},
		},
		// The other switch has heard of less.
		{first: {up: true, announced: prefixes("198.18.2.10/32", "10.0.0.0/8")}},
	})
	up, down := machines.BGPUp, machines.BGPDown
	want := outcome{
		status: []machines.BGPStatus{
			{Session: "second", States: []machines.BGPState{up, down}, Learned: prefixes("198.18.2.10/32")},
			{Session: "first", States: []machines.BGPState{up, up}, Learned: prefixes("198.18.2.10/32", "198.18.3.2/32")},
			{Session: "third", States: []machines.BGPState{down, down}, Learned: prefixes()},
		},
		routes: map[netip.Prefix][]netip.Addr{
			netip.MustParsePrefix("198.18.2.10/32"): {first, second},
			netip.MustParsePrefix("198.18.3.2/32"):  {first},
		},
		ignored: map[netip.Addr][]netip.Prefix{first: prefixes("0.0.0.0/0", "10.0.0.0/8")},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the outcome is\n%+v, want\n%+v", got, want)
	}
}
