package store

import (
	"encoding/json"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Tx is a write in the making: what it shall change, and what must still be
// as it was read for the change to be right.
type Tx struct {
	// Snapshot is what the decision is made on. Only what the tables'
	// Create, Update, Delete and Require were called with is checked when the
	// transaction commits.
	*Snapshot

	conditions []condition
	writes     []write
	err        error
	// written is where in writes each key is put or deleted: etcd takes a key
	// once, and what is said last counts.
	written map[string]int
	// conditionKeys keeps a key that is both required and written from being
	// compared twice.
	conditionKeys map[string]struct{}
	// last is true for a transaction after which no other one can be decided
	// on before it is written.
	last bool
}

// condition is what must hold of one key, or of all keys from one to before
// another.
type condition struct {
	key string
	// end makes it a range, in which there must be no key.
	end string
	// revision is that of the key's last change, and 0 for a key that must
	// not exist.
	revision int64
}

// write is a change of one key, or the deletion of all keys from one to
// before another.
type write struct {
	key, end string
	// data is what is put; nil deletes.
	data []byte
	// foresee makes the change in the overlay.
	foresee func(revision int64)
}

func newTx(snapshot *Snapshot) *Tx {
	return &Tx{Snapshot: snapshot, written: map[string]int{}, conditionKeys: map[string]struct{}{}}
}

// DeleteEventsOf removes all events of a device that are records, also those
// made since they were read.
func (tx *Tx) DeleteEventsOf(deviceID string) {
	from := tx.Events.prefix + deviceID + "/"
	rows := tx.Events.In(OfDevice(deviceID))
	events := &tx.Events
	tx.writes = append(tx.writes, write{key: from, end: clientv3.GetPrefixRangeEnd(from), foresee: func(revision int64) {
		for _, row := range rows {
			events.overlay(row.key, nil, revision)
		}
	}})
}

// write puts a value, or deletes the key.
func (tx *Tx) write(key string, put bool, value any, foresee func(int64)) {
	w := write{key: key, foresee: foresee}
	if put {
		data, err := json.Marshal(value)
		if err != nil {
			tx.err = fmt.Errorf("writing the record %s: %w", key, err)
			return
		}
		w.data = data
	}
	if at, again := tx.written[key]; again {
		tx.writes[at] = w
		return
	}
	tx.written[key] = len(tx.writes)
	tx.writes = append(tx.writes, w)
}

func (tx *Tx) requireRevision(key string, revision int64) {
	tx.require(condition{key: key, revision: revision})
}

func (tx *Tx) requireAbsent(key string) {
	tx.require(condition{key: key})
}

// requireNone holds for a range without any key in it.
func (tx *Tx) requireNone(from, to string) {
	tx.require(condition{key: from, end: to})
}

func (tx *Tx) require(c condition) {
	name := c.key
	if c.end != "" {
		name += "…" + c.end
	}
	if _, again := tx.conditionKeys[name]; again {
		return
	}
	tx.conditionKeys[name] = struct{}{}
	tx.conditions = append(tx.conditions, c)
}

// compare is the condition as etcd checks it. It compares an empty range as
// if it were one absent key.
func (c condition) compare() clientv3.Cmp {
	switch {
	case c.end != "":
		return clientv3.Compare(clientv3.CreateRevision(c.key), "=", 0).WithRange(c.end)
	case c.revision == 0:
		return clientv3.Compare(clientv3.CreateRevision(c.key), "=", 0)
	default:
		return clientv3.Compare(clientv3.ModRevision(c.key), "=", c.revision)
	}
}

func (w write) operation() clientv3.Op {
	switch {
	case w.end != "":
		return clientv3.OpDelete(w.key, clientv3.WithRange(w.end))
	case w.data == nil:
		return clientv3.OpDelete(w.key)
	default:
		return clientv3.OpPut(w.key, string(w.data))
	}
}

// overlap tells whether a key or range has a key in common with another.
func overlap(key, end, otherKey, otherEnd string) bool {
	switch {
	case end == "" && otherEnd == "":
		return key == otherKey
	case end == "":
		return otherKey <= key && key < otherEnd
	case otherEnd == "":
		return key <= otherKey && otherKey < end
	default:
		return key < otherEnd && otherKey < end
	}
}
