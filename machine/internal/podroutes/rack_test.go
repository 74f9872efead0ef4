package podroutes

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// rack is a switch that machines are plugged into. It is in the test's own
// network namespace.
type rack struct {
	t      *testing.T
	bridge netlink.Link
	links  int
}

func newRack(t *testing.T) *rack {
	t.Helper()
	attributes := netlink.NewLinkAttrs()
	attributes.Name, attributes.Flags = "tor0", net.FlagUp
	bridge := &netlink.Bridge{LinkAttrs: attributes}
	must(t, "making the switch", netlink.LinkAdd(bridge))
	t.Cleanup(func() { _ = netlink.LinkDel(bridge) })
	return &rack{t: t, bridge: bridge}
}

// namespace is a network namespace that lives as long as the test.
type namespace struct {
	t    *testing.T
	file *os.File
}

func newNamespace(t *testing.T) *namespace {
	t.Helper()
	n := &namespace{t: t}
	must(t, "making a network namespace", onThread(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		n.file, err = os.Open("/proc/thread-self/ns/net")
		return err
	}))
	t.Cleanup(func() { _ = n.file.Close() })
	n.do("raising lo", func() error { return raise("lo") })
	return n
}

// do calls a function in the namespace. Every socket that it makes belongs there.
func (n *namespace) do(what string, call func() error) {
	n.t.Helper()
	must(n.t, what, n.try(call))
}

func (n *namespace) try(call func() error) error {
	return onThread(func() error {
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			return err
		}
		return call()
	})
}

// onThread calls a function on a thread of its own, which ends with it.
func onThread(call func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		result <- call()
	}()
	return <-result
}

func must(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func raise(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}

// machine plugs a machine into the switch, with addresses such as 10.0.0.1/24.
func (r *rack) machine(addresses ...string) *namespace {
	r.t.Helper()
	m := newNamespace(r.t)
	m.do("turning forwarding on", func() error {
		return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644)
	})
	m.do("turning forwarding of IPv6 on", func() error {
		return os.WriteFile("/proc/sys/net/ipv6/conf/all/forwarding", []byte("1"), 0o644)
	})
	m.do("checking where packets come from strictly", func() error {
		return os.WriteFile("/proc/sys/net/ipv4/conf/all/rp_filter", []byte("1"), 0o644)
	})
	r.links++
	attributes := netlink.NewLinkAttrs()
	attributes.Name, attributes.MasterIndex, attributes.Flags = fmt.Sprintf("p%d", r.links), r.bridge.Attrs().Index, net.FlagUp
	cable := &netlink.Veth{LinkAttrs: attributes, PeerName: "bond0", PeerNamespace: netlink.NsFd(m.file.Fd())}
	must(r.t, "plugging a machine in", netlink.LinkAdd(cable))
	// It would go with the machine's namespace, but in the kernel's own time.
	r.t.Cleanup(func() { _ = netlink.LinkDel(cable) })
	m.do("setting a machine's link up", func() error { return setUp("bond0", addresses...) })
	return m
}

func setUp(name string, addresses ...string) error {
	if err := raise(name); err != nil {
		return err
	}
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	for _, text := range addresses {
		address, err := netlink.ParseAddr(text)
		if err != nil {
			return err
		}
		if address.IP.To4() == nil {
			address.Flags = unix.IFA_F_NODAD
		}
		if err := netlink.AddrAdd(link, address); err != nil {
			return fmt.Errorf("adding %s to %s: %w", text, name, err)
		}
	}
	return nil
}

// pod adds a pod to a machine, with one address of each family.
func (n *namespace) pod(four, six string) *namespace {
	n.t.Helper()
	p := newNamespace(n.t)
	n.do("making a pod", func() error {
		attributes := netlink.NewLinkAttrs()
		attributes.Name, attributes.MTU = "pod0", 1450
		err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attributes, PeerName: "eth0", PeerMTU: 1450, PeerNamespace: netlink.NsFd(p.file.Fd())})
		if err != nil {
			return err
		}
		if err := setUp("pod0", "169.254.1.1/32", "fe80::1/64"); err != nil {
			return err
		}
		for _, address := range []string{four, six} {
			if err := routeTo("pod0", netip.MustParseAddr(address), ""); err != nil {
				return err
			}
		}
		return nil
	})
	p.do("setting a pod up", func() error {
		if err := setUp("eth0", four+"/32", six+"/128"); err != nil {
			return err
		}
		if err := routeTo("eth0", netip.IPv4Unspecified(), "169.254.1.1"); err != nil {
			return err
		}
		return routeTo("eth0", netip.IPv6Unspecified(), "fe80::1")
	})
	return p
}

// routeTo routes an address, or everything if it is unspecified, to an interface.
func routeTo(name string, to netip.Addr, via string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	bits := to.BitLen()
	if to.IsUnspecified() {
		bits = 0
	}
	route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: network(netip.PrefixFrom(to, bits))}
	if via != "" {
		route.Gw, route.Flags = netip.MustParseAddr(via).AsSlice(), int(netlink.FLAG_ONLINK)
	}
	return netlink.RouteAdd(route)
}
