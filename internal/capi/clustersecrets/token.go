package clustersecrets

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"
	bootstraputil "k8s.io/cluster-bootstrap/token/util"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// TokenSuffix makes the name of the Secret with the kubeadm token of a cluster: the name of the Cluster comes first.
const TokenSuffix = "-kubeadm-token"

// Keys of that Secret: the token as kubeadm takes it, and the manifest of the Secret that makes it known to the cluster's API
// server, which the user data of the first master brings along.
const (
	KeyToken    = "token"
	KeyManifest = "bootstrap-token.yaml"
)

// nodeGroup is what kubeadm lets join: its clusters have a role binding for it.
const nodeGroup = "system:bootstrappers:kubeadm:default-node-token"

// ensureToken makes the token, once: it is for the cluster's first minutes. Machines that come later get tokens of their own
// from the bootstrap provider. made tells whether it was made now.
func (r *Reconciler) ensureToken(ctx context.Context, cluster *clusterv1.Cluster) (made bool, _ error) {
	key := client.ObjectKey{Namespace: cluster.Namespace, Name: cluster.Name + TokenSuffix}
	switch err := r.Client.Get(ctx, key, &corev1.Secret{}); {
	case err == nil:
		return false, nil
	case !apierrors.IsNotFound(err):
		return false, fmt.Errorf("reading Secret %s: %w", key, err)
	}
	token, err := bootstraputil.GenerateBootstrapToken()
	if err != nil {
		return false, fmt.Errorf("making a kubeadm token: %w", err)
	}
	manifest, err := tokenManifest(token, r.Now().Add(r.TokenTTL))
	if err != nil {
		return false, err
	}
	err = r.Client.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:       key.Namespace,
			Name:            key.Name,
			Labels:          map[string]string{clusterv1.ClusterNameLabel: cluster.Name},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(cluster, clusterv1.GroupVersion.WithKind("Cluster"))},
		},
		Type: clusterv1.ClusterSecretType,
		Data: map[string][]byte{KeyToken: []byte(token), KeyManifest: manifest},
	})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return false, fmt.Errorf("writing Secret %s: %w", key, err)
	}
	return err == nil, nil
}

// tokenManifest is the Secret that a cluster's API server knows a token by; see
// https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/.
func tokenManifest(token string, expires time.Time) ([]byte, error) {
	id, secret, _ := strings.Cut(token, ".")
	manifest, err := yaml.Marshal(&corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: bootstraputil.BootstrapTokenSecretName(id)},
		Type:       bootstrapapi.SecretTypeBootstrapToken,
		StringData: map[string]string{
			bootstrapapi.BootstrapTokenIDKey:               id,
			bootstrapapi.BootstrapTokenSecretKey:           secret,
			bootstrapapi.BootstrapTokenExpirationKey:       expires.UTC().Format(time.RFC3339),
			bootstrapapi.BootstrapTokenUsageAuthentication: "true",
			bootstrapapi.BootstrapTokenUsageSigningKey:     "true",
			bootstrapapi.BootstrapTokenExtraGroupsKey:      nodeGroup,
			bootstrapapi.BootstrapTokenDescriptionKey:      "made when the Cluster was created",
		},
	})
	if err != nil {
		return nil, fmt.Errorf("encoding the manifest of the kubeadm token: %w", err)
	}
	return manifest, nil
}
