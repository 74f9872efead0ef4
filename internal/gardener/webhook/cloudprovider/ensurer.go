package cloudprovider

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	extensionscontroller "github.com/gardener/gardener/extensions/pkg/controller"
	extensionscontextwebhook "github.com/gardener/gardener/extensions/pkg/webhook/context"
	securityv1alpha1constants "github.com/gardener/gardener/pkg/apis/security/v1alpha1/constants"

	"github.com/packetyard/packetyard/internal/gardener/account"
	"github.com/packetyard/packetyard/internal/gardener/decode"
)

type ensurer struct {
	Options
}

// EnsureCloudProviderSecret checks the Secret, without asking the Packet API, and completes it: it says where the Packet API answers,
// so that nobody who reads it needs to know the CloudProfile or the extension's configuration.
func (e *ensurer) EnsureCloudProviderSecret(ctx context.Context, gctx extensionscontextwebhook.GardenContext, secret, old *corev1.Secret) error {
	// A Secret that is no worse than it was can always be written: its labels and finalizers have to change for the Shoot's end.
	if old != nil && reflect.DeepEqual(old.Data, secret.Data) && len(account.Validate(secret, nil)) > 0 {
		return nil
	}
	if secret.Labels[securityv1alpha1constants.LabelWorkloadIdentityProvider] != "" {
		return errors.New("the Packet API knows no workload identities: refer to a Secret with apiToken and projectID in the CredentialsBinding")
	}
	if problems := account.Validate(secret, nil); len(problems) > 0 {
		return fmt.Errorf("invalid credentials in Secret %s/%s: %w", secret.Namespace, secret.Name, problems.ToAggregate())
	}
	if len(secret.Data[account.APIURL]) > 0 {
		return nil
	}
	cluster, err := gctx.GetCluster(ctx)
	if err != nil {
		return fmt.Errorf("looking up where the Packet API answers: %w", err)
	}
	address, err := e.apiURL(cluster)
	if err != nil {
		return err
	}
	if address == "" {
		return fmt.Errorf("nobody says where the Packet API answers: set %s in Secret %s/%s, or apiURL in the CloudProfile's providerConfig, or packet.apiURL in the extension's configuration",
			account.APIURL, secret.Namespace, secret.Name)
	}
	secret.Data[account.APIURL] = []byte(address)
	return nil
}

// apiURL is what the CloudProfile or, failing that, the extension's configuration says.
func (e *ensurer) apiURL(cluster *extensionscontroller.Cluster) (string, error) {
	if cluster.CloudProfile == nil {
		return e.APIURL, nil
	}
	profile, err := decode.CloudProfileConfig(cluster.CloudProfile.Spec.ProviderConfig)
	if err != nil {
		return "", fmt.Errorf("reading the providerConfig of the CloudProfile %s: %w", cluster.CloudProfile.Name, err)
	}
	if profile.APIURL == nil || *profile.APIURL == "" {
		return e.APIURL, nil
	}
	at := field.NewPath("spec", "providerConfig", "apiURL")
	if problems := account.ValidateAPIURL(*profile.APIURL, at); len(problems) > 0 {
		return "", fmt.Errorf("CloudProfile %s: %w", cluster.CloudProfile.Name, problems.ToAggregate())
	}
	return *profile.APIURL, nil
}
