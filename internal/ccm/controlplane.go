package ccm

import (
	"context"
	"fmt"

	cloudprovider "k8s.io/cloud-provider"
	"k8s.io/cloud-provider/app"
	appconfig "k8s.io/cloud-provider/app/config"
	genericapp "k8s.io/controller-manager/app"
	"k8s.io/controller-manager/controller"

	"github.com/packetyard/packetyard/internal/ccm/endpoint"
)

// EndpointController is the name of the controller of the control plane's
// elastic IP, for --controllers.
const EndpointController = "packet-control-plane-endpoint-controller"

// startEndpoint starts the controller of the control plane's elastic IP, if
// its tag is configured.
func startEndpoint(_ app.ControllerInitContext, completed *appconfig.CompletedConfig, provider cloudprovider.Interface) app.InitFunc {
	return func(ctx context.Context, _ genericapp.ControllerContext) (controller.Interface, bool, error) {
		c, err := ours(provider)
		if err != nil || c.config.eipTag == "" {
			return nil, false, err
		}
		endpointController, err := endpoint.New(endpoint.Config{
			API:        c.api,
			ProjectID:  c.config.credentials.ProjectID,
			Tag:        c.config.eipTag,
			Port:       c.config.apiServerPort,
			ProbeNodes: c.config.eipHealthCheckUseHostIP,
			Nodes:      completed.SharedInformers.Core().V1().Nodes(),
			Services:   completed.SharedInformers.Core().V1().Services(),
			Slices:     completed.SharedInformers.Discovery().V1().EndpointSlices(),
			Kubernetes: c.kube.client,
			REST:       c.kube.config,
			Recorder:   c.kube.recorder,
			Clock:      c.clock,
		})
		if err != nil {
			return nil, false, fmt.Errorf("making the controller of the control plane's address: %w", err)
		}
		go endpointController.Run(ctx)
		return nil, true, nil
	}
}
