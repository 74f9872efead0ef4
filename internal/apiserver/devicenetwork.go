package apiserver

import (
	"fmt"
	"slices"

	"github.com/packetyard/packetyard/internal/apiserver/addresses"
	"github.com/packetyard/packetyard/internal/apiserver/catalogue"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

// network is which addresses a device gets, besides a private IPv4, which
// all get.
type network struct {
	publicIPv4, publicIPv6 bool
	// The lengths of the device's own blocks.
	publicBits, privateBits, ipv6Bits int
	// The IDs of the project's reservations out of which a block is taken,
	// where it shall not be a new one.
	publicFrom, privateFrom, ipv6From []string
}

// The lengths of a device's blocks where a request does not name them. Some
// operating systems need a larger public IPv4 block than defaultSubnetBits.
const (
	defaultSubnetBits  = 31
	defaultPrivateBits = 31
	defaultIPv6Bits    = 127
)

// The lengths of the largest blocks that a device may have of its own.
const (
	coarsestIPv4    = 28
	coarsestPrivate = coarsestIPv4
	coarsestIPv6    = 124
)

// network checks which addresses are asked for. Without a list a device gets
// one of each kind.
func (p *problems) network(input packet.DeviceCreate, system *catalogue.OperatingSystem) network {
	subnet := defaultSubnetBits
	if system != nil {
		subnet = system.SubnetBits
	}
	n := network{publicIPv4: true, publicIPv6: true, publicBits: subnet, privateBits: defaultPrivateBits, ipv6Bits: defaultIPv6Bits}
	if size := input.PublicIPv4SubnetSize; size != 0 {
		n.publicBits = p.subnet("public_ipv4_subnet_size", size, subnet)
	}
	if size := input.PrivateIPv4SubnetSize; size != 0 {
		n.privateBits = p.subnet("private_ipv4_subnet_size", size, defaultPrivateBits)
	}
	if len(input.IPAddresses) == 0 {
		return n
	}
	n.publicIPv4, n.publicIPv6 = false, false
	private := false
	for i, address := range input.IPAddresses {
		field := fmt.Sprintf("ip_addresses[%d]", i)
		var twice bool
		switch {
		case address.AddressFamily == 4 && address.Public:
			twice, n.publicIPv4 = n.publicIPv4, true
			if address.CIDR != 0 {
				n.publicBits = p.subnet(field+".cidr", address.CIDR, subnet)
			}
			n.publicFrom = address.IPReservations
		case address.AddressFamily == 4:
			twice, private = private, true
			if address.CIDR != 0 {
				n.privateBits = p.subnet(field+".cidr", address.CIDR, defaultPrivateBits)
			}
			n.privateFrom = address.IPReservations
		case address.AddressFamily == 6 && address.Public:
			twice, n.publicIPv6 = n.publicIPv6, true
			if address.CIDR != 0 {
				n.ipv6Bits = p.ipv6Subnet(field+".cidr", address.CIDR)
			}
			n.ipv6From = address.IPReservations
		case address.AddressFamily == 6:
			p.add("%s is private IPv6, which does not exist", field)
		default:
			p.add("%s.address_family %d is not one of: 4, 6", field, address.AddressFamily)
		}
		if twice {
			p.add("%s is of a kind that is in the list already", field)
		}
	}
	if !private {
		p.add("ip_addresses must have a private IPv4 address: {\"address_family\": 4, \"public\": false}")
	}
	// These cannot be activated, and are of no use, without the Internet.
	if system != nil && system.Licensed && !n.publicIPv4 {
		p.add("operating_system %q needs a public IPv4 address: {\"address_family\": 4, \"public\": true}", system.Slug)
	}
	return n
}

// subnet checks the length of an IPv4 block, of which an operating system can
// do with no less than its own.
func (p *problems) subnet(field string, bits, longest int) int {
	if bits < coarsestIPv4 || bits > longest {
		p.add("%s %d is not from %d to %d, which this operating system needs", field, bits, coarsestIPv4, longest)
		return longest
	}
	return bits
}

// ipv6Subnet checks the length of an IPv6 block.
func (p *problems) ipv6Subnet(field string, bits int) int {
	if bits < coarsestIPv6 || bits > defaultIPv6Bits {
		p.add("%s %d is not from %d to %d", field, bits, coarsestIPv6, defaultIPv6Bits)
		return defaultIPv6Bits
	}
	return bits
}

// assignReserved gives a device its own block out of reservations that its
// project holds, the first one with room.
func (a *API) assignReserved(
	tx *store.Tx, choice *addresses.Choice, device *store.Device, kinds []string, from []string, bits int,
) error {
	var p problems
	for _, id := range from {
		row, ok := tx.Reservations.Get(id)
		switch {
		case !ok || row.Value.ProjectID != device.ProjectID || !row.Value.Block.IsValid():
			p.add("ip_reservations %q is no IP reservation of the project", id)
		case row.Value.Management || !slices.Contains(kinds, row.Value.Type):
			p.add("ip_reservations %q is of type %q, it must be of %v that the project reserved itself", id, row.Value.Type, kinds)
		case row.Value.Metro != device.Metro:
			p.add("ip_reservations %q is in metro %q, and the device in %q", id, row.Value.Metro, device.Metro)
		case tx.GatewayOf(row.Value.ID) != nil:
			p.add("ip_reservations %q belongs to a metal gateway", id)
		}
	}
	if err := p.err(); err != nil {
		return err
	}
	for _, id := range from {
		row, _ := tx.Reservations.Get(id)
		// What is smaller than the block asked for is given as a whole.
		length := max(bits, row.Value.Block.Bits())
		part, err := choice.Next(addresses.Inside(row.Value.Block, row.Value.Block.Bits()), length, tx.AddressTaken)
		if err != nil {
			continue
		}
		// Writing the reservation keeps it from being given back at the same
		// time, which is only refused once the device is there.
		tx.Reservations.Update(tx, row, row.Value)
		tx.RequireFreeAddress(part, row.Value.Block.Bits())
		assign(tx, device, row.Value, part)
		return nil
	}
	p.add("ip_reservations %v have no block of length /%d left", from, bits)
	return p.err()
}
