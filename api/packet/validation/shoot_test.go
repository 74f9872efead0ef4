package validation_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"

	"github.com/packetyard/packetyard/api/packet/v1alpha1"
	"github.com/packetyard/packetyard/api/packet/validation"
)

const defaultNetworks = `{pods: 100.96.0.0/11, services: 100.64.0.0/13}`

func TestInfrastructureConfig(t *testing.T) {
	for name, test := range map[string]struct {
		config, networking string
		want               []string
	}{
		"nothing":        {`{}`, defaultNetworks, nil},
		"all of it":      {`networks: {nodes: 10.64.12.0/25, vlan: {vxlan: 2}}`, defaultNetworks, nil},
		"reservation":    {`networks: {privateReservation: {prefixLength: 25}, vlan: {vxlan: 3999}}`, defaultNetworks, nil},
		"any VLAN":       {`networks: {vlan: {}}`, defaultNetworks, nil},
		"the same nodes": {`networks: {nodes: 10.64.12.0/25}`, `{nodes: 10.64.12.0/25}`, nil},
		"IPv6": {`networks: {nodes: "fd00::/64"}`, defaultNetworks, []string{
			`config.networks.nodes: Invalid value: "fd00::/64": must be an IPv4 block, such as 10.64.12.0/25: machines have one private IPv4 block`,
		}},
		"partly public": {`networks: {nodes: 10.0.0.0/7}`, defaultNetworks, []string{
			`config.networks.nodes: Invalid value: "10.0.0.0/7": must be a block of private addresses, in 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16`,
		}},
		"as pods and services": {`networks: {nodes: 10.64.12.0/25}`, `{pods: 10.64.0.0/16, services: 10.64.12.64/26}`, []string{
			`config.networks.nodes: Invalid value: "10.64.12.0/25": must share no address with spec.networking.pods, which is 10.64.0.0/16`,
			`config.networks.nodes: Invalid value: "10.64.12.0/25": must share no address with spec.networking.services, which is 10.64.12.64/26`,
		}},
		"numbers": {`networks: {privateReservation: {prefixLength: 29}, vlan: {vxlan: 1}}`, defaultNetworks, []string{
			`config.networks.privateReservation.prefixLength: Invalid value: 29: must be from 25 (128 addresses) to 28 (16 addresses)`,
			`config.networks.vlan.vxlan: Invalid value: 1: must be from 2 to 3999`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			compare(t, validation.ValidateInfrastructureConfig(parsed[v1alpha1.InfrastructureConfig](t, test.config), parsed[gardencorev1beta1.Networking](t, test.networking), field.NewPath("config")), test.want)
		})
	}
	compare(t, validation.ValidateInfrastructureConfig(parsed[v1alpha1.InfrastructureConfig](t, `networks: {nodes: 10.64.12.0/25}`), nil, nil), nil)
}

func TestInfrastructureConfigUpdate(t *testing.T) {
	const (
		block = "10.64.12.0/25"
		fixed = "Forbidden: cannot be changed, set or removed any more: the Shoot's nodes have addresses of " + block + "; create another Shoot"
	)
	for name, test := range map[string]struct{ old, config, want string }{
		"nothing":        {`{}`, `networks: {}`, ""},
		"the same":       {`networks: {vlan: {vxlan: 7}}`, `networks: {vlan: {vxlan: 7}}`, ""},
		"nodes told":     {`{}`, `networks: {nodes: ` + block + `}`, ""},
		"nodes set":      {`{}`, `networks: {nodes: 10.64.13.0/25}`, "nodes: " + fixed},
		"nodes removed":  {`networks: {nodes: ` + block + `}`, `{}`, "nodes: " + fixed},
		"another length": {`networks: {privateReservation: {prefixLength: 25}}`, `networks: {privateReservation: {prefixLength: 26}}`, "privateReservation: " + fixed},
		"reservation":    {`{}`, `networks: {privateReservation: {prefixLength: 26}}`, "privateReservation: " + fixed},
		"a VLAN":         {`{}`, `networks: {vlan: {vxlan: 8}}`, ""},
		"VLAN removed":   {`networks: {vlan: {}}`, `networks: {}`, ""},
		"number told":    {`networks: {vlan: {}}`, `networks: {vlan: {vxlan: 8}}`, ""},
		"another number": {`networks: {vlan: {vxlan: 7}}`, `networks: {vlan: {vxlan: 8}}`,
			"vlan.vxlan: Invalid value: 8: must stay 7: take networks.vlan out, and put it back with the other number when the VLAN is gone"},
	} {
		t.Run(name, func(t *testing.T) {
			config, old := parsed[v1alpha1.InfrastructureConfig](t, test.config), parsed[v1alpha1.InfrastructureConfig](t, test.old)
			var want []string
			if test.want != "" {
				want = []string{"config.networks." + test.want}
			}
			nodes := block
			compare(t, validation.ValidateInfrastructureConfigUpdate(config, old, &nodes, field.NewPath("config")), want)
			// As long as nobody knows the nodes' addresses, what was wrong can be put right.
			if strings.Contains(test.want, "Forbidden") {
				compare(t, validation.ValidateInfrastructureConfigUpdate(config, old, nil, field.NewPath("config")), nil)
			}
		})
	}
}

