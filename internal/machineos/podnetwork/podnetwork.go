// Package podnetwork gives the pods of a simulated machine networks of their
// own, as a CNI plugin does on a real node: a network namespace with an
// interface, an address, and a way out by the machine.
//
// The machine routes between its pods and itself. What leaves it by its uplink
// gets the machine's address, because nobody outside knows where a pod is.
// Pods of other machines are kube-proxy's business, which knows the nodes.
package podnetwork

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

const (
	// linkPrefix begins the names of the machine's ends of pods' links. The
	// packet filter knows pods' traffic by it.
	linkPrefix = "pod"
	// podLink is the pod's own end.
	podLink = "eth0"
	// mtu leaves room for the header that pods of other machines are reached with.
	mtu = 1450
	// sysctls is where the kernel's settings of this network namespace are.
	sysctls = "/proc/sys/net"
)

// Every pod has the same routers, at the other end of its link.
var (
	gateway4 = netip.AddrFrom4([4]byte{169, 254, 1, 1})
	gateway6 = netip.MustParseAddr("fe80::1")
)

// Network is a machine's network of pods.
type Network struct {
	machine func() string

	mu   sync.Mutex
	next int
}

// Open prepares the calling process's network namespace for pods. Traffic
// from pods that leaves by the uplink, for example bond0, gets the machine's
// address; address tells the one from which the machine itself reaches its
// pods. An error says what the kernel, or the host, lacks.
func Open(uplink string, address func() string) (*Network, error) {
	if err := set("ipv4/ip_forward", "1"); err != nil {
		return nil, err
	}
	if err := set("ipv6/conf/all/forwarding", "1"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := masquerade(uplink); err != nil {
		return nil, err
	}
	return &Network{machine: address}, nil
}

// Pod is the network of one pod.
type Pod struct {
	namespace *os.File
	link      string
}

// Add makes a network namespace with these addresses, of which each family
// has at most one.
func (n *Network) Add(addresses []netip.Addr) (*Pod, error) {
	link, err := n.linkName()
	if err != nil {
		return nil, err
	}
	namespace, err := newNamespace()
	if err != nil {
		return nil, err
	}
	pod := &Pod{namespace: namespace, link: link}
	if err := n.connect(pod, addresses); err != nil {
		return nil, errors.Join(fmt.Errorf("connecting a pod with %v to its machine: %w", addresses, err), pod.Close())
	}
	return pod, nil
}

// linkName is one that no link has. Links of pods of a process before this one
// may be there still.
func (n *Network) linkName() (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for {
		name := linkPrefix + strconv.Itoa(n.next)
		n.next++
		_, err := net.InterfaceByName(name)
		if err == nil {
			continue
		}
		var other *net.OpError
		if !errors.As(err, &other) {
			return "", fmt.Errorf("looking for a link %s: %w", name, err)
		}
		return name, nil
	}
}

// newNamespace makes a network namespace that lives as long as its file is open.
func newNamespace() (*os.File, error) {
	var file *os.File
	err := elsewhere(func() error {
		handle, err := netns.New()
		if err != nil {
			return fmt.Errorf("making a network namespace: %w", err)
		}
		file = os.NewFile(uintptr(handle), "the pod's network namespace")
		return nil
	})
	return file, err
}

// elsewhere calls a function that takes its thread to another network
// namespace, and brings the thread back.
func elsewhere(do func() error) error {
	result := make(chan error, 1)
	go func() {
		// A namespace belongs to a thread, and Go moves goroutines between threads.
		runtime.LockOSThread()
		before, err := netns.Get()
		if err != nil {
			runtime.UnlockOSThread()
			result <- fmt.Errorf("reading the machine's network namespace: %w", err)
			return
		}
		defer func() { _ = before.Close() }()
		failed := do()
		if err := netns.Set(before); err != nil {
			// The thread stays locked and so ends with this goroutine: nothing else may run there.
			result <- errors.Join(failed, fmt.Errorf("returning to the machine's network namespace: %w", err))
			return
		}
		runtime.UnlockOSThread()
		result <- failed
	}()
	return <-result
}

func (p *Pod) handle() netns.NsHandle { return netns.NsHandle(p.namespace.Fd()) }

// connect joins a pod's namespace with the machine's.
func (n *Network) connect(pod *Pod, addresses []netip.Addr) error {
	attributes := netlink.NewLinkAttrs()
	attributes.Name, attributes.MTU = pod.link, mtu
	veth := &netlink.Veth{LinkAttrs: attributes, PeerName: podLink, PeerMTU: mtu, PeerNamespace: netlink.NsFd(pod.namespace.Fd())}
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("making the link %s: %w", pod.link, err)
	}
	if err := n.connectMachine(pod.link, addresses); err != nil {
		return err
	}
	inside, err := netlink.NewHandleAt(pod.handle())
	if err != nil {
		return fmt.Errorf("entering the pod's network namespace: %w", err)
	}
	defer inside.Close()
	return connectPod(inside, addresses)
}

