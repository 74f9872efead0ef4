// Package v1alpha1 is the configuration file of gardener-extension-provider-packet.
//
// +kubebuilder:object:generate=true
// +groupName=packet.provider.extensions.config.gardener.cloud
package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	componentbaseconfigv1alpha1 "k8s.io/component-base/config/v1alpha1"

	healthcheckconfigv1alpha1 "github.com/gardener/gardener/extensions/pkg/apis/config/v1alpha1"
)

var (
	// GroupVersion is the API group and version of every type in this package.
	GroupVersion = schema.GroupVersion{Group: "packet.provider.extensions.config.gardener.cloud", Version: "v1alpha1"}

	schemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

	// AddToScheme registers the types of this package with a scheme.
	AddToScheme = schemeBuilder.AddToScheme
)

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion, &ControllerConfiguration{})
	return nil
}

// +kubebuilder:object:root=true

// ControllerConfiguration is the configuration file of the extension.
type ControllerConfiguration struct {
	metav1.TypeMeta `json:",inline"`

	// clientConnection tells how to talk to the API server of the seed.
	// +optional
	ClientConnection *componentbaseconfigv1alpha1.ClientConnectionConfiguration `json:"clientConnection,omitempty"`
	// packet tells how to talk to the Packet API.
	// +optional
	Packet Packet `json:"packet,omitempty"`
	// etcd tells what the etcds of Shoots are stored on.
	// +optional
	ETCD ETCD `json:"etcd,omitempty"`
	// healthCheckConfig tells how often the health of Shoots is checked.
	// +optional
	HealthCheckConfig *healthcheckconfigv1alpha1.HealthCheckConfig `json:"healthCheckConfig,omitempty"`
}

// Packet tells how to talk to the Packet API.
type Packet struct {
	// apiURL is where the Packet API answers for Shoots of which neither the Secret nor the CloudProfile says so.
	// +optional
	APIURL string `json:"apiURL,omitempty"`
	// metadataURL is where machines find the metadata service of which the CloudProfile does not say so. Left out, it is
	// http://metadata.packet.net.
	// +optional
	MetadataURL string `json:"metadataURL,omitempty"`
}

// ETCD tells what the etcds of Shoots are stored on.
type ETCD struct {
	// storage is that of the main etcd.
	// +optional
	Storage ETCDStorage `json:"storage,omitempty"`
}

// ETCDStorage is a volume.
type ETCDStorage struct {
	// className is the StorageClass of the volume.
	// +optional
	ClassName *string `json:"className,omitempty"`
	// capacity is the size of the volume.
	// +optional
	Capacity *resource.Quantity `json:"capacity,omitempty"`
}
