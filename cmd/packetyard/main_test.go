package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packetyard/packetyard/internal/machineexec"
	"github.com/packetyard/packetyard/internal/machines/namespaces/unixsock"
	"github.com/packetyard/packetyard/internal/yard/statedir"
)

// packetyard runs the program with a state directory.
func packetyard(t *testing.T, state, input string, arguments ...string) (code int, out, problems string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(t.Context(), append([]string{"--state-dir", state}, arguments...), strings.NewReader(input), &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

func TestBadInput(t *testing.T) {
	folder := t.TempDir()
	state := filepath.Join(folder, "yard")
	unknown := filepath.Join(folder, "cluster.yaml")
	if err := os.WriteFile(unknown, []byte("apiVersion: cluster.x-k8s.io/v1beta2\nkind: Cluster\nmetadata: {name: demo}\nspec: {podes: 1}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name      string
		arguments []string
		want      []string
	}{
		{"unknown command", []string{"upp"}, []string{`unknown command "upp"`, "up"}},
		{"settings that are not there", []string{"up", "--api-settings", "/nowhere/api.yaml"}, []string{"--api-settings", "/nowhere/api.yaml"}},
		{"up with an argument", []string{"up", "now"}, []string{"now"}},
		{"no such file", []string{"up", "-f", filepath.Join(folder, "none.yaml")}, []string{"none.yaml", "no such file"}},
		{"unknown field", []string{"up", "-f", unknown}, []string{"cluster.yaml", `Cluster "demo"`, `unknown field "spec.podes"`}},
		{"control planes that are Machines", []string{"up", "--control-planes", "3"}, []string{"--control-planes 3", "KubeadmControlPlane"}},
		{"negative workers", []string{"up", "--workers", "-1"}, []string{"--workers -1"}},
		{"no time", []string{"up", "--timeout", "0s"}, []string{"--timeout 0s"}},
		{"no machine image", []string{"up", "--machine-image", filepath.Join(folder, "image")}, []string{"image/kube", "make build"}},
		{"status without a yard", []string{"status"}, []string{"no yard", "packetyard up"}},
		{"kubeconfig without a yard", []string{"kubeconfig"}, []string{"no yard"}},
		{"console without a machine", []string{"console"}, []string{"arg"}},
		{"exec without dashes", []string{"exec", "m", "ls"}, []string{"--"}},
		{"exec without a command", []string{"exec", "m", "--"}, []string{"no command"}},
		{"exec in two machines", []string{"exec", "a", "b", "--", "ls"}, []string{"2 machines"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, _, problems := packetyard(t, state, "", test.arguments...)
			if code == 0 {
				t.Error("it succeeded")
			}
			for _, want := range test.want {
				if !strings.Contains(problems, want) {
					t.Errorf("the error lacks %q: %s", want, problems)
				}
			}
			if _, err := os.Stat(state); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a state directory was made: %v", err)
			}
		})
	}
}

func TestHelpTeaches(t *testing.T) {
	for _, command := range []string{"up", "status", "kubeconfig", "exec", "console", "down"} {
		code, out, problems := packetyard(t, t.TempDir(), "", command, "--help")
		if code != 0 || !strings.Contains(out, "Examples:") || !strings.Contains(out, "packetyard "+command) {
			t.Errorf("%s --help: code %d, %s\n%s", command, code, problems, out)
		}
	}
	if _, out, _ := packetyard(t, t.TempDir(), "", "--help"); strings.Contains(out, "supervise") {
		t.Error("the daemon's command is shown to people")
	}
}

func TestDownTwice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "yard")
	if _, err := statedir.Create(path); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if code, out, problems := packetyard(t, path, "", "down"); code != 0 {
			t.Errorf("code %d: %s%s", code, out, problems)
		}
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left: %v", err)
	}
}

func TestStatusFormats(t *testing.T) {
	path := filepath.Join(t.TempDir(), "yard")
	if _, err := statedir.Create(path); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := packetyard(t, path, "", "status", "-o", "json"); code != 0 || !strings.Contains(out, `"parts"`) || !strings.Contains(out, `"machines": []`) {
		t.Errorf("code %d: %s", code, out)
	}
	if code, _, problems := packetyard(t, path, "", "status", "-o", "xml"); code == 0 || !strings.Contains(problems, "table and json") {
		t.Errorf("code %d: %s", code, problems)
	}
}

// TestExec runs commands through a real session with a machine's first
// process, which the test plays.
func TestExec(t *testing.T) {
	const id = "00000000-0000-4000-8000-000000000001"
	path := filepath.Join(t.TempDir(), "yard")
	dir, err := statedir.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	control := filepath.Join(dir.API(), "machines", id, "control")
	if err := os.MkdirAll(control, 0o700); err != nil {
		t.Fatal(err)
	}
	listener, err := unixsock.Listen(t.Context(), filepath.Join(control, "init.sock"))
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(machineexec.Path, machineexec.Handler(func(ctx context.Context, session *machineexec.Session) int {
		command := exec.CommandContext(ctx, session.Request.Command[0], session.Request.Command[1:]...)
		command.Stdin, command.Stdout, command.Stderr = session.Stdin, session.Stdout, session.Stderr
		var exited *exec.ExitError
		if err := command.Run(); errors.As(err, &exited) {
			return exited.ExitCode()
		}
		return 0
	}))
	server := &http.Server{Handler: mux} //nolint:gosec // A test's server needs no time-outs.
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Close() })

	code, out, problems := packetyard(t, path, "hello", "exec", id, "--", "sh", "-c", "cat; echo -n -- >&2; exit 3")
	if code != 3 || out != "hello" || problems != "--" {
		t.Errorf("code %d, output %q, errors %q; want 3, hello and nothing added", code, out, problems)
	}
	if err := os.WriteFile(filepath.Join(dir.API(), "machines", id, "console.log"), []byte("booting\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, problems := packetyard(t, path, "", "console", id); code != 0 || out != "booting\n" {
		t.Errorf("console: code %d, %q, %s", code, out, problems)
	}
}
