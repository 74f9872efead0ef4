package packetmachinepool

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util/collections"
	"sigs.k8s.io/cluster-api/util/conditions"
	"sigs.k8s.io/cluster-api/util/labels/format"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
)

// member is one machine of a pool.
type member struct {
	packetMachine *infrav1.PacketMachine
	// machine is nil until Cluster API has made it.
	machine *clusterv1.Machine
}

func (m member) deleting() bool {
	return !m.packetMachine.DeletionTimestamp.IsZero() || m.machine != nil && !m.machine.DeletionTimestamp.IsZero()
}

// providerID is that of the machine's device, empty if there is none yet.
func (m member) providerID() string { return m.packetMachine.Spec.ProviderID }

// lost tells whether the device of the machine is gone for good. The Packet API alone is not believed: an account that was
// set wrong shows none of the devices either, while their nodes go on working.
func (m member) lost() bool {
	return m.providerID() != "" &&
		conditions.GetReason(m.packetMachine, infrav1.DeviceReadyCondition) == infrav1.DeviceNotFoundReason &&
		(m.machine == nil || !conditions.IsTrue(m.machine, clusterv1.MachineNodeReadyCondition))
}

// givenUp tells whether a MachineHealthCheck, or a remediation that failed, wants the machine replaced. Cluster API leaves
// that to the owner of a Machine, and does nothing itself for those of a MachinePool.
func (m member) givenUp() bool {
	return m.machine != nil && collections.IsUnhealthyAndOwnerRemediated(m.machine)
}

// readySince is when the Machine became Ready; false if it is not.
func (m member) readySince() (time.Time, bool) {
	if m.machine == nil || !conditions.IsTrue(m.machine, clusterv1.MachineReadyCondition) {
		return time.Time{}, false
	}
	since := conditions.GetLastTransitionTime(m.machine, clusterv1.MachineReadyCondition)
	return since.Time, true
}

func (m member) chosen() bool {
	if _, ok := m.packetMachine.Annotations[clusterv1.DeleteMachineAnnotation]; ok {
		return true
	}
	if m.machine == nil {
		return false
	}
	_, ok := m.machine.Annotations[clusterv1.DeleteMachineAnnotation]
	return ok
}

// place is the failure domain that the pool put the machine into.
func (m member) place() string {
	return m.packetMachine.Spec.Metro + m.packetMachine.Spec.Facility
}

// poolLabels are on everything that belongs to a MachinePool's machines, as the contract wants it.
func poolLabels(machinePool *clusterv1.MachinePool) map[string]string {
	return map[string]string{
		clusterv1.ClusterNameLabel:     machinePool.Spec.ClusterName,
		clusterv1.MachinePoolNameLabel: format.MustFormatValue(machinePool.Name),
	}
}

// members lists the machines of a pool, by name, and the Machines that lost their PacketMachine. Whether they are read from
// a cache or live depends on the reader.
func members(ctx context.Context, reader client.Reader, s *scope) (found []member, orphans []*clusterv1.Machine, err error) {
	selector := client.MatchingLabels{clusterv1.ClusterNameLabel: s.clusterName}
	if s.machinePool != nil {
		selector = poolLabels(s.machinePool)
	}
	packetMachines, machines := &infrav1.PacketMachineList{}, &clusterv1.MachineList{}
	if err := reader.List(ctx, packetMachines, client.InNamespace(s.pool.Namespace), selector); err != nil {
		return nil, nil, fmt.Errorf("listing the PacketMachines of the pool: %w", err)
	}
	if err := reader.List(ctx, machines, client.InNamespace(s.pool.Namespace), selector); err != nil {
		return nil, nil, fmt.Errorf("listing the Machines of the pool: %w", err)
	}
	owners := map[string]*clusterv1.Machine{}
	for n := range machines.Items {
		if ref := machines.Items[n].Spec.InfrastructureRef; ref.Kind == infrav1.InfrastructureMachineKind {
			owners[ref.Name] = &machines.Items[n]
		}
	}
	for n := range packetMachines.Items {
		packetMachine := &packetMachines.Items[n]
		if owner := poolReference(packetMachine); owner == nil && s.machinePool == nil || owner != nil && owner.Name != s.pool.Name {
			continue
		}
		found = append(found, member{packetMachine: packetMachine, machine: owners[packetMachine.Name]})
	}
	slices.SortFunc(found, func(a, b member) int { return strings.Compare(a.packetMachine.Name, b.packetMachine.Name) })
	if s.machinePool == nil {
		return found, nil, nil
	}
	for _, m := range found {
		delete(owners, m.packetMachine.Name)
	}
	for _, machine := range owners {
		if metav1.IsControlledBy(machine, s.machinePool) {
			orphans = append(orphans, machine)
		}
	}
	return found, orphans, nil
}

// traitsOf describes machines for the plan. next is when the first of those that are waiting for minReadySeconds has waited
// long enough; zero if none is.
func (r *Reconciler) traitsOf(found []member, wanted *blueprint, minReady time.Duration) (described []traits, next time.Duration) {
	for _, m := range found {
		t := traits{
			name:     m.packetMachine.Name,
			created:  m.packetMachine.CreationTimestamp.Time,
			deleting: m.deleting(),
			broken:   m.givenUp() || m.lost(),
			outdated: !wanted.matches(m.packetMachine),
			chosen:   m.chosen(),
		}
		if wanted.placeless() {
			t.domain = m.place()
		}
		if since, ok := m.readySince(); ok {
			rest := minReady - r.Now().Sub(since)
			t.ready = rest <= 0
			if rest > 0 && (next == 0 || rest < next) {
				next = rest
			}
		}
		described = append(described, t)
	}
	return described, next
}
