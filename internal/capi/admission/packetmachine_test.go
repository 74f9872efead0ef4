package admission_test

import (
	"fmt"
	"strings"
	"testing"
)

const (
	deviceUUID      = "5f1a3c1e-8f0b-4b7e-9d57-0d1f6c9f6a10"
	reservationUUID = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"
	publicKey       = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGUoLOUb9nPtqBwLmYGnOkA5mSFFELhpEL9WAfqnkFCm someone@example.com"
)

// machineBases are the places where the specification of a machine can be written, and the path of it in each.
var machineBases = map[string]struct{ path, wrap string }{
	"PacketMachine":             {"spec", "spec:\n%s"},
	"PacketMachineTemplate":     {"spec.template.spec", "spec:\n  template:\n    spec:\n%s"},
	"PacketMachinePool":         {"spec.template.spec", "spec:\n  template:\n    spec:\n%s"},
	"PacketMachinePoolTemplate": {"spec.template.spec.template.spec", "spec:\n  template:\n    spec:\n      template:\n        spec:\n%s"},
}

// machineBody makes the body of an object of a kind out of the fields of a machine.
func machineBody(kind, fields string) string {
	wrap := machineBases[kind].wrap
	last := wrap[strings.LastIndex(strings.TrimSuffix(wrap, "\n%s"), "\n")+1:]
	indent := strings.Repeat(" ", len(last)-len(strings.TrimLeft(last, " "))+2)
	var lines []string
	for line := range strings.Lines(strings.Trim(fields, "\n")) {
		lines = append(lines, indent+strings.TrimSuffix(line, "\n"))
	}
	return fmt.Sprintf(wrap, strings.Join(lines, "\n"))
}

const plain = "os: ubuntu_24_04\nmachineType: c3.small.x86\n"