// connectMachine sets up the machine's end.
func (n *Network) connectMachine(name string, addresses []netip.Addr) error {
	settings := map[string]string{
		"ipv4/conf/" + name + "/rp_filter":      "0",
		"ipv4/conf/" + name + "/send_redirects": "0",
		"ipv6/conf/" + name + "/accept_dad":     "0",
		"ipv6/conf/" + name + "/accept_ra":      "0",
	}
	for setting, value := range settings {
		if err := set(setting, value); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("finding the link %s: %w", name, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("raising the link %s: %w", name, err)
	}
	for _, address := range addresses {
		gateway, route := gatewayOf(address), &netlink.Route{LinkIndex: link.Attrs().Index, Dst: host(address), Scope: netlink.SCOPE_LINK}
		own := &netlink.Addr{IPNet: host(gateway), Scope: int(netlink.SCOPE_LINK), Flags: noDetection(address)}
		if address.Is6() {
			own.Mask = net.CIDRMask(64, 128)
		}
		if err := netlink.AddrAdd(link, own); err != nil {
			return fmt.Errorf("giving %s the address %s: %w", name, gateway, err)
		}
		// The pod sees the node's address, not that of its link.
		if machine, err := netip.ParseAddr(n.machine()); err == nil && machine.Is4() == address.Is4() && !machine.IsLoopback() {
			route.Src = machine.AsSlice()
		}
		if err := netlink.RouteAdd(route); err != nil {
			return fmt.Errorf("routing %s to %s: %w", address, name, err)
		}
	}
	return nil
}

// connectPod sets up the pod's end.
func connectPod(inside *netlink.Handle, addresses []netip.Addr) error {
	for _, name := range []string{"lo", podLink} {
		link, err := inside.LinkByName(name)
		if err != nil {
			return fmt.Errorf("finding the pod's %s: %w", name, err)
		}
		if err := inside.LinkSetUp(link); err != nil {
			return fmt.Errorf("raising the pod's %s: %w", name, err)
		}
	}
	link, err := inside.LinkByName(podLink)
	if err != nil {
		return fmt.Errorf("finding the pod's %s: %w", podLink, err)
	}
	for _, address := range addresses {
		if err := inside.AddrAdd(link, &netlink.Addr{IPNet: host(address), Flags: noDetection(address)}); err != nil {
			return fmt.Errorf("giving the pod the address %s: %w", address, err)
		}
		gateway := gatewayOf(address)
		if address.Is4() {
			route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: host(gateway), Scope: netlink.SCOPE_LINK}
			if err := inside.RouteAdd(route); err != nil {
				return fmt.Errorf("routing the pod to %s: %w", gateway, err)
			}
		}
		everywhere := &net.IPNet{IP: make(net.IP, address.BitLen()/8), Mask: net.CIDRMask(0, address.BitLen())}
		if err := inside.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: everywhere, Gw: gateway.AsSlice()}); err != nil {
			return fmt.Errorf("routing the pod by way of %s: %w", gateway, err)
		}
	}
	return nil
}

// Namespace is the pod's network namespace, for a process to enter. It is
// closed with the Pod.
func (p *Pod) Namespace() *os.File { return p.namespace }

// Dial connects with an address as the pod itself would, for example with its
// loopback address.
func (p *Pod) Dial(ctx context.Context, address netip.AddrPort) (net.Conn, error) {
	var connection net.Conn
	err := elsewhere(func() (err error) {
		if err = netns.Set(p.handle()); err != nil {
			return fmt.Errorf("entering the pod's network namespace: %w", err)
		}
		// The address is a number, so that the socket is made by this thread.
		var dialer net.Dialer
		connection, err = dialer.DialContext(ctx, "tcp", address.String())
		return err
	})
	return connection, err
}

// Close takes the pod's network away. The second time it does nothing.
func (p *Pod) Close() error {
	var failed error
	if link, err := netlink.LinkByName(p.link); err == nil {
		// The kernel would do it once the namespace ends, which is some time later.
		if err := netlink.LinkDel(link); err != nil {
			failed = fmt.Errorf("removing the link %s: %w", p.link, err)
		}
	}
	if err := p.namespace.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
		failed = errors.Join(failed, fmt.Errorf("closing the pod's network namespace: %w", err))
	}
	return failed
}

func gatewayOf(address netip.Addr) netip.Addr {
	if address.Is4() {
		return gateway4
	}
	return gateway6
}

// noDetection has an IPv6 address usable at once: nobody else can have it.
func noDetection(address netip.Addr) int {
	if address.Is6() {
		return noDuplicateDetection
	}
	return 0
}

// host is the network of a single address.
func host(address netip.Addr) *net.IPNet {
	return &net.IPNet{IP: address.AsSlice(), Mask: net.CIDRMask(address.BitLen(), address.BitLen())}
}

func set(name, value string) error {
	if err := os.WriteFile(filepath.Join(sysctls, name), []byte(value), 0o644); err != nil {
		return fmt.Errorf("setting %s to %s: %w", name, value, err)
	}
	return nil
}
