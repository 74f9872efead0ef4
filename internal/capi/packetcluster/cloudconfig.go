package packetcluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	addonsv1 "sigs.k8s.io/cluster-api/api/addons/v1beta2"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/yaml"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
)

// CloudConfigSuffix makes the name of the Secret that carries the cloud controller manager's configuration: the name of
// the Cluster comes first. A ClusterResourceSet puts its content into the workload cluster.
const CloudConfigSuffix = "-packet-cloud-config"

// The Secret in the workload cluster that the cloud controller manager reads.
const (
	cloudConfigNamespace = metav1.NamespaceSystem
	cloudConfigName      = "packet-cloud-config"
	cloudConfigKey       = "cloud-sa.json"
	cloudConfigManifest  = "packet-cloud-config.yaml"
)

// ensureCloudConfig keeps the Secret up to date with the credentials of the cluster.
func (r *Reconciler) ensureCloudConfig(ctx context.Context, s *scope) error {
	manifest, err := cloudConfig(s)
	if err != nil {
		return err
	}
	key := client.ObjectKey{Namespace: s.packetCluster.Namespace, Name: s.clusterName + CloudConfigSuffix}
	existing := &corev1.Secret{}
	err = r.Client.Get(ctx, key, existing)
	switch {
	case apierrors.IsNotFound(err):
		err = r.Client.Create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: key.Namespace,
				Name:      key.Name,
				Labels:    map[string]string{clusterv1.ClusterNameLabel: s.clusterName},
				OwnerReferences: []metav1.OwnerReference{
					*metav1.NewControllerRef(s.packetCluster, infrav1.GroupVersion.WithKind("PacketCluster")),
				},
			},
			Type: addonsv1.ClusterResourceSetSecretType,
			Data: map[string][]byte{cloudConfigManifest: manifest},
		})
	case err != nil:
		return fmt.Errorf("reading Secret %s: %w", key, err)
	case metav1.IsControlledBy(existing, s.packetCluster) && !bytes.Equal(existing.Data[cloudConfigManifest], manifest):
		changed := existing.DeepCopy()
		changed.Data = map[string][]byte{cloudConfigManifest: manifest}
		err = r.Client.Patch(ctx, changed, client.MergeFrom(existing))
	default:
		// It is current, or the user's own.
		return nil
	}
	if err != nil {
		return fmt.Errorf("writing Secret %s: %w", key, err)
	}
	return nil
}

func cloudConfig(s *scope) ([]byte, error) {
	content, err := json.Marshal(s.account.CloudConfig())
	if err != nil {
		return nil, fmt.Errorf("encoding the configuration of the cloud controller manager: %w", err)
	}
	manifest, err := yaml.Marshal(&corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Namespace: cloudConfigNamespace, Name: cloudConfigName},
		Type:       corev1.SecretTypeOpaque,
		Data:       map[string][]byte{cloudConfigKey: content},
	})
	if err != nil {
		return nil, fmt.Errorf("encoding the Secret of the cloud controller manager: %w", err)
	}
	return manifest, nil
}
