package packet

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Storage is how a device's disks are to be partitioned, put into arrays and
// mounted (DeviceCreate.Storage of createDevice; the service called it CPR).
type Storage struct {
	Disks       []StorageDisk       `json:"disks,omitempty"`
	RAID        []StorageRAID       `json:"raid,omitempty"`
	Filesystems []StorageFilesystem `json:"filesystems,omitempty"`
}

// StorageDisk is a disk, /dev/sda for example, with its partitions.
type StorageDisk struct {
	Device     string             `json:"device"`
	WipeTable  bool               `json:"wipeTable,omitempty"`
	Partitions []StoragePartition `json:"partitions,omitempty"`
}

// StoragePartition is a part of a disk. Size is a number with a unit (4096,
// 512MB, 20GB), a percentage, or 0 for what is left.
type StoragePartition struct {
	Label  string       `json:"label,omitempty"`
	Number FlexibleInt  `json:"number"`
	Size   FlexibleText `json:"size"`
}

// StorageRAID is an array of disks or partitions. Level is 0, 1, 5, 6 or 10.
type StorageRAID struct {
	Devices []string     `json:"devices"`
	Level   FlexibleText `json:"level"`
	Name    string       `json:"name"`
}

// StorageFilesystem is a file system and where it is mounted.
type StorageFilesystem struct {
	Mount StorageMount `json:"mount"`
}

// StorageMount is what a StorageFilesystem is made on. Point is empty for
// swap.
type StorageMount struct {
	Device  string   `json:"device"`
	Format  string   `json:"format"`
	Point   string   `json:"point,omitempty"`
	Options []string `json:"options,omitempty"`
}

// FlexibleText is a text that some clients write as a number.
type FlexibleText string

// UnmarshalJSON implements json.Unmarshaler.
func (t *FlexibleText) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil {
		*t = FlexibleText(text)
		return nil
	}
	var number json.Number
	if err := json.Unmarshal(data, &number); err != nil {
		return fmt.Errorf("%.40s is neither a text nor a number", data)
	}
	*t = FlexibleText(number)
	return nil
}

// FlexibleInt is a whole number that some clients write as a text.
type FlexibleInt int

// UnmarshalJSON implements json.Unmarshaler.
func (i *FlexibleInt) UnmarshalJSON(data []byte) error {
	var number int
	if err := json.Unmarshal([]byte(strings.Trim(string(data), `"`)), &number); err != nil {
		return fmt.Errorf("%.40s is not a whole number", data)
	}
	*i = FlexibleInt(number)
	return nil
}
