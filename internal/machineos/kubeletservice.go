package machineos

import (
	"context"
	"slices"
	"strings"

	"github.com/packetyard/packetyard/internal/machineos/kubelet"
	"github.com/packetyard/packetyard/internal/machineos/units"
)

const kubeletUnit = "kubelet.service"

// kubeletService is the kubelet as systemctl knows it: the machine's own, with the command line of the kubeadm packages, or that of
// a unit file of the owner, where that has a command line of its own.
type kubeletService struct {
	own   *kubelet.Supervisor
	units *units.Manager
}

// ownersKubelet tells whether there is a unit file that says how to run the kubelet. Those of the kubeadm packages, which people
// copy to machines too, leave that to kubeadm.
func ownersKubelet(manager *units.Manager) bool {
	if manager == nil || !manager.Exists(kubeletUnit) {
		return false
	}
	unit, err := manager.Load(kubeletUnit)
	if err != nil {
		// Whoever starts it is told why it cannot be started.
		return false
	}
	return slices.ContainsFunc(unit.Service.Start, func(command units.Command) bool {
		return len(command.Words) > 1 && !slices.ContainsFunc(command.Words, func(word string) bool { return strings.Contains(word, "KUBELET_KUBEADM_ARGS") })
	})
}

// Start implements control.Service.
func (s kubeletService) Start(ctx context.Context) error {
	if ownersKubelet(s.units) {
		return s.units.Start(ctx, kubeletUnit)
	}
	return s.own.Start(ctx)
}

// Stop implements control.Service.
func (s kubeletService) Stop(ctx context.Context) error {
	if ownersKubelet(s.units) {
		return s.units.Stop(ctx, kubeletUnit)
	}
	return s.own.Stop(ctx)
}

// Restart implements control.Service.
func (s kubeletService) Restart(ctx context.Context) error {
	if !ownersKubelet(s.units) {
		return s.own.Restart(ctx)
	}
	if err := s.units.Stop(ctx, kubeletUnit); err != nil {
		return err
	}
	return s.units.Start(ctx, kubeletUnit)
}

// SetEnabled implements control.Service.
func (s kubeletService) SetEnabled(enabled bool) error {
	switch {
	case !ownersKubelet(s.units):
		return s.own.SetEnabled(enabled)
	case enabled:
		return s.units.Enable(kubeletUnit)
	}
	return s.units.Disable(kubeletUnit)
}

// Status implements control.Service.
func (s kubeletService) Status() kubelet.Status {
	if ownersKubelet(s.units) {
		if status, err := s.units.Status(kubeletUnit); err == nil {
			return kubelet.Status{
				Active: kubelet.Active(status.Active), Enabled: status.Enabled, Since: status.Since, Restarts: status.Restarts, LastExit: status.Failure,
			}
		}
	}
	return s.own.Status()
}
