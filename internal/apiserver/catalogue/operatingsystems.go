package catalogue

import "github.com/packetyard/packetyard/pkg/packet"

// The length of a device's public IPv4 block.
const (
	linuxSubnet   = 31
	windowsSubnet = 30
	esxiSubnet    = 29
)

var systems = []struct {
	slug, name, distro, label, version string
	arm                                bool
	licensed                           bool
	subnet                             int
}{
	{"almalinux_8", "AlmaLinux 8", "almalinux", "AlmaLinux", "8", true, false, linuxSubnet},
	{"almalinux_9", "AlmaLinux 9", "almalinux", "AlmaLinux", "9", true, false, linuxSubnet},
	{"alpine_3", "Alpine 3", "alpine", "Alpine", "3", true, false, linuxSubnet},
	{"centos_8_stream", "CentOS 8 Stream", "centos", "CentOS", "8-stream", true, false, linuxSubnet},
	{"centos_9_stream", "CentOS 9 Stream", "centos", "CentOS", "9-stream", true, false, linuxSubnet},
	{packet.OSCustomIPXE, "Custom iPXE", "custom_ipxe", "Custom iPXE", "1", true, false, linuxSubnet},
	{"debian_10", "Debian 10", "debian", "Debian", "10", true, false, linuxSubnet},
	{"debian_11", "Debian 11", "debian", "Debian", "11", true, false, linuxSubnet},
	{"debian_12", "Debian 12", "debian", "Debian", "12", true, false, linuxSubnet},
	{"flatcar_alpha", "Flatcar Alpha", "flatcar", "Flatcar", "alpha", true, false, linuxSubnet},
	{"flatcar_beta", "Flatcar Beta", "flatcar", "Flatcar", "beta", true, false, linuxSubnet},
	{"flatcar_lts", "Flatcar LTS", "flatcar", "Flatcar", "lts", false, false, linuxSubnet},
	{"flatcar_stable", "Flatcar Stable", "flatcar", "Flatcar", "stable", true, false, linuxSubnet},
	{"freebsd_13", "FreeBSD 13", "freebsd", "FreeBSD", "13", false, false, linuxSubnet},
	{"rocky_8", "Rocky Linux 8", "rocky", "Rocky Linux", "8", true, false, linuxSubnet},
	{"rocky_9", "Rocky Linux 9", "rocky", "Rocky Linux", "9", true, false, linuxSubnet},
	{"ubuntu_16_04", "Ubuntu 16.04 LTS", "ubuntu", "Ubuntu", "16.04", false, false, linuxSubnet},
	{"ubuntu_18_04", "Ubuntu 18.04 LTS", "ubuntu", "Ubuntu", "18.04", false, false, linuxSubnet},
	{"ubuntu_20_04", "Ubuntu 20.04 LTS", "ubuntu", "Ubuntu", "20.04", true, false, linuxSubnet},
	{"ubuntu_22_04", "Ubuntu 22.04 LTS", "ubuntu", "Ubuntu", "22.04", true, false, linuxSubnet},
	{"ubuntu_24_04", "Ubuntu 24.04 LTS", "ubuntu", "Ubuntu", "24.04", true, false, linuxSubnet},
	{"vmware_esxi_7_0", "VMware ESXi 7.0", "vmware", "VMware ESXi", "7.0", false, true, esxiSubnet},
	{"windows_2019", "Windows Server 2019", "windows", "Windows", "2019", false, true, windowsSubnet},
	{"windows_2022", "Windows Server 2022", "windows", "Windows", "2022", false, true, windowsSubnet},
}

func (c *Catalogue) addOperatingSystems() {
	for _, s := range systems {
		user := "root"
		if s.distro == "windows" {
			user = "Admin"
		}
		var on []string
		for _, plan := range c.Plans {
			if !plan.ARM || s.arm {
				on = append(on, plan.Slug)
			}
		}
		c.OperatingSystems = append(c.OperatingSystems, OperatingSystem{
			OperatingSystem: packet.OperatingSystem{
				ID:              id("operating-systems", s.slug),
				Slug:            s.slug,
				Name:            s.name,
				Distro:          s.distro,
				DistroLabel:     s.label,
				Version:         s.version,
				Licensed:        s.licensed,
				Preinstallable:  s.slug == "ubuntu_24_04",
				LifecycleState:  "current",
				ProvisionableOn: on,
				// One system per distribution is what to take when in doubt.
				DefaultOperatingSystem: isDefault(s.slug),
			},
			SubnetBits: s.subnet,
			User:       user,
		})
	}
}

func isDefault(slug string) bool {
	switch slug {
	case "almalinux_9", "alpine_3", "centos_9_stream", packet.OSCustomIPXE, "debian_12", "flatcar_stable", "freebsd_13",
		"rocky_9", "ubuntu_24_04", "vmware_esxi_7_0", "windows_2022":
		return true
	}
	return false
}
