package cri

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// hostPorts are the machine's ports that lead to a pod, forwarded by this
// process.
type hostPorts struct {
	listeners []net.Listener
	// end ends what was accepted.
	end context.CancelFunc
}

// openHostPorts opens those that a pod asks for, all or none. The kubelet has
// seen to it that no two pods of a machine ask for the same.
func openHostPorts(mappings []*runtimeapi.PortMapping, pod []netip.Addr) (*hostPorts, error) {
	// They stay open for as long as the pod's network does.
	ctx, end := context.WithCancel(context.Background())
	open := &hostPorts{end: end}
	for _, mapping := range mappings {
		if mapping.GetHostPort() == 0 || len(pod) == 0 {
			continue
		}
		if mapping.GetProtocol() != runtimeapi.Protocol_TCP {
			open.close()
			return nil, fmt.Errorf("port_mappings: host port %d is %s, only TCP can be forwarded here", mapping.HostPort, mapping.Protocol)
		}
		var settings net.ListenConfig
		listener, err := settings.Listen(ctx, "tcp", net.JoinHostPort(mapping.GetHostIp(), strconv.Itoa(int(mapping.HostPort))))
		if err != nil {
			open.close()
			return nil, fmt.Errorf("opening host port %d: %w", mapping.HostPort, err)
		}
		open.listeners = append(open.listeners, listener)
		go serveHostPort(ctx, listener, netip.AddrPortFrom(pod[0], uint16(mapping.ContainerPort)))
	}
	return open, nil
}

// serveHostPort forwards connections until the listener is closed.
func serveHostPort(ctx context.Context, listener net.Listener, to netip.AddrPort) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = connection.Close() }()
			var dialer net.Dialer
			there, err := dialer.DialContext(ctx, "tcp", to.String())
			if err != nil {
				return // The client sees that its connection ends.
			}
			defer func() { _ = there.Close() }()
			defer context.AfterFunc(ctx, func() { _, _ = connection.Close(), there.Close() })()
			go func() {
				_, _ = io.Copy(there, connection)
				closeWrite(there)
			}()
			_, _ = io.Copy(connection, there)
		}()
	}
}

func closeWrite(connection net.Conn) {
	if half, can := connection.(interface{ CloseWrite() error }); can {
		_ = half.CloseWrite()
	}
}

func (p *hostPorts) close() {
	if p == nil {
		return
	}
	p.end()
	for _, listener := range p.listeners {
		_ = listener.Close()
	}
}
