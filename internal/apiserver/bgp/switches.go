package bgp

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/packetyard/packetyard/internal/apiserver/lifecycle"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/internal/machines"
)

// retryAfter is how long to wait before what failed is tried again.
const retryAfter = time.Second

// unknown is the status of a session of which no switch tells.
const unknown = "unknown"

// SwitchesConfig is what Switches work with.
type SwitchesConfig struct {
	Store  *store.Store
	Driver machines.BGP
	Clock  lifecycle.Clock
	Logger *slog.Logger
}

// Switches tells the machines' switches which devices may speak BGP with them,
// and records in the sessions what the switches tell.
type Switches struct{ SwitchesConfig }

// NewSwitches returns Switches that do nothing until Run.
func NewSwitches(config SwitchesConfig) *Switches { return &Switches{config} }

// Run works until the context ends, with the rights of a leadership.
func (s *Switches) Run(ctx context.Context, leadership *store.Leadership) {
	changed, stop := s.Store.WatchBGP()
	defer stop()
	reports := s.Driver.WatchBGP(ctx)
	var told []machines.BGPPeer
	var report []machines.BGPStatus
	var retry <-chan time.Time
	heard := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-retry:
		case next, open := <-reports:
			if !open {
				return
			}
			report, heard = next, true
		}
		peers, err := s.tell(ctx, told)
		told = peers
		if err == nil && heard {
			err = s.record(ctx, leadership, report)
		}
		retry = nil
		if err != nil && ctx.Err() == nil {
			s.Logger.WarnContext(ctx, "The switches and the BGP sessions do not agree; trying again.", "in", retryAfter, "error", err)
			retry = s.Clock.After(retryAfter)
		}
	}
}

// tell gives the switches their peers, unless they were told of the same
// before. It returns what they know of now, nil where that is not sure.
func (s *Switches) tell(ctx context.Context, told []machines.BGPPeer) ([]machines.BGPPeer, error) {
	var peers []machines.BGPPeer
	err := s.Store.Read(ctx, func(snapshot *store.Snapshot) error {
		peers = Peers(snapshot)
		return nil
	})
	if err != nil {
		return told, fmt.Errorf("reading the BGP sessions: %w", err)
	}
	if told != nil && reflect.DeepEqual(peers, told) {
		return told, nil
	}
	if err := s.Driver.SetBGPPeers(ctx, peers); err != nil {
		return nil, fmt.Errorf("telling the switches their BGP peers: %w", err)
	}
	return peers, nil
}

// record writes what is new of a report. A report that is nil says that the
// switches cannot be heard, one that lacks a session nothing about that.
func (s *Switches) record(ctx context.Context, leadership *store.Leadership, report []machines.BGPStatus) error {
	known := map[string]machines.BGPStatus{}
	for _, status := range report {
		known[status.Session] = status
	}
	news := func(session *store.BGPSession) (*store.BGPSession, bool) {
		next := *session
		next.Status, next.LearnedRoutes = unknown, nil
		if status, found := known[session.ID]; found {
			next.Status = statusText(status.States)
			for _, prefix := range status.Learned {
				next.LearnedRoutes = append(next.LearnedRoutes, prefix.String())
			}
		} else if report != nil || session.Status == "" {
			return nil, false
		}
		return &next, next.Status != session.Status || !slices.Equal(next.LearnedRoutes, session.LearnedRoutes)
	}
	stale := false
	err := s.Store.Read(ctx, func(snapshot *store.Snapshot) error {
		for _, row := range snapshot.BGPSessions.All() {
			_, differs := news(row.Value)
			stale = stale || differs
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading the BGP sessions: %w", err)
	}
	if !stale {
		return nil
	}
	err = leadership.Update(ctx, func(tx *store.Tx) error {
		for _, row := range tx.BGPSessions.All() {
			if next, differs := news(row.Value); differs {
				next.UpdatedAt = s.Clock.Now()
				tx.BGPSessions.Update(tx, row, next)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("recording the status of BGP sessions: %w", err)
	}
	return nil
}

// statusText says one word where both switches agree, and else one for each.
func statusText(states []machines.BGPState) string {
	words := make([]string, len(states))
	for index, state := range states {
		words[index] = string(state)
	}
	if len(slices.Compact(slices.Clone(words))) == 1 {
		return words[0]
	}
	return strings.Join(words, ",")
}
