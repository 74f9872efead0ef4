package networks

import (
	"path"
	"slices"
	"strings"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/pkg/packet"
)

// action is one change of a port.
type action string

const (
	convertLayer2 action = "convert to layer 2"
	convertLayer3 action = "convert to layer 3"
	putIntoBond   action = "bond"
	takeOutOfBond action = "disbond"
	assign        action = "assign VLAN"
	unassign      action = "unassign VLAN"
	makeNative    action = "make native VLAN"
)

// step is a change to ask for.
type step struct {
	action action
	port   packet.Port
	// vlan is the UUID of a VLAN, empty where the action has none.
	vlan string
}

// plan lists what has to be done to the ports of a device, in an order that the Packet API takes: VLANs that are in the way
// of a conversion are taken off first, wanted ones are put on last. VLANs beside those wanted stay where they are in
// nobody's way: the cloud controller manager or a person may have put them there.
func plan(ports []packet.Port, w wanted) []step {
	p := planner{wanted: w, on: map[string][]string{}}
	for _, port := range ports {
		for _, network := range port.VirtualNetworks {
			p.on[port.Name] = append(p.on[port.Name], networkID(network))
		}
		if port.Type == packet.PortTypeBond {
			p.bonds = append(p.bonds, port)
		} else {
			p.interfaces = append(p.interfaces, port)
		}
	}
	p.convert()
	p.assign(ports)
	return p.steps
}

type planner struct {
	wanted            wanted
	bonds, interfaces []packet.Port
	// on are the VLANs that each port has after the steps so far.
	on    map[string][]string
	steps []step
}

func (p *planner) add(action action, port packet.Port, vlan string) {
	p.steps = append(p.steps, step{action: action, port: port, vlan: vlan})
}

// clear takes all VLANs off a port.
func (p *planner) clear(port packet.Port) {
	for _, vlan := range p.on[port.Name] {
		p.add(unassign, port, vlan)
	}
	p.on[port.Name] = nil
}

func (p *planner) convert() {
	if p.wanted.kind == "" {
		return
	}
	for _, port := range p.bonds {
		isLayer2 := port.NetworkType == packet.NetworkTypeLayer2Bonded || port.NetworkType == packet.NetworkTypeLayer2Individual
		switch {
		case p.wanted.layer2() && !isLayer2:
			p.add(convertLayer2, port, "")
		case !p.wanted.layer2() && isLayer2:
			p.clear(port)
			p.bond()
			p.add(convertLayer3, port, "")
		}
		if p.wanted.kind == infrav1.NetworkTypeLayer3 || p.wanted.kind == infrav1.NetworkTypeLayer2Individual {
			// A bond without VLANs is what these types mean, and one that loses its last interface can have none.
			p.clear(port)
		}
	}
	p.bond()
	for _, port := range p.interfaces {
		if isBonded(port) && !p.wanted.bonded(port) {
			p.add(takeOutOfBond, port, "")
		}
	}
}

// bond puts the interfaces that shall be bonded into their bond.
func (p *planner) bond() {
	for n := range p.interfaces {
		port := &p.interfaces[n]
		if isBonded(*port) || !p.wanted.bonded(*port) {
			continue
		}
		p.clear(*port)
		p.add(putIntoBond, *port, "")
		port.Data = &packet.PortData{Bonded: true}
	}
}

func (p *planner) assign(ports []packet.Port) {
	for _, vlan := range p.wanted.vlans {
		port := named(ports, vlan.port)
		if port == nil || slices.Contains(p.on[port.Name], vlan.id) {
			continue
		}
		p.add(assign, *port, vlan.id)
		p.on[port.Name] = append(p.on[port.Name], vlan.id)
	}
	for _, vlan := range p.wanted.vlans {
		port := named(ports, vlan.port)
		if port == nil || !vlan.native || port.NativeVirtualNetwork != nil && networkID(*port.NativeVirtualNetwork) == vlan.id {
			continue
		}
		p.add(makeNative, *port, vlan.id)
	}
}

// missing is the first port that a VLAN is wanted on and that the device does not have.
func missing(ports []packet.Port, w wanted) string {
	for _, vlan := range w.vlans {
		if named(ports, vlan.port) == nil {
			return vlan.port
		}
	}
	return ""
}

func named(ports []packet.Port, name string) *packet.Port {
	for n := range ports {
		if ports[n].Name == name {
			return &ports[n]
		}
	}
	return nil
}

func isBonded(port packet.Port) bool { return port.Data != nil && port.Data.Bonded }

// networkID is the UUID of a VLAN, which a port names by a reference.
func networkID(network packet.VirtualNetwork) string {
	if network.ID != "" {
		return strings.ToLower(network.ID)
	}
	return strings.ToLower(path.Base(network.Href))
}
