package apiserver

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/packetyard/packetyard/pkg/packet"
)

// raidLevels are the levels that Linux's md makes of whole disks and
// partitions, with the least number of devices each needs.
var raidLevels = map[string]int{"0": 2, "1": 2, "5": 3, "6": 4, "10": 2}

// diskFormats are the file systems that the installer makes.
func diskFormats() []string { return []string{"ext4", "fat32", "swap", "vfat", "xfs"} }

// partitionSize is a number of bytes, with a unit of 1024, a percentage, or 0
// for what is left.
var partitionSize = regexp.MustCompile(`(?i)^(0|[1-9][0-9]*([KMGT]i?B?|B)?|[1-9][0-9]?%|100%)$`)

// storage checks a custom partitioning (the API's "CPR"): disks with
// partitions, arrays of these, and what is mounted where.
func (p *problems) storage(data json.RawMessage) {
	data = objectOnly(data)
	if data == nil {
		return
	}
	var layout packet.Storage
	if err := json.Unmarshal(data, &layout); err != nil {
		p.add("storage is not a layout of disks, raid and filesystems: %v", err)
		return
	}
	devices := p.disks(layout.Disks)
	devices = append(devices, p.arrays(layout.RAID, devices)...)
	p.filesystems(layout.Filesystems, devices)
}

// disks checks the disks, and returns the names of all devices there are then.
func (p *problems) disks(disks []packet.StorageDisk) []string {
	var devices []string
	for i, disk := range disks {
		field := fmt.Sprintf("storage.disks[%d]", i)
		if !strings.HasPrefix(disk.Device, "/dev/") {
			p.add("%s.device %q is not a path below /dev/", field, disk.Device)
		} else if slices.Contains(devices, disk.Device) {
			p.add("%s.device %q is there twice", field, disk.Device)
		}
		devices = append(devices, disk.Device)
		numbers := map[int]bool{}
		for j, partition := range disk.Partitions {
			field := fmt.Sprintf("%s.partitions[%d]", field, j)
			if partition.Number < 1 || partition.Number > 128 {
				p.add("%s.number %d is not from 1 to 128", field, partition.Number)
			} else if numbers[int(partition.Number)] {
				p.add("%s.number %d is there twice", field, partition.Number)
			}
			numbers[int(partition.Number)] = true
			if !partitionSize.MatchString(string(partition.Size)) {
				p.add("%s.size %q is not a size: it is a number of bytes, with KB, MB, GB or TB after it, a percentage, or 0 for the rest",
					field, string(partition.Size))
			}
			devices = append(devices, partitionName(disk.Device, int(partition.Number)))
		}
	}
	return devices
}

// partitionName is what Linux calls a partition: /dev/sda1, /dev/nvme0n1p1.
func partitionName(disk string, number int) string {
	if disk != "" && disk[len(disk)-1] >= '0' && disk[len(disk)-1] <= '9' {
		return fmt.Sprintf("%sp%d", disk, number)
	}
	return fmt.Sprintf("%s%d", disk, number)
}

// arrays checks the RAID arrays, and returns their names.
func (p *problems) arrays(arrays []packet.StorageRAID, devices []string) []string {
	var names []string
	for i, array := range arrays {
		field := fmt.Sprintf("storage.raid[%d]", i)
		if !strings.HasPrefix(array.Name, "/dev/md") {
			p.add("%s.name %q is not a path that begins with /dev/md", field, array.Name)
		} else if slices.Contains(names, array.Name) {
			p.add("%s.name %q is there twice", field, array.Name)
		}
		names = append(names, array.Name)
		if least, ok := raidLevels[string(array.Level)]; !ok {
			p.notOneOf(field+".level", string(array.Level), []string{"0", "1", "5", "6", "10"})
		} else if len(array.Devices) < least {
			p.add("%s.devices has %d devices, level %s needs at least %d", field, len(array.Devices), array.Level, least)
		}
		for _, device := range array.Devices {
			if !slices.Contains(devices, device) {
				p.add("%s.devices %q is no disk and no partition of storage.disks", field, device)
			}
		}
	}
	return names
}

func (p *problems) filesystems(filesystems []packet.StorageFilesystem, devices []string) {
	var points []string
	for i, filesystem := range filesystems {
		mount, field := filesystem.Mount, fmt.Sprintf("storage.filesystems[%d].mount", i)
		if !slices.Contains(devices, mount.Device) {
			p.add("%s.device %q is none of storage.disks, their partitions and storage.raid", field, mount.Device)
		}
		if !slices.Contains(diskFormats(), mount.Format) {
			p.notOneOf(field+".format", mount.Format, diskFormats())
		}
		switch {
		case mount.Format == "swap":
		case !strings.HasPrefix(mount.Point, "/"):
			p.add("%s.point %q is not an absolute path", field, mount.Point)
		case slices.Contains(points, mount.Point):
			p.add("%s.point %q is there twice", field, mount.Point)
		default:
			points = append(points, mount.Point)
		}
	}
	if len(filesystems) > 0 && !slices.Contains(points, "/") {
		p.add("storage.filesystems has none whose mount.point is /")
	}
}
