// Package devices owns what the Cluster API provider knows about devices: which device belongs to a machine, how one is
// asked for, and what its state means. It knows the Packet API and no Kubernetes client.
//
// A device is found by its ID or by the tags that name its machine, in a listing of the project that all machines share. It
// is looked for before it is created, in a listing that began after the question: that is what keeps a crash, a lost answer
// or a stale cache from renting a second one.
package devices
