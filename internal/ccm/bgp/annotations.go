package bgp

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Number stands in an annotation's name for the number of the peer, from 0.
const Number = "{{n}}"

// ChecksumAnnotation is on every node whose other BGP annotations were written
// here. It proves, without asking the API for each device, that they still fit
// the device, its sessions and the project; and that they may be removed.
const ChecksumAnnotation = "metal.equinix.com/bgp-checksum"

// Annotations are the names of the node annotations from which kube-vip,
// MetalLB and others configure their BGP speaker. A name may hold Number.
type Annotations struct {
	// NodeASN is the node's own AS number.
	NodeASN string
	// PeerASN is the AS number of the peer.
	PeerASN string
	// PeerIP is the peer's address. It must hold Number, because each peer has
	// another one.
	PeerIP string
	// SourceIP is the node's address that the session comes from.
	SourceIP string
	// Password is the session's password in base64. Who may read nodes can
	// read it: Kubernetes has no other place that kube-vip would look at.
	Password string
	// MultiHop is "true" where the peer is more than one hop away.
	MultiHop string
	// PrivateNetwork is the block that the node's private address is from, in
	// prefix notation. It holds no Number.
	PrivateNetwork string
}

// DefaultAnnotations are the names that the original wrote from its release
// 3.3.0 on, and kube-vip's for multi-hop.
func DefaultAnnotations() Annotations {
	return Annotations{
		NodeASN:        "metal.equinix.com/bgp-peers-{{n}}-node-asn",
		PeerASN:        "metal.equinix.com/bgp-peers-{{n}}-peer-asn",
		PeerIP:         "metal.equinix.com/bgp-peers-{{n}}-peer-ip",
		SourceIP:       "metal.equinix.com/bgp-peers-{{n}}-src-ip",
		Password:       "metal.equinix.com/bgp-peers-{{n}}-bgp-pass",
		MultiHop:       "metal.equinix.com/bgp-peers-{{n}}-peer-multi-hop",
		PrivateNetwork: "metal.equinix.com/network-4-private",
	}
}

// CheckAnnotationName tells what is wrong with a configured name.
func CheckAnnotationName(name string) error {
	if problems := validation.IsQualifiedName(strings.ToLower(strings.ReplaceAll(name, Number, "0"))); len(problems) > 0 {
		return fmt.Errorf("is %q, allowed is the name of an annotation, in which %s stands for the peer's number: %s",
			name, Number, strings.Join(problems, "; "))
	}
	return nil
}

// Validate returns everything that is wrong with the names as a whole.
func (a Annotations) Validate() error {
	var problems []error
	if !strings.Contains(a.PeerIP, Number) {
		problems = append(problems, fmt.Errorf("the annotation of the peer's address is %q, it must hold %s, because each peer has another address", a.PeerIP, Number))
	}
	if strings.Contains(a.PrivateNetwork, Number) {
		problems = append(problems, fmt.Errorf("the annotation of the private network is %q, it must not hold %s, because a node has one", a.PrivateNetwork, Number))
	}
	seen := map[string]bool{ChecksumAnnotation: true}
	for _, name := range a.all() {
		if seen[name] {
			problems = append(problems, fmt.Errorf("the annotation %q is used for two things", name))
		}
		seen[name] = true
	}
	return errors.Join(problems...)
}

func (a Annotations) all() []string {
	return []string{a.NodeASN, a.PeerASN, a.PeerIP, a.SourceIP, a.Password, a.MultiHop, a.PrivateNetwork}
}

// Peer is a BGP session as a speaker on the node needs to know it.
type Peer struct {
	NodeASN, PeerASN uint32
	PeerIP, SourceIP netip.Addr
	// Password is in clear text, and a secret. No method of Peer shows it.
	Password string
	MultiHop bool
}

// String shows everything but the password.
func (p Peer) String() string {
	return fmt.Sprintf("{AS %d at %s, from AS %d at %s, password: %t, multi-hop: %t}",
		p.PeerASN, p.PeerIP, p.NodeASN, p.SourceIP, p.Password != "", p.MultiHop)
}

// GoString implements fmt.GoStringer, so that %#v shows no password either.
func (p Peer) GoString() string { return "bgp.Peer" + p.String() }

// Peers reads a node's annotations. A node without any has no peers, which is
// no error; one whose annotations cannot be read is.
func (a Annotations) Peers(annotations map[string]string) ([]Peer, error) {
	var peers []Peer
	for n := 0; ; n++ {
		value := func(name string) string { return annotations[numbered(name, n)] }
		if value(a.PeerIP) == "" {
			return peers, nil
		}
		var peer Peer
		var problems []error
		number := func(name string) uint32 {
			asn, err := strconv.ParseUint(value(name), 10, 32)
			if err != nil || asn == 0 {
				problems = append(problems, fmt.Errorf("annotation %s is %q, allowed is an AS number from 1 to 4294967295", numbered(name, n), value(name)))
			}
			return uint32(asn)
		}
		address := func(name string) netip.Addr {
			ip, err := netip.ParseAddr(value(name))
			if err != nil {
				problems = append(problems, fmt.Errorf("annotation %s is %q, allowed is an IP address", numbered(name, n), value(name)))
			}
			return ip
		}
		peer.NodeASN, peer.PeerASN = number(a.NodeASN), number(a.PeerASN)
		peer.PeerIP, peer.SourceIP = address(a.PeerIP), address(a.SourceIP)
		password, err := base64.StdEncoding.DecodeString(value(a.Password))
		if err != nil {
			// The decoder's error does not repeat the value, and neither do we.
			problems = append(problems, fmt.Errorf("annotation %s is not base64", numbered(a.Password, n)))
		}
		peer.Password = string(password)
		peer.MultiHop = value(a.MultiHop) == strconv.FormatBool(true)
		if len(problems) > 0 {
			return nil, errors.Join(problems...)
		}
		peers = append(peers, peer)
	}
}

// write is the reverse of Peers.
func (a Annotations) write(peers []Peer, privateNetwork string) map[string]string {
	written := map[string]string{}
	if privateNetwork != "" {
		written[a.PrivateNetwork] = privateNetwork
	}
	for n, peer := range peers {
		written[numbered(a.NodeASN, n)] = strconv.FormatUint(uint64(peer.NodeASN), 10)
		written[numbered(a.PeerASN, n)] = strconv.FormatUint(uint64(peer.PeerASN), 10)
		written[numbered(a.PeerIP, n)] = peer.PeerIP.String()
		written[numbered(a.SourceIP, n)] = peer.SourceIP.String()
		written[numbered(a.MultiHop, n)] = strconv.FormatBool(peer.MultiHop)
		if peer.Password != "" {
			written[numbered(a.Password, n)] = base64.StdEncoding.EncodeToString([]byte(peer.Password))
		}
	}
	return written
}

func numbered(name string, n int) string { return strings.ReplaceAll(name, Number, strconv.Itoa(n)) }

// pattern matches the annotations that are written here, whatever their number.
func (a Annotations) pattern() *regexp.Regexp {
	var alternatives []string
	for _, name := range append(a.all(), ChecksumAnnotation) {
		alternatives = append(alternatives, strings.ReplaceAll(regexp.QuoteMeta(name), regexp.QuoteMeta(Number), "[0-9]+"))
	}
	return regexp.MustCompile("^(?:" + strings.Join(alternatives, "|") + ")$")
}
