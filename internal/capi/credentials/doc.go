// Package credentials finds out which Packet account a cluster belongs to, and keeps one client and one listing of devices
// per account, so that all clusters and machines of a project share them.
package credentials
