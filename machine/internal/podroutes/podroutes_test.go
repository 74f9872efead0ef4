package podroutes

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	v1 "k8s.io/api/core/v1"
	cachetesting "k8s.io/client-go/tools/cache/testing"
)

// length is how much a connection of a test's carries: many full packets.
const length = 1 << 20

// converse has a client in one place connect with a server in another, send
// data and get it back. It returns the client's address as the server sees it.
func converse(client, server *namespace, address string) (netip.Addr, error) {
	var listener net.Listener
	err := server.try(func() (err error) {
		listener, err = net.Listen("tcp", net.JoinHostPort(address, "0"))
		return err
	})
	if err != nil {
		return netip.Addr{}, err
	}
	defer func() { _ = listener.Close() }()
	from := make(chan netip.Addr, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		from <- netip.MustParseAddrPort(conn.RemoteAddr().String()).Addr()
		_, _ = io.Copy(conn, conn)
		_ = conn.Close()
	}()
	var conn net.Conn
	err = client.try(func() (err error) {
		conn, err = net.DialTimeout("tcp", listener.Addr().String(), 10*time.Second)
		return err
	})
	if err != nil {
		return netip.Addr{}, err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return netip.Addr{}, err
	}
	sent := bytes.Repeat([]byte("0123456789abcdef"), length/16)
	go func() {
		_, _ = conn.Write(sent)
		_ = conn.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(conn)
	if err == nil && !bytes.Equal(got, sent) {
		err = errors.New("other data came back than was sent")
	}
	return <-from, err
}

// cluster is two machines with a pod each.
type cluster struct {
	rack  *rack
	a, b  *namespace
	nodes []*v1.Node
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	r := newRack(t)
	return &cluster{
		rack: r,
		a:    r.machine("10.0.0.1/24", "2001:db8::1/64"), b: r.machine("10.0.0.2/24", "2001:db8::2/64"),
		nodes: []*v1.Node{
			node("a", "10.244.0.0/24,fd00:244::/64", "10.0.0.1", "2001:db8::1"),
			node("b", "10.244.1.0/24,fd00:244:0:1::/64", "10.0.0.2", "2001:db8::2"),
		},
	}
}

// update applies Nodes to a machine as its kube-proxy would, and returns what it logs.
func update(t *testing.T, machine *namespace, name string, nodes ...*v1.Node) string {
	t.Helper()
	var log bytes.Buffer
	machine.do("updating routes", func() error {
		newRoutes(slog.New(slog.NewTextHandler(&log, nil)), name).update(nodes)
		return nil
	})
	if strings.Contains(log.String(), "level=WARN") {
		t.Errorf("updating %s: %s", name, log.String())
	}
	return log.String()
}

// device is what a machine's kernel has for one of its networks.
func device(t *testing.T, machine *namespace, f family) (index int, found entries) {
	t.Helper()
	machine.do("reading routes", func() error {
		o := &overlay{family: f}
		link, err := o.find()
		if err != nil || link == nil {
			return err
		}
		index = link.Index
		found, err = o.read(link)
		return err
	})
	return index, found
}

func TestPodsOfDifferentMachinesConverse(t *testing.T) {
	c := newCluster(t)
	podA, podB := c.a.pod("10.244.0.5", "fd00:244::5"), c.b.pod("10.244.1.5", "fd00:244:0:1::5")
	update(t, c.a, "a", c.nodes...)
	update(t, c.b, "b", c.nodes...)
	for name, test := range map[string]struct {
		client, server *namespace
		address, from  string
	}{
		"pod to pod by IPv4":     {client: podA, server: podB, address: "10.244.1.5", from: "10.244.0.5"},
		"pod to pod by IPv6":     {client: podB, server: podA, address: "fd00:244::5", from: "fd00:244:0:1::5"},
		"machine to pod by IPv4": {client: c.b, server: podA, address: "10.244.0.5", from: "10.244.1.0"},
		"machine to pod by IPv6": {client: c.a, server: podB, address: "fd00:244:0:1::5", from: "fd00:244::"},
	} {
		t.Run(name, func(t *testing.T) {
			from, err := converse(test.client, test.server, test.address)
			if err != nil {
				t.Fatal(err)
			}
			if from != netip.MustParseAddr(test.from) {
				t.Errorf("the connection comes from %s, want %s", from, test.from)
			}
		})
	}
	c.a.do("reading rp_filter", func() error {
		value, err := os.ReadFile("/proc/sys/net/ipv4/conf/vxlan-pods/rp_filter")
		if string(value) != "2\n" {
			t.Errorf("rp_filter %q, want 2 (loose)", value)
		}
		return err
	})
	c.a.do("reading the MTU", func() error {
		for name, want := range map[string]int{"vxlan-pods": 1450, "vxlan-pods6": 1430} {
			link, err := netlink.LinkByName(name)
			if err != nil {
				return err
			}
			if got := link.Attrs().MTU; got != want {
				t.Errorf("MTU of %s: %d bytes, want %d", name, got, want)
			}
		}
		return nil
	})
}

func TestRestartKeepsWhatIsThere(t *testing.T) {
	c := newCluster(t)
	update(t, c.a, "a", c.nodes...)
	for _, f := range []family{ipv4, ipv6} {
		index, before := device(t, c.a, f)
		if len(before.routes) != 1 || len(before.neighbours) != 1 || len(before.forwards) != 1 || len(before.addresses) != 1 {
			t.Errorf("%s: the kernel has %v", f, before)
		}
		if said := update(t, c.a, "a", c.nodes...); said != "" {
			t.Errorf("the second start changes something: %s", said)
		}
		again, after := device(t, c.a, f)
		if index != again || compare(before, after).any() {
			t.Errorf("%s: the second start left %v on device %d, the first %v on %d", f, after, again, before, index)
		}
	}
}

func TestRoutesFollowNodes(t *testing.T) {
	c := newCluster(t)
	third := node("c", "10.244.2.0/24", "10.0.0.3")
	update(t, c.a, "a", append(c.nodes, third)...)
	_, found := device(t, c.a, ipv4)
	if len(found.routes) != 2 {
		t.Errorf("with three nodes: %v", found)
	}
	// The machine's own range changes, and another node is gone.
	own := node("a", "10.244.7.0/24", "10.0.0.1")
	update(t, c.a, "a", own, third)
	_, found = device(t, c.a, ipv4)
	want := (&overlay{family: ipv4, local: netip.MustParseAddr("10.0.0.1"), podCIDR: netip.MustParsePrefix("10.244.7.0/24"), peers: []peer{
		{address: netip.MustParseAddr("10.0.0.3"), podCIDR: netip.MustParsePrefix("10.244.2.0/24")},
	}}).entries()
	if compare(found, want).any() {
		t.Errorf("the kernel has %v, want %v", found, want)
	}
	if index, _ := device(t, c.a, ipv6); index != 0 {
		t.Error("the network of a family that no other node has is still there")
	}
	// As long as the Node itself is missing, nothing is known and nothing changes.
	update(t, c.a, "a", third)
	if _, found = device(t, c.a, ipv4); compare(found, want).any() {
		t.Errorf("without its own Node the machine has %v, want %v", found, want)
	}
	// What somebody else breaks is repaired.
	c.a.do("breaking things", func() error {
		link, err := netlink.LinkByName("vxlan-pods")
		if err != nil {
			return err
		}
		return errors.Join(netlink.LinkSetDown(link), netlink.LinkSetMTU(link, 1000))
	})
	update(t, c.a, "a", own, third)
	if _, found = device(t, c.a, ipv4); compare(found, want).any() {
		t.Errorf("after the repair the machine has %v, want %v", found, want)
	}
	update(t, c.a, "a", own)
	if index, _ := device(t, c.a, ipv4); index != 0 {
		t.Error("the network of the last node is still there")
	}
}

func TestMachineThatMovesReachesPodsAgain(t *testing.T) {
	c := newCluster(t)
	podA, podB := c.a.pod("10.244.0.5", "fd00:244::5"), c.b.pod("10.244.1.5", "fd00:244:0:1::5")
	update(t, c.a, "a", c.nodes...)
	update(t, c.b, "b", c.nodes...)
	c.a.do("giving the machine another address", func() error { return setUp("bond0", "10.0.0.9/24") })
	moved := []*v1.Node{node("a", "10.244.0.0/24", "10.0.0.9"), c.nodes[1]}
	update(t, c.a, "a", moved...)
	update(t, c.b, "b", moved...)
	if _, err := converse(podB, podA, "10.244.0.5"); err != nil {
		t.Error(err)
	}
}

func TestForeignRoutesAndInterfacesStay(t *testing.T) {
	c := newCluster(t)
	var log bytes.Buffer
	r := newRoutes(slog.New(slog.NewTextHandler(&log, nil)), "a")
	c.a.do("making a foreign route and interface", func() error {
		attributes := netlink.NewLinkAttrs()
		attributes.Name = "vxlan-pods6"
		if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attributes}); err != nil {
			return err
		}
		link, err := netlink.LinkByName("bond0")
		if err != nil {
			return err
		}
		return netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: network(netip.MustParsePrefix("10.244.1.0/24"))})
	})
	third := node("c", "10.244.2.0/24", "10.0.0.3")
	c.a.do("updating", func() error {
		for range 2 {
			if wait := r.update(append(c.nodes, third)); wait != retryAfter {
				t.Errorf("the next attempt is in %s, want %s", wait, retryAfter)
			}
		}
		ways, err := netlink.RouteGet(net.IPv4(10, 244, 1, 5))
		if err != nil {
			return err
		}
		bond0, err := netlink.LinkByName("bond0")
		if err != nil {
			return err
		}
		if ways[0].LinkIndex != bond0.Attrs().Index {
			t.Error("the foreign route was replaced")
		}
		foreign, err := netlink.LinkByName("vxlan-pods6")
		if err != nil || foreign.Type() != "bridge" {
			t.Errorf("the foreign interface was replaced: %v", err)
		}
		return nil
	})
	if _, found := device(t, c.a, ipv4); !found.routes[route{to: netip.MustParsePrefix("10.244.2.0/24"), via: netip.MustParseAddr("10.244.2.0")}] {
		t.Errorf("the other node's route is missing: %v", found)
	}
	for _, want := range []string{"another route to 10.244.1.0/24", "interface that is not kube-proxy's"} {
		if n := strings.Count(log.String(), want); n != 1 {
			t.Errorf("%q is logged %d times, want once: %s", want, n, log.String())
		}
	}
}

