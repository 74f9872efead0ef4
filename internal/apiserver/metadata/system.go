package metadata

import (
	"crypto/sha1" //nolint:gosec // It makes a name, and keeps no secret.
	"encoding/hex"

	"github.com/packetyard/packetyard/internal/apiserver/catalogue"
	"github.com/packetyard/packetyard/internal/apiserver/store"
)

type operatingSystem struct {
	Slug              string            `json:"slug"`
	Distro            string            `json:"distro"`
	Version           string            `json:"version"`
	LicenseActivation licenseActivation `json:"license_activation"`
	ImageTag          string            `json:"image_tag"`
}

type licenseActivation struct {
	State string `json:"state"`
}

// systemOf is the operating system of a device, false for one that the
// catalogue does not have any more.
func systemOf(c *catalogue.Catalogue, d *store.Device) (operatingSystem, bool) {
	found, ok := c.OperatingSystem(d.OperatingSystem)
	if !ok {
		return operatingSystem{Slug: d.OperatingSystem}, false
	}
	system := operatingSystem{Slug: found.Slug, Distro: found.Distro, Version: found.Version, ImageTag: imageTag(found.Slug)}
	system.LicenseActivation.State = "unlicensed"
	if found.Licensed {
		system.LicenseActivation.State = "activated"
	}
	return system, true
}

// imageTag names the image that an operating system is installed from. It
// was the commit that the image was built of.
func imageTag(slug string) string {
	sum := sha1.Sum([]byte(slug)) //nolint:gosec // As above.
	return hex.EncodeToString(sum[:])
}
