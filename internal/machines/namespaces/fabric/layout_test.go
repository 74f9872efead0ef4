package fabric

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/packetyard/packetyard/internal/machines"
)

func address(text string, cidr int, gateway string, public bool) machines.Address {
	return machines.Address{Address: text, CIDR: cidr, Gateway: gateway, Family: familyOf(netip.MustParseAddr(text)), Public: public, Management: true}
}

func elastic(text string, cidr int) machines.Address {
	return machines.Address{Address: text, CIDR: cidr, Family: familyOf(netip.MustParseAddr(text)), Public: true}
}

func prefixes(texts ...string) []netip.Prefix {
	var list []netip.Prefix
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

func line(destination, via, source string) route {
	result := route{destination: netip.MustParsePrefix(destination), via: netip.MustParseAddr(via)}
	if source != "" {
		result.source = netip.MustParseAddr(source)
	}
	return result
}

func TestPlan(t *testing.T) {
	public := address("198.18.1.1", 31, "198.18.1.0", true)
	private := address("10.70.0.1", 31, "10.70.0.0", false)
	six := address("2001:db8::1", 127, "2001:db8::", true)
	for name, test := range map[string]struct {
		addresses []machines.Address
		want      layout
	}{
		"nothing": {},
		"all that a device is born with": {
			[]machines.Address{public, six, private},
			layout{
				own:      prefixes("198.18.1.1/31", "2001:db8::1/127", "10.70.0.1/31"),
				gateways: prefixes("198.18.1.0/31", "2001:db8::/127", "10.70.0.0/31"),
				routes: []route{
					line("0.0.0.0/0", "198.18.1.0", "198.18.1.1"),
					line("10.0.0.0/8", "10.70.0.0", "10.70.0.1"),
					line("::/0", "2001:db8::", "2001:db8::1"),
				},
			},
		},
		"a private device with an elastic address": {
			[]machines.Address{private, elastic("198.18.2.1", 32)},
			layout{
				own:          prefixes("10.70.0.1/31"),
				gateways:     prefixes("10.70.0.0/31"),
				elastic:      prefixes("198.18.2.1/32"),
				routes:       []route{line("0.0.0.0/0", "10.70.0.0", "10.70.0.1")},
				switchRoutes: []route{line("198.18.2.1/32", "10.70.0.1", "")},
			},
		},
		"elastic addresses go to the public one, and doubles count once": {
			[]machines.Address{private, public, public, elastic("198.18.2.9", 29), elastic("198.18.2.9", 29)},
			layout{
				own:      prefixes("10.70.0.1/31", "198.18.1.1/31"),
				gateways: prefixes("10.70.0.0/31", "198.18.1.0/31"),
				elastic:  prefixes("198.18.2.9/29"),
				routes: []route{
					line("0.0.0.0/0", "198.18.1.0", "198.18.1.1"),
					line("10.0.0.0/8", "10.70.0.0", "10.70.0.1"),
				},
				switchRoutes: []route{line("198.18.2.8/29", "198.18.1.1", "")},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := plan(test.addresses)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(found, test.want) {
				t.Errorf("plan is\n%+v, want\n%+v", found, test.want)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	good := address("198.18.1.1", 31, "198.18.1.0", true)
	for name, test := range map[string]struct {
		change func(*machines.Address)
		want   string
	}{
		"not an address":     {func(a *machines.Address) { a.Address = "here" }, `addresses[0].address: "here" is not an IP address`},
		"a zone":             {func(a *machines.Address) { a.Address = "fe80::1%eth0" }, "addresses[0].address:"},
		"the wrong family":   {func(a *machines.Address) { a.Family = 6 }, "addresses[0].family: 6 does not fit address 198.18.1.1, 4 does"},
		"too long a prefix":  {func(a *machines.Address) { a.CIDR = 33 }, "addresses[0].cidr: 33 of address 198.18.1.1 is not allowed, 1 to 32 are"},
		"no prefix":          {func(a *machines.Address) { a.CIDR = 0 }, "addresses[0].cidr: 0"},
		"no gateway":         {func(a *machines.Address) { a.Gateway = "" }, `addresses[0].gateway: "" is not another address of 198.18.1.0/31`},
		"itself for gateway": {func(a *machines.Address) { a.Gateway = a.Address }, "addresses[0].gateway:"},
		"gateway elsewhere":  {func(a *machines.Address) { a.Gateway = "198.18.1.2" }, "addresses[0].gateway:"},
		"elastic and alone":  {func(a *machines.Address) { a.Management = false }, "the machine has no address of that family"},
	} {
		t.Run(name, func(t *testing.T) {
			changed := good
			test.change(&changed)
			if err := Validate([]machines.Address{changed}); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want %q in it", err, test.want)
			}
		})
	}
}
