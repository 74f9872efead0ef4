package loadbalancers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/cloud-provider/api"
	servicehelper "k8s.io/cloud-provider/service/helpers"
	"k8s.io/klog/v2"
)

// classFinalizer keeps a Service of our class until its address is released.
// It is not that of the service controller of k8s.io/cloud-provider, which
// removes its own from Services of any class.
const classFinalizer = annotationPrefix + "load-balancer-cleanup"

// classController serves the Services of a loadBalancerClass, which the service
// controller of k8s.io/cloud-provider leaves alone, in the same way as that one
// serves the others.
type classController struct {
	*LoadBalancers
	queue workqueue.TypedRateLimitingInterface[cache.ObjectName]
}

// newClassController makes the controller, nil if there is no class to serve.
func (l *LoadBalancers) newClassController() (*classController, error) {
	if l.config.Class == "" {
		return nil, nil
	}
	c := &classController{
		LoadBalancers: l,
		queue: workqueue.NewTypedRateLimitingQueueWithConfig(
			workqueue.NewTypedItemExponentialFailureRateLimiter[cache.ObjectName](firstRetry, lastRetry),
			workqueue.TypedRateLimitingQueueConfig[cache.ObjectName]{Name: "service-class"},
		),
	}
	_, err := l.config.Services.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { c.enqueue(object) },
		UpdateFunc: func(_, object any) { c.enqueue(object) },
	})
	if err != nil {
		return nil, fmt.Errorf("watching Services: %w", err)
	}
	return c, nil
}

// enqueue takes a Service that is of the class, or was.
func (c *classController) enqueue(object any) {
	if service, ok := object.(*corev1.Service); ok && (c.ofClass(service) || hasFinalizer(service)) {
		c.queue.Add(cache.MetaObjectToName(service))
	}
}

func (c *classController) ofClass(service *corev1.Service) bool {
	return service.Spec.LoadBalancerClass != nil && c.served(service)
}

func (c *classController) run(ctx context.Context, workers int) {
	var group sync.WaitGroup
	for range max(workers, 1) {
		group.Go(func() {
			for c.next(ctx) {
			}
		})
	}
	<-ctx.Done()
	c.queue.ShutDown()
	group.Wait()
}

func (c *classController) next(ctx context.Context) bool {
	name, quit := c.queue.Get()
	if quit {
		return false
	}
	defer c.queue.Done(name)
	err := c.reconcile(ctx, name)
	var later *api.RetryError
	switch {
	case err == nil:
		c.queue.Forget(name)
	case ctx.Err() != nil:
	case errors.As(err, &later):
		klog.InfoS("A Service of our class waits", "service", name, "after", later.RetryAfter(), "reason", err.Error())
		c.queue.AddAfter(name, later.RetryAfter())
	default:
		klog.ErrorS(err, "A Service of our class will be tried again", "service", name)
		c.queue.AddRateLimited(name)
	}
	return true
}

func (c *classController) reconcile(ctx context.Context, name cache.ObjectName) error {
	cached, err := c.services.Services(name.Namespace).Get(name.Name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading Service %s: %w", name, err)
	}
	service := cached.DeepCopy()
	switch {
	case c.ofClass(service):
		return c.serve(ctx, service)
	case hasFinalizer(service) && c.served(service):
		// It lost its class without losing its type: the service controller has
		// it now, and finds its address by the tags.
		return c.setFinalizer(service, false)
	case hasFinalizer(service):
		return c.cleanUp(ctx, service)
	}
	return nil
}

func (c *classController) serve(ctx context.Context, service *corev1.Service) error {
	if err := c.setFinalizer(service, true); err != nil {
		return err
	}
	status, err := c.EnsureLoadBalancer(ctx, "", service, nil)
	if err != nil {
		c.event(service, corev1.EventTypeWarning, "SyncLoadBalancerFailed", "Error syncing load balancer: %v", err)
		return err
	}
	return c.setStatus(service, status)
}

func (c *classController) cleanUp(ctx context.Context, service *corev1.Service) error {
	if err := c.EnsureLoadBalancerDeleted(ctx, "", service); err != nil {
		c.event(service, corev1.EventTypeWarning, "DeleteLoadBalancerFailed", "Error deleting load balancer: %v", err)
		return err
	}
	if service.DeletionTimestamp == nil {
		if err := c.setStatus(service, &corev1.LoadBalancerStatus{}); err != nil {
			return err
		}
	}
	return c.setFinalizer(service, false)
}

func (c *classController) setStatus(service *corev1.Service, status *corev1.LoadBalancerStatus) error {
	if servicehelper.LoadBalancerStatusEqual(&service.Status.LoadBalancer, status) {
		return nil
	}
	updated := service.DeepCopy()
	updated.Status.LoadBalancer = *status
	return c.patch(service, updated, "status")
}

func (c *classController) setFinalizer(service *corev1.Service, wanted bool) error {
	if hasFinalizer(service) == wanted {
		return nil
	}
	updated := service.DeepCopy()
	if wanted {
		updated.Finalizers = append(updated.Finalizers, classFinalizer)
	} else {
		updated.Finalizers = slices.DeleteFunc(updated.Finalizers, func(name string) bool { return name == classFinalizer })
	}
	return c.patch(service, updated, "finalizer")
}

func (c *classController) patch(before, after *corev1.Service, what string) error {
	if _, err := servicehelper.PatchService(c.config.Kubernetes.CoreV1(), before, after); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("writing the %s of Service %s/%s: %w", what, before.Namespace, before.Name, err)
	}
	return nil
}