func TestNetworking(t *testing.T) {
	empty := &v1alpha1.InfrastructureConfig{}
	at := field.NewPath("networking")
	compare(t, validation.ValidateNetworking(nil, empty, true, at), nil)
	compare(t, validation.ValidateNetworking(parsed[gardencorev1beta1.Networking](t, `{nodes: 10.64.12.0/25, ipFamilies: [IPv4]}`), empty, true, at), nil)
	reserved := parsed[v1alpha1.InfrastructureConfig](t, `networks: {privateReservation: {prefixLength: 25}}`)
	nodes := parsed[gardencorev1beta1.Networking](t, `{nodes: 10.64.12.0/25}`)
	compare(t, validation.ValidateNetworking(nodes, reserved, true, at), []string{
		"networking.nodes: Forbidden: spec.provider.infrastructureConfig.networks.privateReservation has a block reserved: its addresses are known only then, and put here",
	})
	// Gardenlet has put it there by then.
	compare(t, validation.ValidateNetworking(nodes, reserved, false, at), nil)
}

func TestControlPlaneConfig(t *testing.T) {
	at := field.NewPath("config")
	for _, fine := range []string{`{}`, `loadBalancer: {}`, `loadBalancer: {implementation: none}`, `cloudControllerManager: {featureGates: {CloudControllerManagerWebhook: true}}`} {
		compare(t, validation.ValidateControlPlaneConfig(parsed[v1alpha1.ControlPlaneConfig](t, fine), "1.36.4", at), nil)
	}
	compare(t, validation.ValidateControlPlaneConfig(parsed[v1alpha1.ControlPlaneConfig](t, `{loadBalancer: {implementation: kube-vip}, cloudControllerManager: {featureGates: {Nothing: true}}}`), "1.36.4", at), []string{
		`config.cloudControllerManager.featureGates.Nothing: Invalid value: "Nothing": unknown feature gate Nothing`,
		`config.loadBalancer.implementation: Unsupported value: "kube-vip": supported values: "metallb", "none", "disabled"`,
	})
}

func TestWorkerConfig(t *testing.T) {
	const one, two = "93125c2a-8b78-4d4f-a3c4-7367d6b7cca8", "b1b1b1b1-8b78-4d4f-a3c4-7367d6b7cca8"
	for name, test := range map[string]struct {
		config string
		want   []string
	}{
		"nothing":      {`{}`, nil},
		"reservations": {`{reservationIDs: [` + one + `, ` + two + `, next-available], reservedDevicesOnly: true, vlans: [` + one + `]}`, nil},
		"on demand":    {`{reservedDevicesOnly: false, nodeTemplate: {capacity: {cpu: "8"}}}`, nil},
		"spot":         {`{spot: {maxPrice: "0.35"}}`, nil},
		"prices": {`{spot: {maxPrice: "0.00"}}`, []string{
			`config.spot.maxPrice: Invalid value: "0.00": must be a price in US dollars per hour above 0, as a decimal number such as "0.35"`,
		}},
		"price with a unit": {`{spot: {maxPrice: "$1"}}`, []string{
			`config.spot.maxPrice: Invalid value: "$1": must be a price in US dollars per hour above 0, as a decimal number such as "0.35"`,
		}},
		"price in another notation": {`{spot: {maxPrice: "1e3"}}`, []string{
			`config.spot.maxPrice: Invalid value: "1e3": must be a price in US dollars per hour above 0, as a decimal number such as "0.35"`,
		}},
		"twice": {`{reservationIDs: [` + one + `, ` + one + `], vlans: [` + two + `, ` + two + `]}`, []string{
			`config.reservationIDs[1]: Duplicate value: "` + one + `"`,
			`config.vlans[1]: Duplicate value: "` + two + `"`,
		}},
		"other forms of UUIDs": {`{reservationIDs: ["{` + one + `}"], vlans: ["urn:uuid:` + one + `"]}`, []string{
			`config.reservationIDs[0]: Invalid value: "{` + one + `}": must be the ID (a UUID) of a hardware reservation of the project, or next-available`,
			`config.vlans[0]: Invalid value: "urn:uuid:` + one + `": must be the ID (a UUID) of a virtual network of the project in the metro`,
		}},
		"node template": {`{nodeTemplate: {capacity: {cpu: "-1", "example.com/a": "-1"}, virtualCapacity: {"example.com/b": "-2"}}}`, []string{
			`config.nodeTemplate.capacity[cpu]: Invalid value: "-1": must not be negative`,
			`config.nodeTemplate.capacity[example.com/a]: Invalid value: "-1": must not be negative`,
			`config.nodeTemplate.virtualCapacity[example.com/b]: Invalid value: "-2": must not be negative`,
		}},
		"empty node template": {`{nodeTemplate: {capacity: {}}}`, []string{`config.nodeTemplate.capacity: Required value: at least one resource, such as cpu: "8"`}},
	} {
		t.Run(name, func(t *testing.T) {
			compare(t, validation.ValidateWorkerConfig(parsed[v1alpha1.WorkerConfig](t, test.config), field.NewPath("config")), test.want)
		})
	}
}

