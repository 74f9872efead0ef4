package packetmachinepool

import (
	"fmt"
	"maps"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sigs.k8s.io/cluster-api/util"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/devices"
)

// blueprint is what the machines of a pool are made from.
type blueprint struct {
	spec                infrav1.PacketMachineSpec
	secret, version     string
	labels, annotations map[string]string
	owner               metav1.OwnerReference
}

// newBlueprint reads what a pool wants its machines to be. The MachinePool must have bootstrap data.
//
// Bootstrap data is told apart by the name of its Secret and not by what is in it: the bootstrap provider puts a fresh
// token into it every few minutes, for machines to come, and that is no reason to replace those that are there.
func newBlueprint(s *scope) *blueprint {
	template := s.machinePool.Spec.Template.Spec
	b := &blueprint{
		spec:        *s.pool.Spec.Template.Spec.DeepCopy(),
		version:     template.Version,
		labels:      maps.Clone(s.pool.Spec.Template.ObjectMeta.Labels),
		annotations: maps.Clone(s.pool.Spec.Template.ObjectMeta.Annotations),
		owner: metav1.OwnerReference{
			APIVersion: infrav1.GroupVersion.String(), Kind: "PacketMachinePool", Name: s.pool.Name, UID: s.pool.UID,
		},
	}
	b.spec.ProviderID = ""
	if template.Bootstrap.DataSecretName != nil {
		b.secret = *template.Bootstrap.DataSecretName
	}
	if b.labels == nil {
		b.labels = map[string]string{}
	}
	maps.Copy(b.labels, poolLabels(s.machinePool))
	if b.annotations == nil {
		b.annotations = map[string]string{}
	}
	b.annotations[infrav1.PoolBootstrapDataSecretAnnotation] = b.secret
	if b.version != "" {
		b.annotations[infrav1.PoolVersionAnnotation] = b.version
	}
	return b
}

// placeless tells whether it is for the pool to choose where machines go.
func (b *blueprint) placeless() bool { return b.spec.Metro == "" && b.spec.Facility == "" }

// matches tells whether a machine need not be replaced. What can be changed in place is left out; see tend.
func (b *blueprint) matches(machine *infrav1.PacketMachine) bool {
	have, want := *machine.Spec.DeepCopy(), *b.spec.DeepCopy()
	have.ProviderID = ""
	if b.placeless() {
		have.Metro, have.Facility = "", ""
	}
	for _, spec := range []*infrav1.PacketMachineSpec{&have, &want} {
		spec.DeletionProtection = nil
		spec.Timeouts = infrav1.PacketMachineTimeouts{}
	}
	return machine.Annotations[infrav1.PoolBootstrapDataSecretAnnotation] == b.secret &&
		machine.Annotations[infrav1.PoolVersionAnnotation] == b.version &&
		apiequality.Semantic.DeepEqual(have, want)
}

// machine makes a PacketMachine in a failure domain, which may be empty. The API server completes its name.
//
// The pool is an owner, and not the controller: that is the Machine, which Cluster API makes next. Until then the pool keeps
// the PacketMachine from being nobody's, also during clusterctl move.
func (b *blueprint) machine(s *scope, domain string) *infrav1.PacketMachine {
	machine := &infrav1.PacketMachine{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.pool.Namespace, GenerateName: prefix(s.pool.Name),
			Labels: maps.Clone(b.labels), Annotations: maps.Clone(b.annotations),
			OwnerReferences: []metav1.OwnerReference{b.owner},
		},
		Spec: *b.spec.DeepCopy(),
	}
	if domain != "" && b.placeless() {
		place := devices.PlaceOf(domain)
		machine.Spec.Metro, machine.Spec.Facility = place.Metro, place.Facility
	}
	return machine
}

// prefix begins the names of a pool's machines, which are host names too: at most 63 letters with what the API server adds.
func prefix(pool string) string {
	const longest, added = 63, 5
	if most := longest - added - 1; len(pool) > most {
		pool = pool[:most]
	}
	return fmt.Sprintf("%s-", pool)
}

// tend makes the changes to a machine that need no other device, and tells whether there were any: the labels and
// annotations of the template, which are added and never taken away, the settings of the controller alone, and the owner.
// A machine that is outdated keeps the annotations that say so.
func (b *blueprint) tend(machine *infrav1.PacketMachine) bool {
	before := machine.DeepCopy()
	if machine.Labels == nil {
		machine.Labels = map[string]string{}
	}
	maps.Copy(machine.Labels, b.labels)
	if machine.Annotations == nil {
		machine.Annotations = map[string]string{}
	}
	for name, value := range b.annotations {
		if name != infrav1.PoolBootstrapDataSecretAnnotation && name != infrav1.PoolVersionAnnotation {
			machine.Annotations[name] = value
		}
	}
	machine.Spec.DeletionProtection = b.spec.DeletionProtection
	machine.Spec.Timeouts = *b.spec.Timeouts.DeepCopy()
	machine.OwnerReferences = util.EnsureOwnerRef(machine.OwnerReferences, b.owner)
	return !apiequality.Semantic.DeepEqual(before, machine)
}
