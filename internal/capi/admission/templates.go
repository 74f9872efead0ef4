package admission

import (
	"reflect"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util/topology"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
)

var templatePath = field.NewPath("spec", "template")

// packetClusterTemplate checks what clusters of a ClusterClass are made from.
func packetClusterTemplate() validator[*infrav1.PacketClusterTemplate] {
	return validator[*infrav1.PacketClusterTemplate]{
		spec: func(t *infrav1.PacketClusterTemplate) any { return t.Spec },
		check: func(t *infrav1.PacketClusterTemplate) field.ErrorList {
			return append(metadata(t.Spec.Template.ObjectMeta, templatePath), failureDomains(t.Spec.Template.Spec, templatePath.Child("spec"))...)
		},
		change: immutable(func(t *infrav1.PacketClusterTemplate) any { return t.Spec.Template.Spec }),
		warn: func(t *infrav1.PacketClusterTemplate) admission.Warnings {
			return clusterWarnings(t.Spec.Template.Spec, templatePath.Child("spec"))
		},
	}
}

// packetMachineTemplate checks what machines are made from.
func packetMachineTemplate() validator[*infrav1.PacketMachineTemplate] {
	return validator[*infrav1.PacketMachineTemplate]{
		spec: func(t *infrav1.PacketMachineTemplate) any { return t.Spec },
		check: func(t *infrav1.PacketMachineTemplate) field.ErrorList {
			return append(metadata(t.Spec.Template.ObjectMeta, templatePath), machineSpec(t.Spec.Template.Spec, templatePath.Child("spec"))...)
		},
		change: immutable(func(t *infrav1.PacketMachineTemplate) any { return t.Spec.Template.Spec }),
		warn: func(t *infrav1.PacketMachineTemplate) admission.Warnings {
			return machineWarnings(t.Spec.Template.Spec, templatePath.Child("spec"))
		},
	}
}

// packetRemediationTemplate checks what remediations are made from. It may be changed, since nothing that exists is made
// anew by it.
func packetRemediationTemplate() validator[*infrav1.PacketRemediationTemplate] {
	return validator[*infrav1.PacketRemediationTemplate]{
		spec: func(t *infrav1.PacketRemediationTemplate) any { return t.Spec },
		check: func(t *infrav1.PacketRemediationTemplate) field.ErrorList {
			return metadata(t.Spec.Template.ObjectMeta, templatePath)
		},
	}
}

// immutable refuses changes of templates: what was made from one would no longer match it, and nobody would notice.
func immutable[T client.Object](spec func(T) any) func(admission.Request, T, T) field.ErrorList {
	return func(request admission.Request, before, after T) field.ErrorList {
		// Cluster API finds out whether a template has to be replaced by a dry run of changing it.
		if topology.IsDryRunRequest(request, after) || reflect.DeepEqual(spec(before), spec(after)) {
			return nil
		}
		return field.ErrorList{field.Forbidden(templatePath.Child("spec"),
			"a template cannot be changed: create a new one and refer to that")}
	}
}

// metadata checks labels and annotations that objects will get: what is wrong with them would otherwise only be seen when
// the first one is made.
func metadata(meta clusterv1.ObjectMeta, parent *field.Path) field.ErrorList {
	return meta.Validate(parent.Child("metadata"))
}

func groupKind(request admission.Request) schema.GroupKind {
	return schema.GroupKind{Group: request.Kind.Group, Kind: request.Kind.Kind}
}
