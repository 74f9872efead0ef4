package metallb

import (
	"net/netip"
	"slices"
	"strings"
)

// addressRange is from one address to another, with both.
type addressRange struct{ from, to netip.Addr }

func contained(ranges []addressRange, address netip.Addr) bool {
	return slices.ContainsFunc(ranges, func(r addressRange) bool {
		return r.from.BitLen() == address.BitLen() && r.from.Compare(address) <= 0 && r.to.Compare(address) >= 0
	})
}

// rangesOf reads the addresses of a pool: blocks in prefix notation, and
// ranges from-to. What cannot be read is left out.
func rangesOf(addresses []string) []addressRange {
	var ranges []addressRange
	for _, text := range addresses {
		if from, to, found := strings.Cut(text, "-"); found {
			first, err1 := netip.ParseAddr(strings.TrimSpace(from))
			last, err2 := netip.ParseAddr(strings.TrimSpace(to))
			if err1 == nil && err2 == nil {
				ranges = append(ranges, addressRange{first, last})
			}
			continue
		}
		block, err := netip.ParsePrefix(strings.TrimSpace(text))
		if err != nil {
			continue
		}
		last := block.Masked().Addr().AsSlice()
		for bit := block.Bits(); bit < len(last)*8; bit++ {
			last[bit/8] |= 0x80 >> (bit % 8)
		}
		to, _ := netip.AddrFromSlice(last)
		ranges = append(ranges, addressRange{block.Masked().Addr(), to})
	}
	return ranges
}
