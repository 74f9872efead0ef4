// Package infrastructuretest has what the tests of controllers for Infrastructures and Bastions run against: a real kube-apiserver
// with Gardener's resources, Shoots in a real Packet API, and a network that can break.
package infrastructuretest

import (
	"context"
	"fmt"
	"testing"

	extensionscontroller "github.com/gardener/gardener/extensions/pkg/controller"
	"github.com/gardener/gardener/pkg/component/extensions/crds"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/packetyard/packetyard/internal/controlplanetest"
)

// Environment is a seed under test.
type Environment struct {
	Config *rest.Config
	Scheme *runtime.Scheme
	// Client reads and writes live.
	Client client.Client
}

// Run starts an environment for all tests of a package and runs them; call it from TestMain.
func Run(m *testing.M, use func(*Environment)) int {
	return controlplanetest.Run(m, controlplanetest.New(), func(suite *controlplanetest.Suite) error {
		environment, err := prepare(suite.Config)
		if err != nil {
			return err
		}
		use(environment)
		return nil
	})
}

func prepare(config *rest.Config) (*Environment, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{extensionscontroller.AddToScheme, apiextensionsv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("making the scheme: %w", err)
		}
	}
	config.QPS, config.Burst = 1000, 1000
	kube, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("making the client: %w", err)
	}
	definitions, err := crds.NewCRD(kube, true, true)
	if err != nil {
		return nil, fmt.Errorf("reading Gardener's definitions: %w", err)
	}
	ctx := context.Background()
	if err := definitions.Deploy(ctx); err != nil {
		return nil, fmt.Errorf("deploying Gardener's definitions: %w", err)
	}
	if err := definitions.Wait(ctx); err != nil {
		return nil, fmt.Errorf("waiting for Gardener's definitions: %w", err)
	}
	return &Environment{Config: config, Scheme: scheme, Client: kube}, nil
}
