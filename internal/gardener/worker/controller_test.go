package worker

import (
	"slices"
	"testing"

	machinev1alpha1 "github.com/gardener/machine-controller-manager/pkg/apis/machine/v1alpha1"
	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"

	"github.com/packetyard/packetyard/api/packet/v1alpha1"
	"github.com/packetyard/packetyard/internal/gardener/decode"
)

func names[T any, P interface {
	*T
	client.Object
}](objects []T) []string {
	all := make([]string, 0, len(objects))
	for i := range objects {
		all = append(all, P(&objects[i]).GetName())
	}
	slices.Sort(all)
	return all
}

// versions are the resource versions by name.
func versions[T any, P interface {
	*T
	client.Object
}](objects []T) map[string]string {
	all := map[string]string{}
	for i := range objects {
		all[P(&objects[i]).GetName()] = P(&objects[i]).GetResourceVersion()
	}
	return all
}

func TestReconcileMakesMachinesAndThenChangesNothing(t *testing.T) {
	t.Parallel()
	pool := testPool()
	pool.Zones = []string{"ny5", "ewr1"}
	pool.Minimum, pool.Maximum = 3, 3
	w := newWorld(t, pool)
	w.reconcile()

	deployments := w.deployments()
	if got, want := names(deployments), []string{w.namespace + "-pool-z1", w.namespace + "-pool-z2"}; !slices.Equal(got, want) {
		t.Fatalf("MachineDeployments are %v, not %v", got, want)
	}
	for n, want := range map[int]struct {
		replicas int32
		zone     string
	}{0: {2, "ny5"}, 1: {1, "ewr1"}} {
		deployment := deployments[n]
		if deployment.Spec.Replicas != want.replicas || deployment.Labels["worker.gardener.cloud/pool"] != "pool" {
			t.Errorf("%s has %d replicas and labels %v", deployment.Name, deployment.Spec.Replicas, deployment.Labels)
		}
		class := &machinev1alpha1.MachineClass{ObjectMeta: w.named(deployment.Spec.Template.Spec.Class.Name)}
		w.get(class)
		spec := specOf(t, class.ProviderSpec.Raw)
		if spec.Metro != "ny" || !slices.Equal(spec.Facilities, []string{want.zone}) || spec.APIURL != w.api.URL || class.NodeTemplate.Zone != want.zone {
			t.Errorf("%s: providerSpec is %+v, zone of the node template is %s", class.Name, spec, class.NodeTemplate.Zone)
		}
		if len(class.ManagedFields) != 1 || class.ManagedFields[0].Manager != string(fieldOwner) || class.ManagedFields[0].Operation != "Apply" {
			t.Errorf("%s: fields are owned by %v", class.Name, class.ManagedFields)
		}
	}
	if got, want := names(w.secrets()), names(w.classes()); !slices.Equal(got, want) {
		t.Errorf("Secrets are %v, classes are %v", got, want)
	}
	status, err := decode.WorkerStatus(w.worker.Status.ProviderStatus)
	if err != nil {
		t.Fatal(err)
	}
	want := []v1alpha1.MachineImage{{Name: "ubuntu", Version: "24.4.0", ID: ptr.To("ubuntu_24_04"), Architecture: ptr.To("amd64")}}
	if diff := cmp.Diff(want, status.MachineImages); diff != "" {
		t.Errorf("images in use (-want +got):\n%s", diff)
	}

	// Nothing has changed: the same is applied again, and that the Worker was reconciled is noted.
	classes, secrets, before := versions(w.classes()), versions(w.secrets()), versions(deployments)
	w.kube.take()
	w.reconcile()
	if diff := cmp.Diff([]map[string]string{classes, secrets, before}, []map[string]string{versions(w.classes()), versions(w.secrets()), versions(w.deployments())}); diff != "" {
		t.Errorf("a second reconciliation writes (-before +after):\n%s", diff)
	}
	wantWrites := map[string]int{
		"PATCH machineclasses": 2, "PATCH secrets": 2,
		// The generic actuator sends a patch in any case, with nothing in it.
		"PATCH machinedeployments": 2,
		// The operation's beginning and end, and the list of MachineDeployments.
		"PATCH workers/status": 3,
		// The annotation with the operation goes.
		"PATCH workers": 1,
	}
	if diff := cmp.Diff(wantWrites, writes(w.kube.take())); diff != "" {
		t.Errorf("writes of a second reconciliation (-want +got):\n%s", diff)
	}
}

