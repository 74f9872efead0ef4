// Package stage builds a container around a process of a simulated
// machine: a mount namespace with a root of its own, in the machine's network
// and PID namespaces.
//
// A process cannot be put into a new root file system from outside, so the
// machine's first process runs itself again as a "stage": a short-lived
// program that builds the root and then becomes the container's process.
package stage

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"

	"github.com/packetyard/packetyard/internal/machineos/process"
)

// The names under which the first process runs itself again.
const (
	createStage = "packetyard-container"
	enterStage  = "packetyard-exec"
)

// The stage's file descriptors: what to do, where to report a failure, and
// then the namespaces to enter, as many as the spec tells.
const (
	specFD      = 3
	errorFD     = 4
	namespaceFD = 5
)

// Spec says what a container looks like.
type Spec struct {
	// MountPoint is an existing directory over which the root is built. It
	// may be the same for all containers, because each sees only its own.
	MountPoint string `json:"mountPoint,omitempty"`
	// Name is the known image's name, for example kube-apiserver; Executable
	// is the machine's file that it runs.
	Name       string `json:"name,omitempty"`
	Executable string `json:"executable,omitempty"`
	// Command replaces the image's entry point; Arguments follow either.
	Command   []string `json:"command,omitempty"`
	Arguments []string `json:"arguments,omitempty"`
	// Env is the whole environment.
	Env []string `json:"env"`
	// Directory is the working directory, / where empty.
	Directory string `json:"directory,omitempty"`
	// Mounts are made in the order of the depth of their targets.
	Mounts []Mount `json:"mounts,omitempty"`
	// ResolvConf replaces the machine's /etc/resolv.conf where it is not empty.
	ResolvConf string `json:"resolvConf,omitempty"`
	// Hostname is the container's own, or the machine's where it is empty.
	Hostname string `json:"hostname,omitempty"`
	// ReadOnlyRoot makes all but the mounts read only.
	ReadOnlyRoot bool `json:"readOnlyRoot,omitempty"`
	// Namespaces is how many namespaces the stage enters. Start sets it.
	Namespaces int `json:"namespaces,omitempty"`
}

// Mount shows a file or directory of the machine in the container.
type Mount struct {
	Source   string `json:"source"`
	Target   string `json:"target"`
	ReadOnly bool   `json:"readOnly,omitempty"`
}

// Prepare returns the command that creates a container, in a network
// namespace or, where that is nil, in the machine's. Its standard streams and
// terminal are the caller's to set before Start.
func Prepare(spec Spec, network *os.File) *exec.Cmd {
	cmd := stageCommand(createStage)
	cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNS
	if spec.Hostname != "" {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUTS
	}
	if network != nil {
		cmd.ExtraFiles = append(cmd.ExtraFiles, network)
	}
	return cmd
}

// PrepareEnter returns the command that runs another process in a container.
func PrepareEnter(container *Namespaces) *exec.Cmd {
	cmd := stageCommand(enterStage)
	cmd.ExtraFiles = append(cmd.ExtraFiles, container.files...)
	return cmd
}

func stageCommand(name string) *exec.Cmd {
	return &exec.Cmd{
		// The link is the running binary's, wherever that lies.
		Path: "/proc/self/exe",
		Args: []string{name},
		// What the process gets is in the spec; the stage itself needs little memory.
		Env:         []string{"GOMAXPROCS=1"},
		Dir:         "/",
		ExtraFiles:  []*os.File{nil, nil},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
}

// Start starts a prepared command with what start does, gives it the spec,
// and returns when the container's process runs in place of the stage, or
// could not be made to.
func Start(cmd *exec.Cmd, spec Spec, start process.Starter) (*process.Child, error) {
	spec.Namespaces = len(cmd.ExtraFiles) - 2
	document, err := json.Marshal(spec)
	if err != nil {
		return nil, fmt.Errorf("encoding the container's spec: %w", err)
	}
	specRead, specWrite, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("making a pipe to the container: %w", err)
	}
	errorRead, errorWrite, err := os.Pipe()
	if err != nil {
		_, _ = specRead.Close(), specWrite.Close()
		return nil, fmt.Errorf("making a pipe from the container: %w", err)
	}
	defer func() { _ = errorRead.Close() }()
	cmd.ExtraFiles[specFD-3], cmd.ExtraFiles[errorFD-3] = specRead, errorWrite
	child, err := start(cmd)
	_, _ = specRead.Close(), errorWrite.Close()
	if err != nil {
		_ = specWrite.Close()
		return nil, fmt.Errorf("starting the container's process: %w", err)
	}
	_, writeErr := specWrite.Write(document)
	_ = specWrite.Close()
	// The stage's end of this pipe is closed by the exec of the container's process.
	failure, readErr := io.ReadAll(errorRead)
	if len(failure) == 0 && writeErr == nil && readErr == nil {
		return child, nil
	}
	child.SignalGroup(syscall.SIGKILL)
	<-child.Done()
	if len(failure) > 0 {
		return nil, errors.New(string(failure))
	}
	return nil, fmt.Errorf("starting the container's process: %w", errors.Join(writeErr, readErr))
}

// Is tells whether a program that was run under this name is a stage.
func Is(name string) bool { return name == createStage || name == enterStage }

// Main does what the stage of this name is for and does not return: it
// becomes the container's process, or reports a failure and exits with 127.
func Main(name string) {
	err := run(name)
	report := os.NewFile(errorFD, "error")
	_, _ = report.WriteString(err.Error())
	os.Exit(127)
}

func run(name string) error {
	input := os.NewFile(specFD, "spec")
	document, err := io.ReadAll(input)
	if err != nil {
		return fmt.Errorf("reading the container's spec: %w", err)
	}
	_ = input.Close()
	var spec Spec
	if err := json.Unmarshal(document, &spec); err != nil {
		return fmt.Errorf("decoding the container's spec: %w", err)
	}
	// The exec that follows must close what the container has no business with.
	syscall.CloseOnExec(errorFD)
	if err := enter(spec.Namespaces); err != nil {
		return err
	}
	if name == createStage {
		if err := buildRoot(spec); err != nil {
			return err
		}
	}
	return execute(spec)
}
