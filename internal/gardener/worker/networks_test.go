package worker

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"

	"github.com/packetyard/packetyard/pkg/packet"
)

// infrastructure makes an Infrastructure that has been reconciled.
func (w *world) infrastructure(name string, nodes ...string) *extensionsv1alpha1.Infrastructure {
	w.t.Helper()
	infrastructure := &extensionsv1alpha1.Infrastructure{ObjectMeta: w.named(name), Spec: extensionsv1alpha1.InfrastructureSpec{
		DefaultSpec: extensionsv1alpha1.DefaultSpec{Type: "packet"}, Region: "ny",
		SecretRef: corev1.SecretReference{Name: "cloudprovider", Namespace: w.namespace},
	}}
	w.create(infrastructure)
	before := infrastructure.DeepCopy()
	infrastructure.Status.NodesCIDR = ptr.To(nodes[0])
	infrastructure.Status.Networking = &extensionsv1alpha1.InfrastructureStatusNetworking{Nodes: nodes}
	if err := w.client.Status().Patch(w.t.Context(), infrastructure, client.MergeFrom(before)); err != nil {
		w.t.Fatal(err)
	}
	return infrastructure
}

func (w *world) updateSecret(change func(map[string][]byte)) {
	w.t.Helper()
	secret := &corev1.Secret{ObjectMeta: w.named("cloudprovider")}
	w.get(secret)
	before := secret.DeepCopy()
	change(secret.Data)
	if err := w.client.Patch(w.t.Context(), secret, client.MergeFrom(before)); err != nil {
		w.t.Fatal(err)
	}
}

// device makes a device, as the driver does.
func (w *world) device(ctx context.Context, name string) (string, error) {
	device, err := w.packet.CreateDevice(ctx, w.api.ProjectID, packet.DeviceCreate{
		Hostname: name, Plan: "c3.small.x86", Metro: "ny", OperatingSystem: "ubuntu_24_04",
	})
	if err != nil {
		return "", err
	}
	return device.ID, nil
}

// privateBlocks are those of the project, in the order in which it got them.
func (w *world) privateBlocks() []string {
	w.t.Helper()
	reservations, err := w.packet.IPReservations(w.t.Context(), w.api.ProjectID, packet.IPTypes(packet.IPTypePrivateIPv4))
	if err != nil {
		w.t.Fatal(err)
	}
	slices.SortStableFunc(reservations, func(a, b packet.IPReservation) int { return a.CreatedAt.Compare(b.CreatedAt.Time) })
	var blocks []string
	for _, reservation := range reservations {
		blocks = append(blocks, fmt.Sprintf("%s/%d", reservation.Network, reservation.CIDR))
	}
	return blocks
}

// TestNodeNetworksAreAppended: the Infrastructure used to be looked up by the Worker's name, a changed block was never written,
// and what was written did not reach the status.
func TestNodeNetworksAreAppended(t *testing.T) {
	t.Parallel()
	pool := testPool()
	w := newWorld(t, pool)
	w.mcm.device = w.device
	if _, err := w.device(t.Context(), "of-another-cluster"); err != nil {
		t.Fatal(err)
	}
	first := w.privateBlocks()
	infrastructure := w.infrastructure("infrastructure", first...)
	nodes := func() []string {
		w.get(infrastructure)
		return infrastructure.Status.Networking.Nodes
	}
	w.reconcile()
	if got := w.packetRequests(); got != 1 {
		t.Errorf("%d requests to the Packet API of the first reconciliation, at most one is needed", got)
	}
	if got := nodes(); !slices.Equal(got, first) {
		t.Errorf("nodes are in %v, not %v", got, first)
	}
	w.reconcile()
	if got := w.packetRequests(); got != 0 {
		t.Errorf("%d requests to the Packet API although no machine came or went", got)
	}

	// Other clusters fill the block, so that the next machine's address is from another one.
	for n := 0; len(w.privateBlocks()) == 1; n++ {
		if _, err := w.device(t.Context(), fmt.Sprintf("of-another-cluster-%d", n)); err != nil {
			t.Fatal(err)
		}
	}
	both := w.privateBlocks()
	w.reconcile()
	if got := nodes(); !slices.Equal(got, first) {
		t.Errorf("nodes are in %v before there is a machine of the Shoot in the new block", got)
	}
	pool.Minimum, pool.Maximum = 2, 3
	w.setPools(pool)
	w.packetRequests()
	w.reconcile()
	if got := w.packetRequests(); got != 1 {
		t.Errorf("%d requests to the Packet API after a machine came", got)
	}
	if got := nodes(); !slices.Equal(got, both) {
		t.Errorf("nodes are in %v, not %v: the first one has to stay the first", got, both)
	}

	// Somebody takes it away. It is there again after the next reconciliation, though no machine came or went.
	before := infrastructure.DeepCopy()
	infrastructure.Status.Networking.Nodes = first
	if err := w.client.Status().Patch(t.Context(), infrastructure, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	w.reconcile()
	if got := nodes(); !slices.Equal(got, both) {
		t.Errorf("nodes are in %v, not %v", got, both)
	}
}

// TestPacketAPIOutageFailsNoReconciliationOfUnchangedMachines: every reconciliation used to ask the API about every node.
func TestPacketAPIOutageFailsNoReconciliationOfUnchangedMachines(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testPool())
	w.infrastructure("packet", "10.64.0.0/25")
	w.reconcile()
	w.api.Stop(t)
	w.reconcile()
}

// TestOtherInfrastructures: there may be none, or one of another provider.
func TestOtherInfrastructures(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testPool())
	other := w.infrastructure("packet", "10.64.0.0/25")
	other.Spec.Type = "local"
	if err := w.client.Update(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	w.reconcile()
	if got := w.packetRequests(); got != 0 {
		t.Errorf("%d requests to the Packet API", got)
	}
}

func TestNewBlocks(t *testing.T) {
	const ours, theirs = "0a000000-0000-4000-8000-000000000001", "0a000000-0000-4000-8000-000000000002"
	block := func(network string, bits int, device string) packet.IPReservation {
		return packet.IPReservation{
			Type: packet.IPTypePrivateIPv4, Network: network, CIDR: bits,
			Assignments: []packet.IPAssignment{{Address: network, AssignedTo: &packet.Href{Href: "/metal/v1/devices/" + device}}},
		}
	}
	public := block("198.18.0.0", 31, ours)
	public.Type, public.Public = packet.IPTypePublicIPv4, true
	pending := packet.IPReservation{Type: packet.IPTypePrivateIPv4, State: packet.IPStatePending}
	got := newBlocks([]packet.IPReservation{
		public, pending,
		block("10.64.9.0", 25, strings.ToUpper(ours)), block("10.64.2.0", 25, ours), block("10.64.3.0", 25, theirs),
		block("10.64.1.0", 28, ours),
	}, []string{ours}, []netip.Prefix{netip.MustParsePrefix("10.64.1.0/25")})
	want := []netip.Prefix{netip.MustParsePrefix("10.64.2.0/25"), netip.MustParsePrefix("10.64.9.0/25")}
	if !slices.Equal(got, want) {
		t.Errorf("new blocks are %v, not %v", got, want)
	}
}
