package kubeproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
)

// recordedAddresses keeps the addresses that a proxy asked for. The tests use
// addresses of 127.0.0.0/8, which every machine has already.
type recordedAddresses struct {
	added   map[netip.Addr]bool
	refused map[netip.Addr]error
}

func (r *recordedAddresses) Add(a netip.Addr) error {
	if err := r.refused[a]; err != nil {
		return err
	}
	r.added[a] = true
	return nil
}

func (r *recordedAddresses) Remove(a netip.Addr) error {
	delete(r.added, a)
	return nil
}

func (r *recordedAddresses) Added() ([]netip.Addr, error) {
	var list []netip.Addr
	for a := range r.added {
		list = append(list, a)
	}
	return list, nil
}

func startProxy(t *testing.T, left ...netip.Addr) (*proxy, *recordedAddresses) {
	t.Helper()
	addresses := &recordedAddresses{added: map[netip.Addr]bool{}, refused: map[netip.Addr]error{}}
	for _, a := range left {
		addresses.added[a] = true
	}
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	return newProxy(ctx, slog.New(slog.DiscardHandler), addresses), addresses
}

// echoTCP answers every connection with its own name, then with what it was sent.
func echoTCP(t *testing.T, name string) netip.AddrPort {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				_, _ = fmt.Fprint(conn, name, ":")
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	return netip.MustParseAddrPort(listener.Addr().String())
}

// freeAddress returns a port that is free on the given loopback address.
func freeAddress(t *testing.T, address string) netip.AddrPort {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return netip.MustParseAddrPort(listener.Addr().String())
}

// ask sends a text through a frontend and returns the answer.
func ask(address netip.AddrPort, text string) (string, error) {
	conn, err := net.DialTimeout("tcp", address.String(), 5*time.Second)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, text); err != nil {
		return "", err
	}
	// The end of what is sent must reach the backend, or the answer never ends.
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	return string(answer), err
}

func tcp(a netip.AddrPort) frontend { return frontend{protocol: v1.ProtocolTCP, address: a} }

func TestProxySpreadsConnectionsOverBackends(t *testing.T) {
	p, addresses := startProxy(t)
	service := freeAddress(t, "127.77.0.1")
	one, two := echoTCP(t, "one"), echoTCP(t, "two")
	if err := p.apply(rules{tcp(service): {one, two}}); err != nil {
		t.Fatal(err)
	}
	if !addresses.added[service.Addr()] {
		t.Error("the service's address was not added to the machine")
	}
	var answers []string
	for range 4 {
		answer, err := ask(service, "hello")
		if err != nil {
			t.Fatal(err)
		}
		answers = append(answers, answer)
	}
	if want := []string{"one:hello", "two:hello", "one:hello", "two:hello"}; !slices.Equal(answers, want) {
		t.Errorf("answers %q, want %q", answers, want)
	}
}

func TestProxyTriesTheNextBackend(t *testing.T) {
	p, _ := startProxy(t)
	service := freeAddress(t, "127.77.0.2")
	gone, alive := freeAddress(t, "127.0.0.1"), echoTCP(t, "alive")
	if err := p.apply(rules{tcp(service): {gone, alive}}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if answer, err := ask(service, "x"); err != nil || answer != "alive:x" {
			t.Errorf("answer %q, error %v", answer, err)
		}
	}
}

func TestProxyFollowsChanges(t *testing.T) {
	p, addresses := startProxy(t, netip.MustParseAddr("127.77.0.99"))
	service := freeAddress(t, "127.77.0.3")
	one, two := echoTCP(t, "one"), echoTCP(t, "two")
	for _, step := range []struct {
		rules  rules
		answer string
	}{
		{rules: rules{tcp(service): {one}}, answer: "one:x"},
		{rules: rules{tcp(service): {two}}, answer: "two:x"},
		{rules: rules{tcp(service): nil}},
		{rules: rules{tcp(service): {one}}, answer: "one:x"},
		{rules: rules{}},
	} {
		if err := p.apply(step.rules); err != nil {
			t.Fatal(err)
		}
		answer, err := ask(service, "x")
		if step.answer == "" && err == nil {
			t.Errorf("with %v: a connection was accepted", step.rules)
		}
		if answer != step.answer {
			t.Errorf("with %v: answer %q, want %q (error %v)", step.rules, answer, step.answer, err)
		}
		if _, wanted := step.rules[tcp(service)]; addresses.added[service.Addr()] != wanted {
			t.Errorf("with %v: address present: %v, want %v", step.rules, !wanted, wanted)
		}
	}
	if len(addresses.added) != 0 {
		t.Errorf("addresses of an earlier process are left: %v", addresses.added)
	}
}

func TestProxyKeepsConnectionsOfARemovedService(t *testing.T) {
	p, _ := startProxy(t)
	service := freeAddress(t, "127.77.0.4")
	if err := p.apply(rules{tcp(service): {echoTCP(t, "one")}}); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", service.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	buffer := make([]byte, len("one:"))
	if _, err := io.ReadFull(conn, buffer); err != nil {
		t.Fatal(err)
	}
	if err := p.apply(rules{}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "more"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, buffer); err != nil || string(buffer) != "more" {
		t.Errorf("after the removal: read %q, error %v", buffer, err)
	}
}

func TestProxyServesTheRestWhenOneFails(t *testing.T) {
	p, addresses := startProxy(t)
	bad, good := freeAddress(t, "127.77.0.5"), freeAddress(t, "127.77.0.6")
	taken, err := net.Listen("tcp", bad.String())
	if err != nil {
		t.Fatal(err)
	}
	refused := netip.MustParseAddr("203.0.113.1")
	addresses.refused[refused] = errors.New("no permission")
	backend := echoTCP(t, "one")
	wanted := rules{
		tcp(bad):                             {backend},
		tcp(good):                            {backend},
		tcp(netip.AddrPortFrom(refused, 80)): nil,
	}
	if err := p.apply(wanted); err == nil {
		t.Error("the failures were not reported")
	}
	if answer, err := ask(good, "x"); err != nil || answer != "one:x" {
		t.Errorf("the good service answers %q, error %v", answer, err)
	}
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	delete(addresses.refused, refused)
	if err := p.apply(wanted); err != nil {
		t.Errorf("the second attempt failed: %v", err)
	}
	if answer, err := ask(bad, "x"); err != nil || answer != "one:x" {
		t.Errorf("the freed service answers %q, error %v", answer, err)
	}
}

func TestProxyForwardsDatagrams(t *testing.T) {
	backend, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = backend.Close() }()
	go func() {
		packet := make([]byte, udpPacket)
		for {
			n, from, err := backend.ReadFromUDPAddrPort(packet)
			if err != nil {
				return
			}
			_, _ = backend.WriteToUDPAddrPort(append([]byte("re:"), packet[:n]...), from)
		}
	}()
	p, _ := startProxy(t)
	service := freeAddress(t, "127.77.0.7")
	err = p.apply(rules{{protocol: v1.ProtocolUDP, address: service}: {netip.MustParseAddrPort(backend.LocalAddr().String())}})
	if err != nil {
		t.Fatal(err)
	}
	client, err := net.Dial("udp", service.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	if err := client.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for _, question := range []string{"a", "b"} {
		if _, err := io.WriteString(client, question); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, 16)
		n, err := client.Read(answer)
		if err != nil || string(answer[:n]) != "re:"+question {
			t.Errorf("answer %q, error %v", answer[:n], err)
		}
	}
}
