// Package ccm is the cloud provider "packet" for Kubernetes' cloud controller
// manager: it tells which device a node runs on, what it is like, and whether
// it still exists; it gives Services addresses, and nodes BGP.
//
// It is imported for its side effect, as every cloud provider is:
//
//	import _ "github.com/packetyard/packetyard/internal/ccm"
package ccm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	cloudprovider "k8s.io/cloud-provider"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/klog/v2"

	"github.com/packetyard/packetyard/internal/ccm/bgp"
	"github.com/packetyard/packetyard/internal/ccm/loadbalancers"
	"github.com/packetyard/packetyard/pkg/packet"
)

// ProviderName is the name for --cloud-provider.
const ProviderName = packet.ProviderIDScheme

// equinixProviderName is what later releases of the original were called, so
// that their manifests go on to work.
const equinixProviderName = packet.EquinixProviderIDScheme

func init() {
	for _, name := range []string{ProviderName, equinixProviderName} {
		cloudprovider.RegisterCloudProvider(name, func(config io.Reader) (cloudprovider.Interface, error) {
			ctx, cancel := context.WithTimeout(context.Background(), accountTimeout)
			defer cancel()
			return newCloud(ctx, config, os.Getenv, legacyregistry.Registerer())
		})
	}
}

// cloud implements cloudprovider.Interface.
type cloud struct {
	config  config
	clock   packet.Clock
	api     *packet.Client
	listing deviceListing
	devices *devices
	// checked tells that the API has said that the configuration is right.
	checked bool

	// What follows is there from Initialize and SetInformers on.
	kube          kubernetesAccess
	bgp           *bgp.BGP
	loadBalancers *loadbalancers.LoadBalancers
}

var (
	_ cloudprovider.Interface    = (*cloud)(nil)
	_ cloudprovider.InformerUser = (*cloud)(nil)
)

// newCloud reads the configuration and makes the provider. A configuration
// that is wrong, by itself or by the API's word, is an error that says all of
// it. An API that does not answer is none: a controller manager may start
// before its API.
func newCloud(ctx context.Context, reader io.Reader, getenv func(string) string, registerer prometheus.Registerer) (*cloud, error) {
	file, fileErr := readContent(reader)
	c, err := readConfig(settings{flags: file.flags, getenv: getenv, file: file.bytes})
	if err := errors.Join(fileErr, err); err != nil {
		return nil, fmt.Errorf("the configuration of cloud provider %q is wrong:\n%w", ProviderName, err)
	}
	clock := packet.SystemClock{}
	api, err := newClient(c, file.path, clock, registerer)
	if err != nil {
		return nil, fmt.Errorf("the configuration of cloud provider %q is wrong:\n%w", ProviderName, err)
	}
	err = checkAccount(ctx, api, c)
	if err != nil && refused(err) {
		return nil, fmt.Errorf("the configuration of cloud provider %q is wrong:\n%w", ProviderName, err)
	}
	provider := newCloudForClient(api, c, clock)
	provider.checked = err == nil
	return provider, nil
}

func newCloudForClient(api *packet.Client, c config, clock packet.Clock) *cloud {
	var include []packet.QueryOption
	if c.bgpMode != bgp.ModeOff {
		// For the annotation of the private network.
		include = append(include, packet.Include("ip_addresses.parent_block"))
	}
	listing := newPatientListing(packet.NewDeviceCache(leanLister{api}, c.credentials.ProjectID, packet.DeviceFilter{}, listingTTL, clock, include...), clock)
	return &cloud{
		config:  c,
		clock:   clock,
		api:     api,
		listing: listing,
		devices: &devices{api: api, listing: listing, clock: clock, config: c, notices: newNotices()},
	}
}

// Initialize implements cloudprovider.Interface. The framework calls it once,
// on the leader, before it starts a controller.
func (c *cloud) Initialize(builder cloudprovider.ControllerClientBuilder, stop <-chan struct{}) {
	ctx := wait.ContextForChannel(stop)
	access, err := newKubernetesAccess(ctx, builder)
	if err != nil {
		// The framework gives no way to return it, and nothing works without.
		klog.ErrorS(err, "Cannot make a client of Kubernetes")
		klog.FlushAndExit(klog.ExitFlushTimeout, 1)
	}
	c.kube = access
	c.devices.notices.recordTo(access.recorder)
	c.bgp = bgp.New(bgp.Config{
		API: c.api, ProjectID: c.config.credentials.ProjectID, Devices: c.listing,
		Nodes: access.client.CoreV1().Nodes(), Recorder: access.recorder,
		Annotations: c.config.annotations, Families: c.config.bgpFamilies,
		LocalASN: c.config.localASN, Password: c.config.bgpPassword, Clock: c.clock,
	})
	if !c.checked {
		go c.reportAnswer(ctx)
	}
}

// SetInformers implements cloudprovider.InformerUser. The framework calls it
// between Initialize and the start of the controllers.
func (c *cloud) SetInformers(factory informers.SharedInformerFactory) {
	c.kube.informers = factory
	if err := leanInformers(factory, c.config.loadBalancerSetting.Enabled()); err != nil {
		// It would only take more memory.
		klog.ErrorS(err, "Cannot keep the caches small")
	}
	loadBalancers, err := c.newLoadBalancers()
	if err != nil {
		klog.ErrorS(err, "Cannot make load balancers", "loadbalancer", c.config.loadBalancer)
		klog.FlushAndExit(klog.ExitFlushTimeout, 1)
	}
	c.loadBalancers = loadBalancers
}

// answerRetry is how often an API that did not answer at the start is asked again.
const answerRetry = 30 * time.Second

// reportAnswer puts into the log, in plain words, whether the API answers for
// this project, so that it need not be guessed from what happens to nodes.
func (c *cloud) reportAnswer(ctx context.Context) {
	for ctx.Err() == nil {
		err := checkAccount(ctx, c.api, c.config)
		if err == nil || ctx.Err() != nil {
			return
		}
		klog.ErrorS(err, "Nodes cannot be initialised until the Packet API answers for this project",
			"api", c.api.String(), "project", c.config.credentials.ProjectID)
		if c.clock.Sleep(ctx, answerRetry) != nil {
			return
		}
	}
}

// InstancesV2 implements cloudprovider.Interface.
func (c *cloud) InstancesV2() (cloudprovider.InstancesV2, bool) { return c.devices, true }

// ProviderName implements cloudprovider.Interface.
func (c *cloud) ProviderName() string { return ProviderName }

// HasClusterID implements cloudprovider.Interface. Nothing of ours needs a
// cluster ID, and saying so would demand --allow-untagged-cloud.
func (c *cloud) HasClusterID() bool { return true }

// Instances implements cloudprovider.Interface; InstancesV2 is used instead.
func (c *cloud) Instances() (cloudprovider.Instances, bool) { return nil, false }

// Zones implements cloudprovider.Interface; InstancesV2 is used instead.
func (c *cloud) Zones() (cloudprovider.Zones, bool) { return nil, false }

// Clusters implements cloudprovider.Interface.
func (c *cloud) Clusters() (cloudprovider.Clusters, bool) { return nil, false }

// Routes implements cloudprovider.Interface.
func (c *cloud) Routes() (cloudprovider.Routes, bool) { return nil, false }