func TestMachineSpecsThatAreRefused(t *testing.T) {
	for name, test := range map[string]struct {
		fields string
		// want is what the rejection says; the first is the field, below the path of the machine.
		want []string
	}{
		"no os":                       {"machineType: c3.small.x86", []string{".os", "Required value"}},
		"no machine type":             {"os: ubuntu_24_04", []string{".machineType", "Required value"}},
		"empty os":                    {"os: ''\nmachineType: c3.small.x86", []string{".os", "at least 1 chars"}},
		"long os":                     {"os: " + strings.Repeat("a", 64) + "\nmachineType: c3.small.x86", []string{".os", "63"}},
		"billing cycle":               {plain + "billingCycle: weekly", []string{".billingCycle", `"weekly"`, `"hourly", "daily", "monthly", "yearly"`}},
		"metro and facility":          {plain + "metro: da\nfacility: da11", []string{"", "metro da and facility da11 are mutually exclusive"}},
		"metro":                       {plain + "metro: dallas", []string{".metro", `"dallas"`, "^[a-z]{2}$"}},
		"facility":                    {plain + "facility: dallas", []string{".facility", `"dallas"`, "^[a-z]{2,3}[0-9]{1,2}$"}},
		"iPXE without custom_ipxe":    {plain + "ipxeURL: https://example.com/boot", []string{".ipxeURL", "ubuntu_24_04", "custom_ipxe"}},
		"custom_ipxe without iPXE":    {"os: custom_ipxe\nmachineType: c3.small.x86", []string{".ipxeURL", "custom_ipxe needs an ipxeURL"}},
		"iPXE by TFTP":                {"os: custom_ipxe\nmachineType: c3.small.x86\nipxeURL: tftp://example.com/boot", []string{".ipxeURL", "tftp://example.com/boot", "^https?://"}},
		"always PXE":                  {plain + "alwaysPXE: true", []string{".alwaysPXE", "alwaysPXE true needs os: custom_ipxe, and os is ubuntu_24_04"}},
		"spot and reservation":        {plain + "spot: {maxPrice: '0.5'}\nhardwareReservationID: next-available", []string{".spot", "next-available", "set only one"}},
		"spot without price":          {plain + "spot: {}", []string{".spot.maxPrice", "Required value"}},
		"spot for nothing":            {plain + "spot: {maxPrice: '0.00'}", []string{".spot.maxPrice", `"0.00"`, "above 0"}},
		"spot at no number":           {plain + "spot: {maxPrice: cheap}", []string{".spot.maxPrice", `"cheap"`, "[0-9]"}},
		"fallback to nothing":         {plain + "reservationFallback: OnDemand", []string{".reservationFallback", "OnDemand", "needs a hardwareReservationID"}},
		"unknown fallback":            {plain + "hardwareReservationID: next-available\nreservationFallback: Spot", []string{".reservationFallback", `"Spot"`, `"None", "OnDemand"`}},
		"reservation":                 {plain + "hardwareReservationID: any", []string{".hardwareReservationID", `"any"`, "next-available"}},
		"reservation of no UUID":      {plain + "hardwareReservationID: " + strings.Repeat("-", 36), []string{".hardwareReservationID", "-----", "must be UUIDs"}},
		"reservation twice":           {plain + "hardwareReservationID: " + reservationUUID + "," + strings.ToUpper(reservationUUID), []string{".hardwareReservationID", "Duplicate value", strings.ToUpper(reservationUUID)}},
		"key policy":                  {plain + "sshKeyPolicy: All", []string{".sshKeyPolicy", `"All"`, `"ProjectAndUser", "Project", "Listed", "None"`}},
		"keys with policy None":       {plain + "sshKeyPolicy: None\nsshKeys: [" + reservationUUID + "]", []string{".sshKeyPolicy", "sshKeyPolicy None is not possible with sshKeys", "Listed"}},
		"policy Listed without keys":  {plain + "sshKeyPolicy: Listed", []string{".sshKeys", "sshKeyPolicy Listed needs sshKeys"}},
		"key that is none":            {plain + "sshKeys: [hello]", []string{".sshKeys[0]", `"hello"`, "authorized_keys", "UUID"}},
		"two keys in one":             {plain + "sshKeys: [\"" + publicKey + "\\n" + publicKey + "\"]", []string{".sshKeys[0]", "more than one key"}},
		"own tag":                     {plain + "tags: ['capp:cluster-id:other']", []string{".tags[0]", `"capp:cluster-id:other"`, "the provider's own"}},
		"own role":                    {plain + "tags: [a, 'kubernetes.io/role:master']", []string{".tags[1]", `"kubernetes.io/role:master"`, "the provider's own"}},
		"long tag":                    {plain + "tags: [" + strings.Repeat("a", 81) + "]", []string{".tags[0]", "80"}},
		"long tag in bytes":           {plain + "tags: [" + strings.Repeat("ä", 41) + "]", []string{".tags[0]", "at most 80 bytes"}},
		"tag twice":                   {plain + "tags: [a, a]", []string{".tags[1]", "Duplicate value", `"a"`}},
		"custom data of no object":    {plain + "customData: [1]", []string{".customData", "array", "object"}},
		"custom data that is long":    {plain + "customData: {a: " + strings.Repeat("a", 64<<10) + "}", []string{".customData", "(65544 bytes)", "at most 65536 bytes"}},
		"storage of no object":        {plain + "storage: raid1", []string{".storage", "string", "object"}},
		"storage with a typing error": {plain + "storage: {disk: []}", []string{".storage.disk", "disks, raid and filesystems"}},
		"storage of another shape":    {plain + "storage: {disks: {a: b}}", []string{".storage", "disks, raid and filesystems"}},
		"long description":            {plain + "description: " + strings.Repeat("a", 256), []string{".description", "255"}},
		"time-out":                    {plain + "timeouts: {queued: soon}", []string{".timeouts.queued", `"soon"`, "[0-9]{1,6}"}},
		// What no client can decode would keep every controller from reading anything of the kind.
		"time-out beyond reckoning":   {plain + "timeouts: {bootstrap: 99999999999h}", []string{".timeouts.bootstrap", `"99999999999h"`, "[0-9]{1,6}"}},
		"time-out of a century":       {plain + "timeouts: {bootstrap: 876000h}", []string{".timeouts.bootstrap", `"876000h"`, "at most 87600h"}},
		"negative time-out":           {plain + "timeouts: {deletion: -5m}", []string{".timeouts.deletion", `"-5m"`}},
		"network type":                {plain + "network: {type: layer4}", []string{".network.type", `"layer4"`, `"layer3", "hybrid-bonded", "hybrid-unbonded", "layer2-bonded", "layer2-individual"`}},
		"private with public address": {plain + "network: {privateOnly: true, addresses: [{type: private_ipv4}, {type: public_ipv6}]}", []string{".network.addresses[1].type", `"public_ipv6"`, "private_ipv4"}},
		"no private address":          {plain + "network: {addresses: [{type: public_ipv4}]}", []string{".network.addresses", "every device has a private IPv4 address"}},
		"address twice":               {plain + "network: {addresses: [{type: private_ipv4}, {type: private_ipv4}]}", []string{".network.addresses[1]", "Duplicate value"}},
		"address type":                {plain + "network: {addresses: [{type: private_ipv6}]}", []string{".network.addresses[0].type", `"private_ipv6"`, `"public_ipv4", "private_ipv4", "public_ipv6"`}},
		"IPv4 prefix":                 {plain + "network: {addresses: [{type: private_ipv4, cidr: 124}]}", []string{".network.addresses[0].cidr", "124", "28 to 31"}},
		"IPv6 prefix":                 {plain + "network: {addresses: [{type: private_ipv4}, {type: public_ipv6, cidr: 28}]}", []string{".network.addresses[1].cidr", "28", "124 to 127"}},
		"address of no reservation":   {plain + "network: {addresses: [{type: private_ipv4, reservationIDs: [mine]}]}", []string{".network.addresses[0].reservationIDs[0]", "mine"}},
		"VLAN in layer 3":             {plain + "network: {vlans: [{vxlan: 1000}]}", []string{".network.vlans", `"1000"`, "layer3", "hybrid-bonded"}},
		"VLAN of two names":           {plain + "network: {type: hybrid-bonded, vlans: [{vxlan: 1000, id: " + deviceUUID + "}]}", []string{".network.vlans[0]", deviceUUID, "1000", "must be one of id and vxlan"}},
		"VLAN of no name":             {plain + "network: {type: hybrid-bonded, vlans: [{port: bond0}]}", []string{".network.vlans[0]", "one of id", "vxlan, 2 to 3999"}},
		"VLAN number":                 {plain + "network: {type: hybrid-bonded, vlans: [{vxlan: 4000}]}", []string{".network.vlans[0].vxlan", "4000", "3999"}},
		"VLAN of a port in a bond":    {plain + "network: {type: hybrid-bonded, vlans: [{vxlan: 1000, port: eth1}]}", []string{".network.vlans[0].port", `"eth1"`, "hybrid-bonded", "begin with bond"}},
		"VLAN of no single port":      {plain + "network: {type: layer2-individual, vlans: [{vxlan: 1000}]}", []string{".network.vlans[0].port", `"bond0"`, "layer2-individual", "begin with eth"}},
		"port":                        {plain + "network: {type: hybrid-bonded, vlans: [{vxlan: 1000, port: wan0}]}", []string{".network.vlans[0].port", `"wan0"`, "bond"}},
		"native VLAN alone":           {plain + "network: {type: hybrid-bonded, vlans: [{vxlan: 1000, native: true}]}", []string{".network.vlans[0].native", "the only VLAN of bond0"}},
		"two native VLANs":            {plain + "network: {type: hybrid-bonded, vlans: [{vxlan: 1000, native: true}, {vxlan: 1001, port: bond0, native: true}]}", []string{".network.vlans[1].native", "bond0 has another native VLAN already"}},
		"VLAN twice":                  {plain + "network: {type: hybrid-bonded, vlans: [{vxlan: 1000}, {vxlan: 1000, port: bond0}]}", []string{".network.vlans[1]", "Duplicate value", "1000 on bond0"}},
	} {
		t.Run(name, func(t *testing.T) {
			for kind, base := range machineBases {
				t.Run(kind, func(t *testing.T) {
					err := api.Create(t.Context(), object(t, kind, nameOf(t), machineBody(kind, test.fields)))
					refused(t, err, append([]string{base.path + test.want[0]}, test.want[1:]...)...)
				})
			}
		})
	}
}

