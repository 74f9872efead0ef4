package packetremediation

import (
	"time"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
)

const (
	defaultTimeout          = 10 * time.Minute
	defaultReinstallTimeout = time.Hour
)

// course is a strategy with its defaults.
type course struct {
	steps                     []infrav1.PacketRemediationStep
	retryLimit                int32
	timeout, reinstallTimeout time.Duration
}

func courseOf(remediation *infrav1.PacketRemediation) course {
	strategy := remediation.Spec.Strategy
	c := course{steps: strategy.Steps, retryLimit: 1, timeout: defaultTimeout, reinstallTimeout: defaultReinstallTimeout}
	if len(c.steps) == 0 {
		c.steps = []infrav1.PacketRemediationStep{infrav1.RemediationReboot}
	}
	if strategy.RetryLimit != nil {
		c.retryLimit = *strategy.RetryLimit
	}
	if strategy.Timeout != nil {
		c.timeout = strategy.Timeout.Duration
	}
	if strategy.ReinstallTimeout != nil {
		c.reinstallTimeout = strategy.ReinstallTimeout.Duration
	}
	return c
}

// patience is how long a machine has to become healthy after a step.
func (c course) patience(step infrav1.PacketRemediationStep) time.Duration {
	if step == infrav1.RemediationReinstall {
		return c.reinstallTimeout
	}
	return c.timeout
}

// position is where a remediation stands in its course.
type position struct {
	// index is of a step; at the number of steps, nothing is left to try.
	index int
	// tries is how many times that step was tried.
	tries int32
}

// standing reads the position of a remediation. One without a status, which clusterctl move leaves behind, is at the
// beginning.
func standing(status *infrav1.PacketRemediationStatus) position {
	p := position{}
	if status.StepIndex != nil {
		p.index = int(*status.StepIndex)
	}
	if status.Tries != nil {
		p.tries = *status.Tries
	}
	return p
}

// next is the position of the try after this one.
func (p position) next(c course) position {
	if p.index < len(c.steps) && p.tries >= c.retryLimit {
		return position{index: p.index + 1}
	}
	return p
}

// skip is the position of the step after this one.
func (p position) skip() position { return position{index: p.index + 1} }

// write writes a position into a status.
func (p position) write(status *infrav1.PacketRemediationStatus) {
	index, tries := int32(p.index), p.tries //nolint:gosec // There are at most ten steps.
	status.StepIndex, status.Tries = &index, &tries
}

func (p position) exhausted(c course) bool { return p.index >= len(c.steps) }
