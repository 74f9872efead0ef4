package namespaces

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/packetyard/packetyard/internal/machines"
)

// private is the address that a machine's IPv4 sessions come from.
func private(spec machines.Spec) netip.Addr { return netip.MustParseAddr(spec.Addresses[2].Address) }

// peer is a machine's side of the session named after it.
func peer(spec machines.Spec, allowed ...string) machines.BGPPeer {
	described := machines.BGPPeer{Session: spec.Hostname, Address: private(spec), ASN: 65000, MaxPrefixes: 10}
	for _, text := range allowed {
		prefix := netip.MustParsePrefix(text)
		described.Allowed = append(described.Allowed, machines.BGPPrefix{Prefix: prefix, Exact: prefix.IsSingleIP()})
	}
	return described
}

// bothSwitches are the IPv4 addresses of both.
func bothSwitches() (addresses []netip.Addr) {
	for _, each := range machines.BGPSwitches() {
		addresses = append(addresses, each.IPv4)
	}
	return addresses
}

func speaker(spec machines.Spec, announced ...string) announcer {
	a := announcer{Address: private(spec), ASN: 65000, Switches: bothSwitches()}
	for _, text := range announced {
		a.Prefixes = append(a.Prefixes, netip.MustParsePrefix(text))
	}
	return a
}

// bgp follows what the driver reports, as one line for each session:
// "machine-1 up,up 198.18.2.10/32".
type bgpReports struct {
	*yard
	reports <-chan []machines.BGPStatus
	last    []string
}

func (y *yard) watchBGP() *bgpReports {
	ctx, cancel := context.WithCancel(y.Context())
	y.Cleanup(cancel)
	return &bgpReports{yard: y, reports: y.driver.WatchBGP(ctx)}
}

func (r *bgpReports) await(want ...string) {
	r.Helper()
	slices.Sort(want)
	r.eventually(fmt.Sprintf("sessions %q", want), func() bool {
		select {
		case report := <-r.reports:
			r.last = nil
			for _, status := range report {
				line := status.Session + " "
				for index, state := range status.States {
					line += strings.Repeat(",", min(index, 1)) + string(state)
				}
				for _, prefix := range status.Learned {
					line += " " + prefix.String()
				}
				r.last = append(r.last, line)
			}
			slices.Sort(r.last)
			r.Logf("sessions: %q", r.last)
		default:
		}
		return slices.Equal(r.last, want)
	})
}

