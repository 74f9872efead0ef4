// Package apiserver is the Packet API server: the REST API under /metal/v1,
// the metadata service, and the control routes under /_packetyard.
//
// New opens the store and binds the listener, Run serves and drives the
// machines until its context ends. The handlers are functions of the API's
// state and a request that return a response value; the router alone writes.
package apiserver
