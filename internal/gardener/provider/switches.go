package provider

import (
	"context"
	"slices"
	"sync/atomic"

	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cluster"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	extensionscmdcontroller "github.com/gardener/gardener/extensions/pkg/controller/cmd"
	"github.com/gardener/gardener/extensions/pkg/controller/heartbeat"
	extensionswebhook "github.com/gardener/gardener/extensions/pkg/webhook"
	extensionscmdwebhook "github.com/gardener/gardener/extensions/pkg/webhook/cmd"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	gardenerimagevector "github.com/gardener/gardener/pkg/utils/imagevector"

	"github.com/packetyard/packetyard/internal/gardener/bastion"
	"github.com/packetyard/packetyard/internal/gardener/controlplane"
	"github.com/packetyard/packetyard/internal/gardener/healthcheck"
	"github.com/packetyard/packetyard/internal/gardener/imagevector"
	"github.com/packetyard/packetyard/internal/gardener/infrastructure"
	"github.com/packetyard/packetyard/internal/gardener/webhook/cloudprovider"
	controlplanewebhook "github.com/packetyard/packetyard/internal/gardener/webhook/controlplane"
	"github.com/packetyard/packetyard/internal/gardener/webhook/seedprovider"
	"github.com/packetyard/packetyard/internal/gardener/webhook/shoot"
	"github.com/packetyard/packetyard/internal/gardener/worker"
)

// machineDriver is the name of the driver's image in the image vector.
const machineDriver = "machine-controller-manager-provider-packet"

// running is what controllers and webhooks are given once the manager exists.
type running struct {
	images gardenerimagevector.ImageVector
	// garden is nil where gardenlet gives no access to it.
	garden        cluster.Cluster
	shootWebhooks *atomic.Value
}

// controllerSwitches are the controllers by the names that --controllers and --disable-controllers know.
func (p *program) controllerSwitches() *extensionscmdcontroller.SwitchOptions {
	return extensionscmdcontroller.NewSwitchOptions(
		extensionscmdcontroller.Switch("bastion", func(ctx context.Context, mgr manager.Manager) error {
			return bastion.AddToManager(ctx, mgr, bastion.AddOptions{
				Controller: options(p.bastion), IgnoreOperationAnnotation: p.ignoreOperationAnnotation(), ExtensionClasses: p.classes(),
				APIURL: p.config.Packet.APIURL,
			})
		}),
		extensionscmdcontroller.Switch("controlplane", func(ctx context.Context, mgr manager.Manager) error {
			return controlplane.AddToManager(ctx, mgr, controlplane.AddOptions{
				Controller: options(p.controlPlane), IgnoreOperationAnnotation: p.ignoreOperationAnnotation(), ExtensionClasses: p.classes(),
				APIURL: p.config.Packet.APIURL, ImageVector: p.run.images,
				ShootWebhookConfig: p.run.shootWebhooks, WebhookServerNamespace: p.webhooks.Server.Namespace,
			})
		}),
		extensionscmdcontroller.Switch("healthcheck", func(ctx context.Context, mgr manager.Manager) error {
			return healthcheck.AddToManager(ctx, mgr, healthcheck.AddOptions{
				Controller: options(p.health), ExtensionClasses: p.classes(), Config: p.config.HealthCheckConfig,
			})
		}),
		extensionscmdcontroller.Switch("heartbeat", func(_ context.Context, mgr manager.Manager) error {
			beat := p.heartbeat.Completed()
			return heartbeat.Add(mgr, heartbeat.AddArgs{
				ExtensionName: beat.ExtensionName, Namespace: beat.Namespace, RenewIntervalSeconds: beat.RenewIntervalSeconds, Clock: clock.RealClock{},
			})
		}),
		extensionscmdcontroller.Switch("infrastructure", func(ctx context.Context, mgr manager.Manager) error {
			return infrastructure.AddToManager(ctx, mgr, infrastructure.AddOptions{
				Controller: options(p.infrastructure), IgnoreOperationAnnotation: p.ignoreOperationAnnotation(), ExtensionClasses: p.classes(),
				APIURL: p.config.Packet.APIURL,
			})
		}),
		extensionscmdcontroller.Switch("worker", func(ctx context.Context, mgr manager.Manager) error {
			return worker.AddToManager(ctx, mgr, worker.AddOptions{
				Controller: options(p.worker), IgnoreOperationAnnotation: p.ignoreOperationAnnotation(), ExtensionClasses: p.classes(),
				APIURL: p.config.Packet.APIURL, GardenCluster: p.run.garden,
				SelfHostedShootCluster: p.general.Completed().SelfHostedShootCluster,
			})
		}),
	)
}

// webhookSwitches are the webhooks by the names that --disable-webhooks knows.
func (p *program) webhookSwitches() *extensionscmdwebhook.SwitchOptions {
	return extensionscmdwebhook.NewSwitchOptions(
		extensionscmdwebhook.Switch("cloudprovider", func(mgr manager.Manager) (*extensionswebhook.Webhook, error) {
			return cloudprovider.New(mgr, cloudprovider.Options{APIURL: p.config.Packet.APIURL})
		}),
		extensionscmdwebhook.Switch("controlplane", func(mgr manager.Manager) (*extensionswebhook.Webhook, error) {
			image, err := imagevector.Find(p.run.images, machineDriver)
			if err != nil {
				return nil, err
			}
			return controlplanewebhook.New(mgr, controlplanewebhook.Options{MachineDriverImage: image, MetadataURL: p.config.Packet.MetadataURL})
		}),
		extensionscmdwebhook.Switch("controlplaneexposure", func(mgr manager.Manager) (*extensionswebhook.Webhook, error) {
			return seedprovider.New(mgr, seedprovider.Options{Storage: p.config.ETCD.Storage})
		}),
		extensionscmdwebhook.Switch(controlplanewebhook.ResourceManagerName, controlplanewebhook.NewResourceManager),
		extensionscmdwebhook.Switch("shoot", func(mgr manager.Manager) (*extensionswebhook.Webhook, error) {
			return shoot.New(mgr, shoot.Options{})
		}),
	)
}

func options(flags *extensionscmdcontroller.ControllerOptions) controller.Options {
	return flags.Completed().Options()
}

func (p *program) ignoreOperationAnnotation() bool {
	return p.reconciler.Completed().IgnoreOperationAnnotation
}

// classes are the classes of resources that this deployment of the extension is for. Each controller gets a slice of its own.
func (p *program) classes() []extensionsv1alpha1.ExtensionClass {
	return slices.Clone(p.general.Completed().ExtensionClasses)
}