func TestBGP(t *testing.T) {
	y := newYard(t)
	first, second := device(1), device(2)
	for _, spec := range []machines.Spec{first, second} {
		y.must(y.driver.Provision(t.Context(), spec))
	}
	reports := y.watchBGP()
	y.must(y.driver.SetBGPPeers(t.Context(), []machines.BGPPeer{peer(first, "198.18.2.10/32", "198.18.3.0/29"), peer(second, "198.18.2.10/32")}))
	reports.await("machine-1 down,down", "machine-2 down,down")
	// An address that nobody announces leads nowhere.
	if answer, err := y.dial("198.18.2.10:7"); err == nil {
		t.Fatalf("%q answers where nobody announces", answer)
	}

	// Of what it announces, one is not its project's, and one is everything.
	one := y.announce(first, speaker(first, "198.18.2.10/32", "198.18.3.4/32", "198.18.9.9/32", "0.0.0.0/0", "10.70.0.5/32"))
	reports.await("machine-1 up,up 198.18.2.10/32 198.18.3.4/32", "machine-2 down,down")
	for address, want := range map[string]string{"198.18.2.10": "machine-1", "198.18.3.4": "machine-1", public(second): "machine-2", private(second).String(): "machine-2"} {
		y.eventually(address+" is reached", func() bool {
			answer, err := y.dial(address + ":7")
			return err == nil && strings.HasPrefix(answer, want+" ")
		})
	}
	if answer := y.tool(second, "dial", "198.18.2.10:7"); answer != "machine-1 "+public(second) {
		t.Errorf("to the other machine, %q answers", answer)
	}
	if routes := one.routes(t); len(routes) != 0 {
		t.Errorf("the switch announces %q to who did not ask for a default route", routes)
	}

	// Both have it: connections go to either.
	two := y.announce(second, speaker(second, "198.18.2.10/32"))
	reports.await("machine-1 up,up 198.18.2.10/32 198.18.3.4/32", "machine-2 up,up 198.18.2.10/32")
	answered := map[string]bool{}
	y.eventually("both machines answer", func() bool {
		answer, err := y.dial("198.18.2.10:7")
		y.must(err)
		answered[strings.Fields(answer)[0]] = true
		return answered["machine-1"] && answered["machine-2"]
	})

	// A withdrawn one goes to the other alone.
	one.say(t, "198.18.2.10/32")
	reports.await("machine-1 up,up 198.18.3.4/32", "machine-2 up,up 198.18.2.10/32")
	for range 20 {
		if answer, err := y.dial("198.18.2.10:7"); err != nil || !strings.HasPrefix(answer, "machine-2 ") {
			t.Fatalf("after the withdrawal %q answers, %v", answer, err)
		}
	}
	one.say(t, "+198.18.2.10/32")
	reports.await("machine-1 up,up 198.18.2.10/32 198.18.3.4/32", "machine-2 up,up 198.18.2.10/32")

	// A machine without power has neither sessions nor routes.
	y.must(y.driver.PowerOff(t.Context(), second.ID))
	for range 20 {
		if answer, err := y.dial("198.18.2.10:7"); err != nil || !strings.HasPrefix(answer, "machine-1 ") {
			t.Fatalf("with the other machine off %q answers, %v", answer, err)
		}
	}
	reports.await("machine-1 up,up 198.18.2.10/32 198.18.3.4/32", "machine-2 down,down")
	two.Close()

	// What the API assigns wins, and gives way to announcements when it ends.
	assigned := device(2, "198.18.2.10")
	y.must(y.driver.SetAddresses(t.Context(), second.ID, assigned.Addresses))
	y.must(y.driver.PowerOn(t.Context(), second.ID))
	y.eventually("the machine that has the address by the API answers", func() bool {
		answer, err := y.dial("198.18.2.10:7")
		return err == nil && strings.HasPrefix(answer, "machine-2 ")
	})
	y.must(y.driver.SetAddresses(t.Context(), second.ID, second.Addresses))
	if answer, err := y.dial("198.18.2.10:7"); err != nil || !strings.HasPrefix(answer, "machine-1 ") {
		t.Errorf("with the assignment gone %q answers, %v", answer, err)
	}

	// What may not be announced any more is not routed any more.
	y.must(y.driver.SetBGPPeers(t.Context(), []machines.BGPPeer{peer(first, "198.18.3.0/29"), peer(second)}))
	reports.await("machine-1 up,up 198.18.3.4/32", "machine-2 down,down")
	if answer, err := y.dial("198.18.2.10:7"); err == nil {
		t.Errorf("%q answers at an address that is not the project's any more", answer)
	}
	// A session that was deleted ends.
	y.must(y.driver.SetBGPPeers(t.Context(), nil))
	reports.await()
	if answer, err := y.dial("198.18.3.4:7"); err == nil {
		t.Errorf("%q answers without any session", answer)
	}
	// A deleted one that is made again comes up again.
	y.must(y.driver.SetBGPPeers(t.Context(), []machines.BGPPeer{peer(first, "198.18.3.0/29")}))
	reports.await("machine-1 up,up 198.18.3.4/32")
}

// TestBGPPassword has a switch speak with those who know the password alone.
func TestBGPPassword(t *testing.T) {
	y := newYard(t)
	first, second, third := device(1), device(2), device(3)
	for _, spec := range []machines.Spec{first, second, third} {
		y.must(y.driver.Provision(t.Context(), spec))
	}
	reports := y.watchBGP()
	peers := []machines.BGPPeer{peer(first, "198.18.2.10/32"), peer(second, "198.18.2.10/32"), peer(third, "198.18.2.10/32")}
	peers[0].Password, peers[1].Password = "correcthorse", "correcthorse"
	y.must(y.driver.SetBGPPeers(t.Context(), peers))
	signed := speaker(first, "198.18.2.10/32")
	signed.Password = "correcthorse"
	y.announce(first, signed)
	y.announce(second, speaker(second, "198.18.2.10/32"))
	y.announce(third, speaker(third, "198.18.2.10/32"))
	reports.await("machine-1 up,up 198.18.2.10/32", "machine-2 down,down", "machine-3 up,up 198.18.2.10/32")

	// The address of a machine that had a password may be another project's
	// later, which has none.
	peers[1].Password = ""
	y.must(y.driver.SetBGPPeers(t.Context(), peers))
	reports.await("machine-1 up,up 198.18.2.10/32", "machine-2 up,up 198.18.2.10/32", "machine-3 up,up 198.18.2.10/32")
}

