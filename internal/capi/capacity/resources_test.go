package capacity_test

import (
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/capi/capacity"
	"github.com/packetyard/packetyard/pkg/packet"
)

func plan(slug, cpu string, sockets int, memory string, drives ...packet.PlanDrive) packet.Plan {
	return packet.Plan{Slug: slug, Specs: &packet.PlanSpecs{
		CPUs: []packet.PlanCPU{{Count: sockets, Type: cpu}}, Memory: &packet.PlanMemory{Total: memory}, Drives: drives,
	}}
}

func TestResources(t *testing.T) {
	boot := packet.PlanDrive{Count: 2, Type: "SSD", Size: "480GB", Category: "boot"}
	for name, test := range map[string]struct {
		plan packet.Plan
		spec infrav1.PacketMachineSpec
		want string
	}{
		"one socket":         {plan: plan("c3.small.x86", "Intel Xeon E-2278G 8-Core Processor @ 3.40GHz", 1, "32GB", boot), want: "8 32Gi 480G amd64"},
		"two sockets":        {plan: plan("x.x86", "2.2GHz, 14 cores", 2, "384GB", boot), want: "28 384Gi 480G amd64"},
		"a terabyte":         {plan: plan("x.x86", "64-Core", 1, "1TB", boot), want: "64 1Ti 480G amd64"},
		"ARM":                {plan: plan("c3.large.arm64", "Ampere Altra Q80-30 80-Core Processor @ 2.8GHz", 1, "256GB", boot), want: "80 256Gi 480G arm64"},
		"old ARM":            {plan: plan("c1.large.arm", "ThunderX 48-Core", 1, "128GB", boot), want: "48 128Gi 480G arm64"},
		"ARM is no part":     {plan: plan("farm.x86", "8-Core", 1, "8GB", boot), want: "8 8Gi 480G amd64"},
		"smallest boot":      {plan: plan("x.x86", "8-Core", 1, "8GB", packet.PlanDrive{Size: "3.8TB", Category: "boot"}, packet.PlanDrive{Size: "240GB", Category: "boot"}, packet.PlanDrive{Size: "1GB", Category: "storage"}), want: "8 8Gi 240G amd64"},
		"fractions":          {plan: plan("x.x86", "8-Core", 1, "8GB", packet.PlanDrive{Size: "3.8TB"}), want: "8 8Gi 3800G amd64"},
		"no boot drive":      {plan: plan("x.x86", "8-Core", 1, "8GB", packet.PlanDrive{Size: "8TB", Category: "storage"}), want: "8 8Gi - amd64"},
		"odd drive":          {plan: plan("x.x86", "8-Core", 1, "8GB", packet.PlanDrive{Size: "big"}), want: "8 8Gi - amd64"},
		"own layout":         {plan: plan("x.x86", "8-Core", 1, "8GB", boot), spec: infrav1.PacketMachineSpec{Storage: &apiextensionsv1.JSON{Raw: []byte("{}")}}, want: "8 8Gi - amd64"},
		"no sockets":         {plan: plan("x.x86", "8-Core", 0, "8GB"), want: "8 8Gi - amd64"},
		"several processors": {plan: packet.Plan{Slug: "x.x86", Specs: &packet.PlanSpecs{CPUs: []packet.PlanCPU{{Count: 1, Type: "8-core"}, {Count: 1, Type: "4 Core"}}, Memory: &packet.PlanMemory{Total: "8GiB"}}}, want: "12 8Gi - amd64"},
	} {
		t.Run(name, func(t *testing.T) {
			resources, info, err := capacity.Resources(test.plan, test.spec)
			if err != nil {
				t.Fatal(err)
			}
			drive := "-"
			if quantity, ok := resources["ephemeral-storage"]; ok {
				drive = quantity.String()
			}
			got := strings.Join([]string{resources.Cpu().String(), resources.Memory().String(), drive, string(info.Architecture)}, " ")
			if got != test.want || info.OperatingSystem != "linux" {
				t.Errorf("got %s, %s, want %s, linux", got, info.OperatingSystem, test.want)
			}
		})
	}
}

func TestPlansThatDoNotTell(t *testing.T) {
	for name, test := range map[string]struct {
		plan packet.Plan
		want string
	}{
		"nothing":      {packet.Plan{Slug: "x"}, "plan x tells no processors"},
		"no core":      {plan("x", "Intel Xeon E3-1240 v5", 1, "32GB"), `"Intel Xeon E3-1240 v5"`},
		"no memory":    {packet.Plan{Slug: "x", Specs: &packet.PlanSpecs{CPUs: []packet.PlanCPU{{Type: "8-Core"}}}}, "plan x tells no memory"},
		"odd memory":   {plan("x", "8-Core", 1, "lots"), `plan x has memory "lots"`},
		"zero memory":  {plan("x", "8-Core", 1, "0GB"), `"0GB", which is no size`},
		"much of it":   {plan("x", "8-Core", 1, "99999999999999999999TB"), "which is no size"},
		"many of them": {plan("x", "99999999999999-Core", 1, "8GB"), "do not tell their number"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := capacity.Resources(test.plan, infrav1.PacketMachineSpec{}); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want it to contain %s", err, test.want)
			}
		})
	}
}

// Every plan that the API offers is understood.
func TestEveryPlan(t *testing.T) {
	api := apiservertest.Start(t, apiservertest.Options{}).Client(t)
	plans, err := api.Plans(t.Context())
	if err != nil || len(plans) == 0 {
		t.Fatalf("%d plans: %v", len(plans), err)
	}
	for _, p := range plans {
		resources, info, err := capacity.Resources(p, infrav1.PacketMachineSpec{})
		if err != nil {
			t.Error(err)
			continue
		}
		if resources.Cpu().Value() < 4 || resources.Memory().Value() < 16<<30 || resources.StorageEphemeral().Value() < 1e11 && p.Slug[0] != 's' {
			t.Errorf("%s has %v", p.Slug, resources)
		}
		if arm := strings.HasSuffix(p.Slug, "arm64"); arm != (info.Architecture == infrav1.ArchitectureARM64) {
			t.Errorf("%s is %s", p.Slug, info.Architecture)
		}
	}
}