// TestImageFallbackLosesNothingInTheCluster removes an image with an iPXE script from the CloudProfile.
func TestImageFallbackLosesNothingInTheCluster(t *testing.T) {
	t.Parallel()
	pool := testPool()
	pool.MachineImage = image("flatcar", "4230.2.0")
	w := newWorld(t, pool)
	w.reconcile()
	classes, status := versions(w.classes()), w.worker.Status.ProviderStatus.DeepCopy()

	w.profile.MachineImages = w.profile.MachineImages[:1]
	w.syncCluster()
	w.reconcile()
	if diff := cmp.Diff(classes, versions(w.classes())); diff != "" {
		t.Errorf("classes (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(string(status.Raw), string(w.worker.Status.ProviderStatus.Raw)); diff != "" {
		t.Errorf("providerStatus (-before +after):\n%s", diff)
	}
}

func TestScaleRollAndRemove(t *testing.T) {
	t.Parallel()
	pool, other := testPool(), testPool()
	other.Name = "other"
	w := newWorld(t, pool, other)
	w.reconcile()
	before := w.classes()

	// Scaling replaces nothing.
	pool.Minimum, pool.Maximum = 2, 4
	w.setPools(pool, other)
	w.reconcile()
	if diff := cmp.Diff(versions(before), versions(w.classes())); diff != "" {
		t.Errorf("classes (-before +after scaling):\n%s", diff)
	}
	deployment := &machinev1alpha1.MachineDeployment{ObjectMeta: w.named(w.namespace + "-pool-z1")}
	w.get(deployment)
	if deployment.Spec.Replicas != 2 {
		t.Errorf("%d replicas after scaling to a minimum of 2", deployment.Spec.Replicas)
	}
	var listed extensionsv1alpha1.MachineDeployment
	for _, listed = range w.worker.Status.MachineDeployments {
		if listed.Name == deployment.Name {
			break
		}
	}
	if listed.Minimum != 2 || listed.Maximum != 4 {
		t.Errorf("the cluster-autoscaler is told %+v", listed)
	}

	// A VLAN replaces the machines, and what they were made from goes after them. So does the other pool.
	pool.ProviderConfig = encoded(t, &v1alpha1.WorkerConfig{VLANs: []string{"7a2b0ef2-9d52-4d5e-a7fd-5d6b5c6e8f11"}})
	w.setPools(pool)
	w.reconcile()
	after := names(w.classes())
	if len(after) != 1 || slices.Contains(names(before), after[0]) {
		t.Errorf("classes are %v, before the VLAN they were %v", after, names(before))
	}
	if got := names(w.secrets()); !slices.Equal(got, after) {
		t.Errorf("Secrets are %v, classes %v", got, after)
	}
	if got := names(w.deployments()); !slices.Equal(got, []string{deployment.Name}) {
		t.Errorf("MachineDeployments are %v", got)
	}
}

// TestAFastRollingUpdateIsNotWaitedFor replaces machines faster than the generic actuator looks for two MachineSets. It once went on
// looking for five minutes, and failed.
func TestAFastRollingUpdateIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	pool := testPool()
	w := newWorld(t, pool)
	w.mcm.fast = true
	w.reconcile()
	before := names(w.classes())

	pool.ProviderConfig = encoded(t, &v1alpha1.WorkerConfig{VLANs: []string{"7a2b0ef2-9d52-4d5e-a7fd-5d6b5c6e8f11"}})
	w.setPools(pool)
	w.reconcile()
	if after := names(w.classes()); len(after) != 1 || slices.Contains(before, after[0]) {
		t.Errorf("classes are %v, before the VLAN they were %v", after, before)
	}
	if operation := w.worker.Status.LastOperation; operation == nil || operation.State != gardencorev1beta1.LastOperationStateSucceeded {
		t.Errorf("the last operation is %+v", operation)
	}
}

// TestInPlaceUpdateKeepsNames: the MachineDeployment and its machines stay, the class is another one.
func TestInPlaceUpdateKeepsNames(t *testing.T) {
	t.Parallel()
	pool := testPool()
	pool.UpdateStrategy = ptr.To(gardencorev1beta1.AutoInPlaceUpdate)
	pool.NodeAgentSecretName = ptr.To("gardener-node-agent-pool")
	pool.MachineImage.Version = "22.4.0"
	w := newWorld(t, pool)
	w.reconcile()
	deployments, classes, hashes := names(w.deployments()), names(w.classes()), w.worker.Status.InPlaceUpdates.DeepCopy()
	if hashes == nil || hashes.WorkerPoolToHashMap["pool"] == "" {
		t.Fatalf("status.inPlaceUpdates is %v", hashes)
	}

	pool.MachineImage.Version = "24.4.0"
	w.setPools(pool)
	w.reconcile()
	if got := names(w.deployments()); !slices.Equal(got, deployments) {
		t.Errorf("MachineDeployments are %v, before %v", got, deployments)
	}
	if got := names(w.classes()); len(got) != 1 || slices.Equal(got, classes) {
		t.Errorf("classes are %v, before %v", got, classes)
	}
	if got := w.worker.Status.InPlaceUpdates.WorkerPoolToHashMap["pool"]; got == hashes.WorkerPoolToHashMap["pool"] {
		t.Errorf("hash is %s still", got)
	}
}
