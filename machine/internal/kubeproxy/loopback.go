package kubeproxy

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"github.com/vishvananda/netlink"
)

// serviceLabel marks the IPv4 addresses that a kube-proxy has added, so that the
// next process can tell them from addresses that are the machine's own, such as
// elastic IPs. The kernel wants the interface's name in front.
const serviceLabel = "lo:service"

// loopback adds service addresses to the machine's loopback interface.
type loopback struct {
	link netlink.Link
	// sixes are the IPv6 addresses that this process added: they carry no label.
	sixes map[netip.Addr]bool
}

func newLoopback() (*loopback, error) {
	link, err := netlink.LinkByName("lo")
	if err != nil {
		return nil, fmt.Errorf("finding the loopback interface: %w", err)
	}
	return &loopback{link: link, sixes: map[netip.Addr]bool{}}, nil
}

func (l *loopback) Add(address netip.Addr) error {
	err := netlink.AddrAdd(l.link, l.describe(address))
	if errors.Is(err, syscall.EEXIST) {
		return nil
	}
	if err == nil && address.Is6() {
		l.sixes[address] = true
	}
	return err
}

func (l *loopback) Remove(address netip.Addr) error {
	delete(l.sixes, address)
	err := netlink.AddrDel(l.link, l.describe(address))
	if errors.Is(err, syscall.EADDRNOTAVAIL) {
		return nil
	}
	return err
}

func (l *loopback) Added() ([]netip.Addr, error) {
	list, err := netlink.AddrList(l.link, netlink.FAMILY_V4)
	if err != nil {
		return nil, fmt.Errorf("listing the loopback interface's addresses: %w", err)
	}
	var added []netip.Addr
	for _, a := range list {
		if address, ok := netip.AddrFromSlice(a.IP); ok && a.Label == serviceLabel {
			added = append(added, address.Unmap())
		}
	}
	for address := range l.sixes {
		added = append(added, address)
	}
	return added, nil
}

func (l *loopback) describe(address netip.Addr) *netlink.Addr {
	a := &netlink.Addr{
		IPNet: &net.IPNet{IP: address.AsSlice(), Mask: net.CIDRMask(address.BitLen(), address.BitLen())},
		// Never chosen as the source of a connection that leaves the machine.
		Scope: int(netlink.SCOPE_HOST),
	}
	if address.Is4() {
		a.Label = serviceLabel
	}
	return a
}
