//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	machinev1alpha1 "github.com/gardener/machine-controller-manager/pkg/apis/machine/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	resourcesv1alpha1 "github.com/gardener/gardener/pkg/apis/resources/v1alpha1"
	"github.com/gardener/gardener/pkg/component"
	"github.com/gardener/gardener/pkg/controllerutils"
	"github.com/gardener/gardener/pkg/utils/gardener/shootstate"
	"github.com/gardener/gardener/pkg/utils/managedresources"

	"github.com/packetyard/packetyard/example"
)

// secondSeed is a cluster file for another seed: its one node runs the control plane, and all else.
func secondSeed() string {
	text := strings.ReplaceAll(string(example.ClusterKubeadmControlPlane), "demo", "second")
	return regexp.MustCompile(`(?m)^( *)nodeRegistration:$`).ReplaceAllString(text, "$0\n$1  taints: []")
}

// migrate takes the Shoot off its seed, as gardenlet does, and leaves its state in the garden: the machines stay, and what belongs to
// them in the Packet API.
func (h *hosted) migrate(t *testing.T, garden *garden) {
	t.Helper()
	c := h.clients.Client()
	h.shoot.Status.LastOperation.Type = gardencorev1beta1.LastOperationTypeMigrate
	h.syncCluster(t)
	h.keepObjects(t)
	destroyComponent(t, "machine-controller-manager", h.machines)

	migrateComponent(t, "the Worker", h.worker)
	migrateComponent(t, "the ControlPlane", h.controlPlane)
	if err := shootstate.Deploy(t.Context(), clock.RealClock{}, garden, c, h.shoot, h.namespace(), true); err != nil {
		t.Fatalf("writing down the Shoot's state: %v", err)
	}
	destroyComponent(t, "the Worker", h.worker)
	h.forgetMachines(t)
	destroyComponent(t, "the ControlPlane", h.controlPlane)
	migrateComponent(t, "the Infrastructure", h.infrastructure)
	if err := shootstate.Deploy(t.Context(), clock.RealClock{}, garden, c, h.shoot, h.namespace(), false); err != nil {
		t.Fatalf("writing down the Infrastructure's state: %v", err)
	}
	destroyComponent(t, "the Infrastructure", h.infrastructure)
	if err := h.resourceManager.Destroy(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, object := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: h.namespace()}}, &extensionsv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: h.namespace()}},
	} {
		if err := c.Delete(t.Context(), object); err != nil {
			t.Fatal(err)
		}
		eventually(t, fmt.Sprintf("%T %s is gone from %s", object, h.namespace(), h.object.Name), func(ctx context.Context) error {
			if err := c.Get(ctx, client.ObjectKeyFromObject(object), object); !apierrors.IsNotFound(err) {
				return fmt.Errorf("it is there: %w", err)
			}
			return nil
		})
	}
}

// keepObjects has gardener-resource-manager let go of what it keeps in the Shoot.
func (h *hosted) keepObjects(t *testing.T) {
	t.Helper()
	c := h.clients.Client()
	ours := []client.ListOption{client.InNamespace(h.namespace()), client.MatchingLabels{managedresources.LabelKeyOrigin: managedresources.LabelValueGardener}}
	list := &resourcesv1alpha1.ManagedResourceList{}
	if err := c.List(t.Context(), list, ours...); err != nil {
		t.Fatal(err)
	}
	for _, resource := range list.Items {
		if err := managedresources.SetKeepObjects(t.Context(), c, resource.Namespace, resource.Name, true); err != nil {
			t.Fatal(err)
		}
		if err := c.Delete(t.Context(), &resource); err != nil {
			t.Fatal(err)
		}
	}
	if err := managedresources.WaitUntilListDeleted(t.Context(), c, list, ours...); err != nil {
		t.Fatal(err)
	}
}

