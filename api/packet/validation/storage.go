package validation

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
	strictjson "sigs.k8s.io/json"
)

// longestStorage is how many bytes a layout may have.
const longestStorage = 64 << 10

// layout is the field storage of createDevice. The Packet API takes numbers as texts, too.
type layout struct {
	Disks []struct {
		Device     string `json:"device"`
		WipeTable  bool   `json:"wipeTable"`
		Partitions []struct {
			Label  string             `json:"label"`
			Number intstr.IntOrString `json:"number"`
			Size   intstr.IntOrString `json:"size"`
		} `json:"partitions"`
	} `json:"disks"`
	RAID []struct {
		Devices []string           `json:"devices"`
		Level   intstr.IntOrString `json:"level"`
		Name    string             `json:"name"`
	} `json:"raid"`
	Filesystems []struct {
		Mount struct {
			Device  string   `json:"device"`
			Format  string   `json:"format"`
			Point   string   `json:"point"`
			Options []string `json:"options"`
		} `json:"mount"`
	} `json:"filesystems"`
}

// raidLevels are the levels that Linux's md makes, and the least number of devices that each needs.
func raidLevels() map[string]int { return map[string]int{"0": 2, "1": 2, "5": 3, "6": 4, "10": 2} }

// diskFormats are the file systems that the installer makes.
func diskFormats() []string { return []string{"ext4", "fat32", "swap", "vfat", "xfs"} }

// partitionSize is a number of bytes, with a unit of 1024, a percentage, or 0 for what is left.
var partitionSize = regexp.MustCompile(`(?i)^(0|[1-9][0-9]*([KMGT]i?B?|B)?|[1-9][0-9]?%|100%)$`)

// validateStorage tells what the Packet API would refuse of a layout of the drives.
func validateStorage(data []byte, at *field.Path) field.ErrorList {
	if len(data) > longestStorage {
		return field.ErrorList{field.TooLong(at, "", longestStorage)}
	}
	var is layout
	mistakes, err := strictjson.UnmarshalStrict(data, &is)
	if err := errors.Join(append(mistakes, err)...); err != nil || !strings.HasPrefix(strings.TrimSpace(string(data)), "{") {
		return field.ErrorList{field.Invalid(at, shortened(data), fmt.Sprintf("must be an object with disks, raid and filesystems, as createDevice of the Packet API takes it: %v", err))}
	}
	devices, problems := validateDisks(is, at.Child("disks"))
	arrays, more := validateArrays(is, devices, at.Child("raid"))
	problems = append(problems, more...)
	return append(problems, validateFilesystems(is, append(devices, arrays...), at.Child("filesystems"))...)
}

// validateDisks also returns the names of the disks and of their partitions.
func validateDisks(is layout, at *field.Path) ([]string, field.ErrorList) {
	var devices []string
	var problems field.ErrorList
	for i, disk := range is.Disks {
		path := at.Index(i)
		if !strings.HasPrefix(disk.Device, "/dev/") {
			problems = append(problems, field.Invalid(path.Child("device"), disk.Device, "must be a path below /dev/, such as /dev/sda"))
		} else if slices.Contains(devices, disk.Device) {
			problems = append(problems, field.Duplicate(path.Child("device"), disk.Device))
		}
		devices = append(devices, disk.Device)
		for j, partition := range disk.Partitions {
			path := path.Child("partitions").Index(j)
			name := partitionName(disk.Device, partition.Number.String())
			if number := partition.Number.IntValue(); number < 1 || number > 128 {
				problems = append(problems, field.Invalid(path.Child("number"), partition.Number.String(), "must be from 1 to 128"))
			} else if slices.Contains(devices, name) {
				problems = append(problems, field.Duplicate(path.Child("number"), partition.Number.String()))
			}
			if size := partition.Size.String(); !partitionSize.MatchString(size) {
				problems = append(problems, field.Invalid(path.Child("size"), size, "must be a number of bytes, with KB, MB, GB or TB after it, a percentage, or 0 for the rest"))
			}
			devices = append(devices, name)
		}
	}
	return devices, problems
}

// validateArrays also returns the names of the arrays.
func validateArrays(is layout, devices []string, at *field.Path) ([]string, field.ErrorList) {
	var names []string
	var problems field.ErrorList
	for i, array := range is.RAID {
		path := at.Index(i)
		if !strings.HasPrefix(array.Name, "/dev/md") {
			problems = append(problems, field.Invalid(path.Child("name"), array.Name, "must be a path that begins with /dev/md"))
		} else if slices.Contains(names, array.Name) {
			problems = append(problems, field.Duplicate(path.Child("name"), array.Name))
		}
		names = append(names, array.Name)
		if least, has := raidLevels()[array.Level.String()]; !has {
			problems = append(problems, field.NotSupported(path.Child("level"), array.Level.String(), []string{"0", "1", "5", "6", "10"}))
		} else if len(array.Devices) < least {
			problems = append(problems, field.Invalid(path.Child("devices"), array.Devices, fmt.Sprintf("level %s needs at least %d devices", array.Level.String(), least)))
		}
		for j, device := range array.Devices {
			if !slices.Contains(devices, device) {
				problems = append(problems, field.NotSupported(path.Child("devices").Index(j), device, devices))
			}
		}
	}
	return names, problems
}

func validateFilesystems(is layout, devices []string, at *field.Path) field.ErrorList {
	var problems field.ErrorList
	var points []string
	for i, filesystem := range is.Filesystems {
		mount, path := filesystem.Mount, at.Index(i).Child("mount")
		if !slices.Contains(devices, mount.Device) {
			problems = append(problems, field.NotSupported(path.Child("device"), mount.Device, devices))
		}
		if !slices.Contains(diskFormats(), mount.Format) {
			problems = append(problems, field.NotSupported(path.Child("format"), mount.Format, diskFormats()))
		}
		switch {
		case mount.Format == "swap":
		case !strings.HasPrefix(mount.Point, "/"):
			problems = append(problems, field.Invalid(path.Child("point"), mount.Point, "must be an absolute path"))
		case slices.Contains(points, mount.Point):
			problems = append(problems, field.Duplicate(path.Child("point"), mount.Point))
		default:
			points = append(points, mount.Point)
		}
	}
	if len(is.Filesystems) > 0 && !slices.Contains(points, "/") {
		problems = append(problems, field.Required(at, "one whose mount.point is /"))
	}
	return problems
}

// partitionName is what Linux calls a partition: /dev/sda1, /dev/nvme0n1p1.
func partitionName(disk, number string) string {
	if disk != "" && disk[len(disk)-1] >= '0' && disk[len(disk)-1] <= '9' {
		return disk + "p" + number
	}
	return disk + number
}

func shortened(data []byte) string {
	const most = 80
	if len(data) > most {
		return string(data[:most]) + "…"
	}
	return string(data)
}
