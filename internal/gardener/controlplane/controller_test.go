package controlplane

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	controllerconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/gardener/gardener/extensions/pkg/controller/controlplane/genericactuator"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	resourcesv1alpha1 "github.com/gardener/gardener/pkg/apis/resources/v1alpha1"
	"github.com/gardener/gardener/pkg/utils/managedresources"

	"github.com/packetyard/packetyard/internal/gardener/account"
)

// startController runs the controller until the test ends.
func startController(t *testing.T) {
	t.Helper()
	skipNames := true
	mgr, err := ctrl.NewManager(shared.config, manager.Options{
		Scheme: testScheme(), Logger: logr.Discard(), Metrics: metricsserver.Options{BindAddress: "0"},
		Controller: controllerconfig.Controller{SkipNameValidation: &skipNames},
		// As in the extension's program: an actuator has to see what it has just written.
		Client: client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}, &appsv1.Deployment{}, &resourcesv1alpha1.ManagedResource{}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := AddToManager(t.Context(), mgr, AddOptions{
		Controller:       controller.Options{MaxConcurrentReconciles: 2},
		ExtensionClasses: []extensionsv1alpha1.ExtensionClass{extensionsv1alpha1.ExtensionClassShoot},
		ImageVector:      images(t),
	}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// publish writes the Cluster as gardenlet does.
func (s *shoot) publish(t *testing.T) {
	t.Helper()
	desired := &extensionsv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: s.cp.Namespace}}
	_, err := ctrl.CreateOrUpdate(t.Context(), shared.client, desired, func() error {
		desired.Spec.Shoot = runtime.RawExtension{Object: s.cluster.Shoot}
		profile := s.cluster.CloudProfile.DeepCopy()
		profile.TypeMeta = metav1.TypeMeta{APIVersion: "core.gardener.cloud/v1beta1", Kind: "CloudProfile"}
		desired.Spec.CloudProfile = runtime.RawExtension{Object: profile}
		desired.Spec.Seed = &runtime.RawExtension{Object: &gardencorev1beta1.Seed{TypeMeta: metav1.TypeMeta{APIVersion: "core.gardener.cloud/v1beta1", Kind: "Seed"}}}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// request asks for an operation as gardenlet does.
func (s *shoot) request(t *testing.T, operation string) {
	t.Helper()
	patch := client.MergeFrom(s.cp.DeepCopy())
	metav1.SetMetaDataAnnotation(&s.cp.ObjectMeta, v1beta1constants.GardenerOperation, operation)
	if err := shared.client.Patch(t.Context(), s.cp, patch); err != nil {
		t.Fatal(err)
	}
}

// operate asks for an operation, and waits until the controller has taken the request away: a reconciliation has begun then, a
// migration or restoration has ended.
func (s *shoot) operate(t *testing.T, operation string) {
	t.Helper()
	s.request(t, operation)
	s.awaitTaken(t, operation)
}

func (s *shoot) awaitTaken(t *testing.T, operation string) {
	t.Helper()
	await(t, "the controller has taken "+operation, func(ctx context.Context) (bool, error) {
		if err := shared.client.Get(ctx, client.ObjectKeyFromObject(s.cp), s.cp); err != nil {
			return false, err
		}
		_, asked := s.cp.Annotations[v1beta1constants.GardenerOperation]
		return !asked, nil
	})
}

// awaitOperation waits for a state of an operation, or of the reconciliation that an event which came meanwhile has made of it.
func (s *shoot) awaitOperation(t *testing.T, kind gardencorev1beta1.LastOperationType, state gardencorev1beta1.LastOperationState) {
	t.Helper()
	await(t, string(kind)+" is "+string(state), func(ctx context.Context) (bool, error) {
		if err := shared.client.Get(ctx, client.ObjectKeyFromObject(s.cp), s.cp); err != nil {
			return false, err
		}
		last := s.cp.Status.LastOperation
		if last == nil || last.State != state {
			return false, nil
		}
		return last.Type == kind || last.Type == gardencorev1beta1.LastOperationTypeReconcile && kind != gardencorev1beta1.LastOperationTypeMigrate, nil
	})
}

// contains are the objects of a ManagedResource, as "Kind name".
func (s *shoot) contains(ctx context.Context, name string) ([]string, error) {
	objects, err := managedresources.GetObjects(ctx, shared.client, s.cp.Namespace, name)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, object := range objects {
		all = append(all, object.GetObjectKind().GroupVersionKind().Kind+" "+object.GetName())
	}
	return all, nil
}

func (s *shoot) awaitContent(t *testing.T, resource string, wants []string, not ...string) {
	t.Helper()
	var got []string
	await(t, resource+" has "+strings.Join(wants, ", "), func(ctx context.Context) (bool, error) {
		var err error
		if got, err = s.contains(ctx, resource); client.IgnoreNotFound(err) != nil {
			return false, err
		}
		for _, want := range wants {
			if !slices.Contains(got, want) {
				return false, nil
			}
		}
		return !slices.ContainsFunc(not, func(unwanted string) bool { return slices.Contains(got, unwanted) }), nil
	})
}

// replicas are those of the Deployment in the seed's ManagedResource.
func (s *shoot) replicas(ctx context.Context) (int32, error) {
	objects, err := managedresources.GetObjects(ctx, shared.client, s.cp.Namespace, genericactuator.ControlPlaneSeedChartResourceName)
	if err != nil {
		return 0, err
	}
	for _, object := range objects {
		if deployment, ok := object.(*appsv1.Deployment); ok {
			return *deployment.Spec.Replicas, nil
		}
	}
	return 0, nil
}

func (s *shoot) awaitReplicas(t *testing.T, want int32) {
	t.Helper()
	await(t, "the replicas are right", func(ctx context.Context) (bool, error) {
		got, err := s.replicas(ctx)
		return got == want, err
	})
}

func TestReconcileHibernateAndDelete(t *testing.T) {
	startController(t)
	s := newShoot(t, "1.35.1", nil)
	s.publish(t)
	create(t, s.cp)
	s.operate(t, v1beta1constants.GardenerOperationReconcile)
	s.awaitOperation(t, gardencorev1beta1.LastOperationTypeCreate, gardencorev1beta1.LastOperationStateSucceeded)

	seed, inShoot, crds := genericactuator.ControlPlaneSeedChartResourceName, genericactuator.ControlPlaneShootChartResourceName, genericactuator.ControlPlaneShootCRDsChartResourceName
	s.awaitContent(t, seed, []string{
		"Deployment cloud-controller-manager", "Service cloud-controller-manager", "PodDisruptionBudget cloud-controller-manager",
		"VerticalPodAutoscaler cloud-controller-manager-vpa", "ServiceMonitor shoot-cloud-controller-manager",
		"PrometheusRule shoot-cloud-controller-manager", "ConfigMap cloud-controller-manager-dashboard",
	})
	s.awaitContent(t, inShoot, []string{
		"Namespace metallb-system", "Deployment controller", "DaemonSet speaker", "ClusterRole extensions.gardener.cloud:provider-packet:cloud-controller-manager",
		"ValidatingWebhookConfiguration metallb-webhook-configuration", "Secret metallb-webhook-cert",
	})
	s.awaitContent(t, crds, []string{
		"CustomResourceDefinition bgppeers.metallb.io", "CustomResourceDefinition ipaddresspools.metallb.io", "CustomResourceDefinition bgpadvertisements.metallb.io",
	})
	s.awaitReplicas(t, 1)
	for name, class := range map[string]string{seed: "seed", inShoot: "", crds: ""} {
		resource := s.resource(t, name)
		if got := ptr.Deref(resource.Spec.Class, ""); got != class {
			t.Errorf("%s has the class %q, want %q", name, got, class)
		}
		if ptr.Deref(resource.Spec.KeepObjects, false) {
			t.Errorf("the objects of %s are kept", name)
		}
	}
	if err := shared.client.Get(t.Context(), client.ObjectKey{Namespace: s.cp.Namespace, Name: "shoot-access-cloud-controller-manager"}, &corev1.Secret{}); err != nil {
		t.Error(err)
	}

	// Another implementation.
	s.reconfigure(t, `"loadBalancer":{"implementation":"none"}`)
	s.awaitContent(t, inShoot, []string{"ClusterRole extensions.gardener.cloud:provider-packet:cloud-controller-manager"}, "Namespace metallb-system", "DaemonSet speaker")
	s.awaitContent(t, crds, nil, "CustomResourceDefinition bgppeers.metallb.io")

	// While the kube-apiserver is up, the cloud controller manager prepares the hibernation.
	one := int32(1)
	apiServer := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: v1beta1constants.DeploymentNameKubeAPIServer, Namespace: s.cp.Namespace}, Spec: appsv1.DeploymentSpec{
		Replicas: &one, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"a": "b"}}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "b"}}}},
	}}
	create(t, apiServer)
	hibernate(s, true)
	s.publish(t)
	s.operate(t, v1beta1constants.GardenerOperationReconcile)
	s.awaitOperation(t, gardencorev1beta1.LastOperationTypeReconcile, gardencorev1beta1.LastOperationStateProcessing)
	s.awaitReplicas(t, 1)
	*apiServer.Spec.Replicas = 0
	if err := shared.client.Update(t.Context(), apiServer); err != nil {
		t.Fatal(err)
	}
	s.awaitReplicas(t, 0)
	s.awaitOperation(t, gardencorev1beta1.LastOperationTypeReconcile, gardencorev1beta1.LastOperationStateSucceeded)
	s.awaitContent(t, seed, []string{"Deployment cloud-controller-manager"}, "PrometheusRule shoot-cloud-controller-manager")
	hibernate(s, false)
	s.publish(t)
	s.operate(t, v1beta1constants.GardenerOperationReconcile)
	s.awaitReplicas(t, 1)
	s.awaitOperation(t, gardencorev1beta1.LastOperationTypeReconcile, gardencorev1beta1.LastOperationStateSucceeded)

	if err := shared.client.Delete(t.Context(), s.cp); err != nil {
		t.Fatal(err)
	}
	await(t, "the ControlPlane is gone", func(ctx context.Context) (bool, error) {
		err := shared.client.Get(ctx, client.ObjectKeyFromObject(s.cp), s.cp)
		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	})
	s.nothingIsLeft(t)
}

