package networks

import (
	"fmt"
	"strings"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/pkg/packet"
)

// bond is the port that all others are part of on a new device.
const bond = "bond0"

// secondPort is the port that hybrid-unbonded takes out of the bond unless VLANs name another one.
const secondPort = "eth1"

// wanted is how the ports of a device shall be.
type wanted struct {
	// kind is empty where ports stay as they are and only get VLANs.
	kind  infrav1.NetworkType
	vlans []wantedVLAN
}

type wantedVLAN struct {
	// id is the UUID, number the VXLAN of a VLAN.
	id     string
	number int
	port   string
	native bool
}

// want reads what is wanted from a specification, with VLANs that are given by number resolved to their UUIDs.
func want(network infrav1.PacketMachineNetwork, ids map[int]string) (wanted, error) {
	w := wanted{kind: network.Type}
	for n, vlan := range network.VLANs {
		v := wantedVLAN{id: strings.ToLower(vlan.ID), number: int(vlan.VXLAN), port: vlan.Port, native: vlan.Native != nil && *vlan.Native}
		if v.port == "" {
			v.port = bond
		}
		if v.id == "" {
			id, ok := ids[v.number]
			if !ok {
				return w, &UnknownVLANError{Field: fmt.Sprintf("spec.network.vlans[%d].vxlan", n), Number: v.number}
			}
			v.id = id
		}
		w.vlans = append(w.vlans, v)
	}
	return w, nil
}

// UnknownVLANError tells of a VLAN that the project does not have.
type UnknownVLANError struct {
	Field  string
	Number int
	Metro  string
}

// Error implements error.
func (e *UnknownVLANError) Error() string {
	return fmt.Sprintf("%s %d is no VLAN of the project in metro %s: create it, or name another one in a new machine", e.Field, e.Number, e.Metro)
}

// layer2 tells whether the device shall have no addresses.
func (w wanted) layer2() bool {
	return w.kind == infrav1.NetworkTypeLayer2Bonded || w.kind == infrav1.NetworkTypeLayer2Individual
}

// bonded tells whether a port shall be part of the bond.
func (w wanted) bonded(port packet.Port) bool {
	switch w.kind {
	case infrav1.NetworkTypeLayer2Individual:
		return false
	case infrav1.NetworkTypeHybridUnbonded:
		named := false
		for _, vlan := range w.vlans {
			if vlan.port == port.Name {
				return false
			}
			named = named || vlan.port != bond
		}
		return named || port.Name != secondPort
	case "":
		return port.Data != nil && port.Data.Bonded
	default:
		return true
	}
}
