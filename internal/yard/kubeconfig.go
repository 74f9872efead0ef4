package yard

import (
	"errors"
	"fmt"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/packetyard/packetyard/internal/yard/statedir"
)

// fieldOwner is whom the API server names as the writer of what we apply.
const fieldOwner = "packetyard"

// throughProxy returns a kubeconfig with which every client on the host
// reaches a cluster in the yard: the same one, with the yard's proxy.
func throughProxy(kubeconfig []byte, proxyURL string) ([]byte, error) {
	config, err := clientcmd.Load(kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("reading a kubeconfig: %w", err)
	}
	if len(config.Clusters) == 0 {
		return nil, errors.New("reading a kubeconfig: it names no cluster")
	}
	for _, cluster := range config.Clusters {
		cluster.ProxyURL = proxyURL
	}
	written, err := clientcmd.Write(*config)
	if err != nil {
		return nil, fmt.Errorf("writing a kubeconfig: %w", err)
	}
	return written, nil
}

// writeKubeconfig writes a cluster's kubeconfig into the state directory.
func writeKubeconfig(path string, kubeconfig []byte, proxyURL string) error {
	proxied, err := throughProxy(kubeconfig, proxyURL)
	if err != nil {
		return err
	}
	return statedir.WriteFile(path, proxied)
}

// kubeClient makes a client from the bytes of a kubeconfig.
func kubeClient(kubeconfig []byte, scheme *runtime.Scheme) (client.Client, error) {
	config, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("reading a kubeconfig: %w", err)
	}
	// It is the user's own cluster, and the user waits.
	config.QPS = -1
	config.Timeout = 10 * time.Second
	config.UserAgent = "packetyard"
	config.WarningHandlerWithContext = rest.NoWarnings{}
	found, err := client.New(config, client.Options{Scheme: scheme, FieldOwner: fieldOwner})
	if err != nil {
		return nil, fmt.Errorf("making a client of a cluster: %w", err)
	}
	return found, nil
}

// kubeClientAt makes a client from a kubeconfig file.
func kubeClientAt(path string, scheme *runtime.Scheme) (client.Client, error) {
	kubeconfig, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading a kubeconfig: %w", err)
	}
	return kubeClient(kubeconfig, scheme)
}
