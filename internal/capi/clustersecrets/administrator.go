package clustersecrets

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	bootstrapv1 "sigs.k8s.io/cluster-api/api/bootstrap/kubeadm/v1beta2"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util/certs"
	"sigs.k8s.io/cluster-api/util/kubeconfig"
	"sigs.k8s.io/cluster-api/util/secret"
)

// AdministratorSuffix makes the name of the Secret with the administrator's certificate of a cluster that has no address yet:
// the name of the Cluster comes first. As soon as there is an address, the certificate is in the kubeconfig, and only there.
const AdministratorSuffix = "-admin"

// keyAuthority is the key of the authority's certificate in that Secret, beside those of a TLS Secret.
const keyAuthority = "ca.crt"

// ensureAdministrator makes the administrator's certificate, and the kubeconfig out of it when the cluster has an address.
func (r *Reconciler) ensureAdministrator(
	ctx context.Context, cluster *clusterv1.Cluster, authority *secret.Certificate, owner metav1.OwnerReference, algorithm bootstrapv1.EncryptionAlgorithmType,
) error {
	key := client.ObjectKey{Namespace: cluster.Namespace, Name: cluster.Name + AdministratorSuffix}
	existing, err := secret.Get(ctx, r.Client, client.ObjectKeyFromObject(cluster), secret.Kubeconfig)
	switch {
	case err == nil:
		if err := r.renew(ctx, cluster, existing, algorithm); err != nil {
			return err
		}
		return r.drop(ctx, cluster, key)
	case !apierrors.IsNotFound(err):
		return fmt.Errorf("reading the kubeconfig of the cluster: %w", err)
	}
	administrator, err := r.administrator(ctx, cluster, key, authority, algorithm)
	if err != nil || !cluster.Spec.ControlPlaneEndpoint.IsValid() {
		return err
	}
	config, err := kubeconfigOf(cluster, administrator)
	if err != nil {
		return err
	}
	err = r.Client.Create(ctx, kubeconfig.GenerateSecretWithOwner(client.ObjectKeyFromObject(cluster), config, owner))
	// Cluster API's providers make a kubeconfig at the same moment, with a certificate of their own: either will do.
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("writing the kubeconfig of the cluster: %w", err)
	}
	return r.drop(ctx, cluster, key)
}

// administrator reads or makes the Secret with the certificate.
func (r *Reconciler) administrator(
	ctx context.Context, cluster *clusterv1.Cluster, key client.ObjectKey, authority *secret.Certificate, algorithm bootstrapv1.EncryptionAlgorithmType,
) (*corev1.Secret, error) {
	found := &corev1.Secret{}
	if err := r.Client.Get(ctx, key, found); err == nil {
		return found, nil
	} else if !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("reading Secret %s: %w", key, err)
	}
	if authority.KeyPair == nil || len(authority.KeyPair.Key) == 0 {
		// The user brought an authority and kept its key: then the kubeconfig is the user's to make too.
		return nil, fmt.Errorf("making the administrator's certificate: Secret %s has no %s: create Secret %s with a kubeconfig, or add the key",
			secret.Name(cluster.Name, secret.ClusterCA), secret.TLSKeyDataName, secret.Name(cluster.Name, secret.Kubeconfig))
	}
	certificate, err := certs.DecodeCertPEM(authority.KeyPair.Cert)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate authority of the cluster: %w", err)
	}
	signer, err := certs.DecodePrivateKeyPEM(authority.KeyPair.Key)
	if err != nil {
		return nil, fmt.Errorf("reading the key of the certificate authority of the cluster: %w", err)
	}
	config, err := kubeconfig.New(cluster.Name, "", certificate, signer, kubeconfig.KeyEncryptionAlgorithm(algorithm))
	if err != nil {
		return nil, fmt.Errorf("making the administrator's certificate: %w", err)
	}
	made := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:       key.Namespace,
			Name:            key.Name,
			Labels:          map[string]string{clusterv1.ClusterNameLabel: cluster.Name},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(cluster, clusterv1.GroupVersion.WithKind("Cluster"))},
		},
		Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{keyAuthority: authority.KeyPair.Cert},
	}
	for _, user := range config.AuthInfos {
		made.Data[corev1.TLSCertKey], made.Data[corev1.TLSPrivateKeyKey] = user.ClientCertificateData, user.ClientKeyData
	}
	if err := r.Client.Create(ctx, made); err != nil {
		return nil, fmt.Errorf("writing Secret %s: %w", key, err)
	}
	return made, nil
}

// kubeconfigOf is a kubeconfig with the administrator's certificate and the address of the cluster.
func kubeconfigOf(cluster *clusterv1.Cluster, administrator *corev1.Secret) ([]byte, error) {
	user := cluster.Name + "-admin"
	config := clientcmdapi.NewConfig()
	config.Clusters[cluster.Name] = &clientcmdapi.Cluster{
		Server: "https://" + cluster.Spec.ControlPlaneEndpoint.String(), CertificateAuthorityData: administrator.Data[keyAuthority],
	}
	config.AuthInfos[user] = &clientcmdapi.AuthInfo{
		ClientCertificateData: administrator.Data[corev1.TLSCertKey], ClientKeyData: administrator.Data[corev1.TLSPrivateKeyKey],
	}
	config.CurrentContext = user + "@" + cluster.Name
	config.Contexts[config.CurrentContext] = &clientcmdapi.Context{Cluster: cluster.Name, AuthInfo: user}
	content, err := clientcmd.Write(*config)
	if err != nil {
		return nil, fmt.Errorf("encoding the kubeconfig of the cluster: %w", err)
	}
	return content, nil
}

// renew makes a new certificate when half of the old one's year is over, if the Cluster owns the kubeconfig. A
// KubeadmControlPlane renews its own; without one nobody else would, and the kubeconfig would end.
func (r *Reconciler) renew(ctx context.Context, cluster *clusterv1.Cluster, existing *corev1.Secret, algorithm bootstrapv1.EncryptionAlgorithmType) error {
	owned := false
	for _, owner := range existing.OwnerReferences {
		owned = owned || owner.UID == cluster.UID
	}
	if !owned || existing.Type != clusterv1.ClusterSecretType {
		return nil
	}
	due, err := kubeconfig.NeedsClientCertRotation(existing, certs.ClientCertificateRenewalDuration)
	if err != nil {
		return fmt.Errorf("reading the certificate in the kubeconfig of the cluster: %w", err)
	}
	if !due {
		return nil
	}
	if err := kubeconfig.RegenerateSecret(ctx, r.Client, existing, kubeconfig.KeyEncryptionAlgorithm(algorithm)); err != nil {
		return fmt.Errorf("renewing the kubeconfig of the cluster: %w", err)
	}
	ctrl.LoggerFrom(ctx).Info("Renewed the administrator's certificate in the kubeconfig")
	return nil
}

// drop takes the certificate's own Secret away, if it is ours.
func (r *Reconciler) drop(ctx context.Context, cluster *clusterv1.Cluster, key client.ObjectKey) error {
	found := &corev1.Secret{}
	if err := r.Client.Get(ctx, key, found); apierrors.IsNotFound(err) {
		return nil
	} else if err != nil {
		return fmt.Errorf("reading Secret %s: %w", key, err)
	}
	if !metav1.IsControlledBy(found, cluster) {
		return nil
	}
	if err := client.IgnoreNotFound(r.Client.Delete(ctx, found)); err != nil {
		return fmt.Errorf("deleting Secret %s, whose content is in the kubeconfig: %w", key, err)
	}
	return nil
}
