// Package cloudprovider looks after the Secret cloudprovider of Shoots of type packet, which gardenlet copies to the seed from what
// the Shoot's owner gave. Every part of the Shoot that asks the Packet API reads it.
package cloudprovider

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	extensionswebhook "github.com/gardener/gardener/extensions/pkg/webhook"
	"github.com/gardener/gardener/extensions/pkg/webhook/cloudprovider"

	"github.com/packetyard/packetyard/internal/gardener/account"
)

// Options tell the webhook what it cannot know by itself.
type Options struct {
	// APIURL is where the Packet API answers, if neither the Secret nor the CloudProfile says so. It may be empty.
	APIURL string
}

// New makes the webhook "cloudprovider".
func New(mgr manager.Manager, options Options) (*extensionswebhook.Webhook, error) {
	if options.APIURL != "" {
		if problems := account.ValidateAPIURL(options.APIURL, field.NewPath("packet", "apiURL")); len(problems) > 0 {
			return nil, fmt.Errorf("making the webhook for cloudprovider Secrets: %w", problems.ToAggregate())
		}
	}
	logger := mgr.GetLogger().WithName("cloudprovider-webhook")
	return cloudprovider.New(mgr, cloudprovider.Args{
		Provider: account.Type,
		Mutator:  cloudprovider.NewMutator(mgr, logger, &ensurer{Options: options}),
	})
}
