package fabric

import (
	"net/netip"
	"reflect"
	"testing"
)

// TestAnnouncementsGiveWay checks that no announcement takes what machines
// have by the API, nor leads to a machine that is not there.
func TestAnnouncementsGiveWay(t *testing.T) {
	first, second, gone := netip.MustParseAddr("10.70.0.1"), netip.MustParseAddr("10.70.0.3"), netip.MustParseAddr("10.70.0.5")
	announced := map[netip.Prefix][]netip.Addr{}
	for prefix, by := range map[string][]netip.Addr{
		"198.18.2.10/32": {first, second, gone},
		"198.18.2.11/32": {gone},
		// A machine's own address, an assigned one, a part of an assigned block, and one around an assigned address.
		"10.70.0.3/32":   {first},
		"198.18.2.12/32": {first},
		"198.18.3.2/32":  {first},
		"198.18.4.0/30":  {second},
	} {
		announced[netip.MustParsePrefix(prefix)] = by
	}
	got := choose(announced, map[netip.Addr]bool{first: true, second: true},
		prefixes("10.70.0.0/31", "10.70.0.2/31", "198.18.2.12/32", "198.18.3.0/29", "198.18.4.1/32"))
	want := map[netip.Prefix][]netip.Addr{
		netip.MustParsePrefix("198.18.2.10/32"): {first, second},
		netip.MustParsePrefix("198.18.4.0/30"):  {second},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the routes are %v, want %v", got, want)
	}
}
