// Package controlplane changes what gardenlet deploys for the control plane and the machines of a Shoot of type packet, by
// mutating webhooks in the seed.
package controlplane

import (
	"errors"
	"fmt"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	vpaautoscalingv1 "k8s.io/autoscaler/vertical-pod-autoscaler/pkg/apis/autoscaling.k8s.io/v1"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	extensionswebhook "github.com/gardener/gardener/extensions/pkg/webhook"
	"github.com/gardener/gardener/extensions/pkg/webhook/controlplane"
	"github.com/gardener/gardener/extensions/pkg/webhook/controlplane/genericmutator"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	"github.com/gardener/gardener/pkg/component/extensions/operatingsystemconfig/original/components/kubelet"
	oscutils "github.com/gardener/gardener/pkg/component/extensions/operatingsystemconfig/utils"

	"github.com/packetyard/packetyard/internal/gardener/account"
)

// Options tell the webhook what it cannot know by itself.
type Options struct {
	// MachineDriverImage is the reference of the image of machine-controller-manager-provider-packet. It has to be set.
	MachineDriverImage string
	// MetadataURL is where machines find the metadata service, if their CloudProfile does not say so. Empty means
	// http://metadata.packet.net.
	MetadataURL string
}

// New makes the webhook "controlplane". It sees the Deployments, StatefulSets, VerticalPodAutoscalers and
// OperatingSystemConfigs that gardenlet labels for such webhooks, in the namespaces of Shoots of type packet.
func New(mgr manager.Manager, options Options) (*extensionswebhook.Webhook, error) {
	mutator, err := newMutator(mgr, options)
	if err != nil {
		return nil, fmt.Errorf("making the webhook for control planes: %w", err)
	}
	return controlplane.New(mgr, controlplane.Args{
		Kind:     controlplane.KindShoot,
		Provider: account.Type,
		// The VPN server is a StatefulSet where the Shoot's control plane is highly available.
		Types: []extensionswebhook.Type{
			{Obj: &appsv1.Deployment{}},
			{Obj: &appsv1.StatefulSet{}},
			{Obj: &vpaautoscalingv1.VerticalPodAutoscaler{}},
			{Obj: &extensionsv1alpha1.OperatingSystemConfig{}},
		},
		ObjectSelector: &metav1.LabelSelector{MatchLabels: map[string]string{v1beta1constants.LabelExtensionProviderMutatedByControlplaneWebhook: "true"}},
		Mutator:        mutator,
	})
}

func newMutator(mgr manager.Manager, options Options) (*mutator, error) {
	if options.MachineDriverImage == "" {
		return nil, errors.New("nobody says what the image of the machine driver is")
	}
	if options.MetadataURL == "" {
		options.MetadataURL = defaultMetadataURL
	}
	if err := checkMetadataURL(options.MetadataURL); err != nil {
		return nil, fmt.Errorf("packet.metadataURL of the extension's configuration: %w", err)
	}
	contents := oscutils.NewFileContentInlineCodec()
	return &mutator{
		components: generic(mgr, &ensurer{Options: options}, mgr.GetLogger().WithName("controlplane-webhook")),
		reader:     mgr.GetClient(),
		contents:   contents,
		Options:    options,
	}, nil
}

// generic is the library's mutator, which knows the objects by their names.
func generic(mgr manager.Manager, ensurer genericmutator.Ensurer, logger logr.Logger) extensionswebhook.Mutator {
	contents := oscutils.NewFileContentInlineCodec()
	return genericmutator.NewMutator(mgr, ensurer, oscutils.NewUnitSerializer(), kubelet.NewConfigCodec(contents), contents, logger)
}
