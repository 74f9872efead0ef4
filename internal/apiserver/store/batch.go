package store

import (
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// limits are what etcd takes in one transaction.
type limits struct {
	operations int
	bytes      int
}

// The limits of an etcd that nobody configured are 128 operations and
// 1.5 MiB, of which some is for what is around the records.
const (
	defaultOperations = 120
	batchBytes        = 1 << 20
)

// batch is several transactions on their way to become one of etcd's. Each
// was decided on as if those before it were written, so together they are
// right if what all of them rest on is still so.
type batch struct {
	limits     limits
	conditions []condition
	// required are the revisions of the conditions on single keys.
	required map[string]int64
	writes   []write
	// written says of each key where it is in writes, and which revision it
	// has in the overlay; keys are the same in order.
	written map[string]pendingWrite
	keys    []string
	// ranges are the writes that delete ranges.
	ranges []write
	bytes  int
	// full is true when no other transaction can be taken.
	full  bool
	fence *fence
	// revision is the last that a row of the overlay was given.
	revision int64
}

type pendingWrite struct {
	at       int
	revision int64
}

func newBatch(limits limits, revision int64) *batch {
	return &batch{limits: limits, required: map[string]int64{}, written: map[string]pendingWrite{}, revision: revision}
}

// take adds a transaction. It returns false where that must wait for those in
// the batch to be written.
func (b *batch) take(tx *Tx, fence *fence) bool {
	size := 0
	for _, w := range tx.writes {
		size += len(w.key) + len(w.data)
	}
	if len(b.writes) > 0 {
		if fence != nil && b.fence != nil && *fence != *b.fence {
			return false
		}
		if len(b.writes)+len(tx.writes) > b.limits.operations ||
			len(b.conditions)+len(tx.conditions) > b.limits.operations ||
			b.bytes+size > b.limits.bytes {
			b.full = true
			return false
		}
		for _, c := range tx.conditions {
			if !b.allows(c) {
				return false
			}
		}
		for _, w := range tx.writes {
			if !b.allowsWrite(w) {
				return false
			}
		}
	}
	for _, c := range tx.conditions {
		b.require(c)
	}
	for _, w := range tx.writes {
		b.write(w)
	}
	if fence != nil {
		b.fence = fence
	}
	b.bytes += size
	b.full = b.full || tx.last
	return true
}

// allows tells whether a condition is compatible with what was required and
// written before in the batch.
func (b *batch) allows(c condition) bool {
	if b.touches(c.key, c.end) {
		return false
	}
	if c.end != "" {
		return true
	}
	if written, ok := b.written[c.key]; ok {
		return c.revision == written.revision && b.writes[written.at].data != nil
	}
	required, ok := b.required[c.key]
	return !ok || required == c.revision
}

func (b *batch) allowsWrite(w write) bool {
	if b.touches(w.key, w.end) {
		return false
	}
	written, ok := b.written[w.key]
	return w.end != "" || !ok || b.writes[written.at].data != nil
}

// touches tells whether a key is in a range that the batch deletes, or a
// range has a key that the batch writes.
func (b *batch) touches(key, end string) bool {
	for _, w := range b.ranges {
		if overlap(w.key, w.end, key, end) {
			return true
		}
	}
	if end == "" {
		return false
	}
	at, _ := slices.BinarySearch(b.keys, key)
	return at < len(b.keys) && b.keys[at] < end
}

func (b *batch) require(c condition) {
	if c.end == "" {
		if _, written := b.written[c.key]; written {
			return
		}
		if _, again := b.required[c.key]; again {
			return
		}
		b.required[c.key] = c.revision
	}
	b.conditions = append(b.conditions, c)
}

func (b *batch) write(w write) {
	b.revision++
	if w.foresee != nil {
		w.foresee(b.revision)
	}
	if w.end != "" {
		b.ranges = append(b.ranges, w)
		b.writes = append(b.writes, w)
		return
	}
	if earlier, again := b.written[w.key]; again {
		b.writes[earlier.at] = w
		b.written[w.key] = pendingWrite{earlier.at, b.revision}
		return
	}
	b.written[w.key] = pendingWrite{len(b.writes), b.revision}
	at, _ := slices.BinarySearch(b.keys, w.key)
	b.keys = slices.Insert(b.keys, at, w.key)
	b.writes = append(b.writes, w)
}

// transaction is the batch as etcd takes it.
func (b *batch) transaction() (conditions []clientv3.Cmp, then, otherwise []clientv3.Op) {
	conditions = make([]clientv3.Cmp, 0, len(b.conditions)+1)
	for _, c := range b.conditions {
		conditions = append(conditions, c.compare())
	}
	then = make([]clientv3.Op, 0, len(b.writes)+1)
	for _, w := range b.writes {
		then = append(then, w.operation())
	}
	then = append(then, clientv3.OpPut(lastWriteKey, ""))
	otherwise = []clientv3.Op{clientv3.OpGet(lastWriteKey)}
	if b.fence != nil {
		conditions = append(conditions, b.fence.holds())
		otherwise = append(otherwise, clientv3.OpGet(b.fence.key))
	}
	return conditions, then, otherwise
}
