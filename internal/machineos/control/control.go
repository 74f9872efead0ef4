// Package control is the unix socket of a machine's first process: whoever
// plays the hardware runs commands through it and asks for an orderly end,
// and systemctl inside the machine starts and stops the kubelet with it.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/packetyard/packetyard/internal/machineexec"
	"github.com/packetyard/packetyard/internal/machineos/kubelet"
	"github.com/packetyard/packetyard/internal/machineos/process"
)

// Socket is where the socket is in a machine.
const Socket = "/run/packetyard/init.sock"

// Exit codes of shells for commands that did not run.
const (
	exitCannotRun = 126
	exitNotFound  = 127
)

// Service is a supervised service.
type Service interface {
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
	Restart(ctx context.Context) error
	SetEnabled(enabled bool) error
	Status() kubelet.Status
}

// Status is the answer to GET /status.
type Status struct {
	Kubelet kubelet.Status `json:"kubelet"`
	// UserData is none, running, succeeded or failed.
	UserData string `json:"userData"`
	Uptime   string `json:"uptime"`
}

// Server serves the socket.
type Server struct {
	Reaper  *process.Reaper
	Kubelet Service
	// Units may be nil, where there are none.
	Units Units
	// Status tells about the rest of the machine.
	Status func() Status
	// PowerOff and Reboot begin an orderly end and return at once.
	PowerOff, Reboot func()
	// Env is the environment of commands, Directory where they start.
	Env       []string
	Directory string
}

// Listen makes the socket, in place of one that an earlier boot left.
func Listen(ctx context.Context, path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("making the socket's directory: %w", err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("removing an old socket: %w", err)
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", path, err)
	}
	return listener, nil
}

// Serve answers until the context ends. Commands that run then are ended by
// whoever ends the machine.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving %s: %w", listener.Addr(), err)
	}
	return nil
}

// Handler is what Serve serves.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle(machineexec.Path, machineexec.Handler(s.exec))
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(s.Status())
	})
	for action, do := range map[string]func(context.Context) error{
		"start": s.Kubelet.Start, "stop": s.Kubelet.Stop, "restart": s.Kubelet.Restart,
		"enable":  func(context.Context) error { return s.Kubelet.SetEnabled(true) },
		"disable": func(context.Context) error { return s.Kubelet.SetEnabled(false) },
	} {
		mux.HandleFunc("POST /kubelet/"+action, func(w http.ResponseWriter, r *http.Request) {
			if err := do(r.Context()); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			w.WriteHeader(http.StatusNoContent)
		})
	}
	s.registerUnits(mux)
	for path, begin := range map[string]func(){"/power-off": s.PowerOff, "/reboot": s.Reboot} {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusAccepted)
			begin()
		})
	}
	return mux
}

// exec runs a command in the machine.
func (s *Server) exec(ctx context.Context, session *machineexec.Session) int {
	request := session.Request
	env := s.Env
	if request.TTY {
		env = append([]string{"TERM=xterm"}, env...)
	}
	for _, entry := range request.Env {
		name, _, _ := strings.Cut(entry, "=")
		env = append(slices.DeleteFunc(slices.Clone(env), func(old string) bool { return strings.HasPrefix(old, name+"=") }), entry)
	}
	program, err := exec.LookPath(request.Command[0])
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		_, _ = fmt.Fprintf(session.Stderr, "%s: command not found\n", request.Command[0])
		return exitNotFound
	}
	if err != nil {
		_, _ = fmt.Fprintln(session.Stderr, err)
		return exitCannotRun
	}
	cmd := &exec.Cmd{Path: program, Args: request.Command, Env: env, Dir: s.Directory}
	streams := process.Streams{
		Stdin: session.Stdin, Stdout: session.Stdout, Stderr: session.Stderr, TTY: request.TTY,
		Size: process.WindowSize{Rows: request.Rows, Cols: request.Cols}, Resize: sizes(ctx, session.Resize),
	}
	code, err := process.RunStreams(ctx, s.Reaper.StartGroup, cmd, streams)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		_, _ = fmt.Fprintf(session.Stderr, "%s: command not found\n", request.Command[0])
		return exitNotFound
	case err != nil:
		_, _ = fmt.Fprintln(session.Stderr, err)
		return exitCannotRun
	}
	return code
}

func sizes(ctx context.Context, from <-chan machineexec.Size) <-chan process.WindowSize {
	to := make(chan process.WindowSize)
	go func() {
		for {
			select {
			case size := <-from:
				select {
				case to <- process.WindowSize{Rows: size.Rows, Cols: size.Cols}:
				case <-ctx.Done():
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return to
}
