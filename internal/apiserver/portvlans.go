package apiserver

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver/hardware"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

func (a *API) assignPort(r *request) (response, error) {
	name, err := r.vnid()
	if err != nil {
		return response{}, err
	}
	return a.changePort(r, func(c *portChange) error {
		network, err := c.network(name)
		if err != nil {
			return err
		}
		if c.assigned(network.Value.ID) >= 0 {
			return refuse(http.StatusUnprocessableEntity, textVirtualNetworkAlreadyOnPort, network.Value.VXLAN)
		}
		return c.assign(network)
	})
}

func (a *API) unassignPort(r *request) (response, error) {
	name, err := r.vnid()
	if err != nil {
		return response{}, err
	}
	return a.changePort(r, func(c *portChange) error { return c.unassign(name) })
}

// assignNativeVLAN makes a virtual network of a port the one whose packets
// have no tag. With one network alone there is nothing to tell apart.
func (a *API) assignNativeVLAN(r *request) (response, error) {
	name := r.query.Get("vnid")
	if name == "" {
		var err error
		if name, err = r.vnid(); err != nil {
			return response{}, err
		}
	}
	return a.changePort(r, func(c *portChange) error {
		at := c.find(name)
		if at < 0 {
			return c.notAssigned(name)
		}
		if len(c.ports.On(c.name)) < 2 {
			return c.tooFewForNative()
		}
		c.setNative(at)
		c.event(packet.EventPortNativeVLANSet, fmt.Sprintf("Virtual network %d made the native VLAN of port %s", c.ports.VLANs[at].VXLAN, c.name))
		return nil
	})
}

func (c *portChange) tooFewForNative() error {
	return refuse(http.StatusUnprocessableEntity, "Native VLAN can only be set when more than one virtual network is assigned to port %s", c.name)
}

func (a *API) deleteNativeVLAN(r *request) (response, error) {
	return a.changePort(r, func(c *portChange) error {
		at := slices.IndexFunc(c.ports.VLANs, func(v store.PortVLAN) bool { return v.Port == c.name && v.Native })
		if at < 0 {
			return refuse(http.StatusUnprocessableEntity, "Port %s has no native VLAN", c.name)
		}
		c.ports.VLANs[at].Native, c.ports.VLANs[at].UpdatedAt = false, c.now
		c.event(packet.EventPortNativeVLANRemoved, fmt.Sprintf("Virtual network %d no longer the native VLAN of port %s", c.ports.VLANs[at].VXLAN, c.name))
		return nil
	})
}

// vnid reads the virtual network that a request is about.
func (r *request) vnid() (string, error) {
	var input packet.PortAssign
	if err := r.decodeIfAny(&input); err != nil {
		return "", err
	}
	if input.VirtualNetwork == "" {
		return "", refuse(http.StatusUnprocessableEntity, "vnid can't be blank: it is a virtual network's UUID or number")
	}
	return input.VirtualNetwork, nil
}

// network finds a virtual network that the port's device can be in.
func (c *portChange) network(name string) (*store.Row[store.VirtualNetwork], error) {
	device := c.device.Value
	network, ok := findVirtualNetwork(c.tx.Snapshot, device.ProjectID, device.Metro, name)
	switch {
	case !ok:
		return nil, refuse(http.StatusUnprocessableEntity, "vnid %q is no virtual network of the device's project in metro %q", name, device.Metro)
	case network.Value.Metro != device.Metro:
		return nil, refuse(http.StatusUnprocessableEntity, "vnid %q is a virtual network in metro %q, and the device is in %q",
			name, network.Value.Metro, device.Metro)
	case network.Value.Facility != "" && network.Value.Facility != device.Facility:
		return nil, refuse(http.StatusUnprocessableEntity, "vnid %q is a virtual network in facility %q, and the device is in %q",
			name, network.Value.Facility, device.Facility)
	}
	return network, nil
}

// assign puts a virtual network on the port.
func (c *portChange) assign(network *store.Row[store.VirtualNetwork]) error {
	switch {
	case c.isBond() && !bonded(&c.ports, c.name):
		return refuse(http.StatusUnprocessableEntity, "Cannot assign a virtual network to port %s while no interface is bonded", c.name)
	case !c.isBond() && bonded(&c.ports, c.name):
		return refuse(http.StatusUnprocessableEntity, "Cannot assign a virtual network to port %s while it is bonded: disbond it, or use %s", c.name, hardware.Bond)
	}
	c.ports.VLANs = append(c.ports.VLANs, store.PortVLAN{
		ID:               uuid.NewString(),
		Port:             c.name,
		VirtualNetworkID: network.Value.ID,
		VXLAN:            network.Value.VXLAN,
		CreatedAt:        c.now,
		UpdatedAt:        c.now,
	})
	// Writing the network keeps it from going at the same time.
	c.tx.VirtualNetworks.Update(c.tx, network, network.Value)
	c.event(packet.EventPortVLANAssigned, fmt.Sprintf("Virtual network %d assigned to port %s", network.Value.VXLAN, c.name))
	return nil
}

// unassign takes a virtual network off the port, given by UUID or number.
func (c *portChange) unassign(name string) error {
	at := c.find(name)
	if at < 0 {
		return c.notAssigned(name)
	}
	number := c.ports.VLANs[at].VXLAN
	c.ports.VLANs = slices.Delete(c.ports.VLANs, at, at+1)
	c.event(packet.EventPortVLANUnassigned, fmt.Sprintf("Virtual network %d unassigned from port %s", number, c.name))
	return nil
}

// notAssigned says in the words that clients know that a virtual network is
// not on the port.
func (c *portChange) notAssigned(name string) error {
	device := c.device.Value
	if network, ok := findVirtualNetwork(c.tx.Snapshot, device.ProjectID, device.Metro, name); ok {
		name = strconv.Itoa(network.Value.VXLAN)
	}
	return refuse(http.StatusUnprocessableEntity, textVirtualNetworkNotAssigned, shortened(name))
}

// find is where the virtual network of a UUID or number is among those on the
// port, -1 for none.
func (c *portChange) find(name string) int {
	return slices.IndexFunc(c.ports.VLANs, func(v store.PortVLAN) bool {
		return v.Port == c.name && (v.VirtualNetworkID == name || strconv.Itoa(v.VXLAN) == name)
	})
}

// assigned is find for the UUID alone.
func (c *portChange) assigned(id string) int {
	return slices.IndexFunc(c.ports.VLANs, func(v store.PortVLAN) bool { return v.Port == c.name && v.VirtualNetworkID == id })
}

// setNative makes one virtual network the native one of the port, of which
// there is one at most.
func (c *portChange) setNative(at int) {
	for i := range c.ports.VLANs {
		if vlan := &c.ports.VLANs[i]; vlan.Port == c.name && vlan.Native != (i == at) {
			vlan.Native, vlan.UpdatedAt = i == at, c.now
		}
	}
}