func TestPrivateKeyIsNotRepeated(t *testing.T) {
	const secret = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ"
	fields := plain + "sshKeys: [\"-----BEGIN OPENSSH PRIVATE KEY-----\\n" + secret + "\\n-----END OPENSSH PRIVATE KEY-----\"]"
	err := api.Create(t.Context(), object(t, "PacketMachine", nameOf(t), machineBody("PacketMachine", fields)))
	refused(t, err, "spec.sshKeys[0]", "is a private key")
	if strings.Contains(err.Error(), secret) {
		t.Error("the rejection repeats the private key")
	}
}

func TestMachineSpecsThatAreAccepted(t *testing.T) {
	for name, fields := range map[string]string{
		"the least": plain,
		"everything": plain + `
billingCycle: monthly
metro: da
sshKeys: [` + reservationUUID + `, "` + publicKey + `"]
sshKeyPolicy: Listed
hardwareReservationID: ` + reservationUUID + `,` + deviceUUID + `
reservationFallback: OnDemand
tags: [team-a, "` + strings.Repeat("a", 80) + `"]
customData: {a: {b: [1, true, null, "x"]}}
storage:
  disks: [{device: /dev/sda, wipeTable: true, partitions: [{label: BIOS, number: 1, size: 4096}, {label: ROOT, number: "2", size: 0}]}]
  raid: [{devices: [/dev/sda1, /dev/sdb1], level: "1", name: /dev/md/ROOT}]
  filesystems: [{mount: {device: /dev/sda2, format: ext4, point: /, create: {options: [-L, ROOT]}}}]
features: [tpm]
description: a worker
deletionProtection: true
timeouts: {queued: 30m, provisioning: 1h30m, bootstrap: 0s, deletion: 90.5s}
network:
  type: hybrid-bonded
  addresses: [{type: public_ipv4, cidr: 31}, {type: private_ipv4, cidr: 28, reservationIDs: [` + reservationUUID + `]}, {type: public_ipv6, cidr: 127}]
  vlans: [{vxlan: 1000, native: true}, {id: ` + deviceUUID + `, port: bond0}]
`,
		"custom iPXE":       "os: custom_ipxe\nmachineType: c3.small.x86\nipxeURL: http://example.com/boot.ipxe\nalwaysPXE: true",
		"spot":              plain + "spot: {maxPrice: '0.25'}",
		"next available":    plain + "hardwareReservationID: next-available\nreservationFallback: None",
		"no keys":           plain + "sshKeyPolicy: None",
		"private only":      plain + "network: {privateOnly: true, addresses: [{type: private_ipv4}]}",
		"layer 2":           plain + "network: {type: layer2-individual, vlans: [{vxlan: 2, port: eth0}, {vxlan: 3999, port: eth1}, {vxlan: 2, port: eth1, native: true}]}",
		"hybrid unbonded":   plain + "network: {type: hybrid-unbonded, vlans: [{vxlan: 1000, port: eth1}]}",
		"the old facility":  plain + "facility: sjc1",
		"alwaysPXE is off":  plain + "alwaysPXE: false",
		"empty custom data": plain + "customData: {}",
	} {
		t.Run(name, func(t *testing.T) {
			for kind := range machineBases {
				t.Run(kind, func(t *testing.T) {
					o := object(t, kind, nameOf(t), machineBody(kind, fields))
					if err := api.Create(t.Context(), o); err != nil {
						t.Fatalf("it was refused: %v", err)
					}
					if err := api.Delete(t.Context(), o); err != nil {
						t.Error(err)
					}
				})
			}
		})
	}
}
