package addresses_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/packetyard/packetyard/internal/apiserver/addresses"
)

func prefix(text string) netip.Prefix { return netip.MustParsePrefix(text) }

func taken(blocks ...string) func(netip.Prefix) bool {
	set := map[netip.Prefix]bool{}
	for _, block := range blocks {
		set[prefix(block)] = true
	}
	return func(block netip.Prefix) bool { return set[block] }
}

func TestHost(t *testing.T) {
	for block, want := range map[string][3]string{
		"198.18.1.94/31":  {"198.18.1.95", "198.18.1.94", "255.255.255.254"},
		"198.18.1.96/30":  {"198.18.1.98", "198.18.1.97", "255.255.255.252"},
		"198.18.1.96/29":  {"198.18.1.98", "198.18.1.97", "255.255.255.248"},
		"198.18.1.7/32":   {"198.18.1.7", "198.18.1.7", "255.255.255.255"},
		"2001:db8::/127":  {"2001:db8::1", "2001:db8::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"},
		"10.64.0.128/25":  {"10.64.0.130", "10.64.0.129", "255.255.255.128"},
		"2001:db8:5::/56": {"2001:db8:5::2", "2001:db8:5::1", "ffff:ffff:ffff:ff00::"},
	} {
		host, gateway := addresses.Host(prefix(block))
		if got := [3]string{host.String(), gateway.String(), addresses.Netmask(prefix(block))}; got != want {
			t.Errorf("%s: host, gateway and netmask are %v, want %v", block, got, want)
		}
	}
}

func TestLast(t *testing.T) {
	for block, want := range map[string]string{
		"0.0.0.0/0": "255.255.255.255", "10.1.2.3/32": "10.1.2.3", "198.18.0.0/15": "198.19.255.255",
		"2001:db8::/56": "2001:db8:0:ff:ffff:ffff:ffff:ffff", "::1/128": "::1",
	} {
		if got := addresses.Last(prefix(block)); got.String() != want {
			t.Errorf("the last address of %s is %s, want %s", block, got, want)
		}
	}
}

func TestNext(t *testing.T) {
	small := addresses.Pool{Range: prefix("192.0.2.0/28"), Except: prefix("192.0.2.0/30"), Coarsest: 29}
	for name, test := range map[string]struct {
		bits  int
		from  string
		taken []string
		want  string
	}{
		"after the exception":       {32, "", nil, "192.0.2.4/32"},
		"from the cursor":           {31, "192.0.2.9", nil, "192.0.2.8/31"},
		"over what is taken":        {31, "", []string{"192.0.2.4/31", "192.0.2.6/31"}, "192.0.2.8/31"},
		"not around what is taken":  {30, "", []string{"192.0.2.5/32"}, "192.0.2.8/30"},
		"not inside what is taken":  {32, "192.0.2.8", []string{"192.0.2.8/29"}, "192.0.2.4/32"},
		"again from the beginning":  {30, "192.0.2.12", []string{"192.0.2.12/30"}, "192.0.2.4/30"},
		"an address of another net": {32, "10.0.0.1", nil, "192.0.2.4/32"},
	} {
		from, _ := netip.ParseAddr(test.from)
		got, err := small.Next(test.bits, from, taken(test.taken...))
		if err != nil || got.String() != test.want {
			t.Errorf("%s: %v, %v; want %s", name, got, err, test.want)
		}
	}
	for bits, text := range map[int]string{29: "no block of length /29 is left", 28: "does not come from", 33: "does not come from"} {
		if _, err := small.Next(bits, netip.Addr{}, taken("192.0.2.15/32")); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("/%d out of %v: %v, want an error with %q", bits, small.Range, err, text)
		}
	}
}

func TestPools(t *testing.T) {
	for name, test := range map[string]struct {
		pool        addresses.Pool
		bits        int
		first, next string
	}{
		"public":  {addresses.Public(), 31, "198.18.1.0/31", "198.18.1.2/31"},
		"private": {addresses.Private(), 25, "10.64.0.0/25", "10.64.0.128/25"},
		"IPv6":    {addresses.PublicIPv6(), 56, "2001:db8::/56", "2001:db8:0:100::/56"},
		"inside":  {addresses.Inside(prefix("10.64.0.128/25"), 31), 31, "10.64.0.128/31", "10.64.0.130/31"},
	} {
		allocator := addresses.NewAllocator()
		choice := allocator.Choose()
		for _, want := range []string{test.first, test.next} {
			got, err := choice.Next(test.pool, test.bits, taken())
			if err != nil || got.String() != want {
				t.Errorf("%s: %v, %v; want %s", name, got, err, want)
			}
		}
	}
}

// TestAllocatorKeepsWhatIsChosen checks that two transactions under way never
// get the same block, and that one that ended gives its blocks back.
func TestAllocatorKeepsWhatIsChosen(t *testing.T) {
	pool := addresses.Inside(prefix("192.0.2.0/30"), 31)
	allocator := addresses.NewAllocator()
	first, second := allocator.Choose(), allocator.Choose()
	a, err := first.Next(pool, 31, taken())
	if err != nil {
		t.Fatal(err)
	}
	b, err := second.Next(pool, 31, taken())
	if err != nil || a == b {
		t.Fatalf("two transactions got %v and %v (%v)", a, b, err)
	}
	if _, err := second.Next(pool, 31, taken()); err == nil {
		t.Error("a third block came out of a pool of two")
	}
	first.Release()
	first.Release()
	if again, err := second.Next(pool, 31, taken()); err != nil || again != a {
		t.Errorf("after its release %v is not handed out again: %v, %v", a, again, err)
	}
}
