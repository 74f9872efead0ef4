package controlplanetest

import (
	"context"
	"fmt"
	"os"
	"slices"

	"k8s.io/client-go/rest"
)

// Suite is a control plane that all tests of a package share.
type Suite struct {
	// Config is how the API server is reached, with all rights.
	Config *rest.Config

	cleanups []func() error
}

// Cleanup has something done after the last test, or after a preparation that failed: what was added last is done first, and the
// control plane is stopped when all else is done. An error of it fails the tests.
func (s *Suite) Cleanup(do func() error) { s.cleanups = append(s.cleanups, do) }

// Go runs something beside the tests, such as a controller manager, whose context ends after the last test. An error of it fails
// the tests.
func (s *Suite) Go(run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	s.Cleanup(func() error {
		cancel()
		return <-ended
	})
}

// Run starts a control plane for all tests of a package, prepares what they share besides, and runs them. It is for TestMain: m is
// its *testing.M, and what it returns is the exit code.
func Run(m interface{ Run() int }, plane ControlPlane, prepare func(*Suite) error) int {
	config, stop, err := Start(plane)
	if err != nil {
		return failed(err)
	}
	suite := &Suite{Config: config}
	suite.Cleanup(stop)
	code := 0
	if err := prepare(suite); err != nil {
		code = failed(fmt.Errorf("preparing the tests: %w", err))
	} else {
		code = m.Run()
	}
	for _, do := range slices.Backward(suite.cleanups) {
		if err := do(); err != nil {
			code = max(code, failed(fmt.Errorf("after the tests: %w", err)))
		}
	}
	return code
}

// failed says what is wrong, and is the exit code of that.
func failed(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}
