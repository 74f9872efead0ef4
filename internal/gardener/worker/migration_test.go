package worker

import (
	"slices"
	"testing"

	machinev1alpha1 "github.com/gardener/machine-controller-manager/pkg/apis/machine/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	"github.com/gardener/gardener/pkg/utils/gardener/shootstate"
)

// machineState is what gardenlet keeps of the machines while a Shoot moves to another seed. There it has the same namespace; here
// both seeds are one API server, so it gets another one.
func (w *world) machineState() func(namespace string) *runtime.RawExtension {
	w.t.Helper()
	deployments := w.deployments()
	sets := list(w, &machinev1alpha1.MachineSetList{}).Items
	machines := list(w, &machinev1alpha1.MachineList{}).Items
	return func(namespace string) *runtime.RawExtension {
		kept := func(meta metav1.ObjectMeta) metav1.ObjectMeta {
			return metav1.ObjectMeta{Name: meta.Name, Namespace: namespace, Labels: meta.Labels, Annotations: meta.Annotations}
		}
		state := &shootstate.MachineState{MachineDeployments: map[string]*shootstate.MachineDeploymentState{}}
		for _, deployment := range deployments {
			one := &shootstate.MachineDeploymentState{Replicas: deployment.Spec.Replicas}
			for _, set := range sets {
				if set.Labels["name"] == deployment.Name {
					set.ObjectMeta, set.Status = kept(set.ObjectMeta), machinev1alpha1.MachineSetStatus{}
					one.MachineSets = append(one.MachineSets, set)
				}
			}
			for _, machine := range machines {
				if machine.Labels["name"] == deployment.Name {
					machine.ObjectMeta, machine.Status = kept(machine.ObjectMeta), machinev1alpha1.MachineStatus{}
					one.Machines = append(one.Machines, machine)
				}
			}
			state.MachineDeployments[deployment.Name] = one
		}
		raw, err := shootstate.MarshalMachineState(state)
		if err != nil {
			w.t.Fatal(err)
		}
		return &runtime.RawExtension{Raw: raw}
	}
}

func providerIDs(machines []machinev1alpha1.Machine) []string {
	var ids []string
	for _, machine := range machines {
		ids = append(ids, machine.Spec.ProviderID)
	}
	slices.Sort(ids)
	return ids
}

// TestMigrateAndRestore moves a Shoot to another seed: the machines are the same afterwards, and so are their names.
func TestMigrateAndRestore(t *testing.T) {
	t.Parallel()
	pool := testPool()
	pool.Zones = []string{"ny5", "ewr1"}
	pool.Minimum, pool.Maximum = 3, 6
	w := newWorld(t, pool)
	w.reconcile()
	machines := list(w, &machinev1alpha1.MachineList{}).Items
	classes, deployments := names(w.classes()), names(w.deployments())

	w.change(func(worker *extensionsv1alpha1.Worker) {
		metav1.SetMetaDataAnnotation(&worker.ObjectMeta, "gardener.cloud/operation", "migrate")
	})
	if last := w.ended(); last.Type != gardencorev1beta1.LastOperationTypeMigrate || last.State != gardencorev1beta1.LastOperationStateSucceeded {
		t.Fatalf("last operation is %v", last)
	}
	if len(w.worker.Finalizers) > 0 {
		t.Errorf("finalizers are %v after migrating", w.worker.Finalizers)
	}
	if got := list(w, &machinev1alpha1.MachineList{}).Items; !slices.Equal(providerIDs(got), providerIDs(machines)) {
		t.Errorf("machines are %v after migrating", providerIDs(got))
	}

	state := w.machineState()
	w.newSeed(pool)
	before := w.worker.DeepCopy()
	w.worker.Status.State = state(w.namespace)
	if err := w.client.Status().Patch(t.Context(), w.worker, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	// Gardener may already have reconciled it once more.
	if last := w.operate("restore"); last.State != gardencorev1beta1.LastOperationStateSucceeded {
		t.Fatalf("last operation is %v, error is %v", last, w.worker.Status.LastError)
	}
	if got := providerIDs(list(w, &machinev1alpha1.MachineList{}).Items); !slices.Equal(got, providerIDs(machines)) {
		t.Errorf("machines are %v, before they were %v", got, providerIDs(machines))
	}
	if got := names(w.classes()); !slices.Equal(got, classes) {
		t.Errorf("classes are %v, before they were %v", got, classes)
	}
	if got := names(w.deployments()); !slices.Equal(got, deployments) {
		t.Errorf("MachineDeployments are %v, before they were %v", got, deployments)
	}
}
