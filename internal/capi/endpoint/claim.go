package endpoint

import (
	"context"
	"fmt"
	"strings"

	"github.com/packetyard/packetyard/internal/capi/devices"
	"github.com/packetyard/packetyard/pkg/packet"
)

// Claim gives a cluster's address to a new control plane device if no device of the cluster that lives has it, and returns
// the device that has it then; claimed tells that this call gave it. Only the first machines of a control plane may claim,
// those that are made before it is initialised: they wait for the endpoint. Later ones get the address from the Reconciler
// when their API server answers, so holder is empty if nobody has it.
//
// The others are the devices of the cluster as listed, the new one among them or not.
func Claim(ctx context.Context, api API, address Address, device *packet.Device, others []*packet.Device, initialized bool) (holder string, claimed bool, err error) {
	if devices.HasAddress(device, address.IP) {
		return device.ID, false, nil
	}
	for _, other := range others {
		if !strings.EqualFold(other.ID, device.ID) && healthOf(other) != lost && devices.HasAddress(other, address.IP) {
			return other.ID, false, nil
		}
	}
	if initialized || healthOf(device) == lost {
		return "", false, nil
	}
	if holder, claimed, err = address.give(ctx, api, []member{{device: device}}); err != nil {
		return "", false, err
	}
	for _, other := range others {
		if strings.EqualFold(other.ID, holder) && healthOf(other) == lost {
			return "", false, fmt.Errorf("elastic IP %s is still assigned to device %s, which is %s", address.IP, holder, other.State)
		}
	}
	return holder, claimed, nil
}
