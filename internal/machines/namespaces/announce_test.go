package namespaces

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/osrg/gobgp/v4/api"
	"github.com/osrg/gobgp/v4/pkg/apiutil"
	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
	"github.com/osrg/gobgp/v4/pkg/server"
	"github.com/vishvananda/netlink"

	"github.com/packetyard/packetyard/internal/machineexec"
	"github.com/packetyard/packetyard/internal/machines"
)

// announcer is the BGP speaker that a test runs in a machine.
type announcer struct {
	// Address is where its sessions come from.
	Address  netip.Addr     `json:"address"`
	ASN      uint32         `json:"asn"`
	Password string         `json:"password"`
	Switches []netip.Addr   `json:"switches"`
	Prefixes []netip.Prefix `json:"prefixes"`
}

// announce runs a speaker until its input ends. Each line of the input is a
// prefix to withdraw, or, after a plus, to announce; "routes" prints what the
// switches announce.
func announce(text string) error {
	var a announcer
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		return err
	}
	ctx := context.Background()
	speaker := server.NewBgpServer()
	go speaker.Serve()
	if err := speaker.StartBgp(ctx, &api.StartBgpRequest{Global: &api.Global{Asn: a.ASN, RouterId: "10.0.0.1", ListenPort: -1}}); err != nil {
		return err
	}
	family, kind := &api.Family{Afi: api.Family_AFI_IP, Safi: api.Family_SAFI_UNICAST}, bgp.RF_IPv4_UC
	if a.Address.Is6() {
		family, kind = &api.Family{Afi: api.Family_AFI_IP6, Safi: api.Family_SAFI_UNICAST}, bgp.RF_IPv6_UC
	}
	for _, at := range a.Switches {
		if err := speaker.AddPeer(ctx, &api.AddPeerRequest{Peer: &api.Peer{
			Conf:         &api.PeerConf{NeighborAddress: at.String(), PeerAsn: machines.BGPSwitchASN, AuthPassword: a.Password},
			EbgpMultihop: &api.EbgpMultihop{Enabled: true, MultihopTtl: 10},
			Transport:    &api.Transport{LocalAddress: a.Address.String()},
			Timers:       &api.Timers{Config: &api.TimersConfig{ConnectRetry: 1, HoldTime: 600}},
			AfiSafis:     []*api.AfiSafi{{Config: &api.AfiSafiConfig{Family: family, Enabled: true}}},
		}}); err != nil {
			return err
		}
	}
	change := func(prefix netip.Prefix, withdraw bool) error {
		nlri, err := bgp.NewIPAddrPrefix(prefix)
		if err != nil {
			return err
		}
		next, err := bgp.NewPathAttributeNextHop(a.Address)
		attributes := []bgp.PathAttributeInterface{bgp.NewPathAttributeOrigin(0), next}
		if a.Address.Is6() {
			var reach *bgp.PathAttributeMpReachNLRI
			reach, err = bgp.NewPathAttributeMpReachNLRI(kind, []bgp.PathNLRI{{NLRI: nlri}}, a.Address)
			attributes[1] = reach
		}
		if err != nil {
			return err
		}
		path := &apiutil.Path{Family: kind, Nlri: nlri, Attrs: attributes, Withdrawal: withdraw}
		if withdraw {
			return speaker.DeletePath(apiutil.DeletePathRequest{Paths: []*apiutil.Path{path}})
		}
		_, err = speaker.AddPath(apiutil.AddPathRequest{Paths: []*apiutil.Path{path}})
		return err
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	for _, prefix := range a.Prefixes {
		if prefix.IsSingleIP() {
			address, err := netlink.ParseAddr(prefix.String())
			if err != nil {
				return err
			}
			if err := netlink.AddrReplace(lo, address); err != nil {
				return err
			}
		}
		if err := change(prefix, false); err != nil {
			return err
		}
	}
	fmt.Println("announcing")
	for input := bufio.NewScanner(os.Stdin); input.Scan(); {
		if input.Text() == "routes" {
			var routes []string
			err := speaker.ListPath(apiutil.ListPathRequest{TableType: api.TableType_TABLE_TYPE_ADJ_IN, Name: a.Switches[0].String(), Family: kind},
				func(nlri bgp.NLRI, _ []*apiutil.Path) { routes = append(routes, nlri.String()) })
			if err != nil {
				return err
			}
			fmt.Println("routes", strings.Join(routes, " "))
			continue
		}
		prefix, add := strings.CutPrefix(input.Text(), "+")
		parsed, err := netip.ParsePrefix(prefix)
		if err != nil {
			return err
		}
		if err := change(parsed, !add); err != nil {
			return err
		}
	}
	return nil
}

// speaking is an announcer that runs in a machine.
type speaking struct {
	io.WriteCloser
	output *bufio.Scanner
	ended  chan error
}

// announce starts an announcer in a machine.
func (y *yard) announce(spec machines.Spec, a announcer) *speaking {
	y.Helper()
	text, err := json.Marshal(a)
	y.must(err)
	// init may not listen yet.
	y.tool(spec, "addresses")
	input, writer := io.Pipe()
	reader, output := io.Pipe()
	s := &speaking{WriteCloser: writer, output: bufio.NewScanner(reader), ended: make(chan error, 1)}
	go func() {
		code, err := machineexec.RunAt(y.Context(), y.client.ControlSocket(spec.ID),
			machineexec.Request{Command: []string{"/opt/packetyard/init", "announce", string(text)}},
			machineexec.Streams{Stdin: input, Stdout: output, Stderr: output})
		output.CloseWithError(errors.Join(err, fmt.Errorf("the announcer ended with code %d", code)))
		s.ended <- err
	}()
	y.Cleanup(func() { writer.Close(); reader.Close() })
	if !s.output.Scan() || s.output.Text() != "announcing" {
		y.Fatalf("the announcer says %q, %v", s.output.Text(), s.output.Err())
	}
	return s
}

// say gives an announcer a line of input.
func (s *speaking) say(t testing.TB, line string) {
	t.Helper()
	if _, err := io.WriteString(s, line+"\n"); err != nil {
		t.Fatal(err)
	}
}

// routes are the prefixes that the first switch announces to it.
func (s *speaking) routes(t testing.TB) []string {
	t.Helper()
	s.say(t, "routes")
	if !s.output.Scan() || !strings.HasPrefix(s.output.Text(), "routes") {
		t.Fatalf("the announcer says %q, %v", s.output.Text(), s.output.Err())
	}
	return strings.Fields(s.output.Text())[1:]
}
