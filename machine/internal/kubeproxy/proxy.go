package kubeproxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"

	v1 "k8s.io/api/core/v1"
)

// interfaceAddresses puts service addresses on the machine.
type interfaceAddresses interface {
	// Add makes the address local to the machine. An address that is already
	// there is left as it is and stays its owner's.
	Add(netip.Addr) error
	// Remove takes away an address that Add has put there.
	Remove(netip.Addr) error
	// Added lists the addresses that Add has put there, in this process or in one before it.
	Added() ([]netip.Addr, error)
}

// proxy serves a set of rules. Its methods are called by one goroutine at a time.
type proxy struct {
	ctx       context.Context // Ends every forwarded connection.
	log       *slog.Logger
	addresses interfaceAddresses
	servers   map[frontend]*server
	present   map[netip.Addr]bool
}

// server is an open frontend.
type server struct {
	backends atomic.Pointer[[]netip.AddrPort]
	next     atomic.Uint32
	// stop closes the frontend. TCP connections that were accepted live on.
	stop func()
}

func newProxy(ctx context.Context, log *slog.Logger, addresses interfaceAddresses) *proxy {
	return &proxy{
		ctx: ctx, log: log, addresses: addresses,
		servers: map[frontend]*server{},
		present: map[netip.Addr]bool{},
	}
}

// apply serves these rules from now on, and nothing else. It does all it can:
// the error joins what it could not do, and applying again tries that again.
func (p *proxy) apply(wanted rules) error {
	var failed []error
	for f, s := range p.servers {
		if len(wanted[f]) == 0 {
			s.stop()
			delete(p.servers, f)
		}
	}
	failed = append(failed, p.applyAddresses(wanted))
	for f, backends := range wanted {
		if len(backends) == 0 {
			continue
		}
		if s, open := p.servers[f]; open {
			s.backends.Store(&backends)
			continue
		}
		s, err := p.open(f, backends)
		if err != nil {
			failed = append(failed, fmt.Errorf("opening %s %s: %w", f.protocol, f.address, err))
			continue
		}
		p.servers[f] = s
	}
	return errors.Join(failed...)
}

func (p *proxy) applyAddresses(wanted rules) error {
	var failed []error
	keep := map[netip.Addr]bool{}
	for f := range wanted {
		address := f.address.Addr()
		if address.IsUnspecified() || keep[address] {
			continue
		}
		keep[address] = true
		if p.present[address] {
			continue
		}
		if err := p.addresses.Add(address); err != nil {
			failed = append(failed, fmt.Errorf("adding %s to the machine: %w", address, err))
			continue
		}
		p.present[address] = true
	}
	for address := range p.present {
		if !keep[address] {
			delete(p.present, address)
		}
	}
	added, err := p.addresses.Added()
	if err != nil {
		return errors.Join(append(failed, err)...)
	}
	for _, address := range added {
		if keep[address] {
			continue
		}
		if err := p.addresses.Remove(address); err != nil {
			failed = append(failed, fmt.Errorf("removing %s from the machine: %w", address, err))
		}
	}
	return errors.Join(failed...)
}

func (p *proxy) open(f frontend, backends []netip.AddrPort) (*server, error) {
	s := &server{}
	s.backends.Store(&backends)
	var err error
	if f.protocol == v1.ProtocolUDP {
		s.stop, err = serveUDP(p.ctx, p.log, f.address, s.choose)
	} else {
		s.stop, err = serveTCP(p.ctx, p.log, f.address, s.choose)
	}
	return s, err
}

// choose returns the backends in the order in which a new connection shall try
// them: each connection starts with the next one.
func (s *server) choose() []netip.AddrPort {
	backends := *s.backends.Load()
	if len(backends) == 0 {
		return nil
	}
	start := int(s.next.Add(1)-1) % len(backends)
	return append(append(make([]netip.AddrPort, 0, len(backends)), backends[start:]...), backends[:start]...)
}
