package yard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/packetyard/packetyard/internal/yard/progress"
	"github.com/packetyard/packetyard/internal/yard/statedir"
)

func TestFindPrograms(t *testing.T) {
	folder := t.TempDir()
	executable := filepath.Join(folder, "packetyard")
	write := func(name string) {
		t.Helper()
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o755); err != nil { //nolint:gosec // It plays a program.
			t.Fatal(err)
		}
	}
	write("packetyard")
	_, err := FindPrograms(executable, "")
	for _, want := range []string{"packet-api-server", "provider-components.yaml", "machine-image/kube", "make build"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
	for _, name := range []string{"packet-api-server", "provider-components.yaml", "machine-image/init", "machine-image/kube", "machine-image/images/manager"} {
		write(name)
	}
	link := filepath.Join(t.TempDir(), "packetyard")
	if err := os.Symlink(executable, link); err != nil {
		t.Fatal(err)
	}
	programs, err := FindPrograms(link, "")
	if err != nil {
		t.Fatal(err)
	}
	if programs.Packetyard != executable || programs.Kube() != filepath.Join(folder, "machine-image", "kube") {
		t.Errorf("through a link: %+v", programs)
	}
}

func TestDownIsHarmless(t *testing.T) {
	var out bytes.Buffer
	printer := progress.New(&out, 0)
	if err := Down(t.Context(), filepath.Join(t.TempDir(), "none"), printer); err != nil {
		t.Errorf("without a yard: %v", err)
	}
	folder := t.TempDir()
	precious := filepath.Join(folder, "precious")
	if err := os.WriteFile(precious, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Down(t.Context(), folder, printer); err == nil {
		t.Error("a directory of somebody else's was taken for a yard")
	}
	if _, err := os.Stat(precious); err != nil {
		t.Errorf("it is gone: %v", err)
	}
}

// orphan starts a shell in the place of an API server whose supervisor was
// killed. The function returned waits for its end.
func orphan(t *testing.T, dir statedir.Dir) (wait func() *os.ProcessState) {
	t.Helper()
	shell, err := os.ReadFile("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "packet-api-server")
	if err := os.WriteFile(program, shell, 0o755); err != nil { //nolint:gosec // It is a program.
		t.Fatal(err)
	}
	server := exec.CommandContext(t.Context(), program, "-c", "read line", "--data-dir", dir.API())
	stdin, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	var waiting sync.WaitGroup
	waiting.Go(func() { _ = server.Wait() })
	t.Cleanup(func() {
		stdin.Close()
		waiting.Wait()
	})
	return func() *os.ProcessState {
		// Without its input it ends by itself, if nobody has killed it.
		stdin.Close()
		waiting.Wait()
		return server.ProcessState
	}
}

// After somebody had removed the directory, down found nothing to do, and what ran for it ran on.
func TestDownEndsWhatRunsForADirectoryThatIsGone(t *testing.T) {
	dir, err := statedir.Create(filepath.Join(t.TempDir(), "yard"))
	if err != nil {
		t.Fatal(err)
	}
	wait := orphan(t, dir)
	if err := os.RemoveAll(dir.Path()); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Down(t.Context(), dir.Path(), progress.New(&out, 0)); err != nil {
		t.Fatal(err)
	}
	if code := wait().String(); !strings.Contains(code, "killed") {
		t.Errorf("the server ended with %s", code)
	}
	out.Reset()
	if err := Down(t.Context(), dir.Path(), progress.New(&out, 0)); err != nil || !strings.Contains(out.String(), "Nothing to do") {
		t.Errorf("down again: %q, %v", out.String(), err)
	}
}

// Of two supervisors that started at almost the same time, because an up was
// interrupted and repeated, the second ended, and up said that none had started.
func TestUpWaitsForASupervisorThatHasNotReportedYet(t *testing.T) {
	dir, err := statedir.Create(filepath.Join(t.TempDir(), "yard"))
	if err != nil {
		t.Fatal(err)
	}
	lock, err := statedir.TryLock(dir.SupervisorLock())
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Unlock()
	// The second one is a program that ends at once.
	second, err := exec.LookPath("false")
	if err != nil {
		t.Fatal(err)
	}
	reporting := time.AfterFunc(300*time.Millisecond, func() {
		if err := statedir.WriteFile(dir.Report(), fmt.Appendf(nil, `{"pid": %d, "apiAddress": "127.0.0.1:1"}`, os.Getpid())); err != nil {
			t.Error(err)
		}
	})
	defer reporting.Stop()
	report, err := startSupervisor(t.Context(), dir, Programs{Packetyard: second})
	if err != nil || report.APIAddress != "127.0.0.1:1" {
		t.Errorf("got %+v, %v; want the report of the first", report, err)
	}
}

func TestDownEndsWhatNobodyKnowsOf(t *testing.T) {
	dir, err := statedir.Create(filepath.Join(t.TempDir(), "yard"))
	if err != nil {
		t.Fatal(err)
	}
	wait := orphan(t, dir)
	lock, err := lockCommands(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Down(t.Context(), dir.Path(), progress.New(&out, 0)); err == nil || !strings.Contains(err.Error(), "works on") {
		t.Errorf("down while up runs: %v", err)
	}
	lock.Unlock()
	if err := Down(t.Context(), dir.Path(), progress.New(&out, 0)); err != nil {
		t.Fatal(err)
	}
	if code := wait().String(); !strings.Contains(code, "killed") {
		t.Errorf("the server ended with %s", code)
	}
	if _, err := os.Stat(dir.Path()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the state directory is left: %v", err)
	}
}

func TestUpRefusesBeforeAnythingIsMade(t *testing.T) {
	state := filepath.Join(t.TempDir(), "yard")
	var out bytes.Buffer
	_, err := Up(t.Context(), UpOptions{
		StateDir: state, Executable: os.Args[0], Timeout: time.Minute, ClusterFile: "mine.yaml",
		ClusterYAML: []byte("apiVersion: cluster.x-k8s.io/v1beta2\nkind: Cluster\nmetadata: {name: demo}\nspec: {podes: 1}\n"),
	}, progress.New(&out, 0))
	for _, want := range []string{"mine.yaml", `Cluster "demo"`, `unknown field "spec.podes"`, "Nothing was created"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
	if _, err := os.Stat(state); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the state directory was made: %v", err)
	}
}

func TestStepTellsHowToGoOn(t *testing.T) {
	stuck := func(ctx context.Context, step *progress.Step) error {
		step.Detail("the moon")
		<-ctx.Done()
		return ctx.Err()
	}
	var out bytes.Buffer
	u := &up{options: UpOptions{Timeout: time.Millisecond, Command: "packetyard"}, printer: progress.New(&out, 0)}

	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Millisecond, errTimeout)
	defer cancel()
	err := u.step(ctx, "Wait", stuck)
	for _, want := range []string{"not done within 1ms", `"Wait"`, "the moon", "packetyard status"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("time-out: got %v, want %q in it", err, want)
		}
	}

	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	if err := u.step(ctx, "Wait", stuck); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "`packetyard up` goes on") {
		t.Errorf("interruption: got %v", err)
	}
}

func TestShellQuote(t *testing.T) {
	for text, want := range map[string]string{
		"/home/me/demo.kubeconfig": "/home/me/demo.kubeconfig",
		"/tmp/a b":                 "'/tmp/a b'",
		"it's":                     `'it'\''s'`,
		"":                         "''",
	} {
		if got := ShellQuote(text); got != want {
			t.Errorf("%q is quoted as %s, want %s", text, got, want)
		}
	}
}
