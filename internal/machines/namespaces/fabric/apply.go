package fabric

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// apply makes machine and switch agree with the wanted layout. Only what was
// put there by an earlier apply is removed: addresses and routes that
// software in the machine made are its own affair.
func (s *Switch) apply(id string, connected *port, wanted layout) error {
	previous := connected.applied
	connected.wanted = wanted
	connected.applied = union(previous, wanted)
	s.claim(id, wanted.switchRoutes)
	// The machine comes first where it gains an address, so that nothing is
	// routed to it that it does not know yet.
	if err := errors.Join(applyMachine(connected, previous, wanted), s.applySwitch()); err != nil {
		return err
	}
	connected.applied = wanted
	return nil
}

// claim records which elastic prefixes a machine has. A prefix that is new to
// it is its own from now on, also where another machine still has it.
func (s *Switch) claim(id string, routes []route) {
	claimed := map[netip.Prefix]bool{}
	for _, line := range routes {
		claimed[line.destination] = true
		if !slices.Contains(s.claims[line.destination], id) {
			s.claims[line.destination] = append(s.claims[line.destination], id)
		}
	}
	for prefix := range s.claims {
		if !claimed[prefix] {
			s.unclaim(prefix, id)
		}
	}
}

func (s *Switch) unclaim(prefix netip.Prefix, id string) {
	s.claims[prefix] = slices.DeleteFunc(s.claims[prefix], func(claimant string) bool { return claimant == id })
	if len(s.claims[prefix]) == 0 {
		delete(s.claims, prefix)
	}
}

func applyMachine(connected *port, previous, wanted layout) error {
	var problems []error
	for _, set := range []struct {
		link             netlink.Link
		previous, wanted []netip.Prefix
	}{
		{connected.link, previous.own, wanted.own},
		{connected.lo, previous.elastic, wanted.elastic},
	} {
		for _, prefix := range set.wanted {
			problems = append(problems, addAddress(connected.machine, set.link, prefix))
		}
		for _, prefix := range set.previous {
			if !slices.Contains(set.wanted, prefix) {
				problems = append(problems, removeAddress(connected.machine, set.link, prefix))
			}
		}
	}
	for _, line := range wanted.routes {
		problems = append(problems, addRoute(connected.machine, connected.link, line))
	}
	for _, line := range previous.routes {
		if !slices.ContainsFunc(wanted.routes, func(w route) bool { return w.destination == line.destination }) {
			problems = append(problems, removeRoute(connected.machine, connected.link, line))
		}
	}
	return errors.Join(problems...)
}

// applySwitch makes the bridge agree with all ports.
func (s *Switch) applySwitch() error {
	var problems []error
	gateways, routes := map[netip.Prefix]bool{}, map[netip.Prefix]route{}
	for id, connected := range s.ports {
		for _, gateway := range connected.wanted.gateways {
			gateways[gateway] = true
		}
		for _, line := range connected.wanted.switchRoutes {
			if claimants := s.claims[line.destination]; claimants[len(claimants)-1] == id {
				routes[line.destination] = line
			}
		}
	}
	for gateway := range gateways {
		if s.gateways[gateway] {
			continue
		}
		if err := addAddress(s.handle, s.bridge, gateway); err != nil {
			problems = append(problems, err)
			continue
		}
		s.gateways[gateway] = true
	}
	for destination, line := range routes {
		if s.routes[destination] == line {
			continue
		}
		if err := addRoute(s.handle, s.bridge, line); err != nil {
			problems = append(problems, err)
			continue
		}
		s.routes[destination] = line
	}
	for destination, line := range s.routes {
		if _, wanted := routes[destination]; wanted {
			continue
		}
		if err := removeRoute(s.handle, s.bridge, line); err != nil {
			problems = append(problems, err)
			continue
		}
		delete(s.routes, destination)
	}
	for gateway := range s.gateways {
		if gateways[gateway] {
			continue
		}
		if err := removeAddress(s.handle, s.bridge, gateway); err != nil {
			problems = append(problems, err)
			continue
		}
		delete(s.gateways, gateway)
	}
	return errors.Join(append(problems, s.applyLearned())...)
}

// union is everything that is in one layout or the other.
func union(a, b layout) layout {
	return layout{
		own:     merged(a.own, b.own),
		elastic: merged(a.elastic, b.elastic),
		routes:  merged(a.routes, b.routes),
	}
}

func merged[T comparable](a, b []T) []T {
	result := slices.Clone(a)
	for _, item := range b {
		if !slices.Contains(result, item) {
			result = append(result, item)
		}
	}
	return result
}

func addAddress(handle *netlink.Handle, link netlink.Link, prefix netip.Prefix) error {
	address := kernelAddress(prefix)
	if prefix.Addr().Is6() {
		// Nobody else can have it, and detecting that would take a second.
		address.Flags = unix.IFA_F_NODAD
	}
	if err := handle.AddrReplace(link, address); err != nil {
		return fmt.Errorf("adding address %s to link %s: %w", prefix, link.Attrs().Name, err)
	}
	return nil
}

func removeAddress(handle *netlink.Handle, link netlink.Link, prefix netip.Prefix) error {
	err := handle.AddrDel(link, kernelAddress(prefix))
	if err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
		return fmt.Errorf("removing address %s from link %s: %w", prefix, link.Attrs().Name, err)
	}
	return nil
}

func addRoute(handle *netlink.Handle, link netlink.Link, line route) error {
	if err := handle.RouteReplace(kernelRoute(link, line)); err != nil {
		return fmt.Errorf("adding the route to %s via %s: %w", line.destination, line.via, err)
	}
	return nil
}

func removeRoute(handle *netlink.Handle, link netlink.Link, line route) error {
	err := handle.RouteDel(kernelRoute(link, line))
	if err != nil && !errors.Is(err, unix.ESRCH) && !errors.Is(err, unix.ENETUNREACH) {
		return fmt.Errorf("removing the route to %s via %s: %w", line.destination, line.via, err)
	}
	return nil
}

func kernelAddress(prefix netip.Prefix) *netlink.Addr {
	return &netlink.Addr{IPNet: kernelPrefix(prefix)}
}

func kernelPrefix(prefix netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen())}
}

func kernelRoute(link netlink.Link, line route) *netlink.Route {
	result := &netlink.Route{
		LinkIndex: link.Attrs().Index,
		Dst:       kernelPrefix(line.destination),
		Gw:        line.via.AsSlice(),
		Protocol:  unix.RTPROT_STATIC,
	}
	if line.source.IsValid() {
		result.Src = line.source.AsSlice()
	}
	return result
}
