package loadbalancers

import (
	"context"
	"slices"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	cloudprovider "k8s.io/cloud-provider"
	servicecontroller "k8s.io/cloud-provider/controllers/service"
	controllersmetrics "k8s.io/component-base/metrics/prometheus/controllers"
	"k8s.io/utils/ptr"
)

// cloud is as much of a cloud provider as the service controller asks for.
type cloud struct {
	cloudprovider.Interface
	balancers *LoadBalancers
}

func (c cloud) LoadBalancer() (cloudprovider.LoadBalancer, bool) { return c.balancers, true }
func (c cloud) ProviderName() string                             { return "packet" }

// run starts the service controller of k8s.io/cloud-provider and what the load
// balancers run beside it, until restart or the test's end.
func (w *world) run() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	controller, err := servicecontroller.New(cloud{balancers: w.LoadBalancers}, w.kube,
		w.factory.Core().V1().Services(), w.factory.Core().V1().Nodes(), "test", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	var group sync.WaitGroup
	group.Go(func() { controller.Run(ctx, 2, controllersmetrics.NewControllerManagerMetrics("test")) })
	group.Go(func() {
		if err := w.Run(ctx, 2); err != nil {
			w.t.Errorf("running: %v", err)
		}
	})
	w.stop = func() {
		cancel()
		group.Wait()
	}
}

// settled waits until a Service has an address, and the address is announced.
func (w *world) settled(name string) (address string) {
	w.t.Helper()
	w.until("Service "+name+" has an address", func() bool {
		address = shown(w.live(name))
		return address != ""
	})
	return address
}

func (w *world) goneFromAPI(name string) {
	w.t.Helper()
	w.until("Service "+name+" is gone", func() bool {
		_, err := w.kube.CoreV1().Services(w.namespace).Get(w.t.Context(), name, metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
}

// The life of a Service with the service controller of k8s.io/cloud-provider.
func TestWithTheServiceController(t *testing.T) {
	for _, implementation := range []Implementation{KubeVIP, MetalLB, Empty} {
		t.Run(string(implementation), func(t *testing.T) {
			w := newWorld(t)
			w.configure = append(w.configure, func(c *Config) {
				c.Setting = Setting{Implementation: implementation, MetalLB: MetalLBSetting{Namespace: w.namespace, ConfigMap: "config"}}
			})
			w.restart()
			w.run()
			w.service("web")
			address := w.settled("web")
			if w.live("web").Spec.LoadBalancerIP != address || !slices.Equal(w.elasticAddresses(), []string{address}) {
				t.Errorf("the Service has %s and %s, reserved are %v", address, w.live("web").Spec.LoadBalancerIP, w.elasticAddresses())
			}
			if implementation == MetalLB {
				w.node(0)
				w.until("the new node has its peers", func() bool { return len(w.metalLB(peersResource)) == 2 })
				w.changeNode(0, func(node *corev1.Node) { node.Annotations = peerAnnotations("10.4.4.4", "") })
				w.until("the node's peers have its new address", func() bool {
					return spec(w.metalLB(peersResource)[w.nodeName(0)+"-0"], "sourceAddress") == "10.4.4.4"
				})
			}
			w.change("web", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP })
			w.until("the address is released", func() bool { return len(w.elastic()) == 0 })
			w.until("the Service is clean", func() bool {
				service := w.live("web")
				return shown(service) == "" && service.Spec.LoadBalancerIP == "" && len(service.Finalizers) == 0
			})
			w.change("web", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeLoadBalancer })
			w.settled("web")
			w.deleteService("web")
			w.goneFromAPI("web")
			if left := w.elasticAddresses(); len(left) > 0 {
				t.Errorf("left are %v", left)
			}
			if implementation == MetalLB {
				if left := w.pooled(); len(left) > 0 {
					t.Errorf("pools are left of %v", left)
				}
			}
		})
	}
}

// The service controller leaves Services of a class alone: they are served
// beside it, and those of other classes are not.
func TestLoadBalancerClass(t *testing.T) {
	w := newWorld(t)
	class := func(name string) with {
		return func(s *corev1.Service) { s.Spec.LoadBalancerClass = ptr.To(name) }
	}
	w.configure = append(w.configure, func(c *Config) { c.Class, c.ClassOnly = "example.com/packet", true })
	w.restart()
	w.run()
	w.service("none")
	w.service("theirs", class("example.com/other"), withPort(81))
	w.service("ours", class("example.com/packet"), withPort(82))
	address := w.settled("ours")
	w.deleteService("none")
	w.goneFromAPI("none")
	if reserved := w.elasticAddresses(); !slices.Equal(reserved, []string{address}) || shown(w.live("theirs")) != "" {
		t.Errorf("reserved are %v, the Service has %s", reserved, address)
	}
	w.change("ours", annotated(AnnotationEIPMetro, "sv"))
	w.until("the Service has another address", func() bool {
		now := shown(w.live("ours"))
		return now != address && slices.Equal(w.elasticAddresses(), []string{now})
	})
	w.change("ours", annotated(AnnotationEIPMetro, "s v"))
	w.until("the mistake is told", func() bool {
		reasons := w.reasons()
		return reasons[ReasonInvalidAnnotation] > 0
	})
	w.change("ours", func(s *corev1.Service) {
		s.Spec.Type, s.Spec.LoadBalancerClass, s.Spec.AllocateLoadBalancerNodePorts = corev1.ServiceTypeClusterIP, nil, nil
	})
	w.until("the Service is clean", func() bool {
		service := w.live("ours")
		return shown(service) == "" && service.Spec.LoadBalancerIP == "" && len(service.Finalizers) == 0 && len(w.elastic()) == 0
	})
	w.service("again", class("example.com/packet"), withPort(83))
	w.settled("again")
	w.deleteService("again")
	w.goneFromAPI("again")
	if left := w.elasticAddresses(); len(left) > 0 {
		t.Errorf("left are %v", left)
	}
}
