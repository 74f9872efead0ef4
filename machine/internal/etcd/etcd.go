// Package etcd is the machine's etcd: the project's own server, unmodified.
package etcd

import "go.etcd.io/etcd/server/v3/etcdmain"

// Main runs etcd with the given arguments, of which the first is its name. It
// only returns after an orderly stop; etcd exits by itself on failure.
func Main(args []string) int {
	etcdmain.Main(args)
	return 0
}

// Defaults are the flags that differ from upstream's defaults on a machine.
// Writes are not forced to the disk: that guards against a power failure, and a
// simulated machine that fails, however hard, leaves its writes with the host's
// kernel.
func Defaults() []string {
	return []string{"--unsafe-no-fsync"}
}
