package podroutes

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// apply makes the kernel agree with the overlay and returns what it changed. It
// does all it can: the error joins what it could not do.
func (o *overlay) apply() (difference, error) {
	if len(o.peers) == 0 {
		return o.remove()
	}
	link, err := o.ensureDevice()
	if err != nil {
		return difference{}, err
	}
	found, err := o.read(link)
	if err != nil {
		return difference{}, err
	}
	changes := compare(found, o.entries())
	return changes, o.change(link, changes)
}

// remove takes the overlay's interface away, and all entries with it.
func (o *overlay) remove() (difference, error) {
	link, err := o.find()
	if errors.Is(err, errNotOurs) {
		return difference{}, nil // It matters only once there is need for ours.
	}
	if err != nil || link == nil {
		return difference{}, err
	}
	found, err := o.read(link)
	if err != nil {
		return difference{}, err
	}
	if err := netlink.LinkDel(link); err != nil {
		return difference{}, fmt.Errorf("removing %s, which no other node needs: %w", o.device(), err)
	}
	return compare(found, entries{}), nil
}

// read returns what the kernel has for the overlay's interface.
func (o *overlay) read(link netlink.Link) (entries, error) {
	e := entries{addresses: set[netip.Prefix]{}, routes: set[route]{}, neighbours: set[neighbour]{}, forwards: set[forward]{}}
	addresses, err := dump(func() ([]netlink.Addr, error) { return netlink.AddrList(link, o.netlinkFamily()) })
	if err != nil {
		return e, fmt.Errorf("listing the addresses of %s: %w", o.device(), err)
	}
	for _, a := range addresses {
		if prefix := prefixOf(a.IPNet); !prefix.Addr().IsLinkLocalUnicast() {
			e.addresses[prefix] = true
		}
	}
	routes, err := dump(func() ([]netlink.Route, error) { return netlink.RouteList(link, o.netlinkFamily()) })
	if err != nil {
		return e, fmt.Errorf("listing the routes of %s: %w", o.device(), err)
	}
	for _, r := range routes {
		if r.Dst != nil && r.Protocol != unix.RTPROT_KERNEL {
			e.routes[route{to: prefixOf(r.Dst), via: addressOf(r.Gw)}] = true
		}
	}
	index := link.Attrs().Index
	neighbours, err := dump(func() ([]netlink.Neigh, error) { return netlink.NeighList(index, o.netlinkFamily()) })
	if err != nil {
		return e, fmt.Errorf("listing the neighbours of %s: %w", o.device(), err)
	}
	for _, n := range neighbours {
		// Others are what the kernel has learned or tried, and forgets by itself.
		if n.State&netlink.NUD_PERMANENT != 0 && len(n.HardwareAddr) == len(hardware{}) {
			e.neighbours[neighbour{address: addressOf(n.IP), hardware: hardware(n.HardwareAddr)}] = true
		}
	}
	forwards, err := dump(func() ([]netlink.Neigh, error) { return netlink.NeighList(index, unix.AF_BRIDGE) })
	if err != nil {
		return e, fmt.Errorf("listing the forwarding table of %s: %w", o.device(), err)
	}
	for _, n := range forwards {
		if len(n.HardwareAddr) == len(hardware{}) {
			e.forwards[forward{hardware: hardware(n.HardwareAddr), node: addressOf(n.IP)}] = true
		}
	}
	return e, nil
}

// change applies a difference. An interface that loses its last address loses
// its routes too, so the new address comes before the old one goes; and a route
// comes last, when all that it refers to is there.
func (o *overlay) change(link netlink.Link, d difference) error {
	index := link.Attrs().Index
	kernel := func(r route) *netlink.Route {
		result := &netlink.Route{LinkIndex: index, Dst: network(r.to), Protocol: unix.RTPROT_STATIC, Family: o.netlinkFamily()}
		if r.via.IsValid() {
			// The node's end has no network in common with this one's.
			result.Gw, result.Flags = r.via.AsSlice(), int(netlink.FLAG_ONLINK)
		}
		return result
	}
	arp := func(n neighbour) *netlink.Neigh {
		return &netlink.Neigh{LinkIndex: index, Family: o.netlinkFamily(), State: netlink.NUD_PERMANENT, IP: n.address.AsSlice(), HardwareAddr: n.hardware[:]}
	}
	fdb := func(f forward) *netlink.Neigh {
		return &netlink.Neigh{LinkIndex: index, Family: unix.AF_BRIDGE, State: netlink.NUD_PERMANENT | netlink.NUD_NOARP, Flags: netlink.NTF_SELF, IP: f.node.AsSlice(), HardwareAddr: f.hardware[:]}
	}
	address := func(p netip.Prefix) *netlink.Addr {
		result := &netlink.Addr{IPNet: network(p)}
		if p.Addr().Is6() {
			// Nobody else can have it, and detecting that would take a second.
			result.Flags = unix.IFA_F_NODAD
		}
		return result
	}
	add, remove := o.device()+": adding", o.device()+": removing"
	return errors.Join(
		each(d.add.addresses, add+" address", func(p netip.Prefix) error { return netlink.AddrReplace(link, address(p)) }),
		each(d.remove.addresses, remove+" address", func(p netip.Prefix) error { return gone(netlink.AddrDel(link, address(p))) }),
		each(d.remove.routes, remove+" route", func(r route) error { return gone(netlink.RouteDel(kernel(r))) }),
		each(d.remove.neighbours, remove+" neighbour", func(n neighbour) error { return gone(netlink.NeighDel(arp(n))) }),
		each(d.remove.forwards, remove+" forwarding", func(f forward) error { return gone(netlink.NeighDel(fdb(f))) }),
		each(d.add.forwards, add+" forwarding", func(f forward) error { return netlink.NeighSet(fdb(f)) }),
		each(d.add.neighbours, add+" neighbour", func(n neighbour) error { return netlink.NeighSet(arp(n)) }),
		each(d.add.routes, add+" route", func(r route) error {
			err := netlink.RouteAdd(kernel(r))
			if errors.Is(err, unix.EEXIST) {
				return fmt.Errorf("the machine has another route to %s already, which stays: %w", r.to, err)
			}
			return err
		}),
	)
}

// each calls do for all items, in the same order every time so that the same
// problems make the same error.
func each[T comparable](items set[T], doing string, do func(T) error) error {
	text := func(item T) string { return fmt.Sprint(item) }
	var failed []error
	for _, item := range slices.SortedFunc(maps.Keys(items), func(a, b T) int { return strings.Compare(text(a), text(b)) }) {
		if err := do(item); err != nil {
			failed = append(failed, fmt.Errorf("%s %s: %w", doing, text(item), err))
		}
	}
	return errors.Join(failed...)
}

// gone passes over the kernel's answer that there is nothing to remove.
func gone(err error) error {
	for _, absent := range []error{unix.ENOENT, unix.ESRCH, unix.EADDRNOTAVAIL} {
		if errors.Is(err, absent) {
			return nil
		}
	}
	return err
}

func (r route) String() string     { return fmt.Sprintf("to %s via %s", r.to, r.via) }
func (n neighbour) String() string { return fmt.Sprintf("%s at %s", n.address, n.hardware) }
func (f forward) String() string   { return fmt.Sprintf("of %s to %s", f.hardware, f.node) }
func (h hardware) String() string  { return net.HardwareAddr(h[:]).String() }

func addressOf(ip net.IP) netip.Addr {
	address, _ := netip.AddrFromSlice(ip)
	return address.Unmap()
}

func prefixOf(n *net.IPNet) netip.Prefix {
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(addressOf(n.IP), bits)
}

func network(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