// The objects in the Shoot outlive the seed that they came from; the next one takes them over.
func TestMigrateAndRestore(t *testing.T) {
	startController(t)
	s := newShoot(t, "1.35.1", nil)
	s.publish(t)
	create(t, s.cp)
	s.operate(t, v1beta1constants.GardenerOperationReconcile)
	s.awaitOperation(t, gardencorev1beta1.LastOperationTypeCreate, gardencorev1beta1.LastOperationStateSucceeded)

	// As gardener-resource-manager does, so that it can be seen in what state the resources are deleted.
	const finalizer = "resources.gardener.cloud/gardener-resource-manager"
	inShoot := []string{genericactuator.ControlPlaneShootChartResourceName, genericactuator.ControlPlaneShootCRDsChartResourceName}
	for _, name := range inShoot {
		resource := s.resource(t, name)
		patch := client.MergeFrom(resource.DeepCopy())
		resource.Finalizers = append(resource.Finalizers, finalizer)
		if err := shared.client.Patch(t.Context(), resource, patch); err != nil {
			t.Fatal(err)
		}
	}
	s.request(t, v1beta1constants.GardenerOperationMigrate)
	for _, name := range slices.Backward(inShoot) {
		await(t, name+" is deleted", func(ctx context.Context) (bool, error) {
			resource := &resourcesv1alpha1.ManagedResource{}
			err := shared.client.Get(ctx, client.ObjectKey{Namespace: s.cp.Namespace, Name: name}, resource)
			return err == nil && resource.DeletionTimestamp != nil, err
		})
		resource := s.resource(t, name)
		if !ptr.Deref(resource.Spec.KeepObjects, false) {
			t.Errorf("%s takes its objects with it", name)
		}
		patch := client.MergeFrom(resource.DeepCopy())
		resource.Finalizers = nil
		if err := shared.client.Patch(t.Context(), resource, patch); err != nil {
			t.Fatal(err)
		}
	}
	s.awaitOperation(t, gardencorev1beta1.LastOperationTypeMigrate, gardencorev1beta1.LastOperationStateSucceeded)
	// The request is taken away last, and the next one with it, if it comes before.
	s.awaitTaken(t, v1beta1constants.GardenerOperationMigrate)
	s.nothingIsLeft(t)

	s.operate(t, v1beta1constants.GardenerOperationRestore)
	s.awaitOperation(t, gardencorev1beta1.LastOperationTypeRestore, gardencorev1beta1.LastOperationStateSucceeded)
	s.awaitReplicas(t, 1)
	for _, name := range inShoot {
		if ptr.Deref(s.resource(t, name).Spec.KeepObjects, false) {
			t.Errorf("the objects of %s are still kept", name)
		}
	}
}

