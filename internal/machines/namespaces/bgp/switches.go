// Package bgp is the BGP of the yard's switches: two of them, as every Packet
// machine hung on two, which share one table of routes. A machine opens a
// session with each of them; what it announces and may announce becomes a
// route to it.
package bgp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/packetyard/packetyard/internal/machines"
)

const (
	// restartAfter is how long a session stays closed whose peer announced too much.
	restartAfter = time.Minute
	// retryAfter is how long to wait where routes could not be changed.
	retryAfter = 10 * time.Second
)

// Config is what the switches need.
type Config struct {
	// IPv6 tells whether the kernel has it.
	IPv6 bool
	// Route makes the table of routes agree with what was learned: for each
	// prefix the addresses of the machines that announce it. It is called
	// again where it failed.
	Route  func(map[netip.Prefix][]netip.Addr) error
	Logger *slog.Logger
}

// Switches speak BGP in the caller's network namespace, whose addresses those
// of machines.BGPSwitches have to be.
type Switches struct {
	config Config
	// changed receives when the sessions are to be looked at.
	changed chan struct{}

	mutex    sync.Mutex
	speakers []*speaker
	peers    []machines.BGPPeer
	last     outcome
	// closed are the sessions that stay closed for a while because of too
	// many prefixes.
	closed map[closedSession]bool
	// next is closed when there is another status.
	next chan struct{}
}

type closedSession struct {
	at   *speaker
	peer netip.Addr
}

// New returns switches that listen when they get a first peer.
func New(config Config) *Switches {
	return &Switches{
		config:  config,
		changed: make(chan struct{}, 1),
		last:    evaluate(nil, nil),
		closed:  map[closedSession]bool{},
		next:    make(chan struct{}),
	}
}

// Check reports every peer of a list that the switches cannot have.
func Check(peers []machines.BGPPeer) error {
	var problems []error
	addresses := map[netip.Addr]bool{}
	for index, peer := range peers {
		problem := func(format string, arguments ...any) {
			problems = append(problems, fmt.Errorf("peers[%d].%w", index, fmt.Errorf(format, arguments...)))
		}
		switch {
		case !peer.Address.IsValid() || peer.Address.Zone() != "" || peer.Address.Is4In6():
			problem("address: %q is not allowed, an IPv4 or IPv6 address without a zone is", peer.Address)
		case addresses[peer.Address]:
			problem("address: %s is another peer's too", peer.Address)
		}
		addresses[peer.Address] = true
		if peer.ASN == 0 {
			problem("asn: 0 is not allowed, 1 to 4294967295 are")
		}
		if peer.MaxPrefixes == 0 {
			problem("maxPrefixes: 0 is not allowed, at least one prefix is")
		}
		for at, allowed := range peer.Allowed {
			if !allowed.Prefix.IsValid() || allowed.Prefix.Addr().Is4() != peer.Address.Is4() {
				problem("allowed[%d].prefix: %s is not of the family of %s", at, allowed.Prefix, peer.Address)
			}
		}
	}
	return errors.Join(problems...)
}

// SetPeers has the switches speak with exactly the given peers.
func (s *Switches) SetPeers(ctx context.Context, peers []machines.BGPPeer) error {
	if err := Check(peers); err != nil {
		return err
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if len(s.speakers) == 0 {
		if len(peers) == 0 {
			return nil
		}
		if err := s.begin(ctx); err != nil {
			return err
		}
	}
	s.peers = slices.Clone(peers)
	var problems []error
	for _, each := range s.speakers {
		problems = append(problems, each.setPeers(ctx, peers))
	}
	s.lookAgain()
	return errors.Join(problems...)
}

// begin has all switches listen.
func (s *Switches) begin(ctx context.Context) error {
	var begun []*speaker
	for _, at := range machines.BGPSwitches() {
		each := &speaker{at: at, ipv6: s.config.IPv6, logger: s.config.Logger, changed: s.lookAgain}
		if err := each.start(ctx); err != nil {
			for _, earlier := range begun {
				err = errors.Join(err, earlier.end(ctx))
			}
			return err
		}
		begun = append(begun, each)
	}
	s.speakers = begun
	go s.attend(context.WithoutCancel(ctx))
	return nil
}

func (s *Switches) lookAgain() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// attend acts on what changes, for as long as the process lives.
func (s *Switches) attend(ctx context.Context) {
	for range s.changed {
		if err := s.refresh(ctx); err != nil {
			s.config.Logger.Error("routes do not agree with BGP", "again", retryAfter, "error", err)
			time.AfterFunc(retryAfter, s.lookAgain)
		}
	}
}

// refresh looks at all sessions and makes routes and status agree with them.
func (s *Switches) refresh(ctx context.Context) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	all := make([]sessions, len(s.speakers))
	for index, each := range s.speakers {
		found, over, err := each.sessions(ctx)
		if err != nil {
			return err
		}
		all[index] = found
		for _, address := range over {
			s.pause(ctx, closedSession{each, address})
		}
	}
	now := evaluate(s.peers, all)
	s.tell(now)
	err := s.config.Route(now.routes)
	if !reflect.DeepEqual(now.status, s.last.status) {
		close(s.next)
		s.next = make(chan struct{})
	}
	s.last = now
	return err
}

// tell logs what changed since the last look.
func (s *Switches) tell(now outcome) {
	for address, prefixes := range now.ignored {
		for _, prefix := range prefixes {
			if !slices.Contains(s.last.ignored[address], prefix) {
				s.config.Logger.Warn("switch ignores what a machine announces: it is no address of its project", "machine", address, "prefix", prefix)
			}
		}
	}
	for prefix, via := range now.routes {
		if !slices.Equal(via, s.last.routes[prefix]) {
			s.config.Logger.Info("announced prefix has machines", "prefix", prefix, "machines", via)
		}
	}
	for prefix := range s.last.routes {
		if _, stays := now.routes[prefix]; !stays {
			s.config.Logger.Info("announced prefix is withdrawn", "prefix", prefix)
		}
	}
}

// pause admits a peer again after a while that announced too much.
func (s *Switches) pause(ctx context.Context, closed closedSession) {
	if s.closed[closed] {
		return
	}
	s.closed[closed] = true
	s.config.Logger.Warn("switch closed a session: the machine announces too many prefixes",
		"switch", closed.at.at.IPv4, "machine", closed.peer, "again", restartAfter)
	time.AfterFunc(restartAfter, func() {
		s.mutex.Lock()
		defer s.mutex.Unlock()
		delete(s.closed, closed)
		if err := closed.at.admit(ctx, closed.peer); err != nil {
			s.config.Logger.Error("session stays closed", "machine", closed.peer, "error", err)
		}
	})
}

// Disconnected closes the sessions with a machine whose link is gone. They
// would last until their hold time is over else.
func (s *Switches) Disconnected(ctx context.Context, addresses []netip.Addr) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var problems []error
	for _, each := range s.speakers {
		for _, address := range addresses {
			problems = append(problems, each.reset(ctx, address))
		}
	}
	s.lookAgain()
	return errors.Join(problems...)
}

// Status is what is known of all peers, and a channel that is closed when
// that changes.
func (s *Switches) Status() ([]machines.BGPStatus, <-chan struct{}) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.last.status, s.next
}
