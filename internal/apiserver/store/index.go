package store

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

// table is what the index needs of a Table of any kind.
type table interface {
	reset()
	// decode makes a row of a record. It needs no lock.
	decode(kv *mvccpb.KeyValue) (decoded, error)
	// remove takes out the row of an etcd key.
	remove(key string)
	// tidy makes the groups whole again after a number of changes.
	tidy()
	// load says that rows come in any order until it is called again, with
	// false, which puts them into theirs.
	load(begins bool)
	// over makes the table an overlay of another of its kind.
	over(base table)
	clearOverlay()
}

// decoded is a row that is not in its table yet.
type decoded interface{ insert() }

// newRow is a row on its way into a table.
type newRow[T any] struct {
	table *Table[T]
	row   *Row[T]
}

func (n newRow[T]) insert() { n.table.put(n.row) }

func (t *Table[T]) reset() {
	t.byKey = map[string]*Row[T]{}
	t.byID = map[string]*Row[T]{}
	t.byGroup = map[string][]*Row[T]{}
	t.byHandle = map[uint64]*Row[T]{}
	t.thinned = map[string][]*Row[T]{}
	t.count = 0
	t.removals++
}

func (t *Table[T]) decode(kv *mvccpb.KeyValue) (decoded, error) {
	value := new(T)
	if err := json.Unmarshal(kv.Value, value); err != nil {
		return nil, fmt.Errorf("reading the record %s: %w", kv.Key, err)
	}
	if t.compact != nil {
		t.compact(value)
	}
	row := &Row[T]{Value: value, created: kv.CreateRevision, modified: kv.ModRevision}
	row.encoded.in = t.encodings
	if t.keyedByID {
		// The two are one string in memory.
		row.key = t.id(value)
	} else {
		row.key = strings.Clone(string(kv.Key[len(t.prefix):]))
	}
	return newRow[T]{t, row}, nil
}

// put makes a row the one of its key.
func (t *Table[T]) put(row *Row[T]) {
	old, exists := t.at(row.key)
	if t.adopt != nil && !t.loading {
		t.adopt(row.Value)
	}
	id := t.id(row.Value)
	groups := t.groups(row.Value)
	switch {
	case !exists:
		t.count++
		t.join(row, groups)
	case old.created == row.created && t.id(old.Value) == id && slices.Equal(t.groups(old.Value), groups):
		t.replace(old, row, groups)
		t.forgetEncoding(old)
	default:
		t.drop(old)
		// What the record referred to before must be told too.
		t.changed(old.Value)
		t.count++
		t.join(row, groups)
	}
	if !t.keyedByID {
		t.byKey[row.key] = row
	}
	t.byID[id] = row
	if t.handle != nil {
		t.byHandle[t.handle(row.Value)] = row
	}
	t.changed(row.Value)
}

// join adds a row to its groups. The newest row is the last of a group, so
// this mostly appends.
func (t *Table[T]) join(row *Row[T], groups []string) {
	t.joinOne("", row)
	for _, group := range groups {
		t.joinOne(group, row)
	}
}

func (t *Table[T]) joinOne(group string, row *Row[T]) {
	rows := t.byGroup[group]
	if n := len(rows); n == 0 || t.loading || byCreation(rows[n-1], row) < 0 {
		t.byGroup[group] = append(rows, row)
		return
	}
	at, found := slices.BinarySearchFunc(rows, row, byCreation[T])
	if found {
		// What was removed since the last tidy came back.
		rows[at] = row
		return
	}
	t.byGroup[group] = slices.Insert(rows, at, row)
}

// replace puts a row where another of the same groups was.
func (t *Table[T]) replace(old, row *Row[T], groups []string) {
	for _, group := range append([]string{""}, groups...) {
		rows := t.byGroup[group]
		if at, found := slices.BinarySearchFunc(rows, old, byCreation[T]); found {
			rows[at] = row
		}
	}
}

func (t *Table[T]) remove(key string) {
	key = strings.TrimPrefix(key, t.prefix)
	if old, ok := t.at(key); ok {
		t.removals++
		t.drop(old)
		t.changed(old.Value)
	}
}

// drop takes a row out of the maps. It stays in its groups until tidy, which
// takes all that went from a group at once: taking one out of a long list
// costs as much as taking out many.
func (t *Table[T]) drop(row *Row[T]) {
	if !t.keyedByID {
		delete(t.byKey, row.key)
	}
	if id := t.id(row.Value); t.byID[id] == row {
		delete(t.byID, id)
	}
	if t.handle != nil {
		delete(t.byHandle, t.handle(row.Value))
	}
	t.count--
	t.forgetEncoding(row)
	t.thinned[""] = append(t.thinned[""], row)
	for _, group := range t.groups(row.Value) {
		t.thinned[group] = append(t.thinned[group], row)
	}
}

func (t *Table[T]) load(begins bool) {
	t.loading = begins
	if begins {
		return
	}
	if t.adopt != nil {
		for _, row := range t.byGroup[""] {
			t.adopt(row.Value)
		}
	}
	for group, rows := range t.byGroup {
		if !slices.IsSortedFunc(rows, byCreation[T]) {
			slices.SortFunc(rows, byCreation[T])
		}
		if spare := cap(rows) - len(rows); spare > len(rows)/8+1 {
			t.byGroup[group] = append(make([]*Row[T], 0, len(rows)), rows...)
		}
	}
}

// tidy takes the rows that were dropped out of their groups. No reader sees
// the index before that.
func (t *Table[T]) tidy() {
	for group, gone := range t.thinned {
		left := without(t.byGroup[group], gone)
		switch {
		case len(left) == 0:
			delete(t.byGroup, group)
		case cap(left) > 64 && len(left) < cap(left)/4:
			t.byGroup[group] = slices.Clone(left)
		default:
			t.byGroup[group] = left
		}
	}
	clear(t.thinned)
}

// without takes rows out of a list that is in the order of creation. It moves
// every row that stays at most once.
func without[T any](rows, gone []*Row[T]) []*Row[T] {
	var holes []int
	for _, row := range gone {
		if at, found := slices.BinarySearchFunc(rows, row, byCreation[T]); found && rows[at] == row {
			holes = append(holes, at)
		}
	}
	if len(holes) == 0 {
		return rows
	}
	slices.Sort(holes)
	holes = slices.Compact(holes)
	end := holes[0]
	for i, hole := range holes {
		next := len(rows)
		if i+1 < len(holes) {
			next = holes[i+1]
		}
		end += copy(rows[end:], rows[hole+1:next])
	}
	clear(rows[end:])
	return rows[:end]
}

// forget drops the encoded form of a row.
func (t *Table[T]) forget(id string) {
	if row, ok := t.Get(id); ok {
		t.forgetEncoding(row)
	}
}

func (t *Table[T]) forgetEncoding(row *Row[T]) { row.encoded.forget() }