func TestKernelWithoutVXLAN(t *testing.T) {
	attributes := netlink.NewLinkAttrs()
	attributes.Name = "unknown0"
	err := explain(netlink.LinkAdd(&netlink.GenericLink{LinkAttrs: attributes, LinkType: "packetyard-none"}))
	if !errors.Is(err, errNoVXLAN) {
		t.Fatalf("a type of interface that the kernel does not know: %v", err)
	}
	if text := problem(ipv4, err).text; !strings.Contains(text, "pods of other machines cannot be reached") || !strings.Contains(text, "CONFIG_VXLAN") {
		t.Errorf("the warning is %q", text)
	}
}

func TestFollowTakesNodesFromTheAPI(t *testing.T) {
	c := newCluster(t)
	source := cachetesting.NewFakeControllerSource()
	defer source.Shutdown()
	source.Add(c.nodes[0])
	var routes bytes.Buffer
	logged, log := io.Pipe()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- c.a.try(func() error {
			watch := newNodeWatch(source)
			go func() { _ = watch.run(ctx) }()
			return keep(ctx, newRoutes(slog.New(slog.NewTextHandler(log, nil)), "a"), watch)
		})
	}()
	source.Add(c.nodes[1])
	line := make([]byte, 1024)
	for strings.Count(routes.String(), "have changed") < 2 {
		n, err := logged.Read(line)
		must(t, "reading the log", err)
		routes.Write(line[:n])
	}
	if _, found := device(t, c.a, ipv4); len(found.routes) != 1 {
		t.Errorf("the kernel has %v", found)
	}
	go func() { _, _ = io.Copy(io.Discard, logged) }()
	stop()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
}
