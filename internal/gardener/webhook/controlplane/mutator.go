package controlplane

import (
	"context"
	"fmt"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	extensionscontroller "github.com/gardener/gardener/extensions/pkg/controller"
	extensionswebhook "github.com/gardener/gardener/extensions/pkg/webhook"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	oscutils "github.com/gardener/gardener/pkg/component/extensions/operatingsystemconfig/utils"
	extensionslibrary "github.com/gardener/gardener/pkg/extensions"

	"github.com/packetyard/packetyard/internal/gardener/decode"
)

// mutator adds to the library's one, which does not tell an ensurer of which worker pool an OperatingSystemConfig is.
type mutator struct {
	Options
	components extensionswebhook.Mutator
	reader     client.Reader
	contents   oscutils.FileContentInlineCodec
}

// Mutate changes an object. Done twice it is the same as done once: gardenlet writes what it wants over what is there, each time.
func (m *mutator) Mutate(ctx context.Context, object, old client.Object) error {
	if object.GetDeletionTimestamp() != nil {
		return nil
	}
	if err := m.components.Mutate(ctx, object, old); err != nil {
		return err
	}
	config, is := object.(*extensionsv1alpha1.OperatingSystemConfig)
	if !is {
		return nil
	}
	cluster, err := extensionslibrary.GetCluster(ctx, m.reader, config.Namespace)
	if err != nil {
		return fmt.Errorf("reading of which Shoot the OperatingSystemConfig %s/%s is: %w", config.Namespace, config.Name, err)
	}
	switch config.Spec.Purpose {
	case extensionsv1alpha1.OperatingSystemConfigPurposeProvision:
		return m.addDataVolumes(&config.Spec, poolOf(config, cluster.Shoot))
	case extensionsv1alpha1.OperatingSystemConfigPurposeReconcile:
		metadataURL, err := m.metadataURL(cluster)
		if err != nil {
			return err
		}
		return m.addPeerRoutes(&config.Spec, metadataURL)
	default:
		return nil
	}
}

// poolOf is the worker pool that an OperatingSystemConfig is for, nil if it is gone from the Shoot.
func poolOf(config *extensionsv1alpha1.OperatingSystemConfig, shoot *gardencorev1beta1.Shoot) *gardencorev1beta1.Worker {
	if shoot == nil {
		return nil
	}
	pools := shoot.Spec.Provider.Workers
	i := slices.IndexFunc(pools, func(pool gardencorev1beta1.Worker) bool {
		return pool.Name == config.Labels[v1beta1constants.LabelWorkerPool]
	})
	if i < 0 {
		return nil
	}
	return &pools[i]
}

// metadataURL is where the machines of a Shoot find the metadata service.
func (m *mutator) metadataURL(cluster *extensionscontroller.Cluster) (string, error) {
	if cluster.CloudProfile == nil {
		return m.MetadataURL, nil
	}
	profile, err := decode.CloudProfileConfig(cluster.CloudProfile.Spec.ProviderConfig)
	if err != nil {
		return "", fmt.Errorf("reading the providerConfig of the CloudProfile %s: %w", cluster.CloudProfile.Name, err)
	}
	if profile.MetadataURL == nil || *profile.MetadataURL == "" {
		return m.MetadataURL, nil
	}
	if err := checkMetadataURL(*profile.MetadataURL); err != nil {
		return "", fmt.Errorf("spec.providerConfig.metadataURL of the CloudProfile %s: %w", cluster.CloudProfile.Name, err)
	}
	return *profile.MetadataURL, nil
}

// script is a file that can be executed.
func (m *mutator) script(path, text string) (extensionsv1alpha1.File, error) {
	inline, err := m.contents.Encode([]byte(text), string(extensionsv1alpha1.B64FileCodecID))
	if err != nil {
		return extensionsv1alpha1.File{}, fmt.Errorf("encoding %s: %w", path, err)
	}
	permissions := uint32(0o755)
	return extensionsv1alpha1.File{Path: path, Permissions: &permissions, Content: extensionsv1alpha1.FileContent{Inline: inline}}, nil
}
