// Package controlplanetest begins and ends the kube-apiserver and etcd that tests run against.
//
// The programs are in the folder that KUBEBUILDER_ASSETS names; `make test` builds them. Tests that cannot have them fail: to
// skip them would be to say that they passed.
package controlplanetest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

const (
	// assetsVariable names the folder of the programs. It is controller-runtime's.
	assetsVariable = "KUBEBUILDER_ASSETS"
	// patience is how long a control plane may take to begin or to end on a machine that has other things to do.
	patience = 3 * time.Minute
)

// ControlPlane is what can be started here: an envtest.Environment, or something around one.
type ControlPlane interface {
	// Start returns how the API server is reached, with all rights.
	Start() (*rest.Config, error)
	Stop() error
}

// New is an environment that has time to begin and to end. It has the CustomResourceDefinitions of these files and folders, all
// of which have to be there.
func New(definitions ...string) *envtest.Environment {
	return &envtest.Environment{
		ControlPlaneStartTimeout: patience, ControlPlaneStopTimeout: patience,
		CRDDirectoryPaths: definitions, ErrorIfCRDPathMissing: true,
	}
}

// Start starts a control plane, which runs until stop is called. Of one that could not be started nothing is left.
func Start(plane ControlPlane) (config *rest.Config, stop func() error, err error) {
	for _, name := range []string{"kube-apiserver", "etcd"} {
		if _, err := Program(name); err != nil {
			return nil, nil, err
		}
	}
	if config, err = plane.Start(); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("starting a control plane: %w", err), end(plane, config))
	}
	return config, func() error { return end(plane, config) }, nil
}

// StartFor starts a control plane that one test has for itself. It returns how the API server is reached, with all rights.
func StartFor(t testing.TB, plane ControlPlane) *rest.Config {
	t.Helper()
	config, stop, err := Start(plane)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return config
}

// Program is the path of one of the programs: kube-apiserver, etcd or kubectl. It is an error if it is not there.
func Program(name string) (string, error) {
	assets := os.Getenv(assetsVariable)
	if assets == "" {
		return "", fmt.Errorf("%s is not set, so there is no %s: run `make test`, which builds it and sets the variable, or `make assets` once", assetsVariable, name)
	}
	path := filepath.Join(assets, name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s is %q and has no %s: run `make test`, which builds it, or `make assets` once: %w", assetsVariable, assets, name, err)
	}
	return path, nil
}
