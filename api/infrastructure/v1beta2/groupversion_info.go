package v1beta2

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	// GroupVersion is the API group and version of every type in this package.
	GroupVersion = schema.GroupVersion{Group: "infrastructure.cluster.x-k8s.io", Version: "v1beta2"}

	schemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

	// AddToScheme registers the types of this package with a scheme.
	AddToScheme = schemeBuilder.AddToScheme
)

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion,
		&PacketCluster{}, &PacketClusterList{},
		&PacketClusterTemplate{}, &PacketClusterTemplateList{},
		&PacketMachine{}, &PacketMachineList{},
		&PacketMachineTemplate{}, &PacketMachineTemplateList{},
		&PacketMachinePool{}, &PacketMachinePoolList{},
		&PacketMachinePoolTemplate{}, &PacketMachinePoolTemplateList{},
		&PacketRemediation{}, &PacketRemediationList{},
		&PacketRemediationTemplate{}, &PacketRemediationTemplateList{},
	)
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
