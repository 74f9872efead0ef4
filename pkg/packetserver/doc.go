// Package packetserver runs the Packet API server inside a Go program, for
// tests of whatever uses the Packet API.
//
// Start gives a test a server of its own, with records in a folder that goes
// with the test, machines that cost nothing, and devices that are active at
// once:
//
//	func TestMyController(t *testing.T) {
//		server := packetserver.Start(t)
//		client, err := packngo.NewClientWithBaseURL("test", server.Token(), nil, server.URL()+"/")
//		...
//	}
//
// A Control seeds the server, turns its clock, makes requests fail, and tells
// what was asked. It works for a server elsewhere too, that was started with
// --control.
package packetserver
