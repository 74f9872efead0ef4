package admission

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
)

// defaultPort is the port of a VLAN that names none.
const defaultPort = "bond0"

// network checks what the fields of a machine's network have to do with each other.
func network(network infrav1.PacketMachineNetwork, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for n, address := range network.Addresses {
		at := path.Child("addresses").Index(n)
		if ptr.Deref(network.PrivateOnly, false) && address.Type != infrav1.AddressPrivateIPv4 {
			errs = append(errs, field.Invalid(at.Child("type"), address.Type, "is not possible with privateOnly true: allowed is private_ipv4"))
		}
		lowest, highest := int32(28), int32(31)
		if address.Type == infrav1.AddressPublicIPv6 {
			lowest, highest = 124, 127
		}
		if c := address.CIDR; c != 0 && (c < lowest || c > highest) {
			errs = append(errs, field.Invalid(at.Child("cidr"), c, fmt.Sprintf("must be from %d to %d with type %s", lowest, highest, address.Type)))
		}
	}
	return append(errs, vlans(network, path.Child("vlans"))...)
}

// vlans checks the VLANs of a machine's ports: which ports can have any depends on the network type.
func vlans(network infrav1.PacketMachineNetwork, path *field.Path) field.ErrorList {
	if len(network.VLANs) == 0 {
		return nil
	}
	var (
		errs   field.ErrorList
		prefix string
	)
	switch network.Type {
	case infrav1.NetworkTypeHybridBonded, infrav1.NetworkTypeLayer2Bonded:
		prefix = "bond"
	case infrav1.NetworkTypeHybridUnbonded, infrav1.NetworkTypeLayer2Individual:
		prefix = "eth"
	default:
		return field.ErrorList{field.Invalid(path, vlanNames(network.VLANs), "no port can have VLANs with network type layer3, which it is if it is left out: "+
			"allowed are hybrid-bonded, hybrid-unbonded, layer2-bonded and layer2-individual")}
	}
	type place struct{ port, vlan string }
	var (
		seen    = map[place]bool{}
		ofPort  = map[string]int{}
		natives = map[string]bool{}
	)
	for n, vlan := range network.VLANs {
		at, port := path.Index(n), portOf(vlan)
		if !strings.HasPrefix(port, prefix) {
			errs = append(errs, field.Invalid(at.Child("port"), port, fmt.Sprintf("cannot have VLANs with network type %s: allowed are ports that begin with %s", network.Type, prefix)))
		}
		switch {
		case vlan.ID != "" && vlan.VXLAN != 0:
			errs = append(errs, field.Invalid(at, fmt.Sprintf("id %s and vxlan %d", vlan.ID, vlan.VXLAN), "must be one of id and vxlan, which name a VLAN each"))
		case vlan.ID == "" && vlan.VXLAN == 0:
			errs = append(errs, field.Required(at, "must be one of id, the UUID of a VLAN, and vxlan, 2 to 3999"))
		case seen[place{port, vlanName(vlan)}]:
			errs = append(errs, field.Duplicate(at, vlanName(vlan)+" on "+port))
		}
		seen[place{port, vlanName(vlan)}] = true
		ofPort[port]++
		if ptr.Deref(vlan.Native, false) {
			if natives[port] {
				errs = append(errs, field.Invalid(at.Child("native"), true, fmt.Sprintf("%s has another native VLAN already: allowed is one", port)))
			}
			natives[port] = true
		}
	}
	for n, vlan := range network.VLANs {
		if port := portOf(vlan); ptr.Deref(vlan.Native, false) && ofPort[port] == 1 {
			errs = append(errs, field.Invalid(path.Index(n).Child("native"), true, fmt.Sprintf("is not possible for the only VLAN of %s: a native VLAN needs another one beside it", port)))
		}
	}
	return errs
}

func portOf(vlan infrav1.PacketMachineVLAN) string {
	if vlan.Port == "" {
		return defaultPort
	}
	return vlan.Port
}

func vlanName(vlan infrav1.PacketMachineVLAN) string {
	if vlan.ID != "" {
		return strings.ToLower(vlan.ID)
	}
	return fmt.Sprint(vlan.VXLAN)
}

func vlanNames(all []infrav1.PacketMachineVLAN) string {
	var names []string
	for _, vlan := range all {
		names = append(names, vlanName(vlan))
	}
	return strings.Join(names, ", ")
}
