package infrastructure

import (
	"context"

	"github.com/gardener/gardener/pkg/utils/flow"
)

// reconcile makes what is wanted, one step after the other: a step that fails leaves those after it undone, so that an API that
// refuses everything is asked once.
func (s *scope) reconcile(ctx context.Context) error {
	networks := s.config.Networks
	graph := flow.NewGraph("Packet infrastructure")
	steps := sequence{graph: graph}
	steps.add("Find the metro", false, s.persisted(s.findMetro))
	steps.add("Ensure the SSH key", false, s.persisted(s.ensureSSHKey))
	steps.add("Ensure the VLAN", networks == nil || networks.VLAN == nil, s.persisted(s.ensureVLAN))
	steps.add("Ensure the private reservation", networks == nil || networks.PrivateReservation == nil, s.persisted(s.ensureReservation))
	steps.add("Find the nodes' addresses", false, s.persisted(s.findNodes))
	steps.add("Report the nodes' addresses", false, s.reportNodes)
	steps.add("Remove what is no longer wanted", false, s.persisted(s.removeUnwanted))
	return graph.Compile().Run(ctx, flow.Opts{Log: s.log})
}

// sequence is a flow in which every task waits for the one before it.
type sequence struct {
	graph *flow.Graph
	last  flow.TaskIDs
}

func (q *sequence) add(name string, skip bool, do flow.TaskFn) {
	q.last = flow.NewTaskIDs(q.graph.Add(flow.Task{Name: name, Fn: do, SkipIf: skip, Dependencies: q.last}))
}

// persisted writes the state after a step, also after one that failed halfway.
func (s *scope) persisted(step flow.TaskFn) flow.TaskFn {
	return func(ctx context.Context) error {
		err := step(ctx)
		if writing := s.persist(ctx); err == nil {
			err = writing
		}
		return err
	}
}

// findMetro looks the region up once. Neither the region nor what it stands for changes.
func (s *scope) findMetro(ctx context.Context) error {
	if s.state.Metro == "" {
		metro, err := Metro(ctx, s.api, s.infra.Spec.Region)
		if err != nil {
			return err
		}
		s.state.Metro = metro
	}
	s.status.Metro = s.state.Metro
	return nil
}

// removeUnwanted removes what an earlier version of the Shoot wanted. What is in use stays until a later reconciliation: the
// Worker, which takes it from the machines, is only reconciled after the Infrastructure.
func (s *scope) removeUnwanted(ctx context.Context) error {
	if err := s.removeOldSSHKeys(ctx); err != nil {
		return err
	}
	networks := s.config.Networks
	if s.state.VLANID != "" && (networks == nil || networks.VLAN == nil) {
		if err := s.removeVLAN(ctx, s.state.VLANID); err != nil && !isInUse(err) {
			return err
		}
	}
	if s.state.PrivateReservationID != "" && !s.state.HoldsBlock && (networks == nil || networks.PrivateReservation == nil) {
		if err := s.removeReservation(ctx, s.state.PrivateReservationID); err != nil && !isInUse(err) {
			return err
		}
	}
	return nil
}
