package bgp_test

import (
	"io"
	"log/slog"
	"net/netip"
	"reflect"
	"testing"

	"github.com/packetyard/packetyard/internal/apiserver/bgp"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/internal/machines"
	"github.com/packetyard/packetyard/pkg/packet"
)

// TestPeers checks who may speak BGP with the switches, and what each may announce.
func TestPeers(t *testing.T) {
	records, err := store.Open(t.Context(), store.Config{DataDir: t.TempDir(), Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer records.Close()
	block := netip.MustParsePrefix
	err = records.Update(t.Context(), func(tx *store.Tx) error {
		for _, id := range []string{"d", "addressless"} {
			tx.Devices.Create(tx, &store.Device{ID: id, ProjectID: "p", Metro: "da"})
			tx.BGPSessions.Create(tx, &store.BGPSession{ID: "session of " + id, DeviceID: id, ProjectID: "p", AddressFamily: packet.BGPIPv4, DefaultRoute: true})
		}
		// A session that its project's configuration, or its device, is gone of.
		tx.BGPSessions.Create(tx, &store.BGPSession{ID: "orphan", DeviceID: "gone", ProjectID: "p", AddressFamily: packet.BGPIPv4})
		tx.Devices.Create(tx, &store.Device{ID: "other", ProjectID: "q", Metro: "da"})
		tx.BGPSessions.Create(tx, &store.BGPSession{ID: "unconfigured", DeviceID: "other", ProjectID: "q", AddressFamily: packet.BGPIPv4})
		tx.BGPConfigs.Create(tx, &store.BGPConfig{ID: "c", ProjectID: "p", ASN: 4200000000, MD5: "correcthorse", Status: packet.BGPEnabled})
		for id, device := range map[string]string{"10.64.0.1": "d", "10.64.0.3": "other"} {
			tx.Assignments.Create(tx, &store.Assignment{
				ID: id, DeviceID: device, Address: netip.MustParseAddr(id), Management: true, Block: netip.PrefixFrom(netip.MustParseAddr(id), 31),
			})
		}
		for _, reservation := range []store.Reservation{
			{ID: "elastic", ProjectID: "p", Metro: "da", Type: packet.IPTypePublicIPv4, Block: block("198.18.2.8/29")},
			{ID: "of another metro", ProjectID: "p", Metro: "sv", Type: packet.IPTypePublicIPv4, Block: block("198.18.2.16/29")},
			{ID: "global", ProjectID: "p", Type: packet.IPTypeGlobalIPv4, Block: block("198.18.2.30/32")},
			{ID: "its own", ProjectID: "p", Metro: "da", Management: true, Type: packet.IPTypePublicIPv4, Block: block("198.18.1.0/31")},
			{ID: "of six", ProjectID: "p", Metro: "da", Management: true, Type: packet.IPTypePublicIPv6, Block: block("2001:db8::/56")},
			{ID: "in a VRF", ProjectID: "p", Metro: "da", VRFID: "v", Type: packet.IPTypeVRF, Block: block("10.80.0.0/24")},
			{ID: "asked for", ProjectID: "p", Metro: "da", State: "pending", Quantity: 8, Type: packet.IPTypePublicIPv4},
			{ID: "of another project", ProjectID: "q", Metro: "da", Type: packet.IPTypePublicIPv4, Block: block("198.18.2.40/29")},
		} {
			tx.Reservations.Create(tx, &reservation)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var peers []machines.BGPPeer
	if err := records.Read(t.Context(), func(s *store.Snapshot) error { peers = bgp.Peers(s); return nil }); err != nil {
		t.Fatal(err)
	}
	want := []machines.BGPPeer{{
		Session: "session of d", Address: netip.MustParseAddr("10.64.0.1"), ASN: 4200000000, Password: "correcthorse",
		DefaultRoute: true, MaxPrefixes: 10,
		Allowed: []machines.BGPPrefix{{Prefix: block("198.18.2.8/29")}, {Prefix: block("198.18.2.30/32"), Exact: true}},
	}}
	if !reflect.DeepEqual(peers, want) {
		t.Errorf("the peers are %+v, want %+v", peers, want)
	}
}