// TestBGPDefaultRoute has a switch announce itself to who asks for it.
func TestBGPDefaultRoute(t *testing.T) {
	y := newYard(t)
	first, second := device(1), device(2)
	for _, spec := range []machines.Spec{first, second} {
		y.must(y.driver.Provision(t.Context(), spec))
	}
	reports := y.watchBGP()
	peers := []machines.BGPPeer{peer(first, "198.18.2.10/32"), peer(second, "198.18.2.10/32")}
	peers[0].DefaultRoute = true
	y.must(y.driver.SetBGPPeers(t.Context(), peers))
	one, two := y.announce(first, speaker(first, "198.18.2.10/32")), y.announce(second, speaker(second))
	reports.await("machine-1 up,up 198.18.2.10/32", "machine-2 up,up")
	y.eventually("the default route is announced", func() bool { return reflect.DeepEqual(one.routes(t), []string{"0.0.0.0/0"}) })
	if routes := two.routes(t); len(routes) != 0 {
		t.Errorf("the other machine hears of %q", routes)
	}
	peers[0].DefaultRoute, peers[1].DefaultRoute = false, true
	y.must(y.driver.SetBGPPeers(t.Context(), peers))
	y.eventually("the default route is announced to the other", func() bool {
		return len(one.routes(t)) == 0 && reflect.DeepEqual(two.routes(t), []string{"0.0.0.0/0"})
	})
}

// TestBGPTooManyPrefixes has a switch close a session that exceeds its limit.
func TestBGPTooManyPrefixes(t *testing.T) {
	y := newYard(t)
	spec := device(1)
	y.must(y.driver.Provision(t.Context(), spec))
	reports := y.watchBGP()
	limited := peer(spec, "198.18.3.0/28")
	limited.MaxPrefixes = 2
	y.must(y.driver.SetBGPPeers(t.Context(), []machines.BGPPeer{limited}))
	one := y.announce(spec, speaker(spec, "198.18.3.1/32", "198.18.3.2/32"))
	reports.await("machine-1 up,up 198.18.3.1/32 198.18.3.2/32")
	one.say(t, "+198.18.3.3/32")
	reports.await("machine-1 down,down")
	if answer, err := y.dial("198.18.3.1:7"); err == nil {
		t.Errorf("%q answers though its session is closed", answer)
	}
}

// TestAMachineThatSaidGoodbyeComesBack: where a machine's speaker had ended
// before its power went, the switch closed the first session that it had
// afterwards.
func TestAMachineThatSaidGoodbyeComesBack(t *testing.T) {
	y := newYard(t)
	spec := device(1)
	y.must(y.driver.Provision(t.Context(), spec))
	reports := y.watchBGP()
	y.must(y.driver.SetBGPPeers(t.Context(), []machines.BGPPeer{peer(spec, "198.18.2.10/32")}))
	one := y.announce(spec, speaker(spec, "198.18.2.10/32"))
	reports.await("machine-1 up,up 198.18.2.10/32")
	y.must(one.Close())
	reports.await("machine-1 down,down")
	y.must(y.driver.PowerOff(t.Context(), spec.ID))
	y.must(y.driver.PowerOn(t.Context(), spec.ID))
	y.announce(spec, speaker(spec, "198.18.2.10/32"))
	reports.await("machine-1 up,up 198.18.2.10/32")
	log, err := os.ReadFile(filepath.Join(y.data, "machines", "rack.log"))
	y.must(err)
	if strings.Contains(string(log), "sent notification") {
		t.Errorf("the switch closed a session:\n%s", log)
	}
}

