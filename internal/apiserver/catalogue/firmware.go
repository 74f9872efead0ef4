package catalogue

import (
	"strings"
	"time"

	"github.com/packetyard/packetyard/pkg/packet"
)

// firmwareReleased is when the sets of this catalogue were put together.
var firmwareReleased = time.Date(2024, 9, 16, 0, 0, 0, 0, time.UTC)

// FirmwareSets lists the sets of all plans: one each, which is its default.
func (c *Catalogue) FirmwareSets() []packet.FirmwareSet {
	sets := make([]packet.FirmwareSet, 0, len(c.Plans))
	for i := range c.Plans {
		sets = append(sets, firmwareSet(&c.Plans[i]))
	}
	return sets
}

// FirmwareSet finds the set with an ID that is for a plan.
func (c *Catalogue) FirmwareSet(uuid, plan string) (packet.FirmwareSet, bool) {
	for i := range c.Plans {
		if set := firmwareSet(&c.Plans[i]); set.UUID == uuid && c.Plans[i].Slug == plan {
			return set, true
		}
	}
	return packet.FirmwareSet{}, false
}

// DefaultFirmwareSet is the set of the servers of a plan that have no other.
func (c *Catalogue) DefaultFirmwareSet(plan string) (packet.FirmwareSet, bool) {
	found, ok := c.Plan(plan)
	if !ok {
		return packet.FirmwareSet{}, false
	}
	return firmwareSet(found), true
}

func firmwareSet(plan *Plan) packet.FirmwareSet {
	model := strings.ReplaceAll(plan.Slug, ".", "-")
	released := packet.NewTimestamp(firmwareReleased)
	set := packet.FirmwareSet{
		UUID:      id("firmware-sets", plan.Slug),
		Name:      "FWSet-" + plan.Slug + "-v1",
		CreatedAt: released,
		UpdatedAt: released,
		Attributes: []packet.FirmwareAttribute{{
			Namespace: "sh.hollow.firmware_set.labels",
			Data:      packet.FirmwareAttributeData{Latest: true, Model: model, Vendor: "packetyard", Plan: plan.Slug},
		}},
	}
	for _, part := range []struct{ component, version string }{{"bios", "2.1.0"}, {"bmc", "1.5.0"}, {"nic", "22.31.1014"}} {
		set.ComponentFirmware = append(set.ComponentFirmware, packet.FirmwareComponent{
			UUID:      id("firmware", plan.Slug+"/"+part.component),
			Vendor:    "packetyard",
			Model:     []string{model},
			Filename:  model + "-" + part.component + "-" + part.version + ".bin",
			Version:   part.version,
			Component: part.component,
		})
	}
	return set
}
