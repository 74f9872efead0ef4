package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// +kubebuilder:object:root=true

// ControlPlaneConfig is the controlPlaneConfig of a Shoot. All of it can be left out.
type ControlPlaneConfig struct {
	metav1.TypeMeta `json:",inline"`

	// cloudControllerManager has settings of the packet-cloud-controller-manager.
	// +optional
	CloudControllerManager *CloudControllerManagerConfig `json:"cloudControllerManager,omitempty"`
	// loadBalancer tells what makes Services of type LoadBalancer reachable.
	// +optional
	LoadBalancer *LoadBalancer `json:"loadBalancer,omitempty"`
}

// CloudControllerManagerConfig has settings of the packet-cloud-controller-manager.
type CloudControllerManagerConfig struct {
	// featureGates turns features of Kubernetes on or off.
	// +optional
	FeatureGates map[string]bool `json:"featureGates,omitempty"`
}

// LoadBalancerImplementation is what announces the addresses of Services of type LoadBalancer.
type LoadBalancerImplementation string

const (
	// LoadBalancerMetalLB has MetalLB announce them by BGP. The extension installs it.
	LoadBalancerMetalLB LoadBalancerImplementation = "metallb"
	// LoadBalancerNone has an address reserved for each Service, and leaves it to the Shoot's owner to announce it.
	LoadBalancerNone LoadBalancerImplementation = "none"
	// LoadBalancerDisabled leaves Services of type LoadBalancer alone.
	LoadBalancerDisabled LoadBalancerImplementation = "disabled"
)

// LoadBalancer tells what makes Services of type LoadBalancer reachable.
type LoadBalancer struct {
	// implementation is metallb (the default), none or disabled.
	// +optional
	Implementation LoadBalancerImplementation `json:"implementation,omitempty"`
}
