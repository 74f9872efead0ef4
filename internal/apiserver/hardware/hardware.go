// Package hardware is what follows from a device's ID: names and addresses
// that a server has because it is that server.
package hardware

import (
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Ports are the names of a server's network ports, which form one bond.
const (
	Bond        = "bond0"
	BondingMode = 4 // 802.3ad, as Linux counts
)

// Interfaces lists the ports in the bond.
func Interfaces() []string { return []string{"eth0", "eth1"} }

// ShortID is the first group of a UUID.
func ShortID(id string) string {
	return id[:min(8, len(id))]
}

// IQN is the name of a device as an iSCSI initiator.
func IQN(id string, created time.Time) string {
	return fmt.Sprintf("iqn.%s.net.packet:device.%s", created.UTC().Format("2006-01"), ShortID(id))
}

// Ports lists all of a server's ports, the bond first.
func Ports() []string { return append([]string{Bond}, Interfaces()...) }

// PortID is the ID of one of a device's ports. It is the device's with some
// bits turned, so that the device is found from it without an index.
func PortID(id, port string) string {
	parsed, err := uuid.Parse(id)
	if err != nil {
		return derived(id, port)
	}
	mask := uuid.NewSHA1(uuid.NameSpaceOID, []byte("port/"+port))
	// Version and variant stay what they are.
	mask[6] &= 0x0f
	mask[8] &= 0x3f
	for i := range parsed {
		parsed[i] ^= mask[i]
	}
	return parsed.String()
}

// DeviceOfPort is the ID of the device one of whose ports has an ID, if the
// port is the one of that name.
func DeviceOfPort(portID, port string) string {
	return PortID(portID, port)
}

// SwitchID is the ID of the switch of a facility's only rack.
func SwitchID(facility string) string {
	return derived(facility, "switch")
}

// MAC is the address of one of a device's interfaces, which are counted from
// 0. The bond has that of the first. It is locally administered.
func MAC(id string, port int) string {
	digest := uuid.NewSHA1(uuid.NameSpaceOID, []byte(id))
	return fmt.Sprintf("02:%02x:%02x:%02x:%02x:%02x", digest[0], digest[1], digest[2], digest[3], digest[4]&0xfe|byte(port))
}

func derived(id, name string) string {
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte(id+"/"+name)).String()
}
