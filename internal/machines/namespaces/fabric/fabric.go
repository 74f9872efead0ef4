// Package fabric is the network between the machines: a bridge that plays the
// top-of-rack switch, in the network namespace of the process that calls it,
// and one link to it for each machine.
//
// Every machine is alone on its subnets, as Packet's were: it reaches any
// other machine by way of the switch, which holds all gateway addresses and
// routes elastic addresses to the machines that have them.
package fabric

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/packetyard/packetyard/internal/machines"
)

// Fixed addresses of the yard, all on the switch.
const (
	// APIAddress is where machines reach the Packet API, on port 80.
	APIAddress = "198.18.0.1"
	// MetadataAddress and LinkLocalMetadataAddress are where machines reach the metadata service, on port 80.
	MetadataAddress          = "192.80.8.124"
	LinkLocalMetadataAddress = "169.254.169.254"
	// APIAddress6 and MetadataAddress6 are the same over IPv6, where the kernel has it.
	APIAddress6      = "fd00:198:18::1"
	MetadataAddress6 = "fd00:ec2::254"
)

const (
	bridgeName  = "tor0"
	machineLink = "bond0"
	loopback    = "lo"
)

// Switch is the bridge and what it knows of the machines behind it.
type Switch struct {
	mutex  sync.Mutex
	handle *netlink.Handle
	bridge netlink.Link
	ipv6   bool
	// ports are the connected machines by identifier.
	ports map[string]*port
	// claims tells for each elastic prefix which machines were given it, the
	// newest last: while an address moves, both may have it for a moment.
	claims map[netip.Prefix][]string
	// gateways and routes are what was put on the bridge for machines.
	gateways map[netip.Prefix]bool
	routes   map[netip.Prefix]route
	// announced are the addresses of the machines that announce a prefix,
	// learned the routes that were made of that.
	announced map[netip.Prefix][]netip.Addr
	learned   map[netip.Prefix][]netip.Addr
}

// port is one machine's connection.
type port struct {
	machine *netlink.Handle
	link    netlink.Link
	lo      netlink.Link
	wanted  layout
	// applied is what may be there: what was, and what was tried since.
	applied layout
}

// New makes the bridge with the fixed addresses and turns forwarding on, all
// in the caller's network namespace, which must be its own.
func New() (*Switch, error) {
	if err := configureKernel("all", "default"); err != nil {
		return nil, err
	}
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket: %w", err)
	}
	s := &Switch{
		handle:   handle,
		ipv6:     hasIPv6(),
		ports:    map[string]*port{},
		claims:   map[netip.Prefix][]string{},
		gateways: map[netip.Prefix]bool{},
		routes:   map[netip.Prefix]route{},
		learned:  map[netip.Prefix][]netip.Addr{},
	}
	if err := s.makeBridge(); err != nil {
		handle.Close()
		return nil, err
	}
	return s, nil
}

func (s *Switch) makeBridge() error {
	if lo, err := s.handle.LinkByName(loopback); err != nil {
		return fmt.Errorf("finding link %s: %w", loopback, err)
	} else if err := s.handle.LinkSetUp(lo); err != nil {
		return fmt.Errorf("switching link %s on: %w", loopback, err)
	}
	attributes := netlink.NewLinkAttrs()
	attributes.Name = bridgeName
	// An address of its own: a bridge without one takes its ports' lowest,
	// and machines would lose their gateway whenever that changed.
	attributes.HardwareAddr = hardwareAddress(bridgeName)
	off := false
	if err := s.handle.LinkAdd(&netlink.Bridge{LinkAttrs: attributes, MulticastSnooping: &off}); err != nil {
		return fmt.Errorf("making bridge %s: %w", bridgeName, err)
	}
	bridge, err := s.handle.LinkByName(bridgeName)
	if err != nil {
		return fmt.Errorf("finding bridge %s: %w", bridgeName, err)
	}
	s.bridge = bridge
	if err := configureKernel(bridgeName); err != nil {
		return err
	}
	if err := s.handle.LinkSetUp(bridge); err != nil {
		return fmt.Errorf("switching bridge %s on: %w", bridgeName, err)
	}
	for _, ip := range s.fixed() {
		if err := addAddress(s.handle, bridge, netip.PrefixFrom(ip, ip.BitLen())); err != nil {
			return err
		}
	}
	return nil
}

// fixed are the addresses that the switch has without any machine.
func (s *Switch) fixed() []netip.Addr {
	var addresses []netip.Addr
	for _, text := range []string{APIAddress, MetadataAddress, LinkLocalMetadataAddress, APIAddress6, MetadataAddress6} {
		addresses = append(addresses, netip.MustParseAddr(text))
	}
	for _, each := range machines.BGPSwitches() {
		addresses = append(addresses, each.IPv4, each.IPv6)
	}
	return slices.DeleteFunc(addresses, func(ip netip.Addr) bool { return ip.Is6() && !s.ipv6 })
}

