package worker

import (
	"slices"
	"strings"
	"testing"

	machinev1alpha1 "github.com/gardener/machine-controller-manager/pkg/apis/machine/v1alpha1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
)

func TestDelete(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testPool())
	w.reconcile()
	w.delete()
	left := slices.Concat(names(w.classes()), names(w.secrets()), names(w.deployments()),
		names(list(w, &machinev1alpha1.MachineSetList{}).Items), names(list(w, &machinev1alpha1.MachineList{}).Items))
	if len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

// delete deletes the Worker as gardenlet does, and waits until it is gone.
func (w *world) delete() {
	w.t.Helper()
	w.change(func(worker *extensionsv1alpha1.Worker) {
		worker.Annotations = map[string]string{"confirmation.gardener.cloud/deletion": "true", "gardener.cloud/operation": "reconcile"}
	})
	if err := w.client.Delete(w.t.Context(), w.worker); err != nil {
		w.t.Fatal(err)
	}
	eventually(w.t, func() error {
		err := w.client.Get(w.t.Context(), client.ObjectKeyFromObject(w.worker), w.worker)
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err == nil {
			err = apierrors.NewConflict(extensionsv1alpha1.Resource("workers"), w.worker.Name, nil)
		}
		return err
	})
}

// TestDeleteWhatNeverHadAMachine: a Worker whose image is unknown could not be deleted, because its classes could not be written.
func TestDeleteWhatNeverHadAMachine(t *testing.T) {
	t.Parallel()
	pool := testPool()
	pool.MachineImage = image("ubuntu", "0.0.1")
	w := newWorld(t, pool)
	last := w.operate("reconcile")
	if last.State != gardencorev1beta1.LastOperationStateError {
		t.Fatalf("last operation is %v", last)
	}
	lastError := w.worker.Status.LastError
	if !slices.Contains(lastError.Codes, gardencorev1beta1.ErrorConfigurationProblem) || !strings.Contains(lastError.Description, "ubuntu/0.0.1/amd64") {
		t.Errorf("error is %v", lastError)
	}
	w.delete()
}
