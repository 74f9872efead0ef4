package validation

import (
	"fmt"
	"slices"

	v1beta1helper "github.com/gardener/gardener/pkg/api/core/v1beta1/helper"
	"k8s.io/apimachinery/pkg/util/validation/field"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"

	"github.com/packetyard/packetyard/api/packet/v1alpha1"
)

// ValidateNetworking tells what is wrong with the networking of a Shoot that is to have machines. When it is created with a private
// reservation, nobody knows the addresses of its nodes yet.
func ValidateNetworking(networking *gardencorev1beta1.Networking, config *v1alpha1.InfrastructureConfig, creating bool, at *field.Path) field.ErrorList {
	if networking == nil {
		return nil
	}
	var problems field.ErrorList
	for i, family := range networking.IPFamilies {
		if family != gardencorev1beta1.IPFamilyIPv4 {
			problems = append(problems, field.NotSupported(at.Child("ipFamilies").Index(i), family, []gardencorev1beta1.IPFamily{gardencorev1beta1.IPFamilyIPv4}))
		}
	}
	if networking.Nodes == nil {
		return problems
	}
	if reservation := networksOf(config).PrivateReservation; creating && reservation != nil {
		problems = append(problems, field.Forbidden(at.Child("nodes"), "spec.provider.infrastructureConfig.networks.privateReservation has a block reserved: its addresses are known only then, and put here"))
	}
	// The block of the project, which nodes would be without more said, has the same form as one that is asked for.
	if networksOf(config).Nodes == nil {
		problems = append(problems, validateNodes(*networking.Nodes, networking, at.Child("nodes"))...)
	}
	return problems
}

// ValidateZones tells which zones of a worker pool its region does not have. A zone is a facility of the metro that the region is;
// a pool without zones goes to any.
func ValidateZones(zones []string, region string, profile *gardencorev1beta1.CloudProfileSpec, at *field.Path) field.ErrorList {
	var problems field.ErrorList
	var known []string
	for _, has := range profile.Regions {
		if has.Name != region {
			continue
		}
		for _, zone := range has.Zones {
			known = append(known, zone.Name)
		}
	}
	for i, zone := range zones {
		if !slices.Contains(known, zone) {
			problems = append(problems, field.NotSupported(at.Index(i), zone, known))
		} else if slices.Contains(zones[:i], zone) {
			problems = append(problems, field.Duplicate(at.Index(i), zone))
		}
	}
	return problems
}

// ValidateVolumes tells what a worker pool wants of its drives that a machine cannot have: they are those of its type, and nothing
// encrypts them.
func ValidateVolumes(worker *gardencorev1beta1.Worker, at *field.Path) field.ErrorList {
	const reason = "must not be true: the drives are the machine's own, and the Packet API encrypts none"
	var problems field.ErrorList
	if volume := worker.Volume; volume != nil && volume.Encrypted != nil && *volume.Encrypted {
		problems = append(problems, field.Invalid(at.Child("volume", "encrypted"), true, reason))
	}
	for i, volume := range worker.DataVolumes {
		if volume.Encrypted != nil && *volume.Encrypted {
			problems = append(problems, field.Invalid(at.Child("dataVolumes").Index(i).Child("encrypted"), true, reason))
		}
	}
	return problems
}

// ValidateMachineImage tells whether the CloudProfile's providerConfig has an operating system for the machine image of a worker
// pool on machines of the pool's type.
func ValidateMachineImage(machine *gardencorev1beta1.Machine, profile *gardencorev1beta1.CloudProfileSpec, config *v1alpha1.CloudProfileConfig, at *field.Path) field.ErrorList {
	image := machine.Image
	if image == nil || image.Version == nil {
		// Gardener sets the image that is not told before this is asked; it refuses to go without.
		return nil
	}
	versions := versionsOf(config.MachineImages, image.Name, *image.Version)
	if len(versions) == 0 {
		return field.ErrorList{field.Invalid(at.Child("image", "version"), *image.Version, fmt.Sprintf("the CloudProfile's providerConfig does not tell the operating system of machine image %s in this version", image.Name))}
	}
	machineType := v1beta1helper.FindMachineTypeByName(profile.MachineTypes, machine.Type)
	if machineType == nil {
		// Gardener refuses it, with the types that there are.
		return nil
	}
	if len(profile.MachineCapabilities) > 0 {
		if !slices.ContainsFunc(versions[0].CapabilityFlavors, func(flavor v1alpha1.MachineImageFlavor) bool {
			return v1beta1helper.AreCapabilitiesCompatible(flavor.Capabilities, machineType.Capabilities, profile.MachineCapabilities)
		}) {
			return field.ErrorList{field.Invalid(at.Child("image", "version"), *image.Version, fmt.Sprintf("no flavor that the CloudProfile's providerConfig has of machine image %s in this version is for machines of type %s", image.Name, machine.Type))}
		}
		return nil
	}
	var asked []string
	if machine.Architecture != nil {
		asked = []string{*machine.Architecture}
	}
	if architecture := architecturesOf(asked)[0]; !hasArchitecture(versions, architecture) {
		return field.ErrorList{field.Invalid(at.Child("image", "version"), *image.Version, fmt.Sprintf("the CloudProfile's providerConfig does not tell the operating system of machine image %s in this version for architecture %s", image.Name, architecture))}
	}
	return nil
}

// ValidateSharedReservations tells which hardware reservations two worker pools want: one server is in one pool. The configurations
// are those of the pools, in their order, and may be nil.
func ValidateSharedReservations(configs []*v1alpha1.WorkerConfig, workers *field.Path) field.ErrorList {
	var problems field.ErrorList
	owners := map[string]int{}
	for i, config := range configs {
		if config == nil {
			continue
		}
		for j, id := range config.ReservationIDs {
			if id == nextAvailable {
				continue
			}
			if owner, taken := owners[id]; taken && owner != i {
				problems = append(problems, field.Invalid(workers.Index(i).Child("providerConfig", "reservationIDs").Index(j), id,
					fmt.Sprintf("must not be in two worker pools: %s has it", workers.Index(owner))))
				continue
			}
			owners[id] = i
		}
	}
	return problems
}
