package worker

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
)

// kubernetesAPI is the control plane that all tests share. It plays the seed: it has Gardener's and
// machine-controller-manager's CustomResourceDefinitions.
var kubernetesAPI *rest.Config

// TestMain runs a kube-apiserver and an etcd, from the folder in KUBEBUILDER_ASSETS. Without them the tests fail: to skip them
// would be to say that they passed.
func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	logf.SetLogger(logr.Discard())
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	for _, program := range []string{"kube-apiserver", "etcd"} {
		if _, err := os.Stat(filepath.Join(assets, program)); err != nil {
			fmt.Fprintf(os.Stderr, "KUBEBUILDER_ASSETS is %q and has no %s: run `make test`, which builds it, or `make assets` once\n", assets, program)
			return 1
		}
	}
	definitions, err := definitions()
	if err != nil {
		fmt.Fprintf(os.Stderr, "looking for CustomResourceDefinitions: %v\n", err)
		return 1
	}
	environment := &envtest.Environment{
		// A busy machine takes its time.
		ControlPlaneStartTimeout: 3 * time.Minute,
		ControlPlaneStopTimeout:  3 * time.Minute,
		BinaryAssetsDirectory:    assets,
		CRDDirectoryPaths:        definitions,
		ErrorIfCRDPathMissing:    true,
	}
	config, err := environment.Start()
	if err != nil {
		fmt.Fprintf(os.Stderr, "starting the test control plane: %v\n", err)
		return 1
	}
	config.QPS, config.Burst = -1, -1
	kubernetesAPI = config
	code := m.Run()
	if err := environment.Stop(); err != nil {
		fmt.Fprintf(os.Stderr, "stopping the test control plane: %v\n", err)
		return max(code, 1)
	}
	return code
}

// definitions are the folders of Gardener's CustomResourceDefinitions, in the versions that this module is built with.
func definitions() ([]string, error) {
	output, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/gardener/gardener").Output()
	if err != nil {
		return nil, fmt.Errorf("asking Go where Gardener is: %w", err)
	}
	gardener := strings.TrimSpace(string(output))
	return []string{
		filepath.Join(gardener, "pkg/component/extensions/crds/assets"),
		filepath.Join(gardener, "pkg/component/nodemanagement/machinecontrollermanager/templates"),
	}, nil
}
