package apiserver

import (
	"crypto/rand"
	"net/http"
	"slices"
	"strings"

	"github.com/packetyard/packetyard/internal/apiserver/catalogue"
	"github.com/packetyard/packetyard/internal/apiserver/lifecycle"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

func deviceActions() []string {
	return []string{packet.ActionPowerOn, packet.ActionPowerOff, packet.ActionReboot, packet.ActionReinstall, packet.ActionRescue}
}

func (a *API) performAction(r *request) (response, error) {
	var input packet.DeviceAction
	if err := r.decode(&input); err != nil {
		return response{}, err
	}
	var p problems
	if input.Type == "" {
		p.add("type can't be blank: it is one of %s", strings.Join(deviceActions(), ", "))
	}
	p.unless("type", input.Type, deviceActions()...)
	if input.OperatingSystem != "" {
		if _, ok := a.catalogue.OperatingSystem(input.OperatingSystem); !ok {
			p.notOneOf("operating_system", input.OperatingSystem, a.catalogue.OperatingSystemSlugs())
		}
	}
	p.scriptURL(input.IPXEScriptURL)
	if err := p.err(); err != nil {
		return response{}, err
	}

	err := a.store.Update(r.ctx, func(tx *store.Tx) error {
		row, ok := tx.Devices.Get(r.id())
		if !ok {
			return errNotFound()
		}
		if input.Type == packet.ActionReinstall {
			return a.reinstall(tx, row, input)
		}
		if !lifecycle.Power(tx, row, input.Type, a.clock.Now()) {
			return refuse(http.StatusUnprocessableEntity, "Cannot %s a device while it is %s",
				strings.ReplaceAll(input.Type, "_", " "), row.Value.State)
		}
		return nil
	})
	if err != nil {
		return response{}, err
	}
	return response{status: http.StatusAccepted, body: []byte(`{}`)}, nil
}

// reinstall begins another installation, with a new root password. All disks
// are wiped first unless the request says otherwise.
func (a *API) reinstall(tx *store.Tx, row *store.Row[store.Device], input packet.DeviceAction) error {
	if row.Value.Locked {
		return refuse(http.StatusUnprocessableEntity, "Cannot reinstall a device while it is locked")
	}
	if !lifecycle.Reinstallable(row.Value) {
		return refuse(http.StatusUnprocessableEntity, "Cannot reinstall a device while it is %s", row.Value.State)
	}
	name := input.OperatingSystem
	if name == "" {
		name = row.Value.OperatingSystem
	}
	system, ok := a.catalogue.OperatingSystem(name)
	if !ok {
		return refuse(http.StatusUnprocessableEntity, "operating_system %q is not offered any more: choose another one", name)
	}
	if err := a.fits(tx.Snapshot, row.Value, system, input); err != nil {
		return err
	}
	now := a.clock.Now()
	lifecycle.Reinstall(tx, row, func(device *store.Device) {
		device.OperatingSystem = system.Slug
		if input.IPXEScriptURL != "" {
			device.IPXEScriptURL = input.IPXEScriptURL
		}
		device.FastWipe = input.DeprovisionFast || input.PreserveData
		device.RootPassword = rand.Text()
		device.RootPasswordAt = now
	}, now)
	return nil
}

// fits checks whether an operating system can be installed on a device as it
// is: on its plan, and with the addresses that it keeps.
func (a *API) fits(s *store.Snapshot, device *store.Device, system *catalogue.OperatingSystem, input packet.DeviceAction) error {
	var p problems
	if !slices.Contains(system.ProvisionableOn, device.Plan) {
		p.add("operating_system %q cannot be installed on plan %q, but on: %s",
			system.Slug, device.Plan, strings.Join(system.ProvisionableOn, ", "))
	}
	custom := system.Slug == packet.OSCustomIPXE
	switch {
	case !custom && input.IPXEScriptURL != "":
		p.add("ipxe_script_url is for operating_system %q alone, and not for %q", packet.OSCustomIPXE, system.Slug)
	case custom && input.IPXEScriptURL == "" && device.IPXEScriptURL == "" &&
		!strings.HasPrefix(strings.TrimSpace(device.Userdata), "#!ipxe"):
		p.add("ipxe_script_url can't be blank for operating_system %q, unless userdata begins with #!ipxe", system.Slug)
	}
	if system.SubnetBits < defaultSubnetBits && !hasPublicBlock(s, device, system.SubnetBits) {
		p.add("operating_system %q needs a public IPv4 block of length /%d or shorter, which the device does not have",
			system.Slug, system.SubnetBits)
	}
	return p.err()
}

// hasPublicBlock tells whether a device has a public IPv4 block of its own
// that is no smaller than one of a length.
func hasPublicBlock(s *store.Snapshot, device *store.Device, bits int) bool {
	return slices.ContainsFunc(s.AddressesOf(device.ID), func(row *store.Row[store.Assignment]) bool {
		v := row.Value
		return v.Management && v.Public && v.Address.Is4() && v.Block.Bits() <= bits
	})
}
