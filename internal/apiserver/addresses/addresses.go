// Package addresses is the arithmetic of address blocks: where they come
// from, which of them are free, and which addresses in them are whose.
package addresses

import (
	"encoding/binary"
	"fmt"
	"iter"
	"net/netip"
	"slices"
)

// Pool is a range out of which blocks are handed out.
type Pool struct {
	Range netip.Prefix
	// Except is a part of the range that is never handed out; it may be invalid.
	Except netip.Prefix
	// Coarsest is the length of the largest block that the pool hands out.
	Coarsest int
}

// Public is the simulated public range: the benchmarking range of RFC 2544,
// without its first /24, which is the yard's own.
func Public() Pool {
	return Pool{
		Range:    netip.MustParsePrefix("198.18.0.0/15"),
		Except:   netip.MustParsePrefix("198.18.0.0/24"),
		Coarsest: 24,
	}
}

// Private is where every project gets a /25 per metro. It is the part of
// 10.0.0.0/8 that the real service used, and keeps clear of the ranges that
// Kubernetes clusters take for pods and services by default.
func Private() Pool {
	return Pool{
		Range:    netip.MustParsePrefix("10.64.0.0/11"),
		Except:   ElasticPrivate().Range,
		Coarsest: 25,
	}
}

// ElasticPrivate is where private addresses come from that a project reserves
// itself. They are kept apart from the projects' /25s, which they would
// otherwise cut up.
func ElasticPrivate() Pool {
	return Pool{Range: netip.MustParsePrefix("10.92.0.0/14"), Coarsest: 25}
}

// PublicIPv6 is where every project gets a /56 per metro: the range that is
// reserved for documentation.
func PublicIPv6() Pool {
	return Pool{
		Range:    netip.MustParsePrefix("2001:db8::/32"),
		Except:   ElasticIPv6().Range,
		Coarsest: 56,
	}
}

// ElasticIPv6 is where IPv6 addresses come from that a project reserves
// itself, besides what it assigns out of its /56.
func ElasticIPv6() Pool {
	return Pool{Range: netip.MustParsePrefix("2001:db8:ffff::/48"), Coarsest: 120}
}

// DevicePart is the part of a project's block out of which devices get their
// own addresses. Of a /56 that is its first /64, so that the other 255 can be
// assigned to devices as a whole without ever meeting a device's own.
func DevicePart(block netip.Prefix) netip.Prefix {
	if block.Addr().Is6() && block.Bits() < 64 {
		return netip.PrefixFrom(block.Addr(), 64)
	}
	return block
}

// Inside is the pool that a block is for the addresses assigned out of it,
// none of which is larger than the given length.
func Inside(block netip.Prefix, coarsest int) Pool {
	return Pool{Range: block, Coarsest: coarsest}
}

// Next finds the first free block of a length at or after an address, or else
// from the start of the pool. Taken tells whether exactly that block is in
// use; Next takes care of the blocks in and around it.
func (p Pool) Next(bits int, from netip.Addr, taken func(netip.Prefix) bool) (netip.Prefix, error) {
	if bits < p.Coarsest || bits > p.Range.Addr().BitLen() {
		return netip.Prefix{}, fmt.Errorf("a block of length /%d does not come from %s", bits, p.Range)
	}
	start := p.Range.Addr()
	if !p.Range.Contains(from) {
		from = start
	}
	first := netip.PrefixFrom(from, bits).Masked()
	block, found := p.search(first, Last(p.Range), taken)
	if !found && first.Addr() != start {
		block, found = p.search(netip.PrefixFrom(start, bits), first.Addr().Prev(), taken)
	}
	if !found {
		return netip.Prefix{}, errExhausted(p, bits)
	}
	return block, nil
}

func errExhausted(p Pool, bits int) error {
	return fmt.Errorf("no block of length /%d is left in %s", bits, p.Range)
}

// search finds the first free block that begins at or after the given one, and
// not after an address. What is in the way may be far larger than what is
// wanted: it is passed in one step.
func (p Pool) search(block netip.Prefix, last netip.Addr, taken func(netip.Prefix) bool) (netip.Prefix, bool) {
	for {
		obstacle, found := p.obstacle(block, taken)
		if !found {
			return block, true
		}
		if obstacle.Bits() > block.Bits() {
			obstacle = block
		}
		next := Last(obstacle).Next()
		if !next.IsValid() || last.Less(next) {
			return netip.Prefix{}, false
		}
		block = netip.PrefixFrom(next, block.Bits())
	}
}