func TestStorage(t *testing.T) {
	for name, test := range map[string]struct{ storage, want string }{
		"a layout": {`{disks: [{device: /dev/sda, wipeTable: true, partitions: [{label: BIOS, number: 1, size: 4096}, {label: ROOT, number: "2", size: 0}]},
			{device: /dev/nvme0n1, partitions: [{number: 1, size: 20GB}]}, {device: /dev/nvme1n1, partitions: [{number: 1, size: 100%}]}],
			raid: [{name: /dev/md0, level: 1, devices: [/dev/nvme0n1p1, /dev/nvme1n1p1]}],
			filesystems: [{mount: {device: /dev/sda2, format: ext4, point: /, options: [-L, ROOT]}}, {mount: {device: /dev/md0, format: xfs, point: /data}}]}`, ""},
		"no object":          {`[]`, "must be an object with disks, raid and filesystems"},
		"unknown key":        {`{disks: [{devices: /dev/sda}]}`, `unknown field "disks[0].devices"`},
		"no path":            {`{disks: [{device: sda}]}`, `storage.disks[0].device: Invalid value: "sda": must be a path below /dev/`},
		"a disk twice":       {`{disks: [{device: /dev/sda}, {device: /dev/sda}]}`, `storage.disks[1].device: Duplicate value: "/dev/sda"`},
		"partition number":   {`{disks: [{device: /dev/sda, partitions: [{number: 129, size: 0}]}]}`, `storage.disks[0].partitions[0].number: Invalid value: "129": must be from 1 to 128`},
		"a partition twice":  {`{disks: [{device: /dev/sda, partitions: [{number: 1, size: 1GB}, {number: 1, size: 0}]}]}`, `storage.disks[0].partitions[1].number: Duplicate value: "1"`},
		"size":               {`{disks: [{device: /dev/sda, partitions: [{number: 1, size: all}]}]}`, `storage.disks[0].partitions[0].size: Invalid value: "all": must be a number of bytes`},
		"level":              {`{raid: [{name: /dev/md0, level: 7, devices: []}]}`, `storage.raid[0].level: Unsupported value: "7": supported values: "0", "1", "5", "6", "10"`},
		"too few devices":    {`{disks: [{device: /dev/sda}], raid: [{name: /dev/md0, level: "1", devices: [/dev/sda]}]}`, `level 1 needs at least 2 devices`},
		"array name":         {`{raid: [{name: /dev/raid, level: 0, devices: []}]}`, `storage.raid[0].name: Invalid value: "/dev/raid": must be a path that begins with /dev/md`},
		"device of an array": {`{disks: [{device: /dev/sda}], raid: [{name: /dev/md0, level: 0, devices: [/dev/sda, /dev/sdb]}]}`, `storage.raid[0].devices[1]: Unsupported value: "/dev/sdb": supported values: "/dev/sda"`},
		"format":             {`{disks: [{device: /dev/sda}], filesystems: [{mount: {device: /dev/sda, format: zfs, point: /}}]}`, `storage.filesystems[0].mount.format: Unsupported value: "zfs"`},
		"device":             {`{filesystems: [{mount: {device: /dev/sda, format: ext4, point: /}}]}`, `storage.filesystems[0].mount.device: Unsupported value: "/dev/sda"`},
		"point":              {`{disks: [{device: /dev/sda}], filesystems: [{mount: {device: /dev/sda, format: ext4, point: data}}]}`, `storage.filesystems[0].mount.point: Invalid value: "data": must be an absolute path`},
		"no root":            {`{disks: [{device: /dev/sda}], filesystems: [{mount: {device: /dev/sda, format: ext4, point: /data}}]}`, `storage.filesystems: Required value: one whose mount.point is /`},
		"too long":           {`{disks: [{device: /dev/` + strings.Repeat("a", 64<<10) + `}]}`, `storage: Too long`},
	} {
		t.Run(name, func(t *testing.T) {
			got := validation.ValidateWorkerConfig(parsed[v1alpha1.WorkerConfig](t, `{storage: `+test.storage+`}`), nil)
			if test.want == "" {
				compare(t, got, nil)
			} else if text := got.ToAggregate(); text == nil || !strings.Contains(text.Error(), test.want) {
				t.Errorf("got %v, want %s", text, test.want)
			}
		})
	}
}

