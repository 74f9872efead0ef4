package worker

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"

	machinev1alpha1 "github.com/gardener/machine-controller-manager/pkg/apis/machine/v1alpha1"
	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/packetyard/packetyard/pkg/packet"
)

func controllerOptions() controller.Options { return controller.Options{MaxConcurrentReconciles: 1} }

// mcmFinalizer is how machine-controller-manager holds on to a Secret that a MachineClass needs.
const mcmFinalizer = "machine.sapcloud.io/machine-controller"

// machines stands in for machine-controller-manager and the driver, which have tests of their own: it does at once to the objects
// what they do in time.
type machines struct {
	client client.Client
	world  *world
	// device makes the device of a Machine and returns its ID; nil makes one up.
	device func(ctx context.Context, machine string) (string, error)
	// failure, if there is one, is why no Machine can be made.
	failure string
	// fast says that Machines are replaced before anybody has looked: their old MachineSet is gone by then.
	fast bool
}

func (m *machines) addTo(mgr manager.Manager) error {
	if err := builder.ControllerManagedBy(mgr).Named("deployments").For(&machinev1alpha1.MachineDeployment{}).
		Watches(&machinev1alpha1.Machine{}, handler.EnqueueRequestsFromMapFunc(func(_ context.Context, machine client.Object) []reconcile.Request {
			return []reconcile.Request{{NamespacedName: client.ObjectKey{Namespace: machine.GetNamespace(), Name: machine.GetLabels()["name"]}}}
		}), builder.WithPredicates(predicate.Funcs{
			// A Machine that is restored is there before its MachineDeployment.
			CreateFunc: func(event.CreateEvent) bool { return false },
			UpdateFunc: func(event.UpdateEvent) bool { return false },
		})).
		Complete(reconcile.Func(m.reconcileDeployment)); err != nil {
		return err
	}
	return builder.ControllerManagedBy(mgr).Named("classes").For(&machinev1alpha1.MachineClass{}).Complete(reconcile.Func(m.reconcileClass))
}

// reconcileClass holds the Secret with the credentials while there is a class.
func (m *machines) reconcileClass(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	classes := &machinev1alpha1.MachineClassList{}
	if err := m.client.List(ctx, classes, client.InNamespace(request.Namespace)); err != nil {
		return reconcile.Result{}, err
	}
	secret := &corev1.Secret{}
	if err := m.client.Get(ctx, client.ObjectKey{Namespace: request.Namespace, Name: "cloudprovider"}, secret); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	before := secret.DeepCopy()
	if len(classes.Items) > 0 {
		controllerutil.AddFinalizer(secret, mcmFinalizer)
	} else {
		controllerutil.RemoveFinalizer(secret, mcmFinalizer)
	}
	return reconcile.Result{}, m.client.Patch(ctx, secret, client.MergeFrom(before))
}

// reconcileDeployment gives a MachineDeployment its MachineSet, its Machines and its status.
func (m *machines) reconcileDeployment(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	deployment := &machinev1alpha1.MachineDeployment{}
	if err := m.client.Get(ctx, request.NamespacedName, deployment); err != nil {
		if client.IgnoreNotFound(err) != nil {
			return reconcile.Result{}, err
		}
		return reconcile.Result{}, m.removeAll(ctx, request)
	}
	class := deployment.Spec.Template.Spec.Class.Name
	set := &machinev1alpha1.MachineSet{
		ObjectMeta: metav1.ObjectMeta{
			Name: class, Namespace: deployment.Namespace, Labels: deployment.Spec.Template.Labels,
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: machinev1alpha1.SchemeGroupVersion.String(), Kind: "MachineDeployment", Name: deployment.Name, UID: deployment.UID,
			}},
		},
		Spec: machinev1alpha1.MachineSetSpec{
			Replicas: deployment.Spec.Replicas, Selector: deployment.Spec.Selector, Template: deployment.Spec.Template,
		},
	}
	if err := client.IgnoreAlreadyExists(m.client.Create(ctx, set)); err != nil {
		return reconcile.Result{}, err
	}
	if m.fast {
		if err := m.removeOtherSets(ctx, deployment, class); err != nil {
			return reconcile.Result{}, err
		}
	}
	if m.failure != "" {
		deployment.Status.ObservedGeneration = deployment.Generation
		deployment.Status.FailedMachines = []*machinev1alpha1.MachineSummary{{
			Name: deployment.Name + "-1", LastOperation: machinev1alpha1.LastOperation{Description: m.failure, LastUpdateTime: metav1.Now()},
		}}
		return reconcile.Result{}, m.client.Status().Update(ctx, deployment)
	}
	if err := m.scale(ctx, deployment, set); err != nil {
		return reconcile.Result{}, err
	}
	replicas := deployment.Spec.Replicas
	deployment.Status = machinev1alpha1.MachineDeploymentStatus{
		ObservedGeneration: deployment.Generation, Replicas: replicas, UpdatedReplicas: replicas, ReadyReplicas: replicas, AvailableReplicas: replicas,
		Conditions: []machinev1alpha1.MachineDeploymentCondition{{
			Type: machinev1alpha1.MachineDeploymentAvailable, Status: machinev1alpha1.ConditionTrue,
			LastUpdateTime: metav1.Now(), LastTransitionTime: metav1.Now(),
		}},
	}
	return reconcile.Result{}, m.client.Status().Update(ctx, deployment)
}

