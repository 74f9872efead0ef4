package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/cluster-api/cmd/clusterctl/cmd"

	"github.com/packetyard/packetyard/internal/clusterctl"
	"github.com/packetyard/packetyard/internal/processtest"
)

// childVariable makes this test program be one of the programs under test instead of running the tests, so that tests have
// them as processes of their own.
const childVariable = "PACKET_MANAGER_TEST_RUN"

// minute is what takes a minute on a machine that does nothing else.
const minute = 3 * time.Minute

func TestMain(m *testing.M) {
	switch os.Getenv(childVariable) {
	case "manager":
		main()
	case "clusterctl":
		if err := clusterctl.Extend(cmd.RootCmd); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		cmd.Execute()
	default:
		os.Exit(m.Run())
	}
}

// process is a manager that runs.
type process struct{ *processtest.Process }

// startProcess runs a manager until the test ends. Of the environment it has only what is given.
func startProcess(t testing.TB, name string, environment []string, arguments ...string) *process {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return &process{processtest.Start(t, name, program, append([]string{childVariable + "=manager"}, environment...), arguments...)}
}

// awaitReady waits until a manager says that it is ready, or has ended.
func (p *process) awaitReady(t testing.TB, port int) {
	t.Helper()
	processtest.Succeeds(t, 2*minute, "the manager is ready", func() error {
		select {
		case <-p.Done:
			t.Fatalf("the manager ended:\n%s", p.Log)
		default:
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/readyz", port), nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("readiness is %s", response.Status)
		}
		return nil
	})
}

// lacksNoRight looks for what the API server refused.
func (p *process) lacksNoRight(t testing.TB) {
	t.Helper()
	for line := range strings.Lines(p.Log.String()) {
		if strings.Contains(line, "forbidden") || strings.Contains(line, "cannot set blockOwnerDeletion") {
			t.Errorf("a right is lacking: %s", line)
		}
	}
}

// clusterctlProgram is clusterctl with the manifests of the providers beside it, a home of its own, and no network.
type clusterctlProgram struct {
	path, home  string
	environment []string
}

func newClusterctl(t testing.TB, manifests map[string][]byte, environment ...string) clusterctlProgram {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	c := clusterctlProgram{path: filepath.Join(folder, "clusterctl"), home: t.TempDir()}
	// A symbolic link would lead to the folder of this program.
	if err := os.Link(executable, c.path); err != nil {
		content, err := os.ReadFile(executable)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(c.path, content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range manifests {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	nowhere := "http://127.0.0.1:9"
	c.environment = append([]string{
		childVariable + "=clusterctl", "HOME=" + c.home, "PATH=" + os.Getenv("PATH"),
		"HTTP_PROXY=" + nowhere, "HTTPS_PROXY=" + nowhere, "NO_PROXY=127.0.0.1,localhost",
	}, environment...)
	return c
}

func (c clusterctlProgram) run(t testing.TB, arguments ...string) string {
	t.Helper()
	out, err := c.try(t, arguments...)
	if err != nil {
		t.Fatalf("clusterctl %s: %v\n%s", strings.Join(arguments, " "), err, out)
	}
	return out
}

func (c clusterctlProgram) try(t testing.TB, arguments ...string) (string, error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), c.path, arguments...)
	command.Env, command.Dir = c.environment, c.home
	out, err := command.CombinedOutput()
	return string(out), err
}
