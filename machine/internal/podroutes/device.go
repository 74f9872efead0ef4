package podroutes

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	// vni and port are flannel's on Linux. All nodes of a cluster have the same.
	vni  = 1
	port = 8472
	// sysctls is where the kernel's settings of this network namespace are.
	sysctls = "/proc/sys/net"
)

// device is the name of the overlay's VXLAN interface.
func (o *overlay) device() string {
	if o.family == ipv4 {
		return "vxlan-pods"
	}
	return "vxlan-pods6"
}

// overhead is how much larger, in bytes, packets get on their way between
// nodes: outer IP header, UDP, VXLAN and inner Ethernet header.
func (o *overlay) overhead() int {
	if o.family == ipv4 {
		return 20 + 8 + 8 + 14
	}
	return 40 + 8 + 8 + 14
}

func (o *overlay) netlinkFamily() int {
	if o.family == ipv4 {
		return netlink.FAMILY_V4
	}
	return netlink.FAMILY_V6
}

// ensureDevice has the interface as the overlay needs it, and up. One that is
// there already is kept, with its routes, unless it is another kind of tunnel.
func (o *overlay) ensureDevice() (netlink.Link, error) {
	mtu, err := o.mtu()
	if err != nil {
		return nil, err
	}
	found, err := o.find()
	if err != nil {
		return nil, err
	}
	if found != nil && !o.fits(found) {
		if err := netlink.LinkDel(found); err != nil {
			return nil, fmt.Errorf("removing %s, which has another local address or format: %w", o.device(), err)
		}
		found = nil
	}
	if found == nil {
		if found, err = o.create(mtu); err != nil {
			return nil, err
		}
	}
	if err := o.configure(); err != nil {
		return nil, err
	}
	own := hardwareOf(o.local)
	if !bytes.Equal(found.HardwareAddr, own[:]) {
		if err := netlink.LinkSetHardwareAddr(found, own[:]); err != nil {
			return nil, fmt.Errorf("setting the hardware address of %s: %w", o.device(), err)
		}
	}
	if found.MTU != mtu {
		if err := netlink.LinkSetMTU(found, mtu); err != nil {
			return nil, fmt.Errorf("setting the MTU of %s to %d bytes: %w", o.device(), mtu, err)
		}
	}
	if found.RawFlags&unix.IFF_UP == 0 {
		if err := netlink.LinkSetUp(found); err != nil {
			return nil, fmt.Errorf("raising %s: %w", o.device(), err)
		}
	}
	return found, nil
}

// errNotOurs means that somebody else's interface has the name of the overlay's.
var errNotOurs = errors.New("the machine has an interface that is not kube-proxy's")

// find returns the overlay's interface, or nil if there is none.
func (o *overlay) find() (*netlink.Vxlan, error) {
	link, err := netlink.LinkByName(o.device())
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking for %s: %w", o.device(), err)
	}
	found, ok := link.(*netlink.Vxlan)
	if !ok || found.VxlanId != vni {
		return nil, fmt.Errorf("%w: %s, of type %s; it stays, and has to be renamed or removed", errNotOurs, o.device(), link.Type())
	}
	return found, nil
}

// fits tells whether an interface does what the overlay's does. What is
// compared cannot be changed while the interface exists.
func (o *overlay) fits(found *netlink.Vxlan) bool {
	local, ok := netip.AddrFromSlice(found.SrcAddr)
	return ok && local.Unmap() == o.local && found.Port == port && !found.Learning &&
		!found.FlowBased && found.Group == nil && found.VtepDevIndex == 0
}

func (o *overlay) create(mtu int) (*netlink.Vxlan, error) {
	attributes := netlink.NewLinkAttrs()
	own := hardwareOf(o.local)
	attributes.Name, attributes.MTU, attributes.HardwareAddr = o.device(), mtu, own[:]
	// Not bound to an interface: the way to a node is the routing table's business.
	err := netlink.LinkAdd(&netlink.Vxlan{LinkAttrs: attributes, VxlanId: vni, Port: port, SrcAddr: o.local.AsSlice(), Learning: false})
	if err != nil {
		return nil, fmt.Errorf("making the VXLAN interface %s with local address %s: %w", o.device(), o.local, explain(err))
	}
	made, err := o.find()
	if err == nil && made == nil {
		err = fmt.Errorf("the VXLAN interface %s was removed right after it was made", o.device())
	}
	return made, err
}

// explain names the reason for which a kernel refuses an interface whose type it does not know.
func explain(err error) error {
	if errors.Is(err, unix.EOPNOTSUPP) {
		return errNoVXLAN
	}
	return err
}

// configure changes the kernel's settings of the interface. What a kernel does
// not have, for example IPv6, needs no setting.
func (o *overlay) configure() error {
	settings := []struct{ name, value string }{
		// Loose, whatever the setting for all interfaces is: the larger one counts.
		// Nodes may send from any address of theirs.
		{"ipv4/conf/" + o.device() + "/rp_filter", "2"},
		{"ipv4/conf/" + o.device() + "/send_redirects", "0"},
		// There is nobody to find duplicate addresses of, nor routers, by multicast.
		{"ipv6/conf/" + o.device() + "/addr_gen_mode", "1"},
		{"ipv6/conf/" + o.device() + "/accept_dad", "0"},
		{"ipv6/conf/" + o.device() + "/accept_ra", "0"},
	}
	for _, setting := range settings {
		path := filepath.Join(sysctls, setting.name)
		if now, err := os.ReadFile(path); err == nil && string(bytes.TrimSpace(now)) == setting.value {
			continue
		}
		err := os.WriteFile(path, []byte(setting.value), 0o644)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("setting %s to %s: %w", path, setting.value, err)
		}
	}
	return nil
}

// mtu is how large packets to pods of other nodes can be: what fits into those
// of the interface with the node's address, without the tunnel's headers.
func (o *overlay) mtu() (int, error) {
	addresses, err := dump(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, o.netlinkFamily()) })
	if err != nil {
		return 0, fmt.Errorf("listing the machine's addresses: %w", err)
	}
	index := 0
	for _, a := range addresses {
		if address, ok := netip.AddrFromSlice(a.IP); ok && address.Unmap() == o.local {
			index = a.LinkIndex
		}
	}
	if index == 0 {
		return 0, fmt.Errorf("the Node's address %s is on no interface of the machine", o.local)
	}
	link, err := netlink.LinkByIndex(index)
	if err == nil && link.Attrs().RawFlags&unix.IFF_LOOPBACK != 0 {
		// An address that is routed to the machine: packets leave by another interface.
		link, err = linkTo(o.peers[0].address)
	}
	if err != nil {
		return 0, fmt.Errorf("finding the interface that packets of %s leave by: %w", o.local, err)
	}
	return link.Attrs().MTU - o.overhead(), nil
}

// linkTo is the interface by which packets to an address leave.
func linkTo(address netip.Addr) (netlink.Link, error) {
	ways, err := netlink.RouteGet(address.AsSlice())
	if err != nil {
		return nil, fmt.Errorf("looking for the route to %s: %w", address, err)
	}
	if len(ways) == 0 {
		return nil, fmt.Errorf("looking for the route to %s: there is none", address)
	}
	return netlink.LinkByIndex(ways[0].LinkIndex)
}

// dump reads one of the kernel's tables, again if it was changed meanwhile.
func dump[T any](read func() ([]T, error)) (list []T, err error) {
	for range 5 {
		if list, err = read(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return list, err
}
