package addresses_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/packetyard/packetyard/internal/apiserver/addresses"
)

func prefixes(texts ...string) []netip.Prefix {
	var list []netip.Prefix
	for _, text := range texts {
		list = append(list, prefix(text))
	}
	return list
}

func TestFree(t *testing.T) {
	for name, test := range map[string]struct {
		block string
		bits  int
		used  []netip.Prefix
		most  int
		want  []netip.Prefix
	}{
		"nothing is used":       {"192.0.2.0/30", 31, nil, 9, prefixes("192.0.2.0/31", "192.0.2.2/31")},
		"the block itself":      {"192.0.2.0/30", 30, nil, 9, prefixes("192.0.2.0/30")},
		"a single address":      {"192.0.2.7/32", 32, nil, 9, prefixes("192.0.2.7/32")},
		"all is used":           {"192.0.2.0/30", 32, prefixes("192.0.2.0/30"), 9, nil},
		"a part of a part":      {"192.0.2.0/30", 31, prefixes("192.0.2.3/32"), 9, prefixes("192.0.2.0/31")},
		"in any order":          {"192.0.2.0/29", 31, prefixes("192.0.2.6/32", "192.0.2.0/31"), 9, prefixes("192.0.2.2/31", "192.0.2.4/31")},
		"several in one part":   {"192.0.2.0/28", 29, prefixes("192.0.2.1/32", "192.0.2.4/32", "192.0.2.7/32"), 9, prefixes("192.0.2.8/29")},
		"no more than asked":    {"192.0.2.0/24", 32, prefixes("192.0.2.0/32"), 2, prefixes("192.0.2.1/32", "192.0.2.2/32")},
		"a large one is passed": {"2001:db8::/56", 128, prefixes("2001:db8::/64"), 1, prefixes("2001:db8:0:1::/128")},
		"the end of all":        {"255.255.255.254/31", 32, nil, 9, prefixes("255.255.255.254/32", "255.255.255.255/32")},
	} {
		if got := addresses.Free(prefix(test.block), test.bits, test.used, test.most); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v are free, want %v", name, got, test.want)
		}
	}
}

// TestNextPassesLargeBlocks asks for a single address where the pool begins
// with a block that has more of them than could be tried one by one.
func TestNextPassesLargeBlocks(t *testing.T) {
	pool := addresses.Pool{Range: prefix("2001:db8::/32"), Except: prefix("2001:db8:0:100::/56"), Coarsest: 56}
	tries := 0
	got, err := pool.Next(128, netip.Addr{}, func(block netip.Prefix) bool {
		tries++
		return block == prefix("2001:db8::/56")
	})
	if err != nil || got != prefix("2001:db8:0:200::/128") || tries > 1000 {
		t.Errorf("%v, %v after %d tries, want the first address that is free", got, err, tries)
	}
}

// TestPoolsAreApart checks that nothing comes out of two pools.
func TestPoolsAreApart(t *testing.T) {
	for _, pair := range [][2]addresses.Pool{
		{addresses.Private(), addresses.ElasticPrivate()},
		{addresses.PublicIPv6(), addresses.ElasticIPv6()},
	} {
		if pair[0].Except != pair[1].Range || !pair[0].Range.Overlaps(pair[1].Range) {
			t.Errorf("%v and %v are not apart", pair[0], pair[1])
		}
	}
}

// TestDevicePart is what devices use of a project's blocks.
func TestDevicePart(t *testing.T) {
	for block, want := range map[string]string{
		"10.64.0.0/25": "10.64.0.0/25", "2001:db8:0:100::/56": "2001:db8:0:100::/64", "2001:db8::/127": "2001:db8::/127",
	} {
		if got := addresses.DevicePart(prefix(block)); got != prefix(want) {
			t.Errorf("of %s devices use %s, want %s", block, got, want)
		}
	}
}
