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

	conditions []clientv3.Cmp
	operations []clientv3.Op
	err        error
	// written is where in operations each key is put or deleted: etcd takes a
	// key once, and what is said last counts.
	written map[string]int
	// conditionKeys keeps a key that is both required and written from being
	// compared twice.
	conditionKeys map[string]struct{}
}

func newTx(snapshot *Snapshot) *Tx {
	return &Tx{Snapshot: snapshot, written: map[string]int{}, conditionKeys: map[string]struct{}{}}
}

// DeleteEventsOf removes all events of a device.
func (tx *Tx) DeleteEventsOf(deviceID string) {
	tx.operations = append(tx.operations, clientv3.OpDelete(tx.Events.prefix+deviceID+"/", clientv3.WithPrefix()))
}

func (tx *Tx) put(key string, value any) {
	data, err := json.Marshal(value)
	if err != nil {
		tx.err = fmt.Errorf("writing the record %s: %w", key, err)
		return
	}
	tx.write(key, clientv3.OpPut(key, string(data)))
}

func (tx *Tx) delete(key string) {
	tx.write(key, clientv3.OpDelete(key))
}

func (tx *Tx) write(key string, operation clientv3.Op) {
	if at, again := tx.written[key]; again {
		tx.operations[at] = operation
		return
	}
	tx.written[key] = len(tx.operations)
	tx.operations = append(tx.operations, operation)
}

func (tx *Tx) requireRevision(key string, revision int64) {
	tx.require(key, clientv3.Compare(clientv3.ModRevision(key), "=", revision))
}

func (tx *Tx) requireAbsent(key string) {
	tx.require(key, clientv3.Compare(clientv3.CreateRevision(key), "=", 0))
}

// requireNone holds for a range without any key in it: etcd compares an empty
// range as if it were one absent key.
func (tx *Tx) requireNone(from, to string) {
	tx.require(from+"…"+to, clientv3.Compare(clientv3.CreateRevision(from), "=", 0).WithRange(to))
}

func (tx *Tx) require(key string, condition clientv3.Cmp) {
	if _, again := tx.conditionKeys[key]; again {
		return
	}
	tx.conditionKeys[key] = struct{}{}
	tx.conditions = append(tx.conditions, condition)
}
