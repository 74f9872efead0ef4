package metallb

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

func TestPasswordsAreNotShown(t *testing.T) {
	state := State{Peers: []Peer{{Node: "a", Password: "hunter2hunter2", Address: netip.MustParseAddr("169.254.255.1")}}}
	if text := fmt.Sprintf("%v %+v %#v %s", state, state, state, state.Peers); strings.Contains(text, "hunter2") {
		t.Errorf("it shows as %s", text)
	}
}

func TestRangesOfPools(t *testing.T) {
	ranges := rangesOf([]string{"192.0.2.77/24", "198.51.100.5 - 198.51.100.6", "2001:db8::/126", "nonsense", "1.2.3.4-x", ""})
	for text, want := range map[string]bool{
		"192.0.2.0": true, "192.0.2.255": true, "192.0.3.0": false, "192.0.1.255": false,
		"198.51.100.4": false, "198.51.100.5": true, "198.51.100.6": true, "198.51.100.7": false,
		"2001:db8::": true, "2001:db8::3": true, "2001:db8::4": false, "1.2.3.4": false,
	} {
		if got := contained(ranges, netip.MustParseAddr(text)); got != want {
			t.Errorf("%s is contained: %v", text, got)
		}
	}
}

// The original made names of the letters and digits of a Service's name alone,
// so that two Services could have one pool, and one of them no address.
func TestNamesDoNotCollide(t *testing.T) {
	seen := map[string]string{}
	for _, text := range []string{"198.18.1.11", "198.18.11.1", "198.181.1.1", "2001:db8::1", "2001:db8:1::", "::ffff:198.18.1.11"} {
		name := nameOf("packet-", netip.MustParseAddr(text))
		if other, taken := seen[name]; taken || strings.HasSuffix(name, "-") || len(name) > 63 {
			t.Errorf("%s and %q have the name %s", text, other, name)
		}
		seen[name] = text
	}
}

// A long name of a node is cut, and stays that of one node.
func TestNamesOfPeersFit(t *testing.T) {
	long := strings.Repeat("a", 252)
	desired, passwords := Config{}.peers(State{Peers: []Peer{
		{Node: long + "a", Hostname: "a"}, {Node: long + "b", Hostname: "b"}, {Node: long + "b", Hostname: "b", Number: 1, Password: "x"},
	}})
	if len(desired) != 3 || len(passwords) != 1 {
		t.Errorf("%d peers and %d passwords", len(desired), len(passwords))
	}
	for name := range desired {
		if len(name) > maxNameLength {
			t.Errorf("a name of %d bytes", len(name))
		}
	}
}
