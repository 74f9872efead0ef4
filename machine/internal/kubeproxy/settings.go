package kubeproxy

import (
	"errors"
	"fmt"
	"net"
	"os"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	nodeutil "k8s.io/component-helpers/node/util"
	"k8s.io/kube-proxy/config/v1alpha1"
	"sigs.k8s.io/yaml"
)

// defaultHealthz is where kube-proxy answers health checks unless its
// configuration says otherwise.
const defaultHealthz = "0.0.0.0:10256"

// settings is what this kube-proxy uses of a KubeProxyConfiguration. The rest
// tunes packet filters, and is accepted without effect.
type settings struct {
	node           string
	client         *rest.Config
	healthzAddress string
}

func readSettings(file, hostname string) (settings, error) {
	if file == "" {
		return settings{}, errors.New("--config is empty: want a file with a KubeProxyConfiguration")
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return settings{}, fmt.Errorf("reading --config: %w", err)
	}
	var config v1alpha1.KubeProxyConfiguration
	if err := yaml.Unmarshal(content, &config); err != nil {
		return settings{}, fmt.Errorf("reading --config %q: %w", file, err)
	}
	if config.Kind != "KubeProxyConfiguration" || config.APIVersion != v1alpha1.SchemeGroupVersion.String() {
		return settings{}, fmt.Errorf("--config %q holds %s %q: want %s KubeProxyConfiguration", file, config.APIVersion, config.Kind, v1alpha1.SchemeGroupVersion)
	}

	s := settings{healthzAddress: config.HealthzBindAddress}
	if s.healthzAddress == "" {
		s.healthzAddress = defaultHealthz
	}
	if _, _, err := net.SplitHostPort(s.healthzAddress); err != nil {
		return settings{}, fmt.Errorf("--config %q: healthzBindAddress %q: want ADDRESS:PORT: %w", file, s.healthzAddress, err)
	}
	if hostname == "" {
		hostname = config.HostnameOverride
	}
	if s.node, err = nodeutil.GetHostname(hostname); err != nil {
		return settings{}, fmt.Errorf("finding the node's name: %w", err)
	}
	if s.client, err = clientConfig(config.ClientConnection.Kubeconfig); err != nil {
		return settings{}, err
	}
	return s, nil
}

// clientConfig reads the kubeconfig file; without one the pod's service account is used.
func clientConfig(kubeconfig string) (*rest.Config, error) {
	var config *rest.Config
	var err error
	if kubeconfig == "" {
		config, err = rest.InClusterConfig()
	} else {
		config, err = clientcmd.BuildConfigFromFlags("", kubeconfig)
	}
	if err != nil {
		return nil, fmt.Errorf("reading clientConnection.kubeconfig %q: %w", kubeconfig, err)
	}
	// Protobuf takes a fraction of the memory and time that JSON takes to decode.
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	return rest.AddUserAgent(config, "kube-proxy"), nil
}
