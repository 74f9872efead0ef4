package ccm

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/dynamic"
	cloudprovider "k8s.io/cloud-provider"
	"k8s.io/cloud-provider/app"
	appconfig "k8s.io/cloud-provider/app/config"
	genericapp "k8s.io/controller-manager/app"
	"k8s.io/controller-manager/controller"
	"k8s.io/klog/v2"

	"github.com/packetyard/packetyard/internal/ccm/loadbalancers"
)

// LoadBalancerController is the name of the controller of what the framework's
// controller of services leaves undone, for --controllers.
const LoadBalancerController = "packet-load-balancer-controller"

// loadBalancerSetting is the setting as it was read.
type loadBalancerSetting = loadbalancers.Setting

// setLoadBalancer takes the load balancer setting.
func setLoadBalancer(c *config, value string) error {
	setting, err := loadbalancers.ParseSetting(value)
	if err != nil {
		return err
	}
	c.loadBalancer, c.loadBalancerSetting = value, setting
	return nil
}

// setLoadBalancerClass takes the class of Services to serve.
func setLoadBalancerClass(c *config, value string) error {
	if problems := validation.IsQualifiedName(value); len(problems) > 0 {
		return fmt.Errorf("is %q, allowed is a label-style name such as packet.example.com/elastic-ip: %v", value, problems)
	}
	c.loadBalancerClass = value
	return nil
}

// newLoadBalancers makes the load balancers, nil if none are configured.
func (c *cloud) newLoadBalancers() (*loadbalancers.LoadBalancers, error) {
	if !c.config.loadBalancerSetting.Enabled() {
		return nil, nil
	}
	resources, err := dynamic.NewForConfig(c.kube.config)
	if err != nil {
		return nil, fmt.Errorf("making a client of Kubernetes for custom resources: %w", err)
	}
	return loadbalancers.New(loadbalancers.Config{
		API:        c.api,
		ProjectID:  c.config.credentials.ProjectID,
		Kubernetes: c.kube.client,
		Dynamic:    resources,
		Services:   c.kube.informers.Core().V1().Services(),
		Nodes:      c.kube.informers.Core().V1().Nodes(),
		Recorder:   c.kube.recorder,
		BGP:        c.bgp,
		Setting:    c.config.loadBalancerSetting,
		Class:      c.config.loadBalancerClass,
		ClassOnly:  c.config.loadBalancerClassOnly,
		Metro:      c.config.metro,
		Facility:   c.config.facility,
		Annotations: loadbalancers.Annotations{
			EIPMetro: c.config.annotationEIPMetro, EIPFacility: c.config.annotationEIPFacility,
		},
		NodeSelector: c.config.bgpNodeSelector,
		Clock:        c.clock,
	})
}

// LoadBalancer implements cloudprovider.Interface. Without a setting there is
// none, rather than one that is nil.
func (c *cloud) LoadBalancer() (cloudprovider.LoadBalancer, bool) {
	if c.loadBalancers == nil {
		return nil, false
	}
	return c.loadBalancers, true
}

// wantsLoadBalancer tells whether a Service is one for this provider's load
// balancers.
func (c config) wantsLoadBalancer(service *corev1.Service) bool {
	switch {
	case service.Spec.Type != corev1.ServiceTypeLoadBalancer:
		return false
	case service.Spec.LoadBalancerClass == nil:
		return !c.loadBalancerClassOnly
	}
	return c.loadBalancerClass != "" && *service.Spec.LoadBalancerClass == c.loadBalancerClass
}

// onlyWithLoadBalancers skips the framework's controller of services where
// there are no load balancers, which it would call an error.
func onlyWithLoadBalancers(start app.InitFuncConstructor) app.InitFuncConstructor {
	return func(initContext app.ControllerInitContext, completed *appconfig.CompletedConfig, provider cloudprovider.Interface) app.InitFunc {
		start := start(initContext, completed, provider)
		return func(ctx context.Context, controllerContext genericapp.ControllerContext) (controller.Interface, bool, error) {
			if _, supported := provider.LoadBalancer(); !supported {
				klog.InfoS("No load balancers are configured, so that services are left alone")
				return nil, false, nil
			}
			return start(ctx, controllerContext)
		}
	}
}

// startLoadBalancers starts what the framework's controller leaves undone.
func startLoadBalancers(_ app.ControllerInitContext, completed *appconfig.CompletedConfig, provider cloudprovider.Interface) app.InitFunc {
	return func(ctx context.Context, _ genericapp.ControllerContext) (controller.Interface, bool, error) {
		c, err := ours(provider)
		if err != nil || c.loadBalancers == nil {
			return nil, false, err
		}
		workers := int(completed.ComponentConfig.ServiceController.ConcurrentServiceSyncs)
		go func() {
			if err := c.loadBalancers.Run(ctx, workers); err != nil {
				// It is the start that failed, and it would fail again and again.
				klog.ErrorS(err, "Cannot run the load balancers")
				klog.FlushAndExit(klog.ExitFlushTimeout, 1)
			}
		}()
		return nil, true, nil
	}
}
