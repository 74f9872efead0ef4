package machineexec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/packetyard/packetyard/internal/machines/namespaces/unixsock"
)

// serveAt serves the protocol at a path that is too long for a socket address.
func serveAt(t *testing.T, run func(context.Context, *Session) int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), strings.Repeat("d", 100))
	if err := exec.Command("mkdir", path).Run(); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(path, "init.sock")
	listener, err := unixsock.Listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(Path, Handler(run))
	server := &http.Server{Handler: mux}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return path
}

// runShell runs the session's command with the host's programs.
func runShell(ctx context.Context, session *Session) int {
	command := exec.CommandContext(ctx, session.Request.Command[0], session.Request.Command[1:]...)
	command.Env = append(command.Environ(), session.Request.Env...)
	command.Stdin, command.Stdout, command.Stderr = session.Stdin, session.Stdout, session.Stderr
	if err := command.Run(); err != nil {
		var exited *exec.ExitError
		if errors.As(err, &exited) {
			return exited.ExitCode()
		}
		fmt.Fprintln(session.Stderr, err)
		return 127
	}
	return 0
}

func TestRun(t *testing.T) {
	socket := serveAt(t, runShell)
	large := strings.Repeat("0123456789abcdef", 40_000)
	for name, test := range map[string]struct {
		request        Request
		stdin          string
		stdout, stderr string
		code           int
	}{
		"output and code":    {Request{Command: []string{"sh", "-c", "echo out; echo err >&2; exit 7"}}, "", "out\n", "err\n", 7},
		"environment":        {Request{Command: []string{"sh", "-c", "echo $COLOUR"}, Env: []string{"COLOUR=blue=green"}}, "", "blue=green\n", "", 0},
		"input to its end":   {Request{Command: []string{"cat"}}, large, large, "", 0},
		"input nobody reads": {Request{Command: []string{"true"}}, large, "", "", 0},
		"no such program":    {Request{Command: []string{"/no/such/program"}}, "", "", "fork/exec /no/such/program: no such file or directory\n", 127},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code, err := RunAt(t.Context(), socket, test.request, Streams{Stdin: strings.NewReader(test.stdin), Stdout: &stdout, Stderr: &stderr})
			if err != nil {
				t.Fatal(err)
			}
			if code != test.code || stdout.String() != test.stdout || stderr.String() != test.stderr {
				t.Errorf("code %d, %d bytes out, err %q; want code %d, %d bytes out, err %q",
					code, stdout.Len(), stderr.String(), test.code, len(test.stdout), test.stderr)
			}
		})
	}
}

func TestRunRefused(t *testing.T) {
	socket := serveAt(t, runShell)
	for name, test := range map[string]struct {
		request Request
		text    string
	}{
		"no command":       {Request{}, "command is []"},
		"bad env":          {Request{Command: []string{"true"}, Env: []string{"password"}}, "KEY=value"},
		"env without name": {Request{Command: []string{"true"}, Env: []string{"=x"}}, "KEY=value"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := RunAt(t.Context(), socket, test.request, Streams{})
			if err == nil || !strings.Contains(err.Error(), test.text) || strings.Contains(err.Error(), "password") {
				t.Errorf("error is %v, want one with %q", err, test.text)
			}
		})
	}
	t.Run("without upgrade", func(t *testing.T) {
		client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return unixsock.Dial(ctx, socket)
		}}}
		answer, err := client.Post("http://machine/exec", "application/json", strings.NewReader(`{"command":["true"]}`))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusUpgradeRequired {
			t.Errorf("status %s, want 426", answer.Status)
		}
	})
}

func TestHangUpEndsTheCommand(t *testing.T) {
	begun, ended := make(chan struct{}), make(chan struct{})
	socket := serveAt(t, func(ctx context.Context, _ *Session) int {
		close(begun)
		<-ctx.Done()
		close(ended)
		return 0
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-begun
		cancel()
	}()
	_, err := RunAt(ctx, socket, Request{Command: []string{"sleep"}}, Streams{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want the context's", err)
	}
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the session's context did not end with the connection")
	}
}

func TestResize(t *testing.T) {
	sizes := make(chan Size, 2)
	sizes <- Size{24, 80}
	sizes <- Size{50, 132}
	close(sizes)
	socket := serveAt(t, func(ctx context.Context, session *Session) int {
		// The first size may have been replaced by the second already.
		for {
			select {
			case size := <-session.Resize:
				if size == (Size{50, 132}) {
					return 0
				}
			case <-ctx.Done():
				return 1
			}
		}
	})
	code, err := RunAt(t.Context(), socket, Request{Command: []string{"top"}, TTY: true}, Streams{Resize: sizes})
	if err != nil || code != 0 {
		t.Errorf("code %d, error %v; want the last size to arrive", code, err)
	}
}

func TestReadFrameRefuses(t *testing.T) {
	for name, test := range map[string]struct{ frame, text string }{
		"unknown stream": {"\x09\x00\x00\x00\x00", "unknown stream 9"},
		"too large":      {"\x01\xff\xff\xff\xff", "at most"},
		"cut header":     {"\x01\x00", "header"},
		"cut payload":    {"\x01\x00\x00\x00\x05ab", "5 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := readFrame(strings.NewReader(test.frame))
			if err == nil || errors.Is(err, io.EOF) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("error is %v, want one with %q", err, test.text)
			}
		})
	}
}