// obstacle is what keeps a block from being handed out, if anything does.
func (p Pool) obstacle(block netip.Prefix, taken func(netip.Prefix) bool) (netip.Prefix, bool) {
	if p.Except.IsValid() && p.Except.Overlaps(block) {
		return p.Except, true
	}
	return overlapping(block, p.Coarsest, taken)
}

// Free lists the parts of a block that have a length and overlap none of the
// given blocks, in order, and no more than a number of them.
func Free(block netip.Prefix, bits int, used []netip.Prefix, most int) []netip.Prefix {
	var free []netip.Prefix
	used = slices.SortedFunc(slices.Values(used), func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	for part := netip.PrefixFrom(block.Addr(), bits); len(free) < most; {
		passed := part
		// What ends before this part is not in the way of the later ones either.
		for len(used) > 0 && Last(used[0]).Less(part.Addr()) {
			used = used[1:]
		}
		if len(used) > 0 && used[0].Overlaps(part) {
			if used[0].Bits() < bits {
				passed = used[0]
			}
		} else {
			free = append(free, part)
		}
		next := Last(passed).Next()
		if !next.IsValid() || !block.Contains(next) {
			break
		}
		part = netip.PrefixFrom(next, bits)
	}
	return free
}

// finest is how far below a block its parts are looked for. Where blocks are
// small and of one size, as in IPv6, there is nothing further down.
const finest = 8

// Overlaps tells whether any block that is in use is, holds, or lies in the
// given one.
func Overlaps(block netip.Prefix, coarsest int, taken func(netip.Prefix) bool) bool {
	_, found := overlapping(block, coarsest, taken)
	return found
}

// overlapping is the largest block in use that is, holds, or lies in the
// given one.
func overlapping(block netip.Prefix, coarsest int, taken func(netip.Prefix) bool) (netip.Prefix, bool) {
	for _, around := range slices.Backward(Around(block, coarsest)) {
		if taken(around) {
			return around, true
		}
	}
	deepest := min(block.Addr().BitLen(), block.Bits()+finest)
	for bits := block.Bits(); bits <= deepest; bits++ {
		for part := range Parts(block, bits) {
			if taken(part) {
				return part, true
			}
		}
	}
	return netip.Prefix{}, false
}

// Parts goes through the parts of a block that have a length.
func Parts(block netip.Prefix, bits int) iter.Seq[netip.Prefix] {
	return func(yield func(netip.Prefix) bool) {
		for part := netip.PrefixFrom(block.Addr(), bits); yield(part); {
			next := Last(part).Next()
			if !next.IsValid() || !block.Contains(next) {
				return
			}
			part = netip.PrefixFrom(next, bits)
		}
	}
}

// Around lists the blocks that hold a block, up to the coarsest length.
func Around(block netip.Prefix, coarsest int) []netip.Prefix {
	var around []netip.Prefix
	for bits := block.Bits() - 1; bits >= coarsest; bits-- {
		around = append(around, netip.PrefixFrom(block.Addr(), bits).Masked())
	}
	return around
}

// Last is the last address of a block.
func Last(block netip.Prefix) netip.Addr {
	if block.Addr().Is4() {
		raw := block.Masked().Addr().As4()
		value := binary.BigEndian.Uint32(raw[:]) | uint32(uint64(1)<<(32-block.Bits())-1)
		binary.BigEndian.PutUint32(raw[:], value)
		return netip.AddrFrom4(raw)
	}
	raw := block.Masked().Addr().As16()
	for bit := block.Bits(); bit < 128; bit++ {
		raw[bit/8] |= 1 << (7 - bit%8)
	}
	return netip.AddrFrom16(raw)
}

// Host says which address of a block is the device's, and which its gateway.
// In a /31 (and a /127) the gateway has the even address and the device the
// odd one; in larger blocks the network's own address comes before them. A
// single address is its own gateway.
func Host(block netip.Prefix) (host, gateway netip.Addr) {
	network := block.Masked().Addr()
	switch length := network.BitLen() - block.Bits(); length {
	case 0:
		return network, network
	case 1:
		return network.Next(), network
	default:
		return network.Next().Next(), network.Next()
	}
}

// Netmask writes a block's length as the API does: 255.255.255.254, or
// ffff:…:fffe.
func Netmask(block netip.Prefix) string {
	ones := make([]byte, block.Addr().BitLen()/8)
	for bit := range block.Bits() {
		ones[bit/8] |= 1 << (7 - bit%8)
	}
	mask, _ := netip.AddrFromSlice(ones)
	return mask.String()
}
