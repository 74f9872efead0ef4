package yard

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/packetyard/packetyard/internal/machineexec"
	"github.com/packetyard/packetyard/internal/machines/namespaces/unixsock"
	"github.com/packetyard/packetyard/internal/yard/statedir"
)

// yardWithMachine makes a state directory with one machine, whose first
// process runs commands on the host, as a machine's does in the machine.
func yardWithMachine(t *testing.T) statedir.Dir {
	t.Helper()
	dir, err := statedir.Create(filepath.Join(t.TempDir(), "yard"))
	if err != nil {
		t.Fatal(err)
	}
	socket := execSocket(dir, masterID)
	if err := os.MkdirAll(filepath.Dir(socket), 0o700); err != nil {
		t.Fatal(err)
	}
	listener, err := unixsock.Listen(t.Context(), socket)
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
	return dir
}

func TestExecPassesStreamsAndExitCode(t *testing.T) {
	dir := yardWithMachine(t)
	var out, problems bytes.Buffer
	code, err := Exec(t.Context(), dir, masterID,
		machineexec.Request{Command: []string{"/bin/sh", "-c", "cat; echo oops >&2; exit 7"}},
		machineexec.Streams{Stdin: strings.NewReader("hello"), Stdout: &out, Stderr: &problems})
	if err != nil || code != 7 || out.String() != "hello" || problems.String() != "oops\n" {
		t.Errorf("code %d, output %q, errors %q, %v", code, out.String(), problems.String(), err)
	}
}

func TestExecInAMachineThatIsOff(t *testing.T) {
	dir := yardWithMachine(t)
	if err := os.MkdirAll(filepath.Dir(execSocket(dir, workerID)), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := Exec(t.Context(), dir, workerID, machineexec.Request{Command: []string{"true"}}, machineexec.Streams{})
	if err == nil || !strings.Contains(err.Error(), "is the machine on?") {
		t.Errorf("got %v", err)
	}
}

// growing is a writer that tells when it has seen a text.
type growing struct {
	mu     sync.Mutex
	buffer bytes.Buffer
	want   string
	seen   chan struct{}
}

func (g *growing) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n, err := g.buffer.Write(p)
	if g.want != "" && strings.Contains(g.buffer.String(), g.want) {
		close(g.seen)
		g.want = ""
	}
	return n, err
}

func TestConsole(t *testing.T) {
	dir := yardWithMachine(t)
	if err := Console(t.Context(), dir, masterID, &bytes.Buffer{}, false); err == nil || !strings.Contains(err.Error(), "not written") {
		t.Errorf("before the first line: %v", err)
	}
	log, err := os.Create(consoleLog(dir, masterID))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if _, err := log.WriteString("booting\n"); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Console(t.Context(), dir, masterID, &out, false); err != nil || out.String() != "booting\n" {
		t.Errorf("got %q, %v", out.String(), err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first := &growing{want: "booting", seen: make(chan struct{})}
	ended := make(chan error, 1)
	go func() { ended <- Console(ctx, dir, masterID, first, true) }()
	<-first.seen
	second := make(chan struct{})
	first.mu.Lock()
	first.want, first.seen = "ready", second
	first.mu.Unlock()
	if _, err := log.WriteString("ready\n"); err != nil {
		t.Fatal(err)
	}
	<-second
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Ctrl-C while following is no error: %v", err)
	}
}
