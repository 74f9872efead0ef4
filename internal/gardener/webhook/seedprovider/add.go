// Package seedprovider changes what gardenlet deploys for Shoots of any type on seeds of type packet: the volumes of their etcds.
package seedprovider

import (
	"fmt"

	druidcorev1alpha1 "github.com/gardener/etcd-druid/api/core/v1alpha1"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	extensionswebhook "github.com/gardener/gardener/extensions/pkg/webhook"
	"github.com/gardener/gardener/extensions/pkg/webhook/controlplane"
	"github.com/gardener/gardener/extensions/pkg/webhook/controlplane/genericmutator"
	"github.com/gardener/gardener/pkg/component/extensions/operatingsystemconfig/original/components/kubelet"
	oscutils "github.com/gardener/gardener/pkg/component/extensions/operatingsystemconfig/utils"

	configv1alpha1 "github.com/packetyard/packetyard/api/config/v1alpha1"
	"github.com/packetyard/packetyard/internal/gardener/account"
)

// Options tell the webhook what it cannot know by itself.
type Options struct {
	// Storage is the volume of the main etcd of each Shoot. What it leaves out, Gardener decides.
	Storage configv1alpha1.ETCDStorage
}

// New makes the webhook "seedprovider". The manager's scheme has to have etcd-druid's types.
func New(mgr manager.Manager, options Options) (*extensionswebhook.Webhook, error) {
	if capacity := options.Storage.Capacity; capacity != nil && capacity.Sign() <= 0 {
		return nil, fmt.Errorf("etcd.storage.capacity of the extension's configuration is %s, but must be more than nothing", capacity)
	}
	contents := oscutils.NewFileContentInlineCodec()
	return controlplane.New(mgr, controlplane.Args{
		Kind:     controlplane.KindSeed,
		Provider: account.Type,
		Types:    []extensionswebhook.Type{{Obj: &druidcorev1alpha1.Etcd{}}},
		Mutator: genericmutator.NewMutator(mgr, &ensurer{Options: options}, oscutils.NewUnitSerializer(), kubelet.NewConfigCodec(contents), contents,
			mgr.GetLogger().WithName("seedprovider-webhook")),
	})
}
