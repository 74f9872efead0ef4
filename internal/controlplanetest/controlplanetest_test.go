package controlplanetest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// serves fails the test where no API server answers.
func serves(t *testing.T, config *rest.Config) {
	t.Helper()
	if _, err := kubernetes.NewForConfigOrDie(config).Discovery().ServerVersion(); err != nil {
		t.Errorf("the API server does not answer: %v", err)
	}
}

// nothingRuns fails the test where a control plane is left.
func nothingRuns(t *testing.T) {
	t.Helper()
	for _, argument := range []string{"--authorization-mode=RBAC", "--unsafe-no-fsync=true"} {
		if left, err := childrenWith(argument); err != nil || len(left) > 0 {
			t.Errorf("processes %v with %s are left (%v)", left, argument, err)
		}
	}
}

// tests are what testing.M is for Run.
type tests func() int

func (run tests) Run() int { return run() }

func TestRun(t *testing.T) {
	var order []string
	step := func(name string, err error) func() error {
		return func() error {
			order = append(order, name)
			return err
		}
	}
	var config *rest.Config
	var beside error
	code := Run(tests(func() int {
		order = append(order, "tests")
		serves(t, config)
		if running, err := childrenWith("--authorization-mode=RBAC"); err != nil || len(running) != 1 {
			t.Errorf("API servers %v run (%v), want 1", running, err)
		}
		return 0
	}), New(), func(suite *Suite) error {
		config = suite.Config
		suite.Cleanup(step("first", nil))
		suite.Go(func(ctx context.Context) error {
			<-ctx.Done()
			beside = ctx.Err()
			return nil
		})
		suite.Cleanup(step("last", nil))
		return nil
	})
	if code != 0 || !slices.Equal(order, []string{"tests", "last", "first"}) || !errors.Is(beside, context.Canceled) {
		t.Errorf("exit code %d, order %v, and what ran beside has %v", code, order, beside)
	}
	nothingRuns(t)
}

func TestWhatIsWrongAfterTheTestsFailsThem(t *testing.T) {
	for name, code := range map[string]int{"tests that passed": 0, "tests that failed": 3} {
		t.Run(name, func(t *testing.T) {
			got := Run(tests(func() int { return code }), plane{}, func(suite *Suite) error {
				suite.Cleanup(func() error { return errors.New("left over") })
				return nil
			})
			if want := max(code, 1); got != want {
				t.Errorf("exit code %d, want %d", got, want)
			}
		})
	}
}

func TestAFailedPreparationRunsNoTest(t *testing.T) {
	cleaned := false
	code := Run(tests(func() int {
		t.Error("the tests ran")
		return 0
	}), plane{}, func(suite *Suite) error {
		suite.Cleanup(func() error {
			cleaned = true
			return nil
		})
		return errors.New("not prepared")
	})
	if code != 1 || !cleaned {
		t.Errorf("exit code %d, cleaned up: %t", code, cleaned)
	}
}

// plane is a control plane that is nothing.
type plane struct{}

func (plane) Start() (*rest.Config, error) { return &rest.Config{Host: "127.0.0.1:1"}, nil }
func (plane) Stop() error                  { return nil }

// A start that fails late, here for want of definitions, used to leave the kube-apiserver and etcd behind.
func TestAStartThatFailsLeavesNothing(t *testing.T) {
	_, _, err := Start(New(filepath.Join(t.TempDir(), "nowhere")))
	if err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("error is %v", err)
	}
	nothingRuns(t)
}

func TestMissingProgramsAreNamed(t *testing.T) {
	empty := t.TempDir()
	for name, test := range map[string]struct {
		assets string
		wants  []string
	}{
		"no folder":       {"", []string{"KUBEBUILDER_ASSETS is not set", "kube-apiserver", "make test"}},
		"an empty folder": {empty, []string{"KUBEBUILDER_ASSETS", empty, "kube-apiserver", "make assets"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(assetsVariable, test.assets)
			_, _, err := Start(New())
			if err == nil {
				t.Fatal("it started")
			}
			for _, want := range test.wants {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error is %q, want %q in it", err, want)
				}
			}
		})
	}
}

func TestModuleFolder(t *testing.T) {
	folder, err := ModuleFolder("sigs.k8s.io/cluster-api")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(folder, "go.mod")); err != nil {
		t.Error(err)
	}
	if _, err := ModuleFolder("example.com/no-such-module"); err == nil || !strings.Contains(err.Error(), "no-such-module") {
		t.Errorf("error is %v", err)
	}
}
