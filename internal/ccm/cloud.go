// Package ccm is the cloud provider "packet" for Kubernetes' cloud controller
// manager: it tells which device a node runs on, what it is like, and whether
// it still exists.
//
// It is imported for its side effect, as every cloud provider is:
//
//	import _ "github.com/packetyard/packetyard/internal/ccm"
package ccm

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/util/wait"
	cloudprovider "k8s.io/cloud-provider"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/klog/v2"

	"github.com/packetyard/packetyard/pkg/packet"
)

// ProviderName is the name for --cloud-provider.
const ProviderName = packet.ProviderIDScheme

// equinixProviderName is what later releases of the original were called, so
// that their manifests go on to work.
const equinixProviderName = packet.EquinixProviderIDScheme

// listingTTL is for how long one listing of the project answers for all nodes.
// Nodes that are not ready are looked at every 5 s: whatever their number,
// that is one listing in this time. It is also how late a device's power
// state is seen at most.
const listingTTL = 10 * time.Second

func init() {
	for _, name := range []string{ProviderName, equinixProviderName} {
		cloudprovider.RegisterCloudProvider(name, func(config io.Reader) (cloudprovider.Interface, error) {
			return newCloud(config, os.Getenv, legacyregistry.Registerer())
		})
	}
}

// cloud implements cloudprovider.Interface.
type cloud struct {
	api       *packet.Client
	projectID string
	devices   *devices
}

var _ cloudprovider.Interface = (*cloud)(nil)

// newCloud reads the configuration and makes the provider. Nothing is sent to
// the API yet, so that a controller manager that starts before its API does
// not fail.
func newCloud(file io.Reader, getenv func(string) string, registerer prometheus.Registerer) (*cloud, error) {
	config, err := readConfig(file, getenv)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration of cloud provider %q: %w", ProviderName, err)
	}
	for _, key := range config.unused {
		klog.InfoS("The cloud configuration has a key that this version does not use", "key", key)
	}
	api, err := packet.NewClient(packet.Config{
		BaseURL:    config.credentials.APIURL,
		Token:      config.credentials.APIToken,
		UserAgent:  "packet-cloud-controller-manager",
		Registerer: registerer,
		Logger:     slog.New(logr.ToSlogHandler(klog.Background())),
	})
	if err != nil {
		return nil, err
	}
	return newCloudForClient(api, config.credentials.ProjectID, packet.SystemClock{}), nil
}

func newCloudForClient(api *packet.Client, projectID string, clock packet.Clock) *cloud {
	return &cloud{
		api:       api,
		projectID: projectID,
		devices: &devices{
			api:     api,
			listing: packet.NewDeviceCache(api, projectID, packet.DeviceFilter{}, listingTTL, clock),
		},
	}
}

// Initialize implements cloudprovider.Interface. It asks for the project once,
// so that a wrong URL, token or project is in the log at once and in plain
// words, rather than once per node.
func (c *cloud) Initialize(_ cloudprovider.ControllerClientBuilder, stop <-chan struct{}) {
	ctx := wait.ContextForChannel(stop)
	go func() {
		if err := c.checkProject(ctx); err != nil && ctx.Err() == nil {
			klog.ErrorS(err, "Nodes cannot be initialised until the Packet API answers for this project",
				"api", c.api.String(), "project", c.projectID)
		}
	}()
}

func (c *cloud) checkProject(ctx context.Context) error {
	project, err := c.api.Project(ctx, c.projectID)
	if err != nil {
		return fmt.Errorf("reading project %s: %w", c.projectID, err)
	}
	klog.InfoS("The Packet API answers", "api", c.api.String(), "project", c.projectID, "name", project.Name)
	return nil
}

// InstancesV2 implements cloudprovider.Interface.
func (c *cloud) InstancesV2() (cloudprovider.InstancesV2, bool) { return c.devices, true }

// ProviderName implements cloudprovider.Interface.
func (c *cloud) ProviderName() string { return ProviderName }

// HasClusterID implements cloudprovider.Interface. Nothing of ours needs a
// cluster ID, and saying so would demand --allow-untagged-cloud.
func (c *cloud) HasClusterID() bool { return true }

// LoadBalancer implements cloudprovider.Interface.
func (c *cloud) LoadBalancer() (cloudprovider.LoadBalancer, bool) { return nil, false }

// Instances implements cloudprovider.Interface; InstancesV2 is used instead.
func (c *cloud) Instances() (cloudprovider.Instances, bool) { return nil, false }

// Zones implements cloudprovider.Interface; InstancesV2 is used instead.
func (c *cloud) Zones() (cloudprovider.Zones, bool) { return nil, false }

// Clusters implements cloudprovider.Interface.
func (c *cloud) Clusters() (cloudprovider.Clusters, bool) { return nil, false }

// Routes implements cloudprovider.Interface.
func (c *cloud) Routes() (cloudprovider.Routes, bool) { return nil, false }
