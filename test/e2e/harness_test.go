//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/packetyard/packetyard/internal/yard/statedir"
	"github.com/packetyard/packetyard/internal/yard/supervisor"
	"github.com/packetyard/packetyard/pkg/packet"
)

// soon is how long anything in a yard may take that is not a whole cluster.
// It is long, because the machine that the tests run on may be busy.
const soon = 6 * time.Minute

// yard is one yard in a state directory of its own.
type yard struct {
	bin   string
	state string
	// home takes what programs want to keep for their user.
	home string
}

// newYard prepares a yard, of which nothing runs yet, and sees to its end.
func newYard(t *testing.T) *yard {
	t.Helper()
	bin := os.Getenv("PACKETYARD_BIN")
	if bin == "" {
		bin = filepath.Join("..", "..", "bin")
	}
	bin, err := filepath.Abs(bin)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(bin, "packetyard")); err != nil {
		t.Fatalf("PACKETYARD_BIN has to name the folder of a build (make build): %v", err)
	}
	y := &yard{bin: bin, state: filepath.Join(t.TempDir(), "state"), home: t.TempDir()}
	t.Cleanup(func() {
		if t.Failed() {
			y.explain(t)
		}
		// The test's context has ended by now.
		if code, output := y.run(context.Background(), "down"); code != 0 {
			t.Errorf("packetyard down ended with %d:\n%s", code, output)
		}
	})
	return y
}

// explain logs what is needed to understand a failure.
func (y *yard) explain(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_, status := y.run(ctx, "status")
	t.Logf("packetyard status:\n%s", status)
	logs, _ := filepath.Glob(filepath.Join(y.state, "logs", "*.log"))
	consoles, _ := filepath.Glob(filepath.Join(y.state, "api", "machines", "*", "console.log"))
	for _, path := range slices.Concat(logs, consoles) {
		content, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		lines := strings.Split(string(content), "\n")
		t.Logf("the end of %s:\n%s", path, strings.Join(lines[max(len(lines)-40, 0):], "\n"))
	}
}

func (y *yard) environment() []string {
	return append(os.Environ(), "HOME="+y.home, "XDG_CONFIG_HOME="+y.home, "XDG_DATA_HOME="+y.home, "XDG_CACHE_HOME="+y.home,
		statedir.Environment+"="+y.state)
}

// command prepares one of the build's programs.
func (y *yard) command(ctx context.Context, program string, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, filepath.Join(y.bin, program), arguments...)
	command.Env = y.environment()
	command.WaitDelay = 10 * time.Second
	return command
}

// run runs packetyard and returns its exit code and all that it printed.
func (y *yard) run(ctx context.Context, arguments ...string) (int, string) {
	var output bytes.Buffer
	command := y.command(ctx, "packetyard", arguments...)
	command.Stdout, command.Stderr = &output, &output
	return exitCode(command.Run()), output.String()
}

func exitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	return -1
}

// must runs packetyard, which has to succeed, and returns what it printed.
func (y *yard) must(t *testing.T, arguments ...string) string {
	t.Helper()
	code, output := y.run(t.Context(), arguments...)
	if code != 0 {
		t.Fatalf("packetyard %s ended with %d:\n%s", strings.Join(arguments, " "), code, output)
	}
	return output
}

// kubeconfig is the path that `packetyard kubeconfig` prints.
func (y *yard) kubeconfig(t *testing.T, cluster string) string {
	t.Helper()
	return strings.TrimSpace(y.must(t, "kubeconfig", "--path", cluster))
}

// tryKubectl runs the build's kubectl, as it would run from the user's shell.
func (y *yard) tryKubectl(ctx context.Context, kubeconfig string, arguments ...string) (string, error) {
	var output, problem bytes.Buffer
	command := y.command(ctx, "machine-image/kube", append([]string{"kubectl"}, arguments...)...)
	command.Env = append(command.Env, "KUBECONFIG="+kubeconfig)
	command.Stdout, command.Stderr = &output, &problem
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("kubectl %s: %w: %s", strings.Join(arguments, " "), err, problem.String())
	}
	return output.String(), nil
}

func (y *yard) kubectl(t *testing.T, kubeconfig string, arguments ...string) string {
	t.Helper()
	output, err := y.tryKubectl(t.Context(), kubeconfig, arguments...)
	if err != nil {
		t.Fatal(err)
	}
	return output
}

// get reads objects with kubectl.
func get[T any](y *yard, ctx context.Context, kubeconfig string, arguments ...string) (T, error) {
	var objects T
	output, err := y.tryKubectl(ctx, kubeconfig, append([]string{"get", "-o", "json"}, arguments...)...)
	if err != nil {
		return objects, err
	}
	if err := json.Unmarshal([]byte(output), &objects); err != nil {
		return objects, fmt.Errorf("kubectl get %v: %w", arguments, err)
	}
	return objects, nil
}

