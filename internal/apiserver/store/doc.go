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
package store
