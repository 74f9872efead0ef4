package endpoint

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"

	"github.com/packetyard/packetyard/pkg/packet"
)

// The reasons of the events that are recorded on nodes.
const (
	reasonReceived = "ControlPlaneEndpointReceived"
	reasonLost     = "ControlPlaneEndpointLost"
	reasonStuck    = "ControlPlaneEndpointStuck"
)

// moveTimeout bounds a move, which goes on though the process was told to
// end: an address that nobody has is worse than an end that comes late.
const moveTimeout = 30 * time.Second

// finding is what is known of the address's present place.
type finding struct {
	// holder is nil where no node of the control plane has the address, and
	// assignment where no device has it.
	holder     *place
	assignment *packet.IPAssignment
	// reason says why the address should move, nil if it need not.
	reason error
}

// place sees to it that the address is at a node whose API server is ready.
func (c *Controller) place(ctx context.Context, reservation *packet.IPReservation, places []place, port int32) error {
	began := c.Clock.Now()
	found, err := c.look(ctx, reservation, places, port)
	if err == nil && found.reason != nil && c.readAt.Before(began) {
		// Somebody else may have moved it since it was read.
		c.forget()
		if reservation, err = c.read(ctx); err != nil {
			return err
		}
		found, err = c.look(ctx, reservation, places, port)
	}
	if err != nil {
		return err
	}
	if found.reason == nil {
		c.failures = 0
		return nil
	}
	if found.holder != nil && !found.holder.leaving() {
		if c.failures++; c.failures < failuresToMove {
			klog.V(2).InfoS("A probe of the control plane's elastic IP failed", "node", found.holder.node.Name, "reason", found.reason)
			return nil
		}
	}
	candidates, unready := c.candidates(ctx, reservation, places, found.holder, port)
	if len(candidates) == 0 {
		if found.holder != nil {
			c.Recorder.Eventf(found.holder.node, corev1.EventTypeWarning, reasonStuck,
				"The control plane's address %s should move (%v), and no other API server is ready", reservation.Address, found.reason)
		}
		return fmt.Errorf("the address %s should move (%w), and no other node of the control plane has an API server that is ready: %w",
			reservation.Address, found.reason, unready)
	}
	return c.move(ctx, reservation, found, candidates)
}

// look finds who has the address, and whether that is well.
func (c *Controller) look(ctx context.Context, reservation *packet.IPReservation, places []place, port int32) (finding, error) {
	holder, assignment, err := c.holder(reservation, places)
	if err != nil {
		return finding{}, err
	}
	found := finding{holder: holder, assignment: assignment}
	switch {
	case assignment == nil:
		found.reason = errors.New("no device has it")
	case holder == nil:
		found.reason = fmt.Errorf("device %s has it, which is no node of the control plane", assignment.AssignedTo.ID())
	default:
		found.reason = c.unfit(ctx, reservation, *holder, port)
	}
	return found, nil
}

// holder finds who has the address: both results are nil for nobody, and the
// place is nil for a device that is none.
func (c *Controller) holder(reservation *packet.IPReservation, places []place) (*place, *packet.IPAssignment, error) {
	switch len(reservation.Assignments) {
	case 0:
		return nil, nil, nil
	case 1:
	default:
		c.forget()
		return nil, nil, fmt.Errorf("the address %s is assigned %d times; unassign it from all devices but one", reservation.Address, len(reservation.Assignments))
	}
	assignment := &reservation.Assignments[0]
	if assignment.AssignedTo == nil {
		return nil, nil, fmt.Errorf("the API does not say what device has the address %s", reservation.Address)
	}
	at := slices.IndexFunc(places, func(p place) bool { return p.device == assignment.AssignedTo.ID() })
	if at < 0 {
		return nil, assignment, nil
	}
	return &places[at], assignment, nil
}

// unfit says why the address should leave its holder, nil if it need not.
func (c *Controller) unfit(ctx context.Context, reservation *packet.IPReservation, holder place, port int32) error {
	switch {
	case holder.node.DeletionTimestamp != nil:
		return fmt.Errorf("node %s is being deleted", holder.node.Name)
	case holder.node.Spec.Unschedulable:
		return fmt.Errorf("node %s is cordoned", holder.node.Name)
	}
	// Who answers at the elastic IP need not be the holder: where kube-proxy
	// knows the address from a Service, or each machine has it on its loopback
	// interface, it leads to another API server, that of this very node for
	// example. So the holder has to answer at its own addresses, too.
	if own := holder.addresses(reservation.Address); len(own) > 0 || c.ProbeNodes {
		if err := c.prober.readyAt(ctx, own, port); err != nil || c.ProbeNodes {
			return err
		}
	}
	return c.prober.ready(ctx, reservation.Address, port)
}

// candidates are the places other than the holder whose API server is ready,
// and why the others are none. A holder that leaves goes only for a place that
// stays.
func (c *Controller) candidates(ctx context.Context, reservation *packet.IPReservation, places []place, holder *place, port int32) (fit []place, unready error) {
	problems := []error{errors.New("there is no other")}
	for _, p := range places {
		if holder != nil && (p.device == holder.device || holder.leaving() && p.leaving()) {
			continue
		}
		if err := c.prober.readyAt(ctx, p.addresses(reservation.Address), port); err != nil {
			problems = append(problems, fmt.Errorf("node %s: %w", p.node.Name, err))
			continue
		}
		fit = append(fit, p)
	}
	if len(problems) > 1 {
		problems = problems[1:]
	}
	return fit, errors.Join(problems...)
}

// move takes the address from whoever has it and gives it to the first
// candidate that takes it, at last to the former holder again.
func (c *Controller) move(ctx context.Context, reservation *packet.IPReservation, found finding, candidates []place) error {
	holder, assignment, reason := found.holder, found.assignment, found.reason
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), moveTimeout)
	defer cancel()
	// Whatever becomes of it, the API knows better than this process.
	defer c.forget()
	c.failures = 0

	if assignment != nil {
		if err := c.API.DeleteIP(ctx, assignment.ID); err != nil && !packet.IsNotFound(err) {
			return fmt.Errorf("taking the address %s from device %s: %w", reservation.Address, assignment.AssignedTo.ID(), err)
		}
	}
	var problems []error
	for _, p := range candidates {
		_, err := c.API.AssignIP(ctx, p.device, reservation.Address)
		if err != nil {
			problems = append(problems, fmt.Errorf("giving the address %s to node %s: %w", reservation.Address, p.node.Name, err))
			continue
		}
		klog.InfoS("The control plane's elastic IP moved", "address", reservation.Address, "node", p.node.Name, "reason", reason)
		c.Recorder.Eventf(p.node, corev1.EventTypeNormal, reasonReceived, "The control plane's address %s is here now: %v", reservation.Address, reason)
		if holder != nil {
			c.Recorder.Eventf(holder.node, corev1.EventTypeWarning, reasonLost, "The control plane's address %s went to node %s: %v", reservation.Address, p.node.Name, reason)
		}
		return nil
	}
	if holder != nil {
		if _, err := c.API.AssignIP(ctx, holder.device, reservation.Address); err != nil {
			problems = append(problems, fmt.Errorf("giving the address %s back to node %s: %w", reservation.Address, holder.node.Name, err))
		}
	}
	return errors.Join(problems...)
}
