// Package store keeps the API server's records in etcd and answers reads from
// memory.
//
// Every write is one etcd transaction whose conditions are the revisions of
// what it was decided on, so that two writers, in one process or in several,
// never overwrite each other and nothing is handed out twice, also after a
// kill -9. Every read comes from an index that a watch keeps up to date. A
// write returns only when the index holds it, and a read on a shared etcd
// first catches up with the last write of any process: so whoever was told of
// a change sees it.
//
// Many Updates become one etcd transaction: they are decided on one after the
// other, each on an overlay of the index that has what those before it write,
// and are written together. Processes that share an etcd elect one that
// advances devices, whose writes hold only while it is elected. The records'
// format has a version, and each version its own place in etcd; see schema.go.
package store
