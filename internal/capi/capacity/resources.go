package capacity

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/pkg/packet"
)

var (
	// cores finds the number of cores in the name of a processor, as in "AMD EPYC 7402P 24-Core Processor @ 2.8GHz".
	cores = regexp.MustCompile(`(?i)\b([0-9]{1,4})[- ]cores?\b`)
	// size takes what the API writes for memory and drives, as in "32GB" and "3.8TB", apart.
	size = regexp.MustCompile(`^\s*([0-9]+(?:\.[0-9]+)?)\s*([KMGT])i?B\s*$`)
)

// exponents are the powers of 1000, or 1024, of units.
var exponents = map[string]int{"K": 1, "M": 2, "G": 3, "T": 4}

// Resources tells what a node on a plan offers: cpu, which are the cores, though a kernel may count two threads for each;
// memory, of which the firmware keeps a little; and ephemeral-storage, which is one boot drive, since a second one mirrors
// the first at most. It is the least that a node can be expected to have: a pod that an autoscaler makes a node for must fit.
//
// A plan without boot drive, and a machine that divides its drives as it likes, say nothing about ephemeral-storage. The
// number of pods is the kubelet's to choose. The error tells which part of the plan is not understood.
func Resources(plan packet.Plan, spec infrav1.PacketMachineSpec) (corev1.ResourceList, infrav1.PacketNodeInfo, error) {
	if plan.Specs == nil || len(plan.Specs.CPUs) == 0 {
		return nil, infrav1.PacketNodeInfo{}, fmt.Errorf("plan %s tells no processors", plan.Slug)
	}
	var count int64
	for _, cpu := range plan.Specs.CPUs {
		found := cores.FindStringSubmatch(cpu.Type)
		if found == nil {
			return nil, infrav1.PacketNodeInfo{}, fmt.Errorf("plan %s has processors %q, which do not tell their number of cores, as in \"8-Core\"", plan.Slug, cpu.Type)
		}
		each, err := strconv.ParseInt(found[1], 10, 64)
		if err != nil {
			return nil, infrav1.PacketNodeInfo{}, fmt.Errorf("plan %s has processors %q: %w", plan.Slug, cpu.Type, err)
		}
		count += each * int64(max(cpu.Count, 1))
	}
	if plan.Specs.Memory == nil {
		return nil, infrav1.PacketNodeInfo{}, fmt.Errorf("plan %s tells no memory", plan.Slug)
	}
	memory, err := bytesOf(plan.Specs.Memory.Total, 1024)
	if err != nil {
		return nil, infrav1.PacketNodeInfo{}, fmt.Errorf("plan %s has memory %w", plan.Slug, err)
	}
	resources := corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewQuantity(count, resource.DecimalSI),
		corev1.ResourceMemory: *resource.NewQuantity(memory, resource.BinarySI),
	}
	if spec.Storage == nil {
		if drive := bootDrive(plan.Specs.Drives); drive > 0 {
			resources[corev1.ResourceEphemeralStorage] = *resource.NewQuantity(drive, resource.DecimalSI)
		}
	}
	return resources, infrav1.PacketNodeInfo{Architecture: architecture(plan), OperatingSystem: infrav1.OperatingSystemLinux}, nil
}

// bootDrive is the size of the smallest drive that an operating system can be installed on; 0 if that is not known.
func bootDrive(drives []packet.PlanDrive) int64 {
	var smallest int64
	for _, drive := range drives {
		if drive.Category != "boot" && drive.Category != "" {
			continue
		}
		if bytes, err := bytesOf(drive.Size, 1000); err == nil && (smallest == 0 || bytes < smallest) {
			smallest = bytes
		}
	}
	return smallest
}

// architecture is told by the slug of a plan: c3.small.x86, c3.large.arm64, and c1.large.arm before that.
func architecture(plan packet.Plan) infrav1.Architecture {
	for part := range strings.SplitSeq(strings.ToLower(plan.Slug), ".") {
		if part == "arm64" || part == "arm" {
			return infrav1.ArchitectureARM64
		}
	}
	return infrav1.ArchitectureAMD64
}

// bytesOf reads a size. Units of memory are powers of 1024, those of drives powers of 1000, and both are written alike.
func bytesOf(text string, base float64) (int64, error) {
	found := size.FindStringSubmatch(text)
	if found == nil {
		return 0, fmt.Errorf("%q, which is not a number with a unit, as in \"32GB\"", text)
	}
	number, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		return 0, fmt.Errorf("%q: %w", text, err)
	}
	for range exponents[found[2]] {
		number *= base
	}
	// Far more than any machine has, and little enough for an integer.
	const most = float64(1 << 60)
	if number <= 0 || number > most {
		return 0, fmt.Errorf("%q, which is no size of a machine", text)
	}
	return int64(number), nil
}
