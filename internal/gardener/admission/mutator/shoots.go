package mutator

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"

	"github.com/packetyard/packetyard/api/packet/validation"
	"github.com/packetyard/packetyard/internal/gardener/account"
	"github.com/packetyard/packetyard/internal/gardener/decode"
)

// shoots fills in spec.networking.nodes of a Shoot whose infrastructureConfig tells the block of its nodes. Gardenlet would do the
// same once the Infrastructure is ready; done now, Gardener's API server checks at once that the block is apart from the networks of
// pods, of services and of the seed. Nothing else needs a default: an infrastructureConfig and a controlPlaneConfig that are left out
// are empty ones, and the default networks of Gardener share nothing with those of the Packet API.
type shoots struct{}

// Mutate implements extensionswebhook.Mutator.
func (*shoots) Mutate(_ context.Context, newObj, _ client.Object) error {
	shoot, ok := newObj.(*gardencorev1beta1.Shoot)
	if !ok {
		return fmt.Errorf("the object is %T, but must be %T", newObj, shoot)
	}
	if shoot.DeletionTimestamp != nil || shoot.Spec.Provider.Type != account.Type || len(shoot.Spec.Provider.Workers) == 0 ||
		shoot.Spec.Networking == nil || shoot.Spec.Networking.Nodes != nil {
		return nil
	}
	config, err := decode.InfrastructureConfig(shoot.Spec.Provider.InfrastructureConfig)
	if err != nil || config.Networks == nil || config.Networks.Nodes == nil ||
		len(validation.ValidateInfrastructureConfig(config, shoot.Spec.Networking, nil)) > 0 {
		// The validator tells what is wrong, in the field where it is.
		return nil //nolint:nilerr // See above.
	}
	nodes := *config.Networks.Nodes
	shoot.Spec.Networking.Nodes = &nodes
	return nil
}
