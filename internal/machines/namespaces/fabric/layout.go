package fabric

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/packetyard/packetyard/internal/machines"
)

// privateNetwork is where a machine sends what is for other machines' private addresses.
var privateNetwork = netip.MustParsePrefix("10.0.0.0/8")

// route is one line of a routing table. source may be invalid: the kernel then chooses.
type route struct {
	destination netip.Prefix
	via         netip.Addr
	source      netip.Addr
}

// layout is what a list of addresses means for the links and tables of the
// machine and of the switch.
type layout struct {
	// own are the prefixes on the machine's bond0, elastic those on its loopback link.
	own     []netip.Prefix
	elastic []netip.Prefix
	// routes are the machine's.
	routes []route
	// gateways are the prefixes on the switch's bridge, switchRoutes its routes to elastic addresses.
	gateways     []netip.Prefix
	switchRoutes []route
}

// Validate reports every address of the list that a machine cannot have.
func Validate(addresses []machines.Address) error {
	_, err := plan(addresses)
	return err
}

// plan works a list of addresses out.
func plan(addresses []machines.Address) (layout, error) {
	var result layout
	var problems []error
	// The first address of each kind is the one that routes refer to.
	first := map[kind]management{}
	var elastic []netip.Prefix
	for index, address := range addresses {
		prefix, gateway, err := parse(address)
		if err != nil {
			problems = append(problems, fmt.Errorf("addresses[%d].%w", index, err))
			continue
		}
		if !address.Management {
			elastic = append(elastic, prefix)
			continue
		}
		if !slices.Contains(result.own, prefix) {
			result.own = append(result.own, prefix)
			result.gateways = append(result.gateways, netip.PrefixFrom(gateway, prefix.Bits()))
		}
		key := kind{four: prefix.Addr().Is4(), public: address.Public}
		if _, known := first[key]; !known {
			first[key] = management{address: prefix.Addr(), gateway: gateway}
		}
	}
	for _, four := range []bool{true, false} {
		result.routes = append(result.routes, outward(first, four)...)
	}
	for _, prefix := range elastic {
		if slices.Contains(result.elastic, prefix) {
			continue
		}
		target, found := primary(first, prefix.Addr().Is4())
		if !found {
			problems = append(problems, fmt.Errorf("elastic address %s: the machine has no address of that family that it could be routed to", prefix))
			continue
		}
		result.elastic = append(result.elastic, prefix)
		result.switchRoutes = append(result.switchRoutes, route{destination: prefix.Masked(), via: target.address})
	}
	return result, errors.Join(problems...)
}

type kind struct{ four, public bool }

type management struct{ address, gateway netip.Addr }

// primary is the address by which a machine is reached: the public one where it has one.
func primary(first map[kind]management, four bool) (management, bool) {
	if public, found := first[kind{four, true}]; found {
		return public, true
	}
	private, found := first[kind{four, false}]
	return private, found
}

// outward are a machine's routes of one family. The source is named, so that
// an elastic address on the loopback link is never chosen as one.
func outward(first map[kind]management, four bool) []route {
	everything := netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	if four {
		everything = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	var routes []route
	if target, found := primary(first, four); found {
		routes = append(routes, route{everything, target.gateway, target.address})
	}
	_, public := first[kind{four, true}]
	private, found := first[kind{four, false}]
	if four && public && found {
		routes = append(routes, route{privateNetwork, private.gateway, private.address})
	}
	return routes
}

// parse checks one address; the error begins with the field's name.
func parse(address machines.Address) (netip.Prefix, netip.Addr, error) {
	ip, err := netip.ParseAddr(address.Address)
	if err != nil || ip.Zone() != "" {
		return netip.Prefix{}, netip.Addr{}, fmt.Errorf("address: %q is not an IP address", address.Address)
	}
	if family := familyOf(ip); address.Family != family {
		return netip.Prefix{}, netip.Addr{}, fmt.Errorf("family: %d does not fit address %s, %d does", address.Family, ip, family)
	}
	if address.CIDR < 1 || address.CIDR > ip.BitLen() {
		return netip.Prefix{}, netip.Addr{}, fmt.Errorf("cidr: %d of address %s is not allowed, 1 to %d are", address.CIDR, ip, ip.BitLen())
	}
	prefix := netip.PrefixFrom(ip, address.CIDR)
	if !address.Management {
		return prefix, netip.Addr{}, nil
	}
	gateway, err := netip.ParseAddr(address.Gateway)
	if err != nil || gateway == ip || !prefix.Contains(gateway) {
		return netip.Prefix{}, netip.Addr{}, fmt.Errorf("gateway: %q is not another address of %s", address.Gateway, prefix.Masked())
	}
	return prefix, gateway, nil
}

func familyOf(ip netip.Addr) int {
	if ip.Is4() {
		return 4
	}
	return 6
}
