package apiserver

import (
	"net/http"

	"github.com/packetyard/packetyard/internal/apiserver/addresses"
	"github.com/packetyard/packetyard/internal/apiserver/hardware"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

// elasticAtATime keeps a transaction well below the 128 operations that etcd
// allows it by default.
const elasticAtATime = 50

// convertLayer2 takes all addresses from a device, and puts a virtual network
// on its bond if the request names one.
func (a *API) convertLayer2(r *request) (response, error) {
	var input packet.PortAssign
	if err := r.decodeIfAny(&input); err != nil {
		return response{}, err
	}
	for left := true; left; {
		err := a.store.Update(r.ctx, func(tx *store.Tx) error {
			return a.portTransaction(tx, r.id(), func(c *portChange) error {
				if err := c.convertible(2); err != nil {
					return err
				}
				var network *store.Row[store.VirtualNetwork]
				if input.VirtualNetwork != "" {
					var err error
					if network, err = c.network(input.VirtualNetwork); err != nil {
						return err
					}
				}
				if left = c.releaseAddresses(); left {
					return nil
				}
				c.ports.Layer2 = true
				c.event(packet.EventPortConverted, "Port "+c.name+" converted to layer 2, and the device's addresses removed")
				if network == nil || c.assigned(network.Value.ID) >= 0 {
					return nil
				}
				return c.assign(network)
			})
		})
		if err != nil {
			return response{}, err
		}
	}
	return a.answerPort(r, http.StatusOK)
}

// convertible refuses to convert what is no bond, or what is converted
// already, to layer 2 or 3.
func (c *portChange) convertible(layer int) error {
	if !c.isBond() {
		return refuse(http.StatusUnprocessableEntity, "Port %s cannot be converted, only a bond can: %s", c.name, hardware.Bond)
	}
	if c.ports.Layer2 == (layer == 2) {
		return refuse(http.StatusUnprocessableEntity, "%s is already configured for Layer %d", c.name, layer)
	}
	return c.thawed()
}

// releaseAddresses takes the addresses from the device, as many as a
// transaction takes. It returns true where some are left; the device's own go
// with the last.
func (c *portChange) releaseAddresses() (left bool) {
	// Writing the device keeps it from getting an address at the same time.
	c.tx.Devices.Update(c.tx, c.device, c.device.Value)
	taken := 0
	rows := c.tx.Assignments.In(store.OfDevice(c.device.Value.ID))
	for _, row := range rows {
		if row.Value.Management {
			continue
		}
		if taken == elasticAtATime {
			return true
		}
		c.tx.Assignments.Delete(c.tx, row)
		taken++
	}
	for _, row := range rows {
		if !row.Value.Management {
			continue
		}
		c.tx.Assignments.Delete(c.tx, row)
		block, ok := c.tx.Reservations.Get(row.Value.ReservationID)
		if ok && block.Value.Management && block.Value.Block == row.Value.Block {
			// The block was the device's alone.
			c.tx.Reservations.Delete(c.tx, block)
		}
	}
	return false
}

// convertLayer3 gives a device addresses again: those that are asked for, or
// else those that a new device gets. The private one is never missing.
func (a *API) convertLayer3(r *request) (response, error) {
	var input packet.PortConvertLayer3
	if err := r.decodeIfAny(&input); err != nil {
		return response{}, err
	}
	wanted := network{publicIPv4: true, publicIPv6: true, privateBits: defaultPrivateBits, ipv6Bits: defaultIPv6Bits}
	if len(input.RequestIPs) > 0 {
		wanted.publicIPv4, wanted.publicIPv6 = false, false
	}
	var p problems
	for i, ip := range input.RequestIPs {
		switch {
		case ip.AddressFamily != 4 && ip.AddressFamily != 6:
			p.add("request_ips[%d].address_family %d is not one of: 4, 6", i, ip.AddressFamily)
		case ip.AddressFamily == 6 && !ip.Public:
			p.add("request_ips[%d].public false is not possible with address_family 6, only true is", i)
		case ip.AddressFamily == 6:
			wanted.publicIPv6 = true
		case ip.Public:
			wanted.publicIPv4 = true
		}
	}
	if err := p.err(); err != nil {
		return response{}, err
	}

	choice := a.allocator.Choose()
	defer choice.Release()
	return a.changePort(r, func(c *portChange) error {
		choice.Release()
		if err := c.convertible(3); err != nil {
			return err
		}
		if len(c.ports.On(c.name)) > 0 {
			return refuse(http.StatusUnprocessableEntity, "Virtual networks must first be unassigned from port %s, which then can be converted to layer 3", c.name)
		}
		if !bonded(&c.ports, c.name) {
			if err := c.bond(hardware.Interfaces()); err != nil {
				return err
			}
		}
		c.ports.Layer2 = false
		c.event(packet.EventPortConverted, "Port "+c.name+" converted to layer 3, and addresses given to the device")
		return a.readdress(c, choice, wanted)
	})
}

// readdress gives the device addresses as when it was made.
func (a *API) readdress(c *portChange, choice *addresses.Choice, wanted network) error {
	device := *c.device.Value
	project, ok := c.tx.Projects.Get(device.ProjectID)
	if !ok {
		return errNotFound()
	}
	if system, ok := a.catalogue.OperatingSystem(device.OperatingSystem); ok {
		wanted.publicBits = system.SubnetBits
	}
	// The addresses are as old as the conversion.
	device.CreatedAt = c.now
	return a.addressDevice(c.tx, choice, project, &device, wanted)
}
