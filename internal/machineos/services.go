package machineos

import (
	"context"
	"os"
	"slices"

	"github.com/packetyard/packetyard/internal/machineos/control"
	"github.com/packetyard/packetyard/internal/machineos/envfile"
	"github.com/packetyard/packetyard/internal/machineos/units"
)

// ownUnits are parts of the machine, whatever unit files say of them: except for the kubelet's, see kubeletService.
var ownUnits = []string{"containerd.service", kubeletUnit, "coreos-metadata.service", "afterburn.service"}

// needlessUnits are of distributions that people's units name or enable. Their
// work is done by the host, or by nobody. A unit file of the name counts more.
var needlessUnits = []string{
	"chronyd.service", "coreos-metadata-sshkeys@core.service", "docker.service", "locksmithd.service", "ntpd.service", "sshd.service",
	"ssh.service", "systemd-journald.service", "systemd-modules-load.service", "systemd-networkd.service", "systemd-networkd-wait-online.service",
	"systemd-resolved.service", "systemd-sysctl.service", "systemd-sysext.service", "systemd-timesyncd.service", "systemd-tmpfiles-setup.service",
	"update-engine.service", "ensure-sysext.service", "docker.socket", "sshd.socket",
}

// unitPath is where services look for programs: also where systems that
// cannot change /usr keep theirs.
const unitPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/bin"

// newUnits returns the manager of units that user data writes.
func (m *Machine) newUnits(ctx context.Context) *units.Manager {
	return units.New(ctx, units.Config{
		Store:       units.Store{Root: m.options.Root},
		Run:         m.run,
		Builtin:     m.startOwnUnit,
		Environment: envfile.Set(m.options.Environment, unitPath),
		Hostname: func() string {
			name, _ := os.Hostname() // A machine has had one since its boot.
			return name
		},
		Output: m.console.Writer(),
		Printf: m.console.Printf,
		Now:    m.options.Now,
	})
}

// startOwnUnit starts a unit that is part of the machine. With a context that
// has ended it only tells whether the unit is one.
func (m *Machine) startOwnUnit(ctx context.Context, name string) (known bool, err error) {
	if slices.Contains(needlessUnits, name) {
		return !m.units.Exists(name), nil
	}
	if !slices.Contains(ownUnits, name) {
		return false, nil
	}
	if name == kubeletUnit && ownersKubelet(m.units) {
		return false, nil
	}
	if name == kubeletUnit && ctx.Err() == nil {
		return true, m.kubelet.Start(ctx)
	}
	return true, nil
}

// ownersUnits are the units for systemctl, nil in a rescue system.
func (m *Machine) ownersUnits() control.Units {
	if m.units == nil {
		return nil
	}
	return m.units
}

// bootUnits starts the enabled units, once in a boot.
func (m *Machine) bootUnits(ctx context.Context) error {
	var err error
	m.unitsBooted.Do(func() { err = m.units.Boot(ctx) })
	return err
}
