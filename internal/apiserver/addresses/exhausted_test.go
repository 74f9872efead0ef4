package addresses

import (
	"net/netip"
	"testing"
)

// counted is a set of blocks that counts how often it is asked.
type counted struct {
	taken map[netip.Prefix]bool
	asked int
	given uint64
}

func (c *counted) BlockTaken(block netip.Prefix) bool { c.asked++; return c.taken[block] }
func (c *counted) BlocksGivenBack() uint64            { return c.given }

// TestFullPoolWasSearchedByEveryRequest is about a pool without a free block:
// every request went through all of it, and held up all others meanwhile.
func TestFullPoolWasSearchedByEveryRequest(t *testing.T) {
	pool := Pool{Range: netip.MustParsePrefix("198.51.100.0/24"), Coarsest: 28}
	blocks := &counted{taken: map[netip.Prefix]bool{}}
	allocator := NewAllocator()
	for {
		choice := allocator.Choose()
		block, err := choice.Reserve(pool, 31, blocks)
		choice.Release()
		if err != nil {
			break
		}
		blocks.taken[block] = true
	}
	if len(blocks.taken) != 128 {
		t.Fatalf("%d blocks were handed out, want 128", len(blocks.taken))
	}
	blocks.asked = 0
	for range 100 {
		if _, err := allocator.Choose().Reserve(pool, 31, blocks); err == nil {
			t.Fatal("a full pool has a block")
		}
	}
	if blocks.asked > 0 {
		t.Errorf("a full pool was asked for %d blocks again", blocks.asked)
	}

	// What is given back is found, and so is what another request let go of.
	back := netip.MustParsePrefix("198.51.100.6/31")
	delete(blocks.taken, back)
	blocks.given++
	first, second := allocator.Choose(), allocator.Choose()
	if block, err := first.Reserve(pool, 31, blocks); err != nil || block != back {
		t.Fatalf("got %v, %v, want %v", block, err, back)
	}
	if _, err := second.Reserve(pool, 31, blocks); err == nil {
		t.Fatal("one block was chosen twice")
	}
	first.Release()
	if block, err := second.Reserve(pool, 31, blocks); err != nil || block != back {
		t.Errorf("got %v, %v, want %v", block, err, back)
	}
}
