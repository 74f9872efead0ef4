package fabric

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// SetAnnounced makes the switch route each prefix to the machines that
// announce it, which are given by addresses that they were born with. Of
// several, each connection goes to one. The map is complete.
//
// A machine that is not connected gets nothing. What addresses of the API say
// wins: no part of a prefix that a machine was born with or was given is
// routed elsewhere.
func (s *Switch) SetAnnounced(announced map[netip.Prefix][]netip.Addr) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.announced = maps.Clone(announced)
	return s.applyLearned()
}

// applyLearned makes the switch's routes agree with what machines announce.
func (s *Switch) applyLearned() error {
	present := map[netip.Addr]bool{}
	var taken []netip.Prefix
	for _, ip := range s.fixed() {
		taken = append(taken, netip.PrefixFrom(ip, ip.BitLen()))
	}
	for prefix := range s.claims {
		taken = append(taken, prefix)
	}
	for _, connected := range s.ports {
		for _, own := range connected.wanted.own {
			present[own.Addr()] = true
			taken = append(taken, own.Masked())
		}
	}
	wanted := choose(s.announced, present, taken)
	var problems []error
	for prefix := range s.learned {
		if _, stays := wanted[prefix]; stays {
			continue
		}
		if err := s.forget(prefix); err != nil {
			problems = append(problems, err)
			continue
		}
		delete(s.learned, prefix)
	}
	for prefix, via := range wanted {
		if slices.Equal(s.learned[prefix], via) {
			continue
		}
		if err := s.learn(prefix, via); err != nil {
			problems = append(problems, err)
			continue
		}
		s.learned[prefix] = via
	}
	return errors.Join(problems...)
}

// choose picks the announcements that become routes: those of present
// machines, and of no part of what is taken.
func choose(announced map[netip.Prefix][]netip.Addr, present map[netip.Addr]bool, taken []netip.Prefix) map[netip.Prefix][]netip.Addr {
	chosen := map[netip.Prefix][]netip.Addr{}
	for prefix, announcers := range announced {
		if slices.ContainsFunc(taken, func(other netip.Prefix) bool {
			return other.Bits() <= prefix.Bits() && other.Contains(prefix.Addr())
		}) {
			continue
		}
		for _, machine := range announcers {
			if present[machine] {
				chosen[prefix] = append(chosen[prefix], machine)
			}
		}
	}
	return chosen
}

// learn routes a prefix to machines. A kernel without multipath routing gets
// the first of them alone.
func (s *Switch) learn(prefix netip.Prefix, via []netip.Addr) error {
	if _, known := s.learned[prefix]; known && prefix.Addr().Is6() {
		// The kernel may add to an IPv6 route what should replace it.
		if err := s.forget(prefix); err != nil {
			return err
		}
	}
	// Protocols keep these routes apart from those of assigned addresses.
	line := &netlink.Route{Dst: kernelPrefix(prefix), Protocol: unix.RTPROT_BGP}
	for _, machine := range via {
		line.MultiPath = append(line.MultiPath, &netlink.NexthopInfo{LinkIndex: s.bridge.Attrs().Index, Gw: machine.AsSlice()})
	}
	var err error
	if len(via) > 1 {
		err = s.handle.RouteReplace(line)
	}
	if len(via) == 1 || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
		line.MultiPath = nil
		line.LinkIndex, line.Gw = s.bridge.Attrs().Index, via[0].AsSlice()
		err = s.handle.RouteReplace(line)
	}
	if err != nil {
		return fmt.Errorf("adding the announced route to %s via %v: %w", prefix, via, err)
	}
	return nil
}

// forget removes a route to an announced prefix. That it went with its machine
// is no error.
func (s *Switch) forget(prefix netip.Prefix) error {
	err := s.handle.RouteDel(&netlink.Route{Dst: kernelPrefix(prefix), Protocol: unix.RTPROT_BGP})
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("removing the announced route to %s: %w", prefix, err)
	}
	return nil
}
