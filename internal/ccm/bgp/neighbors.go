package bgp

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/packetyard/packetyard/pkg/packet"
)

// answers are what devices said of their neighbours, by device ID.
type answers struct {
	mu       sync.Mutex
	byDevice map[string]answer
}

// answer is what a device said, and the checksum of what that depends on.
type answer struct {
	checksum string
	peers    []Peer
}

func newAnswers() *answers { return &answers{byDevice: map[string]answer{}} }

func (a *answers) get(deviceID string) answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.byDevice[deviceID]
}

func (a *answers) set(deviceID string, said answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.byDevice[deviceID] = said
}

// keep forgets the devices for which it is not true.
func (a *answers) keep(wanted func(deviceID string) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	maps.DeleteFunc(a.byDevice, func(deviceID string, _ answer) bool { return !wanted(deviceID) })
}

// peers are those of a device, and the checksum of what they depend on. The
// device is asked only if they are neither known nor on the node.
func (b *BGP) peers(ctx context.Context, project *packet.BGPConfig, t target) ([]Peer, string, error) {
	checksum := b.checksum(project, t)
	if known := b.neighbors.get(t.device.ID); known.checksum == checksum {
		return known.peers, checksum, nil
	}
	peers, ok := b.annotatedPeers(t.node, checksum)
	if !ok {
		list, err := b.config.API.BGPNeighbors(ctx, t.device.ID)
		if err != nil {
			return nil, "", fmt.Errorf("reading the BGP neighbours of device %s: %w", t.device.ID, err)
		}
		if peers, err = toPeers(list, t.families, project); err != nil {
			return nil, "", fmt.Errorf("reading the BGP neighbours of device %s: %w", t.device.ID, err)
		}
	}
	b.neighbors.set(t.device.ID, answer{checksum: checksum, peers: peers})
	return peers, checksum, nil
}

// checksum covers all that a device's neighbours depend on and that is known
// without asking for them.
func (b *BGP) checksum(project *packet.BGPConfig, t target) string {
	inputs := map[string]string{
		"asn":            strconv.FormatInt(project.ASN, 10),
		"device":         t.device.ID,
		"privateNetwork": privateNetwork(t.device),
	}
	if project.MD5 != nil {
		inputs["password"] = *project.MD5
	}
	for _, family := range t.families {
		inputs["session "+family] = b.sessions.id(t.device.ID, family)
		inputs["source "+family] = sourceAddress(t.device, family).String()
	}
	return sum("inputs", inputs)
}

// annotatedPeers are those of the node's annotations, if these are the ones
// that were written for the same checksum and nobody has changed them since.
func (b *BGP) annotatedPeers(node *corev1.Node, checksum string) ([]Peer, bool) {
	written := b.ownAnnotations(node)
	claimed := written[ChecksumAnnotation]
	delete(written, ChecksumAnnotation)
	if claimed == "" || claimed != sum(checksum, written) {
		return nil, false
	}
	peers, err := b.config.Annotations.Peers(node.Annotations)
	return peers, err == nil
}

// sum is a checksum over a prefix and a map, 32 hexadecimal digits.
func sum(prefix string, values map[string]string) string {
	hash := sha256.New()
	write := func(text string) { fmt.Fprintf(hash, "%d:%s", len(text), text) }
	write(prefix)
	for _, key := range slices.Sorted(maps.Keys(values)) {
		write(key)
		write(values[key])
	}
	return hex.EncodeToString(hash.Sum(nil)[:16])
}

