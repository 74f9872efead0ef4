// Package bastion makes the hosts by which operators of Gardener reach the nodes of a Shoot: a device of the Shoot's project in
// its metro for each Bastion, for as long as there is the Bastion.
//
// The Packet API has no security groups. What a Bastion's ingress says is enforced by the device itself: its user data sets up a
// packet filter before it runs the script that lets people in, and does not run that script if the filter cannot be set up.
// Nobody's SSH key of the project is on the device. A Bastion that changes gets another device.
package bastion
