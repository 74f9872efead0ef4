package podroutes

import (
	"crypto/sha256"
	"maps"
	"net/netip"
)

// entries is what a device has in the kernel's tables.
type entries struct {
	addresses  set[netip.Prefix]
	routes     set[route]
	neighbours set[neighbour]
	forwards   set[forward]
}

type set[T comparable] map[T]bool

// route sends what is for a node's pods to that node's end of the tunnel. via
// is the zero Addr in a foreign route without a gateway.
type route struct {
	to  netip.Prefix
	via netip.Addr
}

// neighbour tells the hardware address of a node's end of the tunnel, for which
// nobody has to be asked.
type neighbour struct {
	address  netip.Addr
	hardware hardware
}

// forward tells to which node frames for a hardware address are sent.
type forward struct {
	hardware hardware
	node     netip.Addr
}

// hardware is the hardware (MAC) address of a tunnel's end.
type hardware [6]byte

// hardwareOf derives the hardware address of a node's end of the tunnel from
// the node's address: locally administered, unicast (IEEE 802).
func hardwareOf(node netip.Addr) hardware {
	sum := sha256.Sum256(node.AsSlice())
	h := hardware(sum[:6])
	h[0] = h[0]&^1 | 2
	return h
}

// gateway is the address of a node's end of the tunnel: the first of the node's
// range, which no pod has.
func gateway(podCIDR netip.Prefix) netip.Addr { return podCIDR.Masked().Addr() }

// entries is what the overlay's device shall have.
func (o *overlay) entries() entries {
	own := gateway(o.podCIDR)
	e := entries{
		addresses: set[netip.Prefix]{netip.PrefixFrom(own, own.BitLen()): true},
		routes:    set[route]{}, neighbours: set[neighbour]{}, forwards: set[forward]{},
	}
	for _, p := range o.peers {
		via, hardware := gateway(p.podCIDR), hardwareOf(p.address)
		e.routes[route{to: p.podCIDR, via: via}] = true
		e.neighbours[neighbour{address: via, hardware: hardware}] = true
		e.forwards[forward{hardware: hardware, node: p.address}] = true
	}
	return e
}

// difference is what makes one state of a device another.
type difference struct {
	remove, add entries
}

func (d difference) any() bool { return d.remove.any() || d.add.any() }

func (e entries) any() bool {
	return len(e.addresses)+len(e.routes)+len(e.neighbours)+len(e.forwards) > 0
}

// compare works out what is missing and what is too much.
func compare(found, wanted entries) difference {
	return difference{remove: found.without(wanted), add: wanted.without(found)}
}

func (e entries) without(other entries) entries {
	return entries{
		addresses:  without(e.addresses, other.addresses),
		routes:     without(e.routes, other.routes),
		neighbours: without(e.neighbours, other.neighbours),
		forwards:   without(e.forwards, other.forwards),
	}
}

func without[T comparable](of, other set[T]) set[T] {
	rest := maps.Clone(of)
	maps.DeleteFunc(rest, func(item T, _ bool) bool { return other[item] })
	return rest
}