func TestZones(t *testing.T) {
	profile := parsed[gardencorev1beta1.CloudProfileSpec](t, `regions: [{name: ny, zones: [{name: ewr1}, {name: ny5}]}, {name: sv, zones: [{name: sv15}]}, {name: da}]`)
	at := field.NewPath("zones")
	compare(t, validation.ValidateZones(nil, "ny", profile, at), nil)
	compare(t, validation.ValidateZones([]string{"ny5", "ewr1"}, "ny", profile, at), nil)
	compare(t, validation.ValidateZones([]string{"ny5", "sv15", "ny5"}, "ny", profile, at), []string{
		`zones[1]: Unsupported value: "sv15": supported values: "ewr1", "ny5"`,
		`zones[2]: Duplicate value: "ny5"`,
	})
	if got := validation.ValidateZones([]string{"da11"}, "da", profile, at); len(got) != 1 {
		t.Errorf("a zone of a region without zones: %v", got)
	}
}

func TestMachineImageOfAWorker(t *testing.T) {
	const says = `machine.image.version: Invalid value: "24.4.0": `
	for name, test := range map[string]struct{ profile, config, machine, want string }{
		"fine":            {`machineTypes: [{name: a, cpu: 1, gpu: 0, memory: 1Gi}]`, `machineImages: [{name: ubuntu, versions: [{version: 24.4.0, id: a}]}]`, `{type: a, image: {name: ubuntu, version: 24.4.0}}`, ""},
		"no image":        {`{}`, `machineImages: []`, `{type: a}`, ""},
		"unknown version": {`{}`, `machineImages: [{name: ubuntu, versions: [{version: 22.4.0, id: a}]}]`, `{type: a, image: {name: ubuntu, version: 24.4.0}}`, says + "the CloudProfile's providerConfig does not tell the operating system of machine image ubuntu in this version"},
		"architecture":    {`machineTypes: [{name: a, cpu: 1, gpu: 0, memory: 1Gi}]`, `machineImages: [{name: ubuntu, versions: [{version: 24.4.0, id: a}]}]`, `{type: a, architecture: arm64, image: {name: ubuntu, version: 24.4.0}}`, says + "the CloudProfile's providerConfig does not tell the operating system of machine image ubuntu in this version for architecture arm64"},
		"flavor":          {`{machineCapabilities: [{name: architecture, values: [amd64, arm64]}], machineTypes: [{name: a, cpu: 1, gpu: 0, memory: 1Gi, capabilities: {architecture: [arm64]}}]}`, `machineImages: [{name: ubuntu, versions: [{version: 24.4.0, capabilityFlavors: [{id: a, capabilities: {architecture: [arm64]}}]}]}]`, `{type: a, image: {name: ubuntu, version: 24.4.0}}`, ""},
		"other flavors":   {`{machineCapabilities: [{name: architecture, values: [amd64, arm64]}], machineTypes: [{name: a, cpu: 1, gpu: 0, memory: 1Gi, capabilities: {architecture: [arm64]}}]}`, `machineImages: [{name: ubuntu, versions: [{version: 24.4.0, capabilityFlavors: [{id: a, capabilities: {architecture: [amd64]}}]}]}]`, `{type: a, image: {name: ubuntu, version: 24.4.0}}`, says + "no flavor that the CloudProfile's providerConfig has of machine image ubuntu in this version is for machines of type a"},
	} {
		t.Run(name, func(t *testing.T) {
			var want []string
			if test.want != "" {
				want = []string{test.want}
			}
			compare(t, validation.ValidateMachineImage(parsed[gardencorev1beta1.Machine](t, test.machine), parsed[gardencorev1beta1.CloudProfileSpec](t, test.profile),
				parsed[v1alpha1.CloudProfileConfig](t, test.config), field.NewPath("machine")), want)
		})
	}
}

func TestSharedReservations(t *testing.T) {
	const id = "93125c2a-8b78-4d4f-a3c4-7367d6b7cca8"
	a := &v1alpha1.WorkerConfig{ReservationIDs: []string{id, "next-available"}}
	at := field.NewPath("workers")
	compare(t, validation.ValidateSharedReservations([]*v1alpha1.WorkerConfig{a, nil, {ReservationIDs: []string{"next-available"}}}, at), nil)
	compare(t, validation.ValidateSharedReservations([]*v1alpha1.WorkerConfig{a, nil, a}, at), []string{
		`workers[2].providerConfig.reservationIDs[0]: Invalid value: "` + id + `": must not be in two worker pools: workers[0] has it`,
	})
}
