//go:build e2e

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/go-logr/logr"
	"github.com/spf13/afero"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/gardener/gardener/pkg/api/indexer"
	nodeagentconfigv1alpha1 "github.com/gardener/gardener/pkg/apis/config/nodeagent/v1alpha1"
	"github.com/gardener/gardener/pkg/client/kubernetes"
	"github.com/gardener/gardener/pkg/controllerutils"
	"github.com/gardener/gardener/pkg/nodeagent"
	"github.com/gardener/gardener/pkg/nodeagent/bootstrappers"
	"github.com/gardener/gardener/pkg/nodeagent/controller/lease"
	"github.com/gardener/gardener/pkg/nodeagent/controller/node"
	"github.com/gardener/gardener/pkg/nodeagent/controller/operatingsystemconfig"
)

// agent is what runs for as long as the machine does.
type agent struct {
	log    logr.Logger
	files  afero.Afero
	config *nodeagentconfigv1alpha1.NodeAgentConfiguration
	// folder is that of the configuration.
	folder string
	// machine is the name of the Machine, host that of the host, and node that of the Node, once it is there.
	machine, host, node string
}

// run returns when the context ends, and when the agent wants to be started again, as it does when its Node appears.
func (a *agent) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	name, err := a.files.ReadFile(nodeagentconfigv1alpha1.MachineNameFilePath)
	if err != nil {
		return fmt.Errorf("reading the Machine's name: %w", err)
	}
	a.machine, _, _ = strings.Cut(string(name), "\n")
	if a.host, err = nodeagent.GetHostName(); err != nil {
		return fmt.Errorf("reading the host's name: %w", err)
	}
	access, err := a.access(ctx)
	if err != nil {
		return err
	}
	if a.node, err = a.findNode(ctx, access); err != nil {
		return err
	}
	mgr, err := a.newManager(ctx, access, stop)
	if err != nil {
		return err
	}
	if err := a.files.MkdirAll(nodeagentconfigv1alpha1.TempDir, os.ModeDir|0o755); err != nil {
		return fmt.Errorf("making the folder of temporary files: %w", err)
	}
	return mgr.Start(ctx)
}

// access is how the agent reaches the Shoot's API server: by a certificate of its own, which it asks for with the bootstrap token.
func (a *agent) access(ctx context.Context) (*rest.Config, error) {
	kubeconfig, err := a.files.ReadFile(nodeagentconfigv1alpha1.KubeconfigFilePath)
	if errors.Is(err, fs.ErrNotExist) {
		bootstrap := &rest.Config{
			Host: a.config.APIServer.Server, BearerTokenFile: nodeagentconfigv1alpha1.BootstrapTokenFilePath,
			TLSClientConfig: rest.TLSClientConfig{CAFile: nodeagentconfigv1alpha1.ClusterCAFilePath},
		}
		if err := nodeagent.RequestAndStoreKubeconfig(ctx, a.log, a.files, bootstrap, a.machine); err != nil {
			return nil, fmt.Errorf("asking for a certificate: %w", err)
		}
		kubeconfig, err = a.files.ReadFile(nodeagentconfigv1alpha1.KubeconfigFilePath)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the agent's kubeconfig: %w", err)
	}
	access, err := kubernetes.RESTConfigFromKubeconfig(kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("decoding the agent's kubeconfig: %w", err)
	}
	return access, nil
}

func (a *agent) findNode(ctx context.Context, access *rest.Config) (string, error) {
	reader, err := client.New(access, client.Options{})
	if err != nil {
		return "", fmt.Errorf("making a client: %w", err)
	}
	found, err := nodeagent.FetchNodeByHostName(ctx, reader, a.host)
	if err != nil || found == nil {
		return "", err
	}
	return found.Name, nil
}

func (a *agent) newManager(ctx context.Context, access *rest.Config, stop context.CancelFunc) (manager.Manager, error) {
	probes := a.config.Server.HealthProbes
	mgr, err := manager.New(access, manager.Options{
		Logger: a.log, Scheme: kubernetes.SeedScheme, Metrics: metricsserver.Options{BindAddress: "0"},
		HealthProbeBindAddress: net.JoinHostPort(probes.BindAddress, strconv.Itoa(probes.Port)),
		Cache: cache.Options{ByObject: map[client.Object]cache.ByObject{&corev1.Secret{}: {
			Namespaces: map[string]cache.Config{metav1.NamespaceSystem: {}},
			Field:      fields.OneTermEqualSelector(metav1.ObjectNameField, a.config.Controllers.OperatingSystemConfig.SecretName),
		}}},
	})
	if err != nil {
		return nil, fmt.Errorf("making the manager: %w", err)
	}
	if a.node != "" {
		if err := indexer.AddPodNodeName(ctx, mgr.GetFieldIndexer()); err != nil {
			return nil, fmt.Errorf("indexing pods: %w", err)
		}
	}
	// The kubelet's kubeconfig has to be there before the kubelet is.
	err = mgr.Add(&controllerutils.ControlledRunner{
		Manager: mgr,
		BootstrapRunnables: []manager.Runnable{&bootstrappers.KubeletBootstrapKubeconfig{
			Log: a.log.WithName("kubelet-bootstrap-kubeconfig"), FS: a.files, APIServerConfig: a.config.APIServer,
		}},
		ActualRunnables: []manager.Runnable{manager.RunnableFunc(func(ctx context.Context) error { return a.addControllers(ctx, mgr, stop) })},
	})
	if err != nil {
		return nil, fmt.Errorf("adding the controllers: %w", err)
	}
	return mgr, nil
}

func (a *agent) addControllers(ctx context.Context, mgr manager.Manager, stop context.CancelFunc) error {
	mine, err := predicate.LabelSelectorPredicate(metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelHostname: a.host}})
	if err != nil {
		return fmt.Errorf("selecting the Node: %w", err)
	}
	if err := (&node.Reconciler{DBus: systemctl{}}).AddToManager(mgr, mine); err != nil {
		return fmt.Errorf("adding the controller of the Node: %w", err)
	}
	if a.node != "" {
		if err := (&lease.Reconciler{}).AddToManager(mgr, mine); err != nil {
			return fmt.Errorf("adding the controller of the Lease: %w", err)
		}
	}
	reconciler := &operatingsystemconfig.Reconciler{
		Config: a.config.Controllers.OperatingSystemConfig, ConfigDir: a.folder, TokenSecretSyncConfigs: a.config.Controllers.Token.SyncConfigs,
		Channel:  make(chan event.TypedGenericEvent[*corev1.Secret]),
		HostName: a.host, NodeName: a.node, MachineName: a.machine, CancelContext: stop,
		DBus: systemctl{}, Extractor: images{files: a.files}, ContainerdClient: runtimeVersion{},
	}
	if err := reconciler.AddToManager(ctx, mgr); err != nil {
		return fmt.Errorf("adding the controller of the OperatingSystemConfig: %w", err)
	}
	return nil
}
