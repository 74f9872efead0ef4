package bgp_test

import (
	"io"
	"log/slog"
	"net/netip"
	"reflect"
	"testing"

	"github.com/packetyard/packetyard/internal/apiserver/bgp"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

func TestNeighbors(t *testing.T) {
	records, err := store.Open(t.Context(), store.Config{DataDir: t.TempDir(), Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer records.Close()
	device := &store.Device{ID: "d", ProjectID: "p"}
	err = records.Update(t.Context(), func(tx *store.Tx) error {
		for id, address := range map[string]string{"private": "10.64.0.1", "public": "198.18.1.1", "six": "2001:db8::1"} {
			tx.Assignments.Create(tx, &store.Assignment{
				ID: id, DeviceID: "d", Address: netip.MustParseAddr(address), Management: true, Public: id != "private",
				Block: netip.PrefixFrom(netip.MustParseAddr(address), netip.MustParseAddr(address).BitLen()),
			})
		}
		for _, family := range []string{packet.BGPIPv4, packet.BGPIPv6} {
			tx.BGPSessions.Create(tx, &store.BGPSession{ID: family, DeviceID: "d", ProjectID: "p", AddressFamily: family})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	neighbors := func() (list []packet.BGPNeighbor) {
		if err := records.Read(t.Context(), func(s *store.Snapshot) error { list = bgp.Neighbors(s, device); return nil }); err != nil {
			t.Fatal(err)
		}
		return list
	}
	if got := neighbors(); got == nil || len(got) != 0 {
		t.Errorf("without BGP the neighbours are %v, want an empty list", got)
	}
	err = records.Update(t.Context(), func(tx *store.Tx) error {
		tx.BGPConfigs.Create(tx, &store.BGPConfig{ID: "c", ProjectID: "p", ASN: 65000, MD5: "secretsecret", Status: packet.BGPEnabled})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	common := packet.BGPNeighbor{
		CustomerAS: 65000, MD5Enabled: true, MD5Password: "secretsecret", Multihop: true, PeerAS: 65530,
		RoutesIn: []packet.BGPRoute{}, RoutesOut: []packet.BGPRoute{},
	}
	four, six := common, common
	four.AddressFamily, four.CustomerIP, four.PeerIPs = 4, "10.64.0.1", []string{"169.254.255.1", "169.254.255.2"}
	six.AddressFamily, six.CustomerIP, six.PeerIPs = 6, "2001:db8::1", []string{"fc00::e", "fc00::f"}
	if got := neighbors(); !reflect.DeepEqual(got, []packet.BGPNeighbor{four, six}) {
		t.Errorf("the neighbours are %+v, want %+v", got, []packet.BGPNeighbor{four, six})
	}
}