// eventually waits until check finds nothing wrong any more.
func eventually(t *testing.T, what string, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	began := time.Now()
	ticker := time.NewTicker(300 * time.Millisecond)
	defer ticker.Stop()
	var last error
	for {
		err := check(ctx)
		if ctx.Err() == nil || last == nil {
			// What was interrupted only tells that it was.
			last = err
		}
		if err == nil {
			if took := time.Since(began).Round(100 * time.Millisecond); took > time.Second {
				t.Logf("%s: after %s", what, took)
			}
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %s: %v", what, soon, last)
		case <-ticker.C:
		}
	}
}

// credentials are the yard's own.
func (y *yard) credentials(t *testing.T) packet.Credentials {
	t.Helper()
	var credentials packet.Credentials
	content, err := os.ReadFile(filepath.Join(y.state, "api", "credentials.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, &credentials); err != nil {
		t.Fatal(err)
	}
	return credentials
}

// api is a client of the yard's Packet API, and its project.
func (y *yard) api(t *testing.T) (*packet.Client, string) {
	t.Helper()
	credentials := y.credentials(t)
	client, err := packet.NewClient(packet.Config{BaseURL: y.report(t).APIURL(), Token: credentials.APIToken, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	return client, credentials.ProjectID
}

// report is what the yard's supervisor tells of itself.
func (y *yard) report(t *testing.T) supervisor.Report {
	t.Helper()
	dir, err := statedir.Open(y.state)
	if err != nil {
		t.Fatal(err)
	}
	report, alive, err := supervisor.ReadReport(dir)
	if err != nil || !alive {
		t.Fatalf("the supervisor's report: %+v, alive %t, %v", report, alive, err)
	}
	return report
}

// devices returns the yard's devices by host name, and fails where two have
// the same.
func (y *yard) devices(t *testing.T) map[string]packet.Device {
	t.Helper()
	client, project := y.api(t)
	list, err := client.Devices(t.Context(), project, packet.DeviceFilter{})
	if err != nil {
		t.Fatal(err)
	}
	devices := map[string]packet.Device{}
	for _, device := range list {
		if other, ok := devices[device.Hostname]; ok {
			t.Fatalf("two devices are named %s: %s and %s", device.Hostname, other.ID, device.ID)
		}
		devices[device.Hostname] = device
	}
	return devices
}

// running is a packetyard that runs in the background.
type running struct {
	command *exec.Cmd
	done    chan struct{}
	code    int

	mu     sync.Mutex
	output bytes.Buffer
	wanted map[string]chan struct{}
}

// start starts packetyard and reads what it prints.
func (y *yard) start(t *testing.T, arguments ...string) *running {
	t.Helper()
	r := &running{command: y.command(t.Context(), "packetyard", arguments...), done: make(chan struct{}), wanted: map[string]chan struct{}{}}
	reader, writer := io.Pipe()
	r.command.Stdout, r.command.Stderr = writer, writer
	if err := r.command.Start(); err != nil {
		t.Fatal(err)
	}
	go r.read(reader)
	go func() {
		r.code = exitCode(r.command.Wait())
		writer.Close()
		close(r.done)
	}()
	return r
}

func (r *running) read(reader io.Reader) {
	chunk := make([]byte, 4096)
	for {
		n, err := reader.Read(chunk)
		r.mu.Lock()
		r.output.Write(chunk[:n])
		for text, seen := range r.wanted {
			if strings.Contains(r.output.String(), text) {
				close(seen)
				delete(r.wanted, text)
			}
		}
		r.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (r *running) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.output.String()
}

// waitFor returns when the program has printed a text.
func (r *running) waitFor(t *testing.T, text string) {
	t.Helper()
	seen := make(chan struct{})
	r.mu.Lock()
	if strings.Contains(r.output.String(), text) {
		close(seen)
	} else {
		r.wanted[text] = seen
	}
	r.mu.Unlock()
	select {
	case <-seen:
	case <-r.done:
		if !strings.Contains(r.text(), text) {
			t.Fatalf("packetyard ended with %d before it printed %q:\n%s", r.code, text, r.text())
		}
	case <-time.After(soon):
		t.Fatalf("packetyard did not print %q within %s:\n%s", text, soon, r.text())
	}
}

// wait returns the exit code when the program has ended.
func (r *running) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-r.done:
		return r.code
	case <-time.After(2 * soon):
		t.Fatalf("packetyard does not end:\n%s", r.text())
		return -1
	}
}
