// Package unixsock listens on and connects to unix sockets whose paths may be
// longer than the 108 bytes that a socket address holds. State directories
// are chosen by people, and a device's directory alone is 36 characters long.
package unixsock

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
)

// longest is what fits into sockaddr_un.sun_path, with its final zero byte.
const longest = 107

// Dial connects to the unix stream socket at path.
func Dial(ctx context.Context, path string) (*net.UnixConn, error) {
	var connection net.Conn
	err := within(path, func(short string) (err error) {
		var dialer net.Dialer
		connection, err = dialer.DialContext(ctx, "unix", short)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("connecting to socket %s: %w", path, err)
	}
	return connection.(*net.UnixConn), nil
}

// Listen listens on the unix stream socket at path. A file that is already
// there is an error; the caller knows whether it may be removed. Closing the
// listener leaves the file, because its address may have been a short-lived one.
func Listen(ctx context.Context, path string) (*net.UnixListener, error) {
	var listener net.Listener
	err := within(path, func(short string) (err error) {
		var config net.ListenConfig
		listener, err = config.Listen(ctx, "unix", short)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listening on socket %s: %w", path, err)
	}
	unixListener := listener.(*net.UnixListener)
	unixListener.SetUnlinkOnClose(false)
	return unixListener, nil
}

// within calls use with a name for path that is short enough: where path is
// too long, one that leads through an open descriptor of its directory.
func within(path string, use func(short string) error) error {
	if len(path) <= longest {
		return use(path)
	}
	directory, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer directory.Close()
	return use(filepath.Join("/proc/self/fd", strconv.Itoa(int(directory.Fd())), filepath.Base(path)))
}
