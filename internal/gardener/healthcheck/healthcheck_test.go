package healthcheck

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	machinev1alpha1 "github.com/gardener/machine-controller-manager/pkg/apis/machine/v1alpha1"
	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	healthcheckconfigv1alpha1 "github.com/gardener/gardener/extensions/pkg/apis/config/v1alpha1"
	extensionscontroller "github.com/gardener/gardener/extensions/pkg/controller"
	"github.com/gardener/gardener/extensions/pkg/controller/controlplane/genericactuator"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	resourcesv1alpha1 "github.com/gardener/gardener/pkg/apis/resources/v1alpha1"

	"github.com/packetyard/packetyard/internal/controlplanetest"
	"github.com/packetyard/packetyard/internal/gardener/account"
	"github.com/packetyard/packetyard/internal/gardener/controlplane"
)

// patience is how long something may take on a machine that has other things to do.
const patience = 2 * time.Minute

// shared is the API server that is seed and Shoot at once.
var shared struct {
	config     *rest.Config
	client     client.Client
	kubeconfig []byte
}

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	gardener, err := controlplanetest.ModuleFolder("github.com/gardener/gardener")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var definitions []string
	for _, name := range []string{
		"extensions.gardener.cloud_clusters", "extensions.gardener.cloud_controlplanes", "extensions.gardener.cloud_workers",
		"resources.gardener.cloud_managedresources", "machine.sapcloud.io_machinedeployments", "machine.sapcloud.io_machines",
	} {
		definitions = append(definitions, filepath.Join(gardener, "example", "seed-crds", "10-crd-"+name+".yaml"))
	}
	environment := controlplanetest.New(definitions...)
	os.Exit(controlplanetest.Run(m, environment, func(suite *controlplanetest.Suite) error {
		shared.config = suite.Config
		all, err := testScheme()
		if err != nil {
			return err
		}
		if shared.client, err = client.New(shared.config, client.Options{Scheme: all}); err != nil {
			return fmt.Errorf("making a client: %w", err)
		}
		user, err := environment.AddUser(envtest.User{Name: "shoot", Groups: []string{"system:masters"}}, nil)
		if err != nil {
			return fmt.Errorf("making the user of the Shoot: %w", err)
		}
		shared.kubeconfig, err = user.KubeConfig()
		return err
	}))
}

func testScheme() (*runtime.Scheme, error) {
	all := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		scheme.AddToScheme, extensionscontroller.AddToScheme, resourcesv1alpha1.AddToScheme, machinev1alpha1.AddToScheme,
	} {
		if err := add(all); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// start runs the health checks until the test ends.
func start(t *testing.T) {
	t.Helper()
	all, err := testScheme()
	if err != nil {
		t.Fatal(err)
	}
	anyName := true
	mgr, err := ctrl.NewManager(shared.config, manager.Options{Scheme: all, Logger: logr.Discard(), Metrics: metricsserver.Options{BindAddress: "0"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := AddToManager(t.Context(), mgr, AddOptions{
		Controller:       controller.Options{SkipNameValidation: &anyName},
		ExtensionClasses: []extensionsv1alpha1.ExtensionClass{extensionsv1alpha1.ExtensionClassShoot},
		Config:           &healthcheckconfigv1alpha1.HealthCheckConfig{SyncPeriod: metav1.Duration{Duration: time.Second}},
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

// newShoot makes the namespace of a Shoot, with what Gardener has in it.
func newShoot(t *testing.T, hibernated bool) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "shoot--test--"}}
	create(t, namespace)
	create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "gardener", Namespace: namespace.Name}, Data: map[string][]byte{"kubeconfig": shared.kubeconfig}})
	create(t, &extensionsv1alpha1.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: namespace.Name},
		Spec: extensionsv1alpha1.ClusterSpec{
			Shoot: runtime.RawExtension{Object: &gardencorev1beta1.Shoot{
				TypeMeta: metav1.TypeMeta{APIVersion: "core.gardener.cloud/v1beta1", Kind: "Shoot"},
				Spec:     gardencorev1beta1.ShootSpec{Hibernation: &gardencorev1beta1.Hibernation{Enabled: &hibernated}},
			}},
			CloudProfile: runtime.RawExtension{Object: &gardencorev1beta1.CloudProfile{TypeMeta: metav1.TypeMeta{APIVersion: "core.gardener.cloud/v1beta1", Kind: "CloudProfile"}}},
			Seed:         &runtime.RawExtension{Object: &gardencorev1beta1.Seed{TypeMeta: metav1.TypeMeta{APIVersion: "core.gardener.cloud/v1beta1", Kind: "Seed"}}},
		},
	})
	return namespace.Name
}

