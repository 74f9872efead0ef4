package manager

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util/contract"
)

// contractVersions are the contracts this version of Cluster API understands, best first.
var contractVersions = []string{"v1beta2", "v1beta1"}

// apiVersionGetter tells the API version to use for a kind of another provider, from the labels of its
// CustomResourceDefinition (cluster.x-k8s.io/<contract>: <version>_<version>). Conversion webhooks need it, because v1beta1
// objects name the version of what they refer to and v1beta2 objects do not. Upstream has the same function in an internal
// package.
func apiVersionGetter(reader client.Reader) func(context.Context, schema.GroupKind) (string, error) {
	return func(ctx context.Context, kind schema.GroupKind) (string, error) {
		definition := &metav1.PartialObjectMetadata{}
		definition.SetGroupVersionKind(apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinition"))
		key := client.ObjectKey{Name: contract.CalculateCRDName(kind.Group, kind.Kind)}
		if err := reader.Get(ctx, key, definition); err != nil {
			return "", fmt.Errorf("reading the CustomResourceDefinition of %s: %w", kind, err)
		}
		for _, contractVersion := range contractVersions {
			if versions := definition.Labels[clusterv1.GroupVersion.Group+"/"+contractVersion]; versions != "" {
				newest := slices.MaxFunc(strings.Split(versions, "_"), version.CompareKubeAwareVersionStrings)
				return schema.GroupVersion{Group: kind.Group, Version: newest}.String(), nil
			}
		}
		return "", fmt.Errorf("CustomResourceDefinition %s has none of the labels %s/{%s}",
			key.Name, clusterv1.GroupVersion.Group, strings.Join(contractVersions, ","))
	}
}
