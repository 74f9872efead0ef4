package store

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

// Row is a record in the index. Neither it nor its Value ever changes: a
// change of the record makes another Row.
type Row[T any] struct {
	Value *T

	key      string
	created  int64
	modified int64
	// encoded is the record as the API shows it; see Encoded.
	encoded atomic.Pointer[[]byte]
}

// Encoded returns what encode made of the row the first time. It is forgotten
// when the record, or one that refers to it, changes.
func (r *Row[T]) Encoded(encode func() ([]byte, error)) ([]byte, error) {
	if cached := r.encoded.Load(); cached != nil {
		return *cached, nil
	}
	data, err := encode()
	if err != nil {
		return nil, err
	}
	r.encoded.Store(&data)
	return data, nil
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

	byKey   map[string]*Row[T]
	byID    map[string]*Row[T]
	byGroup map[string][]*Row[T]
}

// Get finds a row by its ID.
func (t *Table[T]) Get(id string) (*Row[T], bool) {
	row, ok := t.byID[id]
	return row, ok
}

// All returns every row.
func (t *Table[T]) All() []*Row[T] {
	return t.byGroup[""]
}

// Len is the number of rows.
func (t *Table[T]) Len() int {
	return len(t.byKey)
}

// In returns the rows of one group; see the functions that name groups.
func (t *Table[T]) In(group string) []*Row[T] {
	return t.byGroup[group]
}

// Create adds a record to a transaction, which fails over to its next attempt
// if a record of that key exists by then.
func (t *Table[T]) Create(tx *Tx, value *T) {
	key := t.prefix + t.key(value)
	tx.requireAbsent(key)
	tx.put(key, value)
}

// Update changes a record in a transaction. The value must have the row's key.
func (t *Table[T]) Update(tx *Tx, row *Row[T], value *T) {
	tx.requireRevision(row.key, row.modified)
	tx.put(row.key, value)
}

// Delete removes a record in a transaction.
func (t *Table[T]) Delete(tx *Tx, row *Row[T]) {
	tx.requireRevision(row.key, row.modified)
	tx.delete(row.key)
}

// Require makes a transaction depend on a row being as it was read.
func (t *Table[T]) Require(tx *Tx, row *Row[T]) {
	tx.requireRevision(row.key, row.modified)
}

// taken tells whether the table has a record of exactly this key.
func (t *Table[T]) taken(key string) bool {
	_, ok := t.byKey[t.prefix+key]
	return ok
}

func (t *Table[T]) reset() {
	t.byKey = map[string]*Row[T]{}
	t.byID = map[string]*Row[T]{}
	t.byGroup = map[string][]*Row[T]{}
}

func (t *Table[T]) apply(event mvccpb.Event_EventType, kv *mvccpb.KeyValue) error {
	key := string(kv.Key)
	if old, ok := t.byKey[key]; ok {
		t.remove(old)
	}
	if event == mvccpb.DELETE {
		return nil
	}
	value := new(T)
	if err := json.Unmarshal(kv.Value, value); err != nil {
		return fmt.Errorf("reading the record %s: %w", key, err)
	}
	t.insert(&Row[T]{Value: value, key: key, created: kv.CreateRevision, modified: kv.ModRevision})
	return nil
}

func (t *Table[T]) insert(row *Row[T]) {
	t.byKey[row.key] = row
	t.byID[t.id(row.Value)] = row
	for _, group := range append(t.groups(row.Value), "") {
		rows := t.byGroup[group]
		at, _ := slices.BinarySearchFunc(rows, row, byCreation[T])
		t.byGroup[group] = slices.Insert(rows, at, row)
	}
	t.changed(row.Value)
}

func (t *Table[T]) remove(row *Row[T]) {
	delete(t.byKey, row.key)
	delete(t.byID, t.id(row.Value))
	for _, group := range append(t.groups(row.Value), "") {
		rows := t.byGroup[group]
		if at, found := slices.BinarySearchFunc(rows, row, byCreation[T]); found {
			rows = slices.Delete(rows, at, at+1)
		}
		if len(rows) == 0 {
			delete(t.byGroup, group)
			continue
		}
		t.byGroup[group] = rows
	}
	t.changed(row.Value)
}

// forget drops the encoded form of a row.
func (t *Table[T]) forget(id string) {
	if row, ok := t.byID[id]; ok {
		row.encoded.Store(nil)
	}
}

func byCreation[T any](a, b *Row[T]) int {
	if c := cmp.Compare(a.created, b.created); c != 0 {
		return c
	}
	return cmp.Compare(a.key, b.key)
}
