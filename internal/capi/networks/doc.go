// Package networks owns what the Cluster API provider knows about the network of a device: how its ports are bonded, which
// layer they work in, which VLANs they are in, and which BGP sessions the device has. It knows the Packet API and no
// Kubernetes client.
//
// What is wanted is compared with what the ports are, and only the difference is asked for, so that doing it again after a
// crash or a lost answer does nothing twice.
package networks