// toPeers makes one peer of each address of each neighbour: IPv4 first, then by
// address, so that a peer keeps its number.
func toPeers(list []packet.BGPNeighbor, families []string, project *packet.BGPConfig) ([]Peer, error) {
	var peers []Peer
	var problems []error
	for _, family := range families {
		number := 4
		if family == packet.BGPIPv6 {
			number = 6
		}
		i := slices.IndexFunc(list, func(n packet.BGPNeighbor) bool { return n.AddressFamily == number })
		if i < 0 {
			problems = append(problems, fmt.Errorf("there is none of family %s yet, though there is a session", family))
			continue
		}
		found, err := toPeersOfFamily(list[i], project)
		peers, problems = append(peers, found...), append(problems, err)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	slices.SortStableFunc(peers, func(a, b Peer) int {
		return cmp.Or(cmp.Compare(a.PeerIP.BitLen(), b.PeerIP.BitLen()), a.PeerIP.Compare(b.PeerIP))
	})
	return peers, nil
}

func toPeersOfFamily(neighbor packet.BGPNeighbor, project *packet.BGPConfig) ([]Peer, error) {
	var problems []error
	source, err := netip.ParseAddr(neighbor.CustomerIP)
	if err != nil {
		problems = append(problems, fmt.Errorf("customer_ip is %q, want an IP address", neighbor.CustomerIP))
	}
	for name, asn := range map[string]int64{"customer_as": neighbor.CustomerAS, "peer_as": neighbor.PeerAS} {
		if asn < 1 || asn > maxASN {
			problems = append(problems, fmt.Errorf("%s is %d, want 1 to %d", name, asn, int64(maxASN)))
		}
	}
	if len(neighbor.PeerIPs) == 0 {
		problems = append(problems, errors.New("peer_ips is empty, want at least one address"))
	}
	password := ""
	if neighbor.MD5Enabled {
		password = neighbor.MD5Password
		if password == "" && project.MD5 != nil {
			password = *project.MD5
		}
	}
	peers := make([]Peer, 0, len(neighbor.PeerIPs))
	for _, text := range neighbor.PeerIPs {
		ip, err := netip.ParseAddr(text)
		if err != nil {
			problems = append(problems, fmt.Errorf("peer_ips has %q, want an IP address", text))
		}
		peers = append(peers, Peer{
			NodeASN: uint32(neighbor.CustomerAS), PeerASN: uint32(neighbor.PeerAS),
			PeerIP: ip, SourceIP: source, Password: password, MultiHop: neighbor.Multihop,
		})
	}
	return peers, errors.Join(problems...)
}

// Withdraw removes the annotations of nodes that are to have no BGP (any
// longer). Annotations that were not written here stay. So do the sessions:
// nothing tells whether somebody else relies on them, and without a speaker on
// the node they announce nothing.
func (b *BGP) Withdraw(ctx context.Context, nodes []*corev1.Node) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var problems []error
	for _, node := range nodes {
		if _, ours := node.Annotations[ChecksumAnnotation]; !ours {
			continue
		}
		if err := b.annotate(ctx, node, nil); err != nil {
			problems = append(problems, fmt.Errorf("node %s: %w", node.Name, err))
		}
	}
	return errors.Join(problems...)
}

// ownAnnotations are a node's annotations of the names that are written here.
func (b *BGP) ownAnnotations(node *corev1.Node) map[string]string {
	own := map[string]string{}
	for name, value := range node.Annotations {
		if b.owned.MatchString(name) {
			own[name] = value
		}
	}
	return own
}

// annotate makes the annotations of our names those that are wanted, and
// touches no others. The node is of a shared cache and is not changed.
func (b *BGP) annotate(ctx context.Context, node *corev1.Node, wanted map[string]string) error {
	changes := map[string]any{}
	own := b.ownAnnotations(node)
	for name := range own {
		if _, keep := wanted[name]; !keep {
			changes[name] = nil
		}
	}
	for name, value := range wanted {
		if present, found := own[name]; !found || present != value {
			changes[name] = value
		}
	}
	if len(changes) == 0 {
		return nil
	}
	// The UID keeps the change from a new node of the same name.
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": node.UID, "annotations": changes}})
	if err != nil {
		return fmt.Errorf("encoding the BGP annotations: %w", err)
	}
	_, err = b.config.Nodes.Patch(ctx, node.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("writing the BGP annotations: %w", err)
	}
	klog.V(2).InfoS("Changed the BGP annotations of a node", "node", klog.KObj(node), "changes", len(changes))
	return nil
}

// maxASN is the largest AS number (RFC 6793).
const maxASN = 1<<32 - 1
