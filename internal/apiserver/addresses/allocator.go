package addresses

import (
	"net/netip"
	"sync"
)

// Allocator chooses free blocks for transactions that run at the same time.
// It is not what keeps a block from being handed out twice: the transaction's
// conditions are, in this process and in any other. It only spares this
// process the conflicts, and hands out what was freed last as late as it can.
type Allocator struct {
	mu sync.Mutex
	// chosen are blocks of transactions that have not ended yet.
	chosen map[netip.Prefix]struct{}
	// cursors say, per pool and length, where to look next.
	cursors map[cursor]netip.Addr
	// exhausted are the pools in which nothing of a length was left, so that
	// not every request searches them to the end. It holds until something was
	// given back, or was chosen and let go of.
	exhausted map[cursor]moment
	released  uint64
}

// moment is when nothing had been given back that has not been searched.
type moment struct {
	givenBack, released uint64
}

// Blocks is what is known of the blocks that are in use.
type Blocks interface {
	// BlockTaken tells whether exactly that block is in use.
	BlockTaken(block netip.Prefix) bool
	// BlocksGivenBack counts those that no longer are.
	BlocksGivenBack() uint64
}

type cursor struct {
	pool netip.Prefix
	bits int
}

// NewAllocator returns an Allocator that starts each pool from its beginning.
func NewAllocator() *Allocator {
	return &Allocator{chosen: map[netip.Prefix]struct{}{}, cursors: map[cursor]netip.Addr{}, exhausted: map[cursor]moment{}}
}

// Choice is the blocks chosen for one transaction.
type Choice struct {
	allocator *Allocator
	blocks    []netip.Prefix
}

// Choose begins the choice for one transaction. The caller ends it with
// Release, after the transaction.
func (a *Allocator) Choose() *Choice {
	return &Choice{allocator: a}
}

// Reserve chooses a free block of a pool. A pool that has none is not
// searched again before something changes.
func (c *Choice) Reserve(pool Pool, bits int, blocks Blocks) (netip.Prefix, error) {
	at := cursor{pool: pool.Range, bits: bits}
	now := moment{givenBack: blocks.BlocksGivenBack(), released: c.allocator.releases()}
	if c.allocator.isExhausted(at, now) {
		return netip.Prefix{}, errExhausted(pool, bits)
	}
	block, err := c.Next(pool, bits, blocks.BlockTaken)
	if err != nil {
		c.allocator.setExhausted(at, now)
	}
	return block, err
}

func (a *Allocator) releases() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.released
}

func (a *Allocator) isExhausted(at cursor, now moment) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	then, ok := a.exhausted[at]
	return ok && then == now
}

func (a *Allocator) setExhausted(at cursor, now moment) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.exhausted[at] = now
}

// Next chooses a free block. Taken is as in Pool.Next.
func (c *Choice) Next(pool Pool, bits int, taken func(netip.Prefix) bool) (netip.Prefix, error) {
	a := c.allocator
	a.mu.Lock()
	defer a.mu.Unlock()

	at := cursor{pool: pool.Range, bits: bits}
	block, err := pool.Next(bits, a.cursors[at], func(block netip.Prefix) bool {
		_, chosen := a.chosen[block]
		return chosen || taken(block)
	})
	if err != nil {
		return netip.Prefix{}, err
	}
	a.cursors[at] = Last(block).Next()
	a.chosen[block] = struct{}{}
	c.blocks = append(c.blocks, block)
	return block, nil
}

// Release lets go of all that was chosen. It may be called again.
func (c *Choice) Release() {
	a := c.allocator
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, block := range c.blocks {
		delete(a.chosen, block)
		a.released++
	}
	c.blocks = nil
}