// What is wrong is told to the Shoot's owner, with a code, and without the token.
func TestBadAccountIsReported(t *testing.T) {
	startController(t)
	s := newShoot(t, "1.35.1", map[string]string{account.ProjectID: "mine"})
	s.publish(t)
	create(t, s.cp)
	s.operate(t, v1beta1constants.GardenerOperationReconcile)
	s.awaitOperation(t, gardencorev1beta1.LastOperationTypeCreate, gardencorev1beta1.LastOperationStateError)
	last := s.cp.Status.LastError
	if last == nil || !strings.Contains(last.Description, "projectID") || strings.Contains(last.Description, testToken) {
		t.Errorf("the error is %v", last)
	}
	if last != nil && len(last.Codes) == 0 {
		t.Errorf("the error has no code: %s", last.Description)
	}
}

// resource is a ManagedResource of the Shoot.
func (s *shoot) resource(t *testing.T, name string) *resourcesv1alpha1.ManagedResource {
	t.Helper()
	resource := &resourcesv1alpha1.ManagedResource{}
	if err := shared.client.Get(t.Context(), client.ObjectKey{Namespace: s.cp.Namespace, Name: name}, resource); err != nil {
		t.Fatal(err)
	}
	return resource
}

// reconfigure changes the controlPlaneConfig, and has the controller see to it.
func (s *shoot) reconfigure(t *testing.T, fields string) {
	t.Helper()
	patch := client.MergeFrom(s.cp.DeepCopy())
	s.configure(fields)
	if err := shared.client.Patch(t.Context(), s.cp, patch); err != nil {
		t.Fatal(err)
	}
	s.operate(t, v1beta1constants.GardenerOperationReconcile)
}

// nothingIsLeft looks for what the controller made in the seed.
func (s *shoot) nothingIsLeft(t *testing.T) {
	t.Helper()
	resources := &resourcesv1alpha1.ManagedResourceList{}
	if err := shared.client.List(t.Context(), resources, client.InNamespace(s.cp.Namespace)); err != nil {
		t.Fatal(err)
	}
	for _, resource := range resources.Items {
		t.Errorf("ManagedResource %s is left", resource.Name)
	}
	err := shared.client.Get(t.Context(), client.ObjectKey{Namespace: s.cp.Namespace, Name: "shoot-access-cloud-controller-manager"}, &corev1.Secret{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("the access Secret is left: %v", err)
	}
}
