package ccm

import (
	"context"
	"fmt"
	"maps"

	cloudprovider "k8s.io/cloud-provider"
	"k8s.io/cloud-provider/app"
	appconfig "k8s.io/cloud-provider/app/config"
	"k8s.io/cloud-provider/names"
	genericapp "k8s.io/controller-manager/app"
	"k8s.io/controller-manager/controller"

	"github.com/packetyard/packetyard/internal/ccm/bgp"
)

// BGPController is the name of the controller of nodes' BGP, for --controllers.
const BGPController = "packet-bgp-controller"

// Controllers are those of the framework and those of this provider, by their
// names. They are started by the framework, on the leader, and can be switched
// off by --controllers.
func Controllers() map[string]app.ControllerInitFuncConstructor {
	controllers := maps.Clone(app.DefaultInitFuncConstructors)
	services := controllers[names.ServiceLBController]
	services.Constructor = onlyWithLoadBalancers(services.Constructor)
	controllers[names.ServiceLBController] = services
	for name, start := range map[string]app.InitFuncConstructor{
		BGPController:          startBGP,
		LoadBalancerController: startLoadBalancers,
		EndpointController:     startEndpoint,
	} {
		controllers[name] = app.ControllerInitFuncConstructor{InitContext: app.ControllerInitContext{ClientName: name}, Constructor: start}
	}
	return controllers
}

// ours is the provider that the framework hands a controller of this package.
func ours(provider cloudprovider.Interface) (*cloud, error) {
	c, ok := provider.(*cloud)
	if !ok {
		return nil, fmt.Errorf("the cloud provider is a %T, and not of this package", provider)
	}
	return c, nil
}

func startBGP(_ app.ControllerInitContext, completed *appconfig.CompletedConfig, provider cloudprovider.Interface) app.InitFunc {
	return func(ctx context.Context, _ genericapp.ControllerContext) (controller.Interface, bool, error) {
		c, err := ours(provider)
		if err != nil {
			return nil, false, err
		}
		bgpConfig := bgp.ControllerConfig{
			BGP: c.bgp, Mode: c.config.bgpMode, Selector: c.config.bgpNodeSelector,
			Nodes: completed.SharedInformers.Core().V1().Nodes(), Wants: c.config.wantsLoadBalancer,
		}
		if bgpConfig.Mode == bgp.ModeServices {
			// Only then, because to watch services takes the right to.
			bgpConfig.Services = completed.SharedInformers.Core().V1().Services()
		}
		bgpController, err := bgp.NewController(bgpConfig)
		if err != nil {
			return nil, false, err
		}
		go bgpController.Run(ctx)
		return nil, true, nil
	}
}
