package podnetwork_test

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/packetyard/packetyard/internal/machineos/podnetwork"
	"github.com/packetyard/packetyard/internal/machineos/testmachine"
)

func TestMain(m *testing.M) { testmachine.Main(m) }

const (
	machineAddress = "10.64.0.1"
	outsideAddress = "10.64.0.0"
)

// in runs a function with the test's thread in a network namespace.
func in(t *testing.T, namespace netns.NsHandle, do func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	if err := netns.Set(namespace); err != nil {
		t.Fatal(err)
	}
	do()
	if err := netns.Set(before); err != nil {
		t.Fatal(err)
	}
}

// machine makes this process's namespace a machine with an uplink, and returns
// the namespace at the other end of it, where nobody knows pods.
func machine(t *testing.T) (network *podnetwork.Network, outside netns.NsHandle) {
	t.Helper()
	runtime.LockOSThread()
	own, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	outside, err = netns.New()
	if err != nil {
		t.Fatal(err)
	}
	if err := netns.Set(own); err != nil {
		t.Fatal(err)
	}
	runtime.UnlockOSThread()
	_ = own.Close()
	t.Cleanup(func() { _ = outside.Close() })
	attributes := netlink.NewLinkAttrs()
	attributes.Name = "bond0"
	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: attributes, PeerName: "switch", PeerNamespace: netlink.NsFd(outside)}))
	t.Cleanup(func() {
		if link, err := netlink.LinkByName("bond0"); err == nil {
			must(t, netlink.LinkDel(link))
		}
	})
	raise(t, "bond0", machineAddress)
	in(t, outside, func() { raise(t, "switch", outsideAddress) })
	network, err = podnetwork.Open("bond0", func() string { return machineAddress })
	if err != nil {
		t.Fatal(err)
	}
	return network, outside
}

func raise(t *testing.T, name, address string) {
	t.Helper()
	for _, one := range []string{"lo", name} {
		link, err := netlink.LinkByName(one)
		if err != nil {
			t.Fatal(err)
		}
		must(t, netlink.LinkSetUp(link))
	}
	link, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	must(t, netlink.AddrAdd(link, &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP(address).To4(), Mask: net.CIDRMask(31, 32)}}))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func add(t *testing.T, network *podnetwork.Network, addresses ...string) *podnetwork.Pod {
	t.Helper()
	var parsed []netip.Addr
	for _, address := range addresses {
		parsed = append(parsed, netip.MustParseAddr(address))
	}
	pod, err := network.Add(parsed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { must(t, pod.Close()) })
	return pod
}

// serve answers at an address with the name of who asks.
func serve(t *testing.T, address string) (port uint16) {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			host, _, _ := net.SplitHostPort(connection.RemoteAddr().String())
			_, _ = fmt.Fprint(connection, host)
			_ = connection.Close()
		}
	}()
	return uint16(listener.Addr().(*net.TCPAddr).Port)
}

func serveIn(t *testing.T, pod *podnetwork.Pod, address string) (port uint16) {
	t.Helper()
	in(t, netns.NsHandle(pod.Namespace().Fd()), func() { port = serve(t, address) })
	return port
}

// asks tells who the server at an address thinks has asked.
func asks(t *testing.T, dial func(netip.AddrPort) (net.Conn, error), address string, port uint16) string {
	t.Helper()
	connection, err := dial(netip.AddrPortFrom(netip.MustParseAddr(address), port))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(connection)
	if err != nil {
		t.Fatal(err)
	}
	_ = connection.Close()
	return string(answer)
}

func fromMachine(address netip.AddrPort) (net.Conn, error) { return net.Dial("tcp", address.String()) }

func from(t *testing.T, pod *podnetwork.Pod) func(netip.AddrPort) (net.Conn, error) {
	return func(address netip.AddrPort) (net.Conn, error) { return pod.Dial(t.Context(), address) }
}

func TestPodsHaveNetworksOfTheirOwn(t *testing.T) {
	network, outside := machine(t)
	one, two := add(t, network, "192.168.5.2", "fd00:5::2"), add(t, network, "192.168.5.3", "fd00:5::3")
	portOfOne := serveIn(t, one, "")
	outsidePort := uint16(0)
	in(t, outside, func() { outsidePort = serve(t, outsideAddress) })
	machinePort := serve(t, machineAddress)

	// Two pods may listen at the same port, and neither takes it from the machine.
	for _, pod := range []*podnetwork.Pod{two} {
		in(t, netns.NsHandle(pod.Namespace().Fd()), func() {
			listener, err := net.Listen("tcp", fmt.Sprintf(":%d", portOfOne))
			if err != nil {
				t.Errorf("a second pod cannot have port %d: %v", portOfOne, err)
				return
			}
			_ = listener.Close()
		})
	}
	for _, c := range []struct {
		what    string
		dial    func(netip.AddrPort) (net.Conn, error)
		address string
		port    uint16
		want    string
	}{
		{"the machine asks a pod", fromMachine, "192.168.5.2", portOfOne, machineAddress},
		{"a pod asks itself", from(t, one), "127.0.0.1", portOfOne, "127.0.0.1"},
		{"a pod asks another", from(t, two), "192.168.5.2", portOfOne, "192.168.5.3"},
		{"a pod asks another by IPv6", from(t, two), "fd00:5::2", portOfOne, "fd00:5::3"},
		{"a pod asks its machine", from(t, two), machineAddress, machinePort, "192.168.5.3"},
		// Nobody out there knows the way back to a pod.
		{"a pod asks somebody outside", from(t, two), outsideAddress, outsidePort, machineAddress},
		{"the machine asks somebody outside", fromMachine, outsideAddress, outsidePort, machineAddress},
	} {
		if got := asks(t, c.dial, c.address, c.port); got != c.want {
			t.Errorf("%s: it is taken for %s, want %s", c.what, got, c.want)
		}
	}
}

func TestAnAddressMayBeGivenAgain(t *testing.T) {
	network, _ := machine(t)
	for range 3 {
		pod := add(t, network, "192.168.5.2")
		port := serveIn(t, pod, "")
		if got := asks(t, fromMachine, "192.168.5.2", port); got != machineAddress {
			t.Errorf("the machine is taken for %s", got)
		}
		must(t, pod.Close())
	}
	links, err := netlink.LinkList()
	must(t, err)
	for _, link := range links {
		if strings.HasPrefix(link.Attrs().Name, "pod") {
			t.Errorf("the link %s is left", link.Attrs().Name)
		}
	}
}

// The machine's control and exec find its network by its first process.
func TestPodsLeaveTheMachinesThreadsWhereTheyAre(t *testing.T) {
	network, _ := machine(t)
	before, err := os.Readlink("/proc/self/ns/net")
	must(t, err)
	pod := add(t, network, "192.168.5.2")
	if _, err := pod.Dial(t.Context(), netip.MustParseAddrPort("127.0.0.1:1")); err == nil {
		t.Error("somebody listens at the pod's port 1")
	}
	threads, err := os.ReadDir("/proc/self/task")
	must(t, err)
	for _, thread := range threads {
		if after, err := os.Readlink("/proc/self/task/" + thread.Name() + "/ns/net"); err == nil && after != before {
			t.Errorf("thread %s is in %s, the others in %s", thread.Name(), after, before)
		}
	}
}
