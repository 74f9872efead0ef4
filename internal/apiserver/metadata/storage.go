package metadata

import (
	"strings"

	"github.com/packetyard/packetyard/pkg/packet"
)

// drive is the one that the operating system is installed on.
type drive struct {
	// device is what Linux calls it, and model what it calls itself.
	device, model string
}

// bootDrive is the first drive of a server that it boots from.
func bootDrive(drives []packet.PlanDrive) drive {
	for _, d := range drives {
		if d.Category != "" && d.Category != "boot" {
			continue
		}
		model := strings.TrimSpace(d.Type + " " + d.Size)
		if strings.EqualFold(d.Type, "nvme") {
			return drive{"/dev/nvme0n1", model}
		}
		return drive{"/dev/sda", model}
	}
	return drive{device: "/dev/sda"}
}

// partition is what Linux calls a partition of the drive.
func (d drive) partition(number string) string {
	if strings.HasPrefix(d.device, "/dev/nvme") {
		return d.device + "p" + number
	}
	return d.device + number
}

// The layout of a server's storage, as far as the default one needs it. The
// sizes are sectors of 512 bytes as a number or a text, and 0 is the rest.
type (
	storageLayout struct {
		Disks       []disk       `json:"disks"`
		Filesystems []filesystem `json:"filesystems"`
	}
	disk struct {
		Device     string      `json:"device"`
		WipeTable  bool        `json:"wipeTable"`
		Partitions []partition `json:"partitions"`
	}
	partition struct {
		Label  string `json:"label"`
		Number int    `json:"number"`
		Size   any    `json:"size"`
	}
	filesystem struct {
		Mount mount `json:"mount"`
	}
	mount struct {
		Device string       `json:"device"`
		Format string       `json:"format"`
		Point  string       `json:"point"`
		Create mountOptions `json:"create"`
	}
	mountOptions struct {
		Options []string `json:"options"`
	}
)

// layout is what an operating system is installed into unless the device was
// ordered with a layout of its own.
func (d drive) layout() storageLayout {
	made := func(number, format, point, label string) filesystem {
		return filesystem{mount{d.partition(number), format, point, mountOptions{[]string{"-L", label}}}}
	}
	return storageLayout{
		Disks: []disk{{Device: d.device, WipeTable: true, Partitions: []partition{
			{"BIOS", 1, 4096}, {"SWAP", 2, "3993600"}, {"ROOT", 3, 0},
		}}},
		Filesystems: []filesystem{made("3", "ext4", "/", "ROOT"), made("2", "swap", "none", "SWAP")},
	}
}
