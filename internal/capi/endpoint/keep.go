package endpoint

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// failuresToMove is how many looks in a row have to find the API server of the holder silent.
const failuresToMove = 3

// cluster is what one look is about.
type cluster struct {
	address Address
	// metro is where the address can be assigned; empty for everywhere.
	metro string
	// initialized is true once the control plane answered for the first time.
	initialized bool
	server      *server
	members     []member
	// failures is how many looks before this one found the holder silent.
	failures int
}

// verdict is what a look came to.
type verdict struct {
	// holder is the device that has the address, empty if none does.
	holder string
	// silent tells that the API server of the holder did not answer.
	silent error
	// moved tells why the address was moved, nil if it was not; former is who had it.
	moved  error
	former string
	// stuck tells why the address should move and that it cannot.
	stuck error
}

// keeper looks after addresses, with the means to do it.
type keeper struct {
	api  API
	dial Dial
}

// well tells whether the holder that a listing shows needs nothing: then nobody has to ask the Packet API.
func (k keeper) well(ctx context.Context, c cluster) (*member, error) {
	at := holder(c.members, c.address.IP)
	if at == nil {
		return nil, errors.New("no device has it")
	}
	return at, k.unfit(ctx, c, *at)
}

// unfit says why the address should leave a member, nil if it need not.
func (k keeper) unfit(ctx context.Context, c cluster, m member) error {
	id := m.device.ID
	switch state := healthOf(m.device); {
	case state == lost, state == stopped:
		return fmt.Errorf("device %s is %s", id, m.device.State)
	case m.leaving:
		return fmt.Errorf("the machine of device %s is being deleted", id)
	case !c.initialized || c.server == nil:
		// Nothing is known of its API server, which need not run yet.
		return nil
	}
	if err := c.server.ready(ctx, k.dial, m.addresses()); err != nil {
		return &silentError{fmt.Errorf("the API server of device %s does not answer: %w", id, err)}
	}
	return nil
}

// silentError tells that an API server did not answer, which may pass.
type silentError struct{ error }

func (e *silentError) Unwrap() error { return e.error }

// keep sees to it that the address is where it should be. The members are of a listing that is not older than the look.
func (k keeper) keep(ctx context.Context, c cluster) (verdict, error) {
	reservation, err := c.address.assignments(ctx, k.api)
	if err != nil {
		return verdict{}, err
	}
	var (
		v      verdict
		reason = errors.New("no device has it")
		back   *member
		// anywhere tells that the address is lost where it is, so that any device is better.
		anywhere = true
	)
	for _, assignment := range reservation.Assignments {
		v.holder = assignment.AssignedTo.ID()
		at := byID(c.members, v.holder)
		if at == nil {
			reason = fmt.Errorf("device %s has it, which is no control plane machine of this cluster", v.holder)
			anywhere = !c.initialized
			continue
		}
		if reason = k.unfit(ctx, c, *at); reason == nil {
			return v, nil
		}
		var silent *silentError
		if errors.As(reason, &silent) {
			if v.silent = reason; c.failures+1 < failuresToMove {
				return v, nil
			}
		}
		if anywhere = healthOf(at.device) == lost; !anywhere {
			back = at
		}
	}
	candidates, unready := k.candidates(ctx, c, v.holder, back != nil && back.leaving, anywhere)
	if len(candidates) == 0 {
		v.stuck = fmt.Errorf("elastic IP %s should move, because %w, and there is no device to move it to: %w", c.address.IP, reason, unready)
		return v, nil
	}
	v.former = v.holder
	if v.holder, err = c.address.move(ctx, k.api, reservation.Assignments, candidates, back); err != nil {
		return v, fmt.Errorf("moving elastic IP %s, because %w: %w", c.address.IP, reason, err)
	}
	if !strings.EqualFold(v.former, v.holder) {
		v.moved = reason
	}
	return v, nil
}

// candidates are the members that may have the address instead of the holder, the best first, and why the others may not.
// Those whose API server answers come first; where the address is lost, the others follow.
func (k keeper) candidates(ctx context.Context, c cluster, holder string, staying, anywhere bool) (fit []member, unready error) {
	var (
		others   []member
		problems []error
	)
	for _, m := range ranked(reachable(c.members, c.metro)) {
		switch {
		case strings.EqualFold(m.device.ID, holder), staying && m.leaving:
			continue
		case healthOf(m.device) == running && c.server != nil:
			err := c.server.ready(ctx, k.dial, m.addresses())
			if err == nil {
				fit = append(fit, m)
				continue
			}
			problems = append(problems, fmt.Errorf("the API server of device %s does not answer: %w", m.device.ID, err))
		default:
			problems = append(problems, fmt.Errorf("device %s is %s", m.device.ID, m.device.State))
		}
		others = append(others, m)
	}
	if anywhere {
		fit = append(fit, others...)
	}
	if len(problems) == 0 {
		problems = append(problems, errors.New("the control plane has no other"))
	}
	return fit, errors.Join(problems...)
}