// TestBGPOverIPv6 has a machine announce an IPv6 prefix.
func TestBGPOverIPv6(t *testing.T) {
	y := newYard(t)
	first, second := device(1), device(2)
	var peers []machines.BGPPeer
	var six []netip.Addr
	for _, each := range machines.BGPSwitches() {
		six = append(six, each.IPv6)
	}
	for _, spec := range []machines.Spec{first, second} {
		y.must(y.driver.Provision(t.Context(), spec))
		described := peer(spec, "2001:db8:9::/64")
		described.Address = netip.MustParseAddr(spec.Addresses[1].Address)
		peers = append(peers, described)
	}
	reports := y.watchBGP()
	y.must(y.driver.SetBGPPeers(t.Context(), peers))
	reports.await("machine-1 down,down", "machine-2 down,down")
	if !kernelHasIPv6() {
		// Machines have no such address there, so the sessions stay as they are.
		return
	}
	for index, spec := range []machines.Spec{first, second} {
		a := speaker(spec, "2001:db8:9::1/128")
		a.Address, a.Switches = peers[index].Address, six
		y.announce(spec, a)
	}
	reports.await("machine-1 up,up 2001:db8:9::1/128", "machine-2 up,up 2001:db8:9::1/128")
	answered := map[string]bool{}
	y.eventually("both machines answer", func() bool {
		answer, err := y.dial("[2001:db8:9::1]:7")
		y.must(err)
		answered[strings.Fields(answer)[0]] = true
		return answered["machine-1"] && answered["machine-2"]
	})
	y.must(y.driver.PowerOff(t.Context(), first.ID))
	reports.await("machine-1 down,down", "machine-2 up,up 2001:db8:9::1/128")
	if answer, err := y.dial("[2001:db8:9::1]:7"); err != nil || !strings.HasPrefix(answer, "machine-2 ") {
		t.Errorf("%q answers, %v", answer, err)
	}
}

// TestANewRackIsToldItsBGPPeers: a rack that was started again once knew none.
func TestANewRackIsToldItsBGPPeers(t *testing.T) {
	y := newYard(t)
	spec := device(1)
	y.must(y.driver.Provision(t.Context(), spec))
	reports := y.watchBGP()
	y.must(y.driver.SetBGPPeers(t.Context(), []machines.BGPPeer{peer(spec, "198.18.2.10/32")}))
	y.announce(spec, speaker(spec, "198.18.2.10/32"))
	reports.await("machine-1 up,up 198.18.2.10/32")
	rack, err := y.client.status(t.Context())
	y.must(err)
	y.must(syscall.Kill(rack.PID, syscall.SIGKILL))
	reports.await("machine-1 down,down")
	y.eventually("the machine runs again", func() bool { return y.status(spec).Power == machines.PowerOn })
	y.announce(spec, speaker(spec, "198.18.2.10/32"))
	reports.await("machine-1 up,up 198.18.2.10/32")
}

func TestInvalidBGPPeers(t *testing.T) {
	y := newYard(t)
	good := peer(device(1), "198.18.2.10/32")
	for name, test := range map[string]struct {
		change func(*machines.BGPPeer)
		want   string
	}{
		"no address":        {func(p *machines.BGPPeer) { p.Address = netip.Addr{} }, `peers[1].address: `},
		"no AS":             {func(p *machines.BGPPeer) { p.ASN = 0 }, "peers[1].asn: 0 is not allowed, 1 to 4294967295 are"},
		"no prefixes":       {func(p *machines.BGPPeer) { p.MaxPrefixes = 0 }, "peers[1].maxPrefixes: 0 is not allowed"},
		"the other's":       {func(p *machines.BGPPeer) { p.Address = good.Address }, "peers[1].address: 10.70.0.3 is another peer's too"},
		"of another family": {func(p *machines.BGPPeer) { p.Allowed[0].Prefix = netip.MustParsePrefix("2001:db8::/64") }, "peers[1].allowed[0].prefix: 2001:db8::/64 is not of the family of 10.70.0.5"},
	} {
		t.Run(name, func(t *testing.T) {
			bad := peer(device(2), "198.18.2.10/32")
			test.change(&bad)
			err := y.driver.SetBGPPeers(t.Context(), []machines.BGPPeer{good, bad})
			if err == nil || !strings.Contains(err.Error(), test.want) || errors.Is(err, machines.ErrNotFound) {
				t.Errorf("error is %v, want %q in it", err, test.want)
			}
		})
	}
}
