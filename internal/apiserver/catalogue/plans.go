package catalogue

import (
	"fmt"
	"strings"

	"github.com/packetyard/packetyard/pkg/packet"
)

const gigabyte = 1 << 30

// plans are the last of the service, with the cores, the memory in GB and the
// price in dollars an hour that Kubernetes' autoscaler knew them by.
var plans = []struct {
	slug   string
	cores  int
	memory int
	price  float64
	cpu    string
	drives []packet.PlanDrive
	nics   packet.PlanNIC
}{
	{"a3.large.x86", 64, 1024, 7.5, "AMD EPYC 7543P", drives(2, "NVME", "3.8TB"), nics(4, "25Gbps")},
	{"c2.medium.x86", 24, 64, 1.0, "AMD EPYC 7401P", drives(2, "SSD", "480GB"), nics(2, "10Gbps")},
	{"c3.large.arm64", 80, 256, 2.5, "Ampere Altra Q80-30", drives(2, "NVME", "960GB"), nics(2, "25Gbps")},
	{"c3.medium.x86", 24, 64, 1.35, "AMD EPYC 7402P", drives(2, "SSD", "480GB"), nics(2, "10Gbps")},
	{"c3.small.x86", 8, 32, 0.75, "Intel Xeon E-2278G", drives(2, "SSD", "480GB"), nics(2, "10Gbps")},
	{"g2.large.x86", 28, 192, 5.0, "Intel Xeon Gold 5120", drives(2, "SSD", "480GB"), nics(2, "10Gbps")},
	{"m2.xlarge.x86", 28, 384, 2.9, "Intel Xeon Gold 5120", drives(1, "NVME", "3.8TB"), nics(4, "10Gbps")},
	{"m3.large.x86", 32, 256, 3.1, "AMD EPYC 7502P", drives(2, "NVME", "3.8TB"), nics(2, "25Gbps")},
	{"m3.small.x86", 8, 64, 1.05, "Intel Xeon E-2378G", drives(2, "SSD", "480GB"), nics(2, "25Gbps")},
	{"n2.xlarge.x86", 28, 384, 3.25, "Intel Xeon Gold 5120", drives(1, "NVME", "3.8TB"), nics(4, "10Gbps")},
	{"n3.xlarge.x86", 32, 512, 4.5, "Intel Xeon Gold 6314U", drives(2, "NVME", "3.8TB"), nics(4, "25Gbps")},
	{"s3.xlarge.x86", 24, 192, 2.95, "Intel Xeon Silver 4214", drives(12, "HDD", "8TB"), nics(2, "10Gbps")},
	{"t3.small.x86", 4, 16, 0.35, "Intel Xeon E3-1240", drives(1, "SSD", "240GB"), nics(2, "1Gbps")},
	{"x2.xlarge.x86", 28, 384, 2.5, "Intel Xeon Gold 5120", drives(1, "NVME", "3.8TB"), nics(4, "10Gbps")},
}

func drives(count int, kind, size string) []packet.PlanDrive {
	return []packet.PlanDrive{{Count: count, Type: kind, Size: size, Category: "boot"}}
}

func nics(count int, speed string) packet.PlanNIC {
	return packet.PlanNIC{Count: count, Type: speed}
}

func (c *Catalogue) addPlans() {
	var inFacilities, inMetros []packet.PlanLocation
	for _, facility := range c.Facilities {
		inFacilities = append(inFacilities, packet.PlanLocation{Href: "/metal/v1/facilities/" + facility.ID})
	}
	for _, metro := range c.Metros {
		inMetros = append(inMetros, packet.PlanLocation{Href: "/metal/v1/locations/metros/" + metro.ID})
	}
	for _, p := range plans {
		line := "baremetal"
		category := map[byte]string{'s': "storage", 'g': "gpu"}[p.slug[0]]
		if category == "" {
			category = "compute"
		}
		c.Plans = append(c.Plans, Plan{
			Plan: packet.Plan{
				ID: id("plans", p.slug),
				// Clients compare the name with what users call a plan.
				Name:            p.slug,
				Slug:            p.slug,
				Description:     fmt.Sprintf("%s, %d cores, %d GB", p.cpu, p.cores, p.memory),
				Class:           p.slug,
				Line:            line,
				Type:            "standard",
				Categories:      []string{category},
				DeploymentTypes: []string{packet.DeploymentOnDemand, packet.DeploymentSpot},
				Specs: &packet.PlanSpecs{
					CPUs:     []packet.PlanCPU{{Count: 1, Type: fmt.Sprintf("%s %d-Core Processor", p.cpu, p.cores)}},
					Memory:   &packet.PlanMemory{Total: fmt.Sprintf("%dGB", p.memory)},
					Drives:   p.drives,
					NICs:     []packet.PlanNIC{p.nics},
					Features: &packet.PlanFeatures{RAID: true, UEFI: true, TPM: p.slug[1] == '3'},
				},
				Pricing:           &packet.PlanPricing{Hour: p.price},
				AvailableIn:       inFacilities,
				AvailableInMetros: inMetros,
			},
			CPUs:        p.cores,
			MemoryBytes: int64(p.memory) * gigabyte,
			ARM:         strings.HasSuffix(p.slug, ".arm64"),
		})
	}
}
