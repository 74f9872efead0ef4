package apiserver

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/packetyard/packetyard/internal/apiserver/hardware"
	"github.com/packetyard/packetyard/internal/apiserver/lifecycle"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

func portRoutes() []Route {
	return []Route{
		{http.MethodGet, "/ports/{id}", "findPortById", (*API).getPort, ofPort},
		{http.MethodPost, "/ports/{id}/bond", "bondPort", (*API).bondPort, ofPort},
		{http.MethodPost, "/ports/{id}/disbond", "disbondPort", (*API).disbondPort, ofPort},
		{http.MethodPost, "/ports/{id}/convert/layer-2", "convertLayer2", (*API).convertLayer2, ofPort},
		{http.MethodPost, "/ports/{id}/convert/layer-3", "convertLayer3", (*API).convertLayer3, ofPort},
		{http.MethodPost, "/ports/{id}/assign", "assignPort", (*API).assignPort, ofPort},
		{http.MethodPost, "/ports/{id}/unassign", "unassignPort", (*API).unassignPort, ofPort},
		{http.MethodPost, "/ports/{id}/native-vlan", "assignNativeVlan", (*API).assignNativeVLAN, ofPort},
		{http.MethodDelete, "/ports/{id}/native-vlan", "deleteNativeVlan", (*API).deleteNativeVLAN, ofPort},
	}
}

func (a *API) getPort(r *request) (response, error) {
	return a.answerPort(r, http.StatusOK)
}

// portChange is one change of a port in a transaction.
type portChange struct {
	*port
	tx  *store.Tx
	now time.Time
}

// event tells what happened to a port in an event of its device.
func (c *portChange) event(kind, body string) {
	lifecycle.Record(c.tx, c.device.Value, c.now, kind, body, "")
}

// changePort carries out a change of a port and shows the port.
func (a *API) changePort(r *request, change func(*portChange) error) (response, error) {
	err := a.store.Update(r.ctx, func(tx *store.Tx) error { return a.portTransaction(tx, r.id(), change) })
	if err != nil {
		return response{}, err
	}
	return a.answerPort(r, http.StatusOK)
}

func (a *API) portTransaction(tx *store.Tx, id string, change func(*portChange) error) error {
	found, ok := findPort(tx.Snapshot, id)
	if !ok {
		return errNotFound()
	}
	switch state := found.device.Value.State; state {
	case packet.StateQueued, packet.StateProvisioning, packet.StateReinstalling, packet.StateDeprovisioning:
		return refuse(http.StatusUnprocessableEntity, "Cannot change port %s while its device is %s", found.name, state)
	}
	// The device must not go while this is decided.
	tx.Devices.Require(tx, found.device)
	c := &portChange{port: found, tx: tx, now: a.clock.Now()}
	if err := change(c); err != nil {
		return err
	}
	c.ports.UpdatedAt = c.now
	switch {
	case c.record == nil:
		if !c.ports.IsDefault() {
			tx.DevicePorts.Create(tx, &c.ports)
		}
	case c.ports.IsDefault():
		tx.DevicePorts.Delete(tx, c.record)
	default:
		tx.DevicePorts.Update(tx, c.record, &c.ports)
	}
	return nil
}

// thawed refuses to convert the network of a device that must stay as it is.
func (c *portChange) thawed() error {
	if c.device.Value.NetworkFrozen {
		return refuse(http.StatusUnprocessableEntity, "Cannot change the network type of port %s: the device has network_frozen true", c.name)
	}
	return nil
}

// members are the interfaces that bonding a port is about: itself, or all of
// the bond.
func (c *portChange) members(all bool) []string {
	if all || c.isBond() {
		return hardware.Interfaces()
	}
	return []string{c.name}
}

// bondPort puts an interface into the bond. What is in it stays there.
func (a *API) bondPort(r *request) (response, error) {
	all, err := r.bulk("bulk_enable")
	if err != nil {
		return response{}, err
	}
	return a.changePort(r, func(c *portChange) error {
		if err := c.thawed(); err != nil {
			return err
		}
		return c.bond(c.members(all))
	})
}

func (c *portChange) bond(members []string) error {
	for _, name := range members {
		if bonded(&c.ports, name) {
			continue
		}
		if len(c.ports.On(name)) > 0 {
			return refuse(http.StatusUnprocessableEntity, "Virtual networks must first be unassigned from port %s, which then can be bonded", name)
		}
		c.ports.Unbonded = slices.DeleteFunc(c.ports.Unbonded, func(unbonded string) bool { return unbonded == name })
		c.event(packet.EventPortBonded, "Port "+name+" bonded")
	}
	return nil
}

// disbondPort takes an interface out of the bond.
func (a *API) disbondPort(r *request) (response, error) {
	all, err := r.bulk("bulk_disable")
	if err != nil {
		return response{}, err
	}
	return a.changePort(r, func(c *portChange) error {
		if err := c.thawed(); err != nil {
			return err
		}
		for _, name := range c.members(all) {
			if bonded(&c.ports, name) {
				c.ports.Unbonded = append(c.ports.Unbonded, name)
				c.event(packet.EventPortDisbonded, "Port "+name+" disbonded")
			}
		}
		if !bonded(&c.ports, hardware.Bond) && len(c.ports.On(hardware.Bond)) > 0 {
			return refuse(http.StatusUnprocessableEntity,
				"Virtual networks must first be unassigned from port %s, the last interface of which then can be disbonded", hardware.Bond)
		}
		return nil
	})
}

// bulk reads whether an operation is about all interfaces: the document has
// it in the query, and packngo sends it in the body.
func (r *request) bulk(name string) (bool, error) {
	body := map[string]any{}
	if err := r.decodeIfAny(&body); err != nil {
		return false, err
	}
	var p problems
	sent := r.query.Get(name)
	p.unless(name, sent, "true", "false")
	value, ok := body[name].(bool)
	if !ok && body[name] != nil {
		p.add("%s must be true or false", name)
	}
	return value || sent == "true", p.err()
}

// decodeIfAny reads a JSON body that a client may leave out.
func (r *request) decodeIfAny(into any) error {
	if r.http.Body == nil {
		return nil
	}
	body := bufio.NewReader(r.http.Body)
	if _, err := body.Peek(1); errors.Is(err, io.EOF) {
		return nil
	}
	r.http.Body = io.NopCloser(body)
	return r.decode(into)
}
