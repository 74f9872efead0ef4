package store

import "slices"

// An overlay is what the index will be once the transactions before this one
// are written. It belongs to one goroutine, which holds the index still.

// pendingRevisions is where the revisions begin that rows of an overlay have
// until etcd gives them theirs. They sort after all of etcd's.
const pendingRevisions = int64(1) << 62

// change is a row of an overlay's group that came, went or was replaced.
type change[T any] struct{ old, row *Row[T] }

// grows is by how much the change makes a group longer.
func (c change[T]) grows() int {
	switch {
	case c.old == nil:
		return 1
	case c.row == nil:
		return -1
	default:
		return 0
	}
}

func (t *Table[T]) over(base table) {
	t.base = base.(*Table[T])
	t.pending = map[string][]change[T]{}
}

// clearOverlay makes the overlay equal to the index beneath it.
func (t *Table[T]) clearOverlay() {
	clear(t.byKey)
	clear(t.byID)
	clear(t.byGroup)
	clear(t.pending)
	t.count = 0
}

// overlay puts a value into an overlay, or takes it out where it is nil.
func (t *Table[T]) overlay(key string, value *T, revision int64) {
	old, exists := t.at(key)
	var row *Row[T]
	if value != nil {
		row = &Row[T]{Value: value, key: key, created: revision, modified: revision}
		if exists {
			row.created = old.created
		}
	}
	if !exists && row == nil {
		return
	}
	var before, after []string
	if exists {
		before = t.groups(old.Value)
		// Another row may have its ID already: a record that changes its key.
		id := t.id(old.Value)
		if present, ok := t.Get(id); ok && present == old {
			t.byID[id] = nil
		}
	} else {
		old = nil
	}
	if row != nil {
		after = t.groups(value)
		t.byID[t.id(value)] = row
	}
	if !t.keyedByID {
		t.byKey[key] = row
	}
	t.count += change[T]{old, row}.grows()
	t.pending[""] = append(t.pending[""], change[T]{old, row})
	for _, group := range before {
		if slices.Contains(after, group) {
			t.pending[group] = append(t.pending[group], change[T]{old, row})
		} else {
			t.pending[group] = append(t.pending[group], change[T]{old, nil})
		}
	}
	for _, group := range after {
		if !slices.Contains(before, group) {
			t.pending[group] = append(t.pending[group], change[T]{nil, row})
		}
	}
}

// overlaid is a group with the overlay's changes.
func (t *Table[T]) overlaid(group string) []*Row[T] {
	rows, made := t.byGroup[group]
	if !made {
		rows = t.base.In(group)
	}
	changes := t.pending[group]
	if len(changes) == 0 {
		return rows
	}
	// Whoever has the earlier list goes on with that.
	rows = append(make([]*Row[T], 0, len(rows)+len(changes)), rows...)
	for _, change := range changes {
		if change.old == nil {
			at, _ := slices.BinarySearchFunc(rows, change.row, byCreation[T])
			rows = slices.Insert(rows, at, change.row)
			continue
		}
		at, found := slices.BinarySearchFunc(rows, change.old, byCreation[T])
		switch {
		case !found:
		case change.row == nil:
			rows = slices.Delete(rows, at, at+1)
		default:
			rows[at] = change.row
		}
	}
	delete(t.pending, group)
	t.byGroup[group] = rows
	return rows
}
