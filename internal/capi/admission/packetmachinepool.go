package admission

import (
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
)

// packetMachinePool checks PacketMachinePools. Everything of one may change: its machines are replaced.
func packetMachinePool() validator[*infrav1.PacketMachinePool] {
	return validator[*infrav1.PacketMachinePool]{
		spec:  func(p *infrav1.PacketMachinePool) any { return p.Spec },
		check: func(p *infrav1.PacketMachinePool) field.ErrorList { return poolSpec(p.Spec, specPath) },
		warn:  func(p *infrav1.PacketMachinePool) admission.Warnings { return poolWarnings(p.Spec, specPath) },
	}
}

// packetMachinePoolTemplate checks what pools of a ClusterClass are made from.
func packetMachinePoolTemplate() validator[*infrav1.PacketMachinePoolTemplate] {
	path := templatePath.Child("spec")
	return validator[*infrav1.PacketMachinePoolTemplate]{
		spec: func(t *infrav1.PacketMachinePoolTemplate) any { return t.Spec },
		check: func(t *infrav1.PacketMachinePoolTemplate) field.ErrorList {
			return append(metadata(t.Spec.Template.ObjectMeta, templatePath), poolSpec(t.Spec.Template.Spec, path)...)
		},
		change: immutable(func(t *infrav1.PacketMachinePoolTemplate) any { return t.Spec.Template.Spec }),
		warn: func(t *infrav1.PacketMachinePoolTemplate) admission.Warnings {
			return poolWarnings(t.Spec.Template.Spec, path)
		},
	}
}

func poolSpec(spec infrav1.PacketMachinePoolSpec, parent *field.Path) field.ErrorList {
	path := parent.Child("template")
	return append(metadata(spec.Template.ObjectMeta, path), machineSpec(spec.Template.Spec, path.Child("spec"))...)
}

func poolWarnings(spec infrav1.PacketMachinePoolSpec, parent *field.Path) admission.Warnings {
	return machineWarnings(spec.Template.Spec, parent.Child("template", "spec"))
}