func create(t *testing.T, object client.Object) {
	t.Helper()
	if err := shared.client.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
}

func setStatus(t *testing.T, object client.Object) {
	t.Helper()
	if err := shared.client.Status().Update(t.Context(), object); err != nil {
		t.Fatal(err)
	}
}

// awaitCondition waits until an extension's resource has a condition.
func awaitCondition(t *testing.T, object extensionsv1alpha1.Object, kind gardencorev1beta1.ConditionType, status gardencorev1beta1.ConditionStatus) gardencorev1beta1.Condition {
	t.Helper()
	var found gardencorev1beta1.Condition
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		if err := shared.client.Get(ctx, client.ObjectKeyFromObject(object), object); err != nil {
			return false, err
		}
		for _, condition := range object.GetExtensionStatus().GetConditions() {
			if condition.Type == kind {
				found = condition
				return condition.Status == status, nil
			}
		}
		return false, nil
	})
	if err != nil {
		t.Fatalf("waiting until %s is %s: %v; it is %v", kind, status, err, found)
	}
	return found
}

func newControlPlane(namespace string) *extensionsv1alpha1.ControlPlane {
	return &extensionsv1alpha1.ControlPlane{
		ObjectMeta: metav1.ObjectMeta{Name: "control-plane", Namespace: namespace},
		Spec: extensionsv1alpha1.ControlPlaneSpec{
			DefaultSpec: extensionsv1alpha1.DefaultSpec{Type: account.Type}, Region: "da",
			SecretRef: corev1.SecretReference{Name: "cloudprovider", Namespace: namespace},
		},
	}
}

func TestHealth(t *testing.T) {
	start(t)
	t.Run("ControlPlane", testControlPlane)
	t.Run("Hibernated", testHibernated)
	t.Run("Worker", testWorker)
}

func testControlPlane(t *testing.T) {
	namespace := newShoot(t, false)
	labels := map[string]string{"a": "b"}
	deployment := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: controlplane.CloudControllerManager, Namespace: namespace},
		Spec: appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "b"}}},
		}},
	}
	create(t, deployment)
	var resources []*resourcesv1alpha1.ManagedResource
	for _, name := range []string{genericactuator.ControlPlaneShootChartResourceName, genericactuator.ControlPlaneShootCRDsChartResourceName} {
		resource := &resourcesv1alpha1.ManagedResource{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
			Spec:       resourcesv1alpha1.ManagedResourceSpec{SecretRefs: []corev1.LocalObjectReference{{Name: name}}},
		}
		create(t, resource)
		resources = append(resources, resource)
	}
	cp := newControlPlane(namespace)
	create(t, cp)
	condition := awaitCondition(t, cp, gardencorev1beta1.ShootControlPlaneHealthy, gardencorev1beta1.ConditionFalse)
	if !strings.Contains(condition.Message, controlplane.CloudControllerManager) {
		t.Errorf("the message does not say what is unhealthy: %s", condition.Message)
	}
	awaitCondition(t, cp, gardencorev1beta1.ShootSystemComponentsHealthy, gardencorev1beta1.ConditionFalse)

	deployment.Status = appsv1.DeploymentStatus{
		ObservedGeneration: deployment.Generation, Replicas: 1, UpdatedReplicas: 1, ReadyReplicas: 1, AvailableReplicas: 1,
		Conditions: []appsv1.DeploymentCondition{{Type: appsv1.DeploymentAvailable, Status: corev1.ConditionTrue}},
	}
	setStatus(t, deployment)
	awaitCondition(t, cp, gardencorev1beta1.ShootControlPlaneHealthy, gardencorev1beta1.ConditionTrue)
	for _, resource := range resources {
		resource.Status.ObservedGeneration = resource.Generation
		for _, kind := range []gardencorev1beta1.ConditionType{resourcesv1alpha1.ResourcesApplied, resourcesv1alpha1.ResourcesHealthy} {
			resource.Status.Conditions = append(resource.Status.Conditions, gardencorev1beta1.Condition{
				Type: kind, Status: gardencorev1beta1.ConditionTrue, Reason: "Test", LastTransitionTime: metav1.Now(), LastUpdateTime: metav1.Now(),
			})
		}
		setStatus(t, resource)
	}
	awaitCondition(t, cp, gardencorev1beta1.ShootSystemComponentsHealthy, gardencorev1beta1.ConditionTrue)
}

