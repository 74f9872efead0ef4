package controlplane

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	extensionssecretsmanager "github.com/gardener/gardener/extensions/pkg/util/secret/manager"
	gardenerutils "github.com/gardener/gardener/pkg/utils/gardener"
	kubernetesutils "github.com/gardener/gardener/pkg/utils/kubernetes"
	secretsutils "github.com/gardener/gardener/pkg/utils/secrets"
	secretsmanager "github.com/gardener/gardener/pkg/utils/secrets/manager"

	"github.com/packetyard/packetyard/internal/gardener/account"
)

const (
	// CloudControllerManager is the name of the Deployment of the cloud controller manager, and of its account in the Shoot.
	CloudControllerManager = "cloud-controller-manager"
	// MetalLBNamespace is where MetalLB is in a Shoot. gardener-resource-manager has to be told of it.
	MetalLBNamespace = "metallb-system"

	metalLBWebhookService = "metallb-webhook-service"

	// The names of secrets of Gardener's secrets manager.
	certificateAuthority = "ca-" + account.Name + "-controlplane"
	serverCertificate    = CloudControllerManager + "-server"
	webhookCertificate   = metalLBWebhookService + "-server"
)

// secretConfigs are the certificates of what is deployed. Gardener's secrets manager makes and renews them, and changes their CA when
// the Shoot's are rotated.
func secretConfigs(namespace string) []extensionssecretsmanager.SecretConfigWithOptions {
	server := func(name string, dnsNames []string) extensionssecretsmanager.SecretConfigWithOptions {
		return extensionssecretsmanager.SecretConfigWithOptions{
			Config: &secretsutils.CertificateSecretConfig{
				Name: name, CommonName: dnsNames[0], DNSNames: dnsNames,
				CertType: secretsutils.ServerCert, SkipPublishingCACertificate: true,
			},
			Options: []secretsmanager.GenerateOption{secretsmanager.SignedByCA(certificateAuthority)},
		}
	}
	return []extensionssecretsmanager.SecretConfigWithOptions{
		{
			Config: &secretsutils.CertificateSecretConfig{
				Name: certificateAuthority, CommonName: certificateAuthority, CertType: secretsutils.CACert,
			},
			Options: []secretsmanager.GenerateOption{secretsmanager.Persist()},
		},
		server(serverCertificate, kubernetesutils.DNSNamesForService(CloudControllerManager, namespace)),
		server(webhookCertificate, kubernetesutils.DNSNamesForService(metalLBWebhookService, MetalLBNamespace)),
	}
}

// shootAccessSecrets are the accounts in the Shoot, whose tokens Gardener makes and renews.
func shootAccessSecrets(namespace string) []*gardenerutils.AccessSecret {
	return []*gardenerutils.AccessSecret{gardenerutils.NewShootAccessSecret(CloudControllerManager, namespace)}
}

// errNoSecret is a secret that the secrets manager should have made, and has not.
var errNoSecret = errors.New("the secrets manager has not made it")

// secretOf is a secret of the secrets manager, by the name of its configuration.
func secretOf(reader secretsmanager.Reader, name string) (*corev1.Secret, error) {
	secret, found := reader.Get(name)
	if !found {
		return nil, fmt.Errorf("looking for secret %q: %w", name, errNoSecret)
	}
	return secret, nil
}