// forgetMachines deletes what machine-controller-manager works with, and no machine: the Shoot's state has all of it.
func (h *hosted) forgetMachines(t *testing.T) {
	t.Helper()
	c := h.clients.Client()
	for _, list := range []client.ObjectList{
		&machinev1alpha1.MachineList{}, &machinev1alpha1.MachineSetList{}, &machinev1alpha1.MachineDeploymentList{}, &machinev1alpha1.MachineClassList{}, &corev1.SecretList{},
	} {
		if err := c.List(t.Context(), list, client.InNamespace(h.namespace())); err != nil {
			t.Fatal(err)
		}
		_, secrets := list.(*corev1.SecretList)
		if err := meta.EachListItem(list, func(item runtime.Object) error {
			object := item.(client.Object)
			if err := controllerutils.RemoveFinalizers(t.Context(), c, object, "machine.sapcloud.io/machine-controller-manager", "machine.sapcloud.io/machine-controller"); err != nil {
				return err
			}
			if secrets && object.GetLabels()[v1beta1constants.GardenerPurpose] != v1beta1constants.GardenPurposeMachineClass {
				return nil
			}
			return client.IgnoreNotFound(c.Delete(t.Context(), object))
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// restore brings the Shoot to another seed, with its state out of the garden, and checks that its machines are those that it had.
func (h *hosted) restore(t *testing.T, garden *garden, to *seed) {
	t.Helper()
	before := slices.Sorted(maps.Keys(h.ownDevices(t)))
	state := &gardencorev1beta1.ShootState{}
	if err := garden.Get(t.Context(), client.ObjectKeyFromObject(h.shoot), state); err != nil {
		t.Fatal(err)
	}
	h.seed = to
	h.shoot.Status.LastOperation.Type = gardencorev1beta1.LastOperationTypeRestore
	h.makeNamespace(t)
	h.restoreSecrets(t, state)
	h.prepare(t)
	h.restoreExtension(t, "the Infrastructure", h.infrastructure, state)
	h.deployControlPlane(t, func(ctx context.Context) error { return h.controlPlane.Restore(ctx, state) })
	// The Worker's controller starts it when all machines are there again.
	h.machines = h.machineControllerManager(t, 0)
	tryAgain(t, "deploying machine-controller-manager", h.machines.Deploy)
	h.deployWorker(t, func(ctx context.Context) error { return h.worker.Restore(ctx, state) })
	h.runs(t, v1beta1constants.DeploymentNameMachineControllerManager)
	h.hasNodes(t)
	if after := slices.Sorted(maps.Keys(h.ownDevices(t))); !slices.Equal(after, before) {
		t.Errorf("the Shoot has the devices %v, want those that it had: %v", after, before)
	}
	h.shoot.Status.LastOperation.Type = gardencorev1beta1.LastOperationTypeReconcile
}

// restoreSecrets brings back the Secrets that have to stay the same.
func (h *hosted) restoreSecrets(t *testing.T, state *gardencorev1beta1.ShootState) {
	t.Helper()
	for _, entry := range state.Spec.Gardener {
		if entry.Type != v1beta1constants.DataTypeSecret {
			continue
		}
		var kept shootstate.SecretState
		if err := json.Unmarshal(entry.Data.Raw, &kept); err != nil {
			t.Fatalf("reading the secret %s: %v", entry.Name, err)
		}
		secret := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: entry.Name, Namespace: h.namespace(), Labels: entry.Labels}, Data: kept.Data, Immutable: kept.Immutable, Type: kept.Type,
		}
		if err := h.clients.Client().Create(t.Context(), secret); err != nil {
			t.Fatal(err)
		}
	}
}

func (h *hosted) restoreExtension(t *testing.T, what string, component component.DeployMigrateWaiter, state *gardencorev1beta1.ShootState) {
	t.Helper()
	tryAgain(t, "restoring "+what, func(ctx context.Context) error { return component.Restore(ctx, state) })
	if err := component.Wait(t.Context()); err != nil {
		t.Fatalf("waiting for %s: %v", what, err)
	}
}

func migrateComponent(t *testing.T, what string, component component.DeployMigrateWaiter) {
	t.Helper()
	tryAgain(t, "migrating "+what, component.Migrate)
	if err := component.WaitMigrate(t.Context()); err != nil {
		t.Fatalf("waiting for the migration of %s: %v", what, err)
	}
}

// destroyComponent deletes what one of Gardener's components deployed, and waits until it is gone.
func destroyComponent(t *testing.T, what string, component component.DeployWaiter) {
	t.Helper()
	tryAgain(t, "deleting "+what, component.Destroy)
	if err := component.WaitCleanup(t.Context()); err != nil {
		t.Fatalf("waiting for the end of %s: %v", what, err)
	}
}
