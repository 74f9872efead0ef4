package clusterfile

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	controlplanev1 "sigs.k8s.io/cluster-api/api/controlplane/kubeadm/v1beta2"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// reservedName is the name under which the yard's own cluster goes.
const reservedName = "bootstrap"

// validate returns all that is wrong with a file whose documents are good one
// by one: what refers to something that is not there would otherwise show as
// a cluster that is waited for in vain.
func (f *File) validate() []error {
	var problems []error
	report := func(o object, format string, arguments ...any) {
		problems = append(problems, fmt.Errorf("%s (line %d): %s", o, o.line, fmt.Sprintf(format, arguments...)))
	}

	var clusters []string
	known := map[string]object{}
	for _, object := range f.objects {
		key := object.key()
		if first, ok := known[key]; ok {
			report(object, "it is in the file twice, first at line %d", first.line)
		}
		known[key] = object
		if cluster, ok := object.typed.(*clusterv1.Cluster); ok {
			f.Cluster = cluster
			clusters = append(clusters, cluster.Name)
		}
	}
	if len(clusters) != 1 {
		found := "none"
		if len(clusters) > 0 {
			found = strings.Join(clusters, ", ")
		}
		return append(problems, fmt.Errorf("a cluster file holds exactly one Cluster; found: %s", found))
	}
	if f.Cluster.Name == reservedName {
		problems = append(problems, fmt.Errorf("metadata.name of the Cluster is %q, which is the name of the yard's own cluster; choose another", reservedName))
	}

	for _, object := range f.objects {
		for _, reference := range references(object) {
			if reference.target.Name == "" && reference.target.Kind == "" {
				report(object, "%s is missing", reference.field)
				continue
			}
			key := key(reference.target.APIGroup, reference.target.Kind, namespace(accessor(object).GetNamespace()), reference.target.Name)
			if _, ok := known[key]; !ok {
				report(object, "%s refers to %s %q of group %q in namespace %q, which is not in the file", reference.field, reference.target.Kind, reference.target.Name, reference.target.APIGroup, namespace(accessor(object).GetNamespace()))
			}
		}
		if field, name, ok := clusterName(object); ok && name != f.Cluster.Name {
			report(object, "%s is %q, and the Cluster of the file is %q", field, name, f.Cluster.Name)
		}
	}
	if len(problems) == 0 && f.ControlPlanes() == 0 {
		problems = append(problems, fmt.Errorf("nothing in the file makes a control plane: it needs a Machine with the label %s, or a KubeadmControlPlane with at least 1 replica", clusterv1.MachineControlPlaneLabel))
	}
	return problems
}

type reference struct {
	field  string
	target clusterv1.ContractVersionedObjectReference
}

// references returns what an object cannot do without.
func references(o object) []reference {
	var found []reference
	template := func(spec clusterv1.MachineSpec, path string) {
		found = append(found, reference{path + "infrastructureRef", spec.InfrastructureRef})
		if spec.Bootstrap.DataSecretName == nil {
			found = append(found, reference{path + "bootstrap.configRef", spec.Bootstrap.ConfigRef})
		}
	}
	switch typed := o.typed.(type) {
	case *clusterv1.Cluster:
		if typed.Spec.Topology.ClassRef.Name != "" {
			return nil
		}
		found = append(found, reference{"spec.infrastructureRef", typed.Spec.InfrastructureRef})
		if typed.Spec.ControlPlaneRef.Name != "" {
			found = append(found, reference{"spec.controlPlaneRef", typed.Spec.ControlPlaneRef})
		}
	case *clusterv1.Machine:
		template(typed.Spec, "spec.")
	case *clusterv1.MachineDeployment:
		template(typed.Spec.Template.Spec, "spec.template.spec.")
	case *clusterv1.MachineSet:
		template(typed.Spec.Template.Spec, "spec.template.spec.")
	case *controlplanev1.KubeadmControlPlane:
		found = append(found, reference{"spec.machineTemplate.spec.infrastructureRef", typed.Spec.MachineTemplate.Spec.InfrastructureRef})
	}
	return found
}

// clusterName returns the field in which an object names its cluster.
func clusterName(o object) (field, name string, ok bool) {
	switch typed := o.typed.(type) {
	case *clusterv1.Machine:
		return "spec.clusterName", typed.Spec.ClusterName, true
	case *clusterv1.MachineDeployment:
		return "spec.clusterName", typed.Spec.ClusterName, true
	case *clusterv1.MachineSet:
		return "spec.clusterName", typed.Spec.ClusterName, true
	case *clusterv1.MachineHealthCheck:
		return "spec.clusterName", typed.Spec.ClusterName, true
	}
	return "", "", false
}

func (o object) key() string {
	return key(o.raw.GroupVersionKind().Group, o.raw.GetKind(), namespace(o.raw.GetNamespace()), o.raw.GetName())
}

func key(group, kind, namespace, name string) string {
	return strings.Join([]string{group, kind, namespace, name}, "/")
}

func namespace(name string) string {
	if name == "" {
		return metav1.NamespaceDefault
	}
	return name
}
