package store

import (
	"cmp"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Row is a record in the index. Neither it nor its Value ever changes: a
// change of the record makes another Row.
type Row[T any] struct {
	Value *T

	// key is what follows the table's prefix in the record's etcd key.
	key      string
	created  int64
	modified int64
	encoded  cached
}

// NewRow makes a row of a value that is not a record of its own but derived
// from one, to be shown like one. It is in no table.
func NewRow[T any](value *T) *Row[T] {
	return &Row[T]{Value: value}
}

// Encoded returns what encode made of the row the first time. It is forgotten
// when the record, or one that refers to it, changes, and when the memory for
// such is full.
func (r *Row[T]) Encoded(encode func() ([]byte, error)) ([]byte, error) {
	return r.encoded.get(encode)
}

// Table is one kind of record: all rows by ID, and by group, in the order in
// which they were created.
type Table[T any] struct {
	prefix string
	// key is the part of the etcd key that follows the prefix.
	key func(*T) string
	id  func(*T) string
	// groups names the lists that a record is in.
	groups func(*T) []string
	// changed is told of every record that came, changed or went.
	changed func(*T)
	// handle is a number by which a row is found too; nil for none.
	handle func(*T) uint64
	// compact makes the strings of a record be shared with other records.
	compact func(*T)
	// adopt makes a record use the strings of the records that it refers to.
	adopt func(*T)
	// keyedByID is true where the key is the ID, which spares a map.
	keyedByID bool
	encodings *encodings

	// base is the index beneath an overlay, nil in the index itself. In an
	// overlay the maps hold only what differs; a nil row is one that is gone.
	base     *Table[T]
	byKey    map[string]*Row[T]
	byID     map[string]*Row[T]
	byGroup  map[string][]*Row[T]
	byHandle map[uint64]*Row[T]
	// pending are changes of groups that an overlay has not made yet, because
	// nobody asked for the group.
	pending map[string][]change[T]
	// thinned are the rows that groups lost since the index was last tidied;
	// see drop.
	thinned map[string][]*Row[T]
	count   int
	// removals counts the rows that went.
	removals uint64
	// loading is true while rows come in any order.
	loading bool
}

// Get finds a row by its ID.
func (t *Table[T]) Get(id string) (*Row[T], bool) {
	row, ok := t.byID[id]
	if !ok && t.base != nil {
		return t.base.Get(id)
	}
	return row, row != nil
}

// All returns every row.
func (t *Table[T]) All() []*Row[T] {
	return t.In("")
}

// removed counts the rows that went from the index.
func (t *Table[T]) removed() uint64 {
	if t.base != nil {
		return t.base.removed()
	}
	return t.removals
}

// Len is the number of rows.
func (t *Table[T]) Len() int {
	if t.base != nil {
		return t.base.Len() + t.count
	}
	return t.count
}

// In returns the rows of one group; see the functions that name groups.
func (t *Table[T]) In(group string) []*Row[T] {
	if t.base != nil {
		return t.overlaid(group)
	}
	return t.byGroup[group]
}

// Count is the number of rows of one group. It costs the same for a large
// group as for a small one, also inside an Update.
func (t *Table[T]) Count(group string) int {
	if t.base == nil {
		return len(t.byGroup[group])
	}
	rows, made := t.byGroup[group]
	n := len(rows)
	if !made {
		n = t.base.Count(group)
	}
	for _, change := range t.pending[group] {
		n += change.grows()
	}
	return n
}

// Create adds a record to a transaction, which fails over to its next attempt
// if a record of that key exists by then, or the project or organization that
// it is in does not.
func (t *Table[T]) Create(tx *Tx, value *T) {
	key := t.key(value)
	tx.requireAbsent(t.prefix + key)
	for _, group := range t.groups(value) {
		tx.Enter(group)
	}
	t.write(tx, key, value)
}

// Update changes a record in a transaction. The value must have the row's key.
func (t *Table[T]) Update(tx *Tx, row *Row[T], value *T) {
	tx.requireRevision(t.prefix+row.key, row.modified)
	t.write(tx, row.key, value)
}

// Delete removes a record in a transaction.
func (t *Table[T]) Delete(tx *Tx, row *Row[T]) {
	tx.requireRevision(t.prefix+row.key, row.modified)
	t.write(tx, row.key, nil)
}

// Require makes a transaction depend on a row being as it was read.
func (t *Table[T]) Require(tx *Tx, row *Row[T]) {
	tx.requireRevision(t.prefix+row.key, row.modified)
}

// RequireEmpty makes a transaction depend on there being no row at all.
func (t *Table[T]) RequireEmpty(tx *Tx) {
	tx.requireNone(t.prefix, clientv3.GetPrefixRangeEnd(t.prefix))
}

// write puts a value, or deletes the key where it is nil.
func (t *Table[T]) write(tx *Tx, key string, value *T) {
	tx.write(t.prefix+key, value != nil, value, func(revision int64) { t.overlay(key, value, revision) })
}

// taken tells whether the table has a record of exactly this key.
func (t *Table[T]) taken(key string) bool {
	_, ok := t.at(key)
	return ok
}

// at finds a row by its key.
func (t *Table[T]) at(key string) (*Row[T], bool) {
	if t.keyedByID {
		return t.Get(key)
	}
	row, ok := t.byKey[key]
	if !ok && t.base != nil {
		return t.base.at(key)
	}
	return row, row != nil
}

// withHandle finds a row by its handle, in the index alone.
func (t *Table[T]) withHandle(handle uint64) (*Row[T], bool) {
	if t.base != nil {
		return t.base.withHandle(handle)
	}
	row, ok := t.byHandle[handle]
	return row, ok
}

func byCreation[T any](a, b *Row[T]) int {
	if c := cmp.Compare(a.created, b.created); c != 0 {
		return c
	}
	return cmp.Compare(a.key, b.key)
}
