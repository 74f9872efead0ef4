package apiserver

import (
	"net"
	"net/http"
	"testing"
	"time"
)

// TestARequestThatNeverEndsIsEnded sends half of a body and nothing more,
// which held its connection for ever.
func TestARequestThatNeverEndsIsEnded(t *testing.T) {
	read := make(chan error, 1)
	server := newHTTPServer(t.Context(), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := r.Body.Read(make([]byte, 2))
		for err == nil {
			_, err = r.Body.Read(make([]byte, 2))
		}
		read <- err
	}))
	if server.ReadTimeout <= requestTimeout || server.WriteTimeout <= server.ReadTimeout {
		t.Errorf("a request has %v and its answer %v, want more than the handler's %v, and more again",
			server.ReadTimeout, server.WriteTimeout, requestTimeout)
	}
	server.ReadTimeout = 50 * time.Millisecond
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")); err != nil {
		t.Fatal(err)
	}
	select {
	case <-read:
	case <-time.After(20 * time.Second):
		t.Error("the body is still being waited for")
	}
}