// IPv6 tells whether the kernel has it.
func (s *Switch) IPv6() bool { return s.ipv6 }

// Connect links a machine to the switch: bond0 in the network namespace of
// process pid, with the given addresses and the routes that follow from them.
func (s *Switch) Connect(id string, pid int, addresses []machines.Address) error {
	wanted, err := s.plan(addresses)
	if err != nil {
		return err
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if _, connected := s.ports[id]; connected {
		return errors.New("the machine is connected to the switch already")
	}
	connected, err := s.cable(id, pid)
	if err != nil {
		return err
	}
	s.ports[id] = connected
	if err := s.apply(id, connected, wanted); err != nil {
		return errors.Join(err, s.disconnect(id))
	}
	return nil
}

// SetAddresses changes the addresses of a connected machine to exactly those
// given. A machine that is not connected is left alone: Connect gives it its addresses.
func (s *Switch) SetAddresses(id string, addresses []machines.Address) error {
	wanted, err := s.plan(addresses)
	if err != nil {
		return err
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	connected, found := s.ports[id]
	if !found {
		return nil
	}
	return s.apply(id, connected, wanted)
}

// Disconnect removes a machine's link and all that the switch had for it. A
// machine that is not connected is no error.
func (s *Switch) Disconnect(id string) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if _, found := s.ports[id]; !found {
		return nil
	}
	return s.disconnect(id)
}

func (s *Switch) disconnect(id string) error {
	s.ports[id].machine.Close()
	delete(s.ports, id)
	s.claim(id, nil)
	return errors.Join(s.applySwitch(), s.removeLink(id))
}

// plan works addresses out, without IPv6 where the kernel has none.
func (s *Switch) plan(addresses []machines.Address) (layout, error) {
	if !s.ipv6 {
		addresses = slices.DeleteFunc(slices.Clone(addresses), func(a machines.Address) bool { return a.Family == 6 })
	}
	return plan(addresses)
}

// cable makes the pair of links between the switch and a machine.
func (s *Switch) cable(id string, pid int) (*port, error) {
	namespace, err := netns.GetFromPid(pid)
	if err != nil {
		return nil, fmt.Errorf("opening the network namespace of process %d: %w", pid, err)
	}
	defer namespace.Close()
	// A link of the machine's previous life may not be gone yet: the kernel
	// takes namespaces down in its own time.
	if err := s.removeLink(id); err != nil {
		return nil, err
	}
	attributes := netlink.NewLinkAttrs()
	attributes.Name = linkName(id)
	attributes.MasterIndex = s.bridge.Attrs().Index
	attributes.Flags = net.FlagUp
	if err := s.handle.LinkAdd(&netlink.Veth{
		LinkAttrs: attributes,
		PeerName:  machineLink,
		// Always the same, so that neighbours' tables stay right when the machine comes back.
		PeerHardwareAddr: hardwareAddress(id),
		PeerNamespace:    netlink.NsFd(namespace),
	}); err != nil {
		return nil, fmt.Errorf("making link %s to the machine: %w", attributes.Name, err)
	}
	machine, err := netlink.NewHandleAt(namespace, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening a netlink socket in the machine: %w", err), s.removeLink(id))
	}
	connected := &port{machine: machine}
	for _, end := range []struct {
		name string
		link *netlink.Link
	}{{loopback, &connected.lo}, {machineLink, &connected.link}} {
		if *end.link, err = machine.LinkByName(end.name); err == nil {
			err = machine.LinkSetUp(*end.link)
		}
		if err != nil {
			machine.Close()
			return nil, errors.Join(fmt.Errorf("switching the machine's link %s on: %w", end.name, err), s.removeLink(id))
		}
	}
	return connected, nil
}

func (s *Switch) removeLink(id string) error {
	link, err := s.handle.LinkByName(linkName(id))
	if err == nil {
		err = s.handle.LinkDel(link)
	}
	var missing netlink.LinkNotFoundError
	if err != nil && !errors.As(err, &missing) && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("removing link %s: %w", linkName(id), err)
	}
	return nil
}

// linkName is the name of the switch's end of a machine's link; a name has at most 15 characters.
func linkName(id string) string {
	sum := sha256.Sum256([]byte(id))
	return "p" + hex.EncodeToString(sum[:6])
}

// hardwareAddress derives a locally administered unicast address from a name.
func hardwareAddress(name string) net.HardwareAddr {
	sum := sha256.Sum256([]byte(name))
	return net.HardwareAddr{0x02, sum[0], sum[1], sum[2], sum[3], sum[4]}
}
