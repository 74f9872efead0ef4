package packetmachinepool

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"sigs.k8s.io/cluster-api/util/conditions"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
)

func set(pool *infrav1.PacketMachinePool, kind string, ok bool, reason, message string) {
	status := metav1.ConditionFalse
	if ok {
		status = metav1.ConditionTrue
	}
	conditions.Set(pool, metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message})
}

// summarize sets Ready: all machines that are wanted are there and work. Machines that are outdated work too.
func summarize(pool *infrav1.PacketMachinePool) {
	if machines := conditions.Get(pool, infrav1.MachinesReadyCondition); machines != nil {
		set(pool, infrav1.ReadyCondition, machines.Status == metav1.ConditionTrue, machines.Reason, machines.Message)
	}
}

// observation is what a reconcile found out and did, besides the machines themselves.
type observation struct {
	// waiting is the reason for which machines cannot be made, empty if they can.
	waiting            string
	creating, removing int
}

// count writes the numbers and identities of the machines into a pool. Machines that are being deleted are in the list of
// provider IDs until their devices are gone, because Cluster API deletes the Node of what is not in it any more.
func count(pool *infrav1.PacketMachinePool, found []member, described []traits) {
	var ids []string
	for _, m := range found {
		if id := m.providerID(); id != "" {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	pool.Spec.ProviderIDList = ids
	ready, current := 0, 0
	for _, m := range described {
		if m.ready && !m.deleting {
			ready++
		}
		if !m.outdated && !m.deleting {
			current++
		}
	}
	pool.Status.Replicas = ptr.To(int32(len(found)))      //nolint:gosec // Far below the limit of the type.
	pool.Status.ReadyReplicas = ptr.To(int32(ready))      //nolint:gosec // As above.
	pool.Status.UpToDateReplicas = ptr.To(int32(current)) //nolint:gosec // As above.
}

// observe writes the status of a pool.
func observe(s *scope, g goal, found []member, described []traits, seen observation) {
	count(s.pool, found, described)
	var unready, outdated []string
	staying, leaving, provisioned := 0, 0, 0
	for n, m := range described {
		if m.deleting || m.broken {
			leaving++
			continue
		}
		staying++
		if isTrue(found[n].packetMachine.Status.Initialization.Provisioned) {
			provisioned++
		}
		if !m.ready {
			unready = append(unready, m.name+explanation(found[n]))
		}
		if m.outdated {
			outdated = append(outdated, m.name)
		}
	}
	if seen.waiting == "" && provisioned >= g.replicas {
		s.pool.Status.Initialization.Provisioned = ptr.To(true)
	}
	if isTrue(s.pool.Status.Initialization.Provisioned) {
		s.pool.Status.Ready = ptr.To(true)
	}
	wanted := g.replicas
	if g.external {
		wanted = staying
	}
	switch {
	case seen.waiting == infrav1.MachinesWaitingForClusterInfrastructureReason:
		set(s.pool, infrav1.MachinesReadyCondition, false, seen.waiting, "waiting for the cluster's infrastructure")
	case seen.waiting != "" && staying < wanted:
		set(s.pool, infrav1.MachinesReadyCondition, false, seen.waiting, fmt.Sprintf(
			"%d of %d machines: waiting for bootstrap data of MachinePool %s", staying, wanted, s.machinePool.Name))
	case staying < wanted || seen.creating > 0:
		set(s.pool, infrav1.MachinesReadyCondition, false, infrav1.MachinesScalingUpReason, fmt.Sprintf(
			"%d of %d machines: more are being made", staying, wanted))
	case len(unready) > 0:
		set(s.pool, infrav1.MachinesReadyCondition, false, infrav1.MachinesNotReadyReason, list("not ready: ", unready))
	case wanted == 0 && leaving == 0 && staying == 0:
		set(s.pool, infrav1.MachinesReadyCondition, true, infrav1.MachinesNoReplicasReason, "")
	case leaving > 0 || seen.removing > 0:
		set(s.pool, infrav1.MachinesReadyCondition, true, infrav1.MachinesScalingDownReason, fmt.Sprintf(
			"all %d machines are ready, and %d are being deleted", wanted, max(leaving, seen.removing)))
	default:
		set(s.pool, infrav1.MachinesReadyCondition, true, infrav1.MachinesReadyReason, "")
	}
	switch {
	case len(outdated) == 0:
		set(s.pool, infrav1.MachinesUpToDateCondition, true, infrav1.MachinesUpToDateReason, "")
	case s.pool.Spec.Strategy.Type == infrav1.PoolStrategyOnDelete || g.external:
		set(s.pool, infrav1.MachinesUpToDateCondition, false, infrav1.MachinesOutdatedReason,
			list("delete these Machines to have them replaced: ", outdated))
	default:
		set(s.pool, infrav1.MachinesUpToDateCondition, false, infrav1.MachinesRollingOutReason, list("being replaced: ", outdated))
	}
}

// explanation is what a machine that is not ready says of itself.
func explanation(m member) string {
	condition := conditions.Get(m.packetMachine, infrav1.ReadyCondition)
	if condition == nil || condition.Status == metav1.ConditionTrue {
		return " (no ready node yet)"
	}
	text, _, _ := strings.Cut(condition.Message, "\n")
	const longest = 200
	if letters := []rune(text); len(letters) > longest {
		text = string(letters[:longest]) + "…"
	}
	return fmt.Sprintf(" (%s: %s)", condition.Reason, text)
}

// list names a few and counts the rest.
func list(text string, names []string) string {
	const shown = 5
	if more := len(names) - shown; more > 0 {
		names = append(slices.Clone(names[:shown]), fmt.Sprintf("and %d more", more))
	}
	return text + strings.Join(names, ", ")
}
