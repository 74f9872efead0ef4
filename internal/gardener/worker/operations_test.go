package worker

import (
	"fmt"
	"testing"
	"time"

	machinev1alpha1 "github.com/gardener/machine-controller-manager/pkg/apis/machine/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
)

// syncCluster writes what the test has changed of Shoot or CloudProfile, as gardenlet does.
func (w *world) syncCluster() {
	w.t.Helper()
	cluster := &extensionsv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: w.namespace}}
	w.get(cluster)
	cluster.Spec = w.clusterSpec()
	if err := w.client.Update(w.t.Context(), cluster); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) get(object client.Object) {
	w.t.Helper()
	if err := w.client.Get(w.t.Context(), client.ObjectKeyFromObject(object), object); err != nil {
		w.t.Fatal(err)
	}
}

// operate asks for an operation of the Worker, as gardenlet does, and waits until it ended.
func (w *world) operate(operation string) *gardencorev1beta1.LastOperation {
	w.t.Helper()
	w.change(func(worker *extensionsv1alpha1.Worker) {
		metav1.SetMetaDataAnnotation(&worker.ObjectMeta, "gardener.cloud/operation", operation)
	})
	return w.ended()
}

// change changes spec and metadata of the Worker. Its last operation is over before, so that the next one can be told from it.
func (w *world) change(change func(*extensionsv1alpha1.Worker)) {
	w.t.Helper()
	w.get(w.worker)
	if last := w.worker.Status.LastOperation; last != nil {
		before := w.worker.DeepCopy()
		last.State = gardencorev1beta1.LastOperationStatePending
		if err := w.client.Status().Patch(w.t.Context(), w.worker, client.MergeFrom(before)); err != nil {
			w.t.Fatal(err)
		}
	}
	before := w.worker.DeepCopy()
	change(w.worker)
	if err := w.client.Patch(w.t.Context(), w.worker, client.MergeFrom(before)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) ended() *gardencorev1beta1.LastOperation {
	w.t.Helper()
	var last *gardencorev1beta1.LastOperation
	eventually(w.t, func() error {
		if err := w.client.Get(w.t.Context(), client.ObjectKeyFromObject(w.worker), w.worker); err != nil {
			return err
		}
		last = w.worker.Status.LastOperation
		if last == nil || w.worker.Annotations["gardener.cloud/operation"] != "" {
			return fmt.Errorf("last operation is %v", last)
		}
		switch last.State {
		case gardencorev1beta1.LastOperationStateSucceeded, gardencorev1beta1.LastOperationStateError:
			return nil
		}
		return fmt.Errorf("last operation is %s: %s", last.State, last.Description)
	})
	return last
}

// reconcile has the Worker reconciled, which must succeed.
func (w *world) reconcile() {
	w.t.Helper()
	if last := w.operate("reconcile"); last.State != gardencorev1beta1.LastOperationStateSucceeded {
		w.t.Fatalf("reconciling: %s: %v", last.Description, w.worker.Status.LastError)
	}
}

// setPools changes the pools of the Worker.
func (w *world) setPools(pools ...extensionsv1alpha1.WorkerPool) {
	w.t.Helper()
	w.change(func(worker *extensionsv1alpha1.Worker) { worker.Spec.Pools = pools })
}

func list[L client.ObjectList](w *world, into L, options ...client.ListOption) L {
	w.t.Helper()
	if err := w.client.List(w.t.Context(), into, append(options, client.InNamespace(w.namespace))...); err != nil {
		w.t.Fatal(err)
	}
	return into
}

func (w *world) classes() []machinev1alpha1.MachineClass {
	w.t.Helper()
	return list(w, &machinev1alpha1.MachineClassList{}).Items
}

func (w *world) deployments() []machinev1alpha1.MachineDeployment {
	w.t.Helper()
	return list(w, &machinev1alpha1.MachineDeploymentList{}).Items
}

func (w *world) secrets() []corev1.Secret {
	w.t.Helper()
	return list(w, &corev1.SecretList{}, client.MatchingLabels{"gardener.cloud/purpose": "machineclass"}).Items
}

// packetRequests counts what the extension has asked the Packet API since the last time.
func (w *world) packetRequests() int {
	w.t.Helper()
	all, err := w.control.Requests(w.t.Context(), "", "")
	if err != nil {
		w.t.Fatal(err)
	}
	count := 0
	for _, request := range all {
		if request.UserAgent == userAgent {
			count++
		}
	}
	if err := w.control.ClearRequests(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return count
}

// eventually asks again until there is no error.
func eventually(t testing.TB, ask func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); <-time.After(20 * time.Millisecond) {
		if err = ask(); err == nil {
			return
		}
	}
	t.Fatalf("not within 3 minutes: %v", err)
}