// removeOtherSets leaves a MachineDeployment the MachineSet of one class.
func (m *machines) removeOtherSets(ctx context.Context, deployment *machinev1alpha1.MachineDeployment, class string) error {
	sets := &machinev1alpha1.MachineSetList{}
	if err := m.world.client.List(ctx, sets, client.InNamespace(deployment.Namespace), client.MatchingLabels(deployment.Spec.Template.Labels)); err != nil {
		return err
	}
	for _, set := range sets.Items {
		if set.Name == class {
			continue
		}
		if err := client.IgnoreNotFound(m.client.Delete(ctx, &set)); err != nil {
			return err
		}
	}
	return nil
}

// scale makes and deletes Machines until there are as many as there should be.
func (m *machines) scale(ctx context.Context, deployment *machinev1alpha1.MachineDeployment, set *machinev1alpha1.MachineSet) error {
	existing := &machinev1alpha1.MachineList{}
	if err := m.world.client.List(ctx, existing, client.InNamespace(deployment.Namespace), client.MatchingLabels{"name": deployment.Name}); err != nil {
		return err
	}
	for int32(len(existing.Items)) > deployment.Spec.Replicas {
		last := existing.Items[len(existing.Items)-1]
		if err := m.client.Delete(ctx, &last); err != nil {
			return err
		}
		existing.Items = existing.Items[:len(existing.Items)-1]
	}
	for n := int32(len(existing.Items)); n < deployment.Spec.Replicas; n++ {
		name := deployment.Name + "-" + uuid.NewString()[:5]
		device := uuid.NewString()
		if m.device != nil {
			var err error
			if device, err = m.device(ctx, name); err != nil {
				return err
			}
		}
		machine := &machinev1alpha1.Machine{
			ObjectMeta: metav1.ObjectMeta{
				Name: name, Namespace: deployment.Namespace, Labels: deployment.Spec.Template.Labels,
				OwnerReferences: []metav1.OwnerReference{{
					APIVersion: machinev1alpha1.SchemeGroupVersion.String(), Kind: "MachineSet", Name: set.Name, UID: deployment.UID,
				}},
			},
			Spec: deployment.Spec.Template.Spec,
		}
		machine.Spec.ProviderID = packet.ProviderID(device)
		if err := m.client.Create(ctx, machine); err != nil {
			return err
		}
	}
	return nil
}

func (m *machines) removeAll(ctx context.Context, request reconcile.Request) error {
	options := []client.DeleteAllOfOption{client.InNamespace(request.Namespace), client.MatchingLabels{"name": request.Name}}
	for _, object := range []client.Object{&machinev1alpha1.Machine{}, &machinev1alpha1.MachineSet{}} {
		if err := m.client.DeleteAllOf(ctx, object, options...); err != nil {
			return err
		}
	}
	return nil
}

// requests counts requests by method and resource.
type requests struct {
	mu  sync.Mutex
	all []string
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (c *requests) count(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		c.mu.Lock()
		if r.URL.Query().Get("watch") == "" {
			c.all = append(c.all, r.Method+" "+resourceOf(r.URL.Path))
		}
		c.mu.Unlock()
		return next.RoundTrip(r)
	})
}

// resourceOf is the part of a path that tells the kind of object, such as machineclasses or workers/status.
func resourceOf(path string) string {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if n := slices.Index(parts, "namespaces"); n >= 0 && len(parts) > n+2 {
		parts = parts[n+2:]
		if len(parts) == 3 {
			return parts[0] + "/" + parts[2]
		}
		return parts[0]
	}
	return parts[len(parts)-1]
}

// take returns how often there was what since the last time.
func (c *requests) take() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	counts := map[string]int{}
	for _, request := range c.all {
		counts[request]++
	}
	c.all = nil
	return counts
}

// writes are the requests of counts that change something.
func writes(counts map[string]int) map[string]int {
	changes := map[string]int{}
	for request, count := range counts {
		if !strings.HasPrefix(request, http.MethodGet) {
			changes[request] = count
		}
	}
	return changes
}

func total(counts map[string]int) int {
	sum := 0
	for _, count := range counts {
		sum += count
	}
	return sum
}
