package mcm

import (
	"context"
	"errors"
	"fmt"

	"github.com/gardener/machine-controller-manager/pkg/util/provider/driver"
	"github.com/gardener/machine-controller-manager/pkg/util/provider/machinecodes/codes"

	"github.com/packetyard/packetyard/pkg/packet"
)

// DeleteMachine gives the device of a Machine back, and returns without an error when it is gone, or there never was one: MCM
// deletes the node then, and a hardware reservation or virtual network is free for others. While the device is being
// deprovisioned the error is Aborted, after which MCM asks again within seconds. A Machine whose provider ID was never written
// has its devices found by the tags.
func (d *Driver) DeleteMachine(ctx context.Context, request *driver.DeleteMachineRequest) (*driver.DeleteMachineResponse, error) {
	s, err := scopeOf(request.MachineClass, request.Secret)
	if err != nil {
		return nil, err
	}
	a, err := d.accounts.of(s)
	if err != nil {
		return nil, err
	}
	machine, key := request.Machine, keyOf(s, request.Machine)
	end, alone := d.attempts.begin(key)
	defer end()
	if !alone {
		return nil, fail(codes.Aborted, "the device of machine %q is being made or deleted already", machine.Name)
	}
	last := d.attempts.of(key)
	var ids []string
	if machine.Spec.ProviderID != "" {
		id, err := deviceID(machine.Spec.ProviderID)
		if err != nil {
			return nil, err
		}
		ids = []string{id}
	} else {
		snapshot, err := a.listing(ctx, last.ended)
		if err != nil {
			return nil, err
		}
		for _, device := range findAll(snapshot.Devices(), s, machine.Name) {
			ids = append(ids, device.ID)
		}
		if wait := last.ended.Add(d.options.SettleTime).Sub(d.options.Clock.Now()); len(ids) == 0 && last.uncertain && wait > 0 {
			return nil, fail(codes.Unavailable, "the answer to the creation of the device of machine %q was lost: whether there is one to delete shows soon", machine.Name)
		}
	}
	for _, id := range ids {
		if err := a.delete(ctx, id); err != nil {
			return nil, err
		}
	}
	return &driver.DeleteMachineResponse{}, nil
}

// delete gives a device back and waits a little for it to be gone. Its error is MCM's.
func (a *account) delete(ctx context.Context, id string) error {
	doing := fmt.Sprintf("deleting device %s", id)
	// Force, because the API does not give back a device that is being installed otherwise.
	err := a.client.DeleteDevice(ctx, id, true)
	a.touch()
	switch {
	case packet.IsNotFound(err):
		return nil
	case isLocked(err):
		return fail(codes.FailedPrecondition, "device %s is locked, and is not deleted before somebody unlocks it: %v", id, err)
	case err != nil:
		return statusOf(err, doing, a.token)
	}
	// Everybody who waits shares the listings.
	for range gonePolls {
		if err := a.options.Clock.Sleep(ctx, a.options.GonePoll); err != nil {
			return fail(codes.Aborted, "device %s is being deprovisioned", id)
		}
		snapshot, err := a.devices.Since(ctx, a.options.Clock.Now().Add(-a.options.GonePoll/2))
		if err != nil {
			return statusOf(err, "looking whether device "+id+" is gone", a.token)
		}
		if snapshot.ByID(id) != nil {
			continue
		}
		// It may have lost its tags and no more.
		_, err = a.client.Device(ctx, id)
		if packet.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return statusOf(err, "looking whether device "+id+" is gone", a.token)
		}
	}
	return fail(codes.Aborted, "device %s is being deprovisioned", id)
}

// statusOf makes an error of the Packet API MCM's. What is MCM's already stays, and no error stays none.
func statusOf(err error, doing string, secrets ...string) error {
	var known *machineStatus
	if err == nil || errors.As(err, &known) {
		return err
	}
	return failed(err, doing, secrets...)
}
