// Package infrastructure makes what the machines of a Shoot need before there are any: an SSH key, and where the Shoot asks for
// them a VLAN and a private reservation. It tells Gardener which addresses the nodes will have.
//
// Every step looks for what it would make before making it, by the ID in the Infrastructure's state, then by name or tags, and
// writes the state when it is done. So a process that dies between any two calls leaves nothing that the next one does not find.
package infrastructure
