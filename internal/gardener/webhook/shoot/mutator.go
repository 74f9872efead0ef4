package shoot

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	kubeproxyconfigv1alpha1 "k8s.io/kube-proxy/config/v1alpha1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener/pkg/component/kubernetes/proxy"
)

const (
	// configKey is the key of kube-proxy's configuration in its ConfigMap.
	configKey = "config.yaml"
	ipvs      = kubeproxyconfigv1alpha1.ProxyMode("ipvs")
)

type mutator struct {
	configs proxy.ConfigCodec
}

// Mutate has kube-proxy in its mode ipvs leave ARP alone. In that mode each node has the addresses of all Services of type
// LoadBalancer, and would answer for them in its VLAN; it is MetalLB that says where they are, and its documentation asks for this.
func (m *mutator) Mutate(_ context.Context, object, _ client.Object) error {
	configMap, is := object.(*corev1.ConfigMap)
	if !is || configMap.DeletionTimestamp != nil || !strings.HasPrefix(configMap.Name, proxy.ConfigNamePrefix) {
		return nil
	}
	text, has := configMap.Data[configKey]
	if !has {
		return nil
	}
	config, err := m.configs.Decode(text)
	if err != nil {
		return fmt.Errorf("reading the configuration of kube-proxy in ConfigMap %s/%s: %w", configMap.Namespace, configMap.Name, err)
	}
	if config.Mode != ipvs || config.IPVS.StrictARP {
		return nil
	}
	config.IPVS.StrictARP = true
	if configMap.Data[configKey], err = m.configs.Encode(config); err != nil {
		return fmt.Errorf("writing the configuration of kube-proxy in ConfigMap %s/%s: %w", configMap.Namespace, configMap.Name, err)
	}
	return nil
}
