package worker

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/packetyard/packetyard/internal/controlplanetest"
)

// kubernetesAPI is the control plane that all tests share. It plays the seed: it has Gardener's and
// machine-controller-manager's CustomResourceDefinitions.
var kubernetesAPI *rest.Config

func TestMain(m *testing.M) {
	logf.SetLogger(logr.Discard())
	gardener, err := controlplanetest.ModuleFolder("github.com/gardener/gardener")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	environment := controlplanetest.New(
		filepath.Join(gardener, "pkg/component/extensions/crds/assets"),
		filepath.Join(gardener, "pkg/component/nodemanagement/machinecontrollermanager/templates"),
	)
	os.Exit(controlplanetest.Run(m, environment, func(suite *controlplanetest.Suite) error {
		kubernetesAPI = suite.Config
		kubernetesAPI.QPS, kubernetesAPI.Burst = -1, -1
		return nil
	}))
}