// There is nothing there, and that is as it should be.
func testHibernated(t *testing.T) {
	cp := newControlPlane(newShoot(t, true))
	create(t, cp)
	for _, kind := range []gardencorev1beta1.ConditionType{gardencorev1beta1.ShootControlPlaneHealthy, gardencorev1beta1.ShootSystemComponentsHealthy} {
		if condition := awaitCondition(t, cp, kind, gardencorev1beta1.ConditionTrue); condition.Message != "Shoot is hibernated" {
			t.Errorf("%s says %q", kind, condition.Message)
		}
	}
}

func testWorker(t *testing.T) {
	namespace := newShoot(t, false)
	pool := &machinev1alpha1.MachineDeployment{
		ObjectMeta: metav1.ObjectMeta{Name: "pool", Namespace: namespace},
		Spec: machinev1alpha1.MachineDeploymentSpec{Replicas: 1, Template: machinev1alpha1.MachineTemplateSpec{
			Spec: machinev1alpha1.MachineSpec{Class: machinev1alpha1.ClassSpec{Kind: "MachineClass", Name: "pool"}},
		}},
	}
	create(t, pool)
	worker := &extensionsv1alpha1.Worker{
		ObjectMeta: metav1.ObjectMeta{Name: "worker", Namespace: namespace},
		Spec: extensionsv1alpha1.WorkerSpec{
			DefaultSpec: extensionsv1alpha1.DefaultSpec{Type: account.Type}, Region: "da", Pools: []extensionsv1alpha1.WorkerPool{},
			SecretRef: corev1.SecretReference{Name: "cloudprovider", Namespace: namespace},
		},
	}
	create(t, worker)
	awaitCondition(t, worker, gardencorev1beta1.ShootEveryNodeReady, gardencorev1beta1.ConditionFalse)
	pool.Status.ObservedGeneration = pool.Generation
	pool.Status.Conditions = []machinev1alpha1.MachineDeploymentCondition{{
		Type: machinev1alpha1.MachineDeploymentAvailable, Status: machinev1alpha1.ConditionTrue, LastUpdateTime: metav1.Now(), LastTransitionTime: metav1.Now(),
	}}
	setStatus(t, pool)
	awaitCondition(t, worker, gardencorev1beta1.ShootEveryNodeReady, gardencorev1beta1.ConditionTrue)
}

func TestOptions(t *testing.T) {
	classes := []extensionsv1alpha1.ExtensionClass{extensionsv1alpha1.ExtensionClassGarden, extensionsv1alpha1.ExtensionClassShoot}
	arguments, err := AddOptions{ExtensionClasses: classes}.arguments()
	if err != nil || arguments.HealthCheckConfig.SyncPeriod.Duration != 30*time.Second || len(arguments.ExtensionClasses) != 1 {
		t.Errorf("without a configuration there is %v (%v)", arguments, err)
	}
	given := &healthcheckconfigv1alpha1.HealthCheckConfig{SyncPeriod: metav1.Duration{Duration: time.Minute}}
	if arguments, err = (AddOptions{Config: given}).arguments(); err != nil || arguments.HealthCheckConfig.SyncPeriod.Duration != time.Minute {
		t.Errorf("of a minute there is %v (%v)", arguments, err)
	}
	given.SyncPeriod.Duration = -time.Second
	if _, err = (AddOptions{Config: given}).arguments(); err == nil || !strings.Contains(err.Error(), "healthCheckConfig.syncPeriod is -1s") {
		t.Errorf("of less than nothing there is %v", err)
	}
}
