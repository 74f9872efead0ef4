package ccm

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	nodehelpers "k8s.io/cloud-provider/node/helpers"

	cloudproviderapi "k8s.io/cloud-provider/api"

	"github.com/packetyard/packetyard/pkg/packet"
)

func TestNodeAddresses(t *testing.T) {
	elastic := packet.IPAssignment{Address: "198.18.9.9", AddressFamily: 4, CIDR: 32, Public: true}
	elasticPrivate := packet.IPAssignment{Address: "10.9.9.9", AddressFamily: 4, CIDR: 32}
	with := func(extra ...packet.IPAssignment) packet.Device {
		d := deviceNumber(2)
		d.IPAddresses = append(extra, d.IPAddresses...)
		return d
	}
	only := func(keep func(packet.IPAssignment) bool) packet.Device {
		d := deviceNumber(2)
		d.IPAddresses = slices.DeleteFunc(d.IPAddresses, func(a packet.IPAssignment) bool { return !keep(a) })
		return d
	}
	for _, test := range []struct {
		name   string
		device packet.Device
		node   *corev1.Node
		want   string
		// left is what the framework makes of it, where that differs.
		left  string
		wrong string
	}{
		{name: "usual", device: with(), node: node("node-2", ""), want: "Hostname=node-2 InternalIP=10.0.0.5 ExternalIP=198.18.1.5"},
		{name: "elastic addresses are not the node's", device: with(elastic, elasticPrivate), node: node("node-2", ""),
			want: "Hostname=node-2 InternalIP=10.0.0.5 ExternalIP=198.18.1.5"},
		{name: "private alone", device: only(func(a packet.IPAssignment) bool { return !a.Public }), node: node("node-2", ""),
			want: "Hostname=node-2 InternalIP=10.0.0.5"},
		{name: "public alone", device: only(func(a packet.IPAssignment) bool { return a.Public }), node: node("node-2", ""),
			want: "Hostname=node-2 ExternalIP=198.18.1.5"},
		{name: "none", device: only(func(packet.IPAssignment) bool { return false }), node: node("node-2", ""), wrong: "no address yet"},
		{name: "node-ip private", device: with(elastic), node: node("node-2", "", withNodeIP("10.0.0.5")),
			want: "Hostname=node-2 InternalIP=10.0.0.5 ExternalIP=198.18.1.5"},
		{name: "node-ip public", device: with(), node: node("node-2", "", withNodeIP("198.18.1.5")),
			want: "Hostname=node-2 ExternalIP=198.18.1.5 InternalIP=10.0.0.5"},
		{name: "node-ip of both families", device: with(), node: node("node-2", "", withNodeIP("10.0.0.5,2001:db8::5")),
			want: "Hostname=node-2 InternalIP=10.0.0.5 InternalIP=2001:db8::5 ExternalIP=198.18.1.5"},
		{name: "node-ip of IPv6", device: with(), node: node("node-2", "", withNodeIP("2001:db8::5")),
			want: "Hostname=node-2 InternalIP=2001:db8::5 InternalIP=10.0.0.5 ExternalIP=198.18.1.5",
			left: "InternalIP=2001:db8::5 Hostname=node-2 ExternalIP=198.18.1.5"},
		{name: "node-ip of a VLAN", device: with(), node: node("node-2", "", withNodeIP("192.168.3.4")),
			want: "Hostname=node-2 InternalIP=192.168.3.4 InternalIP=10.0.0.5 ExternalIP=198.18.1.5",
			left: "InternalIP=192.168.3.4 Hostname=node-2 ExternalIP=198.18.1.5"},
		{name: "node-ip that is elastic", device: with(elastic), node: node("node-2", "", withNodeIP("198.18.9.9")),
			want: "Hostname=node-2 ExternalIP=198.18.9.9 InternalIP=10.0.0.5 ExternalIP=198.18.1.5",
			left: "ExternalIP=198.18.9.9 Hostname=node-2 InternalIP=10.0.0.5"},
		{name: "node-ip that is none", device: with(), node: node("node-2", "", withNodeIP("eth0")), wrong: `"eth0"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := nodeAddresses(&test.device, test.node, defaultConfig().addressPolicy)
			if test.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), test.wrong) {
					t.Errorf("got %v, %v", got, err)
				}
				return
			}
			if text := strings.Join(addressTexts(got), " "); err != nil || text != test.want {
				t.Errorf("got %s, %v, want %s", text, err, test.want)
			}
			// What the framework does with them must work out too.
			if ip, asked := test.node.Annotations[cloudproviderapi.AnnotationAlphaProvidedIPAddr]; asked {
				left, err := nodehelpers.GetNodeAddressesFromNodeIP(ip, got)
				if err != nil {
					t.Fatalf("the framework refuses: %v", err)
				}
				if text := strings.Join(addressTexts(left), " "); test.left != "" && text != test.left {
					t.Errorf("the framework makes %s of it, want %s", text, test.left)
				}
				if !slices.ContainsFunc(left, func(a corev1.NodeAddress) bool { return a.Type == corev1.NodeHostName }) {
					t.Errorf("the framework loses the host name: %v", left)
				}
			}
		})
	}
}

// Issues 170, 193 and 296 of upstream's: which addresses a node has, and in
// which order, could not be chosen, and a device without a public one was none.
func TestAddressPolicies(t *testing.T) {
	device := deviceNumber(2)
	device.IPAddresses = append(device.IPAddresses,
		packet.IPAssignment{Address: "198.18.9.9", AddressFamily: 4, CIDR: 32, Public: true},
		packet.IPAssignment{Address: "10.9.9.9", AddressFamily: 4, CIDR: 32},
		packet.IPAssignment{Address: "2001:db8:9::9", AddressFamily: 6, CIDR: 64, Public: true})
	for _, test := range []struct {
		policy string
		nodeIP string
		want   string
	}{
		{policy: "ipv4", want: "Hostname=node-2 InternalIP=10.0.0.5 ExternalIP=198.18.1.5"},
		{policy: "private", want: "Hostname=node-2 InternalIP=10.0.0.5"},
		{policy: "ipv6", want: "Hostname=node-2 InternalIP=2001:db8::5"},
		{policy: "dual-stack", want: "Hostname=node-2 InternalIP=10.0.0.5 InternalIP=2001:db8::5 ExternalIP=198.18.1.5"},
		{policy: "dual-stack", nodeIP: "2001:db8::5,10.0.0.5", want: "Hostname=node-2 InternalIP=2001:db8::5 InternalIP=10.0.0.5 ExternalIP=198.18.1.5"},
		{policy: "public-ipv4=InternalIP,public-ipv4=ExternalIP", want: "Hostname=node-2 InternalIP=198.18.1.5 ExternalIP=198.18.1.5"},
		{policy: "public-ipv4=InternalIP", nodeIP: "198.18.1.5", want: "Hostname=node-2 InternalIP=198.18.1.5"},
		{policy: "private-ipv4=InternalIP, elastic-public-ipv4=ExternalIP, elastic-private-ipv4=InternalIP, elastic-ipv6=ExternalIP",
			want: "Hostname=node-2 InternalIP=10.0.0.5 ExternalIP=198.18.9.9 InternalIP=10.9.9.9 ExternalIP=2001:db8:9::9"},
	} {
		t.Run(test.policy, func(t *testing.T) {
			policy, err := parseAddressPolicy(test.policy)
			if err != nil {
				t.Fatal(err)
			}
			n := node("node-2", "")
			if test.nodeIP != "" {
				n = node("node-2", "", withNodeIP(test.nodeIP))
			}
			got, err := nodeAddresses(&device, n, policy)
			if text := strings.Join(addressTexts(got), " "); err != nil || text != test.want {
				t.Errorf("got %s, %v, want %s", text, err, test.want)
			}
		})
	}
	if policy, err := parseAddressPolicy("ipv4"); err != nil || !slices.Equal(policy, defaultAddressPolicy()) {
		t.Errorf("ipv4 is %v, %v, and the default is %v", policy, err, defaultAddressPolicy())
	}
	for _, wrong := range []string{"public", "private-ipv4", "private-ipv4=Hostname", "private-ipv6=InternalIP", "private-ipv4=InternalIP,private-ipv4=InternalIP"} {
		if policy, err := parseAddressPolicy(wrong); err == nil || !strings.Contains(err.Error(), wrong) || !strings.Contains(err.Error(), "elastic-ipv6") {
			t.Errorf("%q: got %v, %v", wrong, policy, err)
		}
	}
}
