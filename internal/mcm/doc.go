// Package mcm makes the machines of Gardener's machine-controller-manager (MCM) devices of the Packet API. It implements the
// driver interface of MCM v0.62 (pkg/util/provider/driver); MCM's own machine controller calls it.
//
// A device belongs to a Machine by its tags: those of the cluster and the role, which the MachineClass names, and one with the
// name of the Machine, which the driver adds. Nothing else is remembered anywhere, so that a driver that was killed between a
// request and its answer finds the device again.
//
// All questions about devices are answered from one listing of the cluster's devices, which is shared by all machines and
// classes for a short time: what it costs depends on the number of its pages, not of machines.
package mcm
