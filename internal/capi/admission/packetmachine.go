package admission

import (
	"reflect"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/pkg/packet"
)

// packetMachine checks PacketMachines. What may change of one is in its definition, but for the fields that hold any JSON:
// definitions cannot compare those.
func packetMachine() validator[*infrav1.PacketMachine] {
	return validator[*infrav1.PacketMachine]{
		spec: func(m *infrav1.PacketMachine) any { return m.Spec },
		check: func(m *infrav1.PacketMachine) field.ErrorList {
			return append(machineSpec(m.Spec, specPath), providerID(m.Spec.ProviderID, specPath)...)
		},
		change: func(_ admission.Request, before, after *infrav1.PacketMachine) field.ErrorList {
			var errs field.ErrorList
			if !reflect.DeepEqual(before.Spec.CustomData, after.Spec.CustomData) {
				errs = append(errs, field.Forbidden(specPath.Child("customData"), "customData cannot be changed: make a new machine"))
			}
			if !reflect.DeepEqual(before.Spec.Storage, after.Spec.Storage) {
				errs = append(errs, field.Forbidden(specPath.Child("storage"), "storage cannot be changed: make a new machine"))
			}
			return errs
		},
		warn: func(m *infrav1.PacketMachine) admission.Warnings {
			warnings := machineWarnings(m.Spec, specPath)
			if _, controlPlane := m.Labels[clusterv1.MachineControlPlaneLabel]; controlPlane && m.Spec.Spot.MaxPrice != "" {
				warnings = append(warnings, "spec.spot: this is a control plane machine: etcd loses a member whenever somebody pays more")
			}
			return warnings
		},
	}
}

// providerID checks that a provider ID names a device.
func providerID(id string, parent *field.Path) field.ErrorList {
	if id == "" {
		return nil
	}
	if _, err := packet.DeviceID(id); err != nil {
		return field.ErrorList{field.Invalid(parent.Child("providerID"), id, "must be packet:// and the UUID of a device")}
	}
	return nil
}
