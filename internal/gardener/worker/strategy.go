package worker

import (
	machinev1alpha1 "github.com/gardener/machine-controller-manager/pkg/apis/machine/v1alpha1"
	"k8s.io/utils/ptr"

	"github.com/gardener/gardener/extensions/pkg/controller/worker"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
)

// share is one of a number of zones, counted from 0, over which what a pool has is distributed.
type share struct{ zone, zones int32 }

func (s share) of(total int32) int32 { return worker.DistributeOverZones(s.zone, total, s.zones) }

// strategyOf tells how the machines of a pool are brought up to date in one of its zones.
func strategyOf(pool extensionsv1alpha1.WorkerPool, s share) machinev1alpha1.MachineDeploymentStrategy {
	surge := worker.DistributePositiveIntOrPercent(s.zone, pool.MaxSurge, s.zones, pool.Maximum)
	unavailable := worker.DistributePositiveIntOrPercent(s.zone, pool.MaxUnavailable, s.zones, pool.Minimum)
	update := machinev1alpha1.UpdateConfiguration{MaxSurge: &surge, MaxUnavailable: &unavailable}

	inPlace := func(orchestration machinev1alpha1.OrchestrationType) machinev1alpha1.MachineDeploymentStrategy {
		return machinev1alpha1.MachineDeploymentStrategy{
			Type: machinev1alpha1.InPlaceUpdateMachineDeploymentStrategyType,
			InPlaceUpdate: &machinev1alpha1.InPlaceUpdateMachineDeployment{
				UpdateConfiguration: update,
				OrchestrationType:   orchestration,
			},
		}
	}
	switch ptr.Deref(pool.UpdateStrategy, gardencorev1beta1.AutoRollingUpdate) {
	case gardencorev1beta1.AutoInPlaceUpdate:
		return inPlace(machinev1alpha1.OrchestrationTypeAuto)
	case gardencorev1beta1.ManualInPlaceUpdate:
		return inPlace(machinev1alpha1.OrchestrationTypeManual)
	default:
		return machinev1alpha1.MachineDeploymentStrategy{
			Type:          machinev1alpha1.RollingUpdateMachineDeploymentStrategyType,
			RollingUpdate: &machinev1alpha1.RollingUpdateMachineDeployment{UpdateConfiguration: update},
		}
	}
}
