package cri

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// addresses gives each pod its own address from the node's range. Nobody
// answers at a hollow pod's, but Endpoints and pod status have to show one.
type addresses struct {
	machine func() string
	// patience is how long to wait for the node to have a range, from asked on.
	patience time.Duration
	asked    time.Time

	mu       sync.Mutex
	prefixes []netip.Prefix
	// next is where the search begins, so that an address is not given to
	// another pod right after its owner ended.
	next map[netip.Prefix]netip.Addr
	used map[netip.Addr]bool
}

func newAddresses(machine func() string, patience time.Duration) *addresses {
	return &addresses{machine: machine, patience: patience, next: make(map[netip.Prefix]netip.Addr), used: make(map[netip.Addr]bool)}
}

// setRange sets the range, one prefix or one per address family, parted by a comma.
func (a *addresses) setRange(cidrs string) error {
	var prefixes []netip.Prefix
	for _, cidr := range strings.Split(cidrs, ",") {
		prefix, err := netip.ParsePrefix(strings.TrimSpace(cidr))
		if err != nil {
			return fmt.Errorf("%q is not a range of addresses such as 192.168.1.0/24: %w", cidr, err)
		}
		prefixes = append(prefixes, prefix.Masked())
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.prefixes = prefixes
	return nil
}

// ready tells whether pods can have addresses that last. Kubernetes gives a
// node its range right after it has registered; a cluster may give it none.
func (a *addresses) ready(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.asked.IsZero() {
		a.asked = now
	}
	return a.prefixes != nil || now.Sub(a.asked) >= a.patience
}

// take returns an unused address of each prefix.
func (a *addresses) take() ([]netip.Addr, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	prefixes := a.prefixes
	if len(prefixes) == 0 {
		prefixes = []netip.Prefix{defaultRange(a.machine())}
	}
	var taken []netip.Addr
	for _, prefix := range prefixes {
		address, err := a.takeFrom(prefix)
		if err != nil {
			for _, one := range taken {
				delete(a.used, one)
			}
			return nil, err
		}
		taken = append(taken, address)
	}
	return taken, nil
}

func (a *addresses) takeFrom(prefix netip.Prefix) (netip.Addr, error) {
	// The first two belong to the network and to the gateway a real node has.
	first := prefix.Addr().Next().Next()
	start, known := a.next[prefix]
	if !known || !prefix.Contains(start) {
		start = first
	}
	address := start
	for range len(a.used) + 2 {
		if !prefix.Contains(address) || isBroadcast(prefix, address) {
			address = first
		}
		if !a.used[address] && prefix.Contains(address) {
			a.used[address] = true
			a.next[prefix] = address.Next()
			return address, nil
		}
		address = address.Next()
	}
	return netip.Addr{}, errors.New("no address is left in the pod range " + prefix.String())
}

func isBroadcast(prefix netip.Prefix, address netip.Addr) bool {
	return address.Is4() && !prefix.Contains(address.Next())
}

// give returns addresses that take gave.
func (a *addresses) give(addresses []netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, address := range addresses {
		delete(a.used, address)
	}
}

// defaultRange serves until the node has a range. It comes from the shared
// address space and from the machine's own address, so that pods of different
// nodes hardly ever have the same one.
func defaultRange(machine string) netip.Prefix {
	own := [4]byte{}
	if address, err := netip.ParseAddr(machine); err == nil && address.Is4() {
		own = address.As4()
	}
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64 | own[2]&63, own[3], 0}), 24)
}
