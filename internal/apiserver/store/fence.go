package store

import clientv3 "go.etcd.io/etcd/client/v3"

// fence is what must be so for the writes of an elected leader to count: the
// key of its election is the one that it made.
type fence struct {
	key      string
	revision int64
}

// held tells from the answer to a refused transaction whether it was so.
func (f *fence) held(answer *clientv3.TxnResponse) bool {
	kvs := answer.Responses[1].GetResponseRange().GetKvs()
	return len(kvs) > 0 && kvs[0].CreateRevision == f.revision
}
