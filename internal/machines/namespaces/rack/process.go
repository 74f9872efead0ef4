package rack

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/packetyard/packetyard/internal/machines/namespaces/boot"
)

// rebootCode is the exit code by which a machine's first process asks to be started again.
const rebootCode = 100

// machineNamespaces is everything that a machine has for itself.
const machineNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWCGROUP

// process is a machine's first process, from its boot stage to its end. When
// it ends, the kernel ends all others of the machine.
type process struct {
	command *exec.Cmd
	pid     int
	started time.Time
	// input and status are the rack's ends of the boot stage's pipes.
	input  *os.File
	status *os.File
	// done is closed when the process has ended and its console is written; state is set then.
	done  chan struct{}
	state *os.ProcessState
}

// starter starts processes from one operating system thread that lives as
// long as the rack. The kernel ends a machine when the thread that started
// it ends, and the Go runtime promises no other thread to live that long.
type starter struct {
	commands chan *exec.Cmd
	results  chan error
}

func newStarter() *starter {
	s := &starter{commands: make(chan *exec.Cmd), results: make(chan error)}
	go func() {
		runtime.LockOSThread()
		for command := range s.commands {
			s.results <- command.Start()
		}
	}()
	return s
}

func (s *starter) start(command *exec.Cmd) error {
	s.commands <- command
	return <-s.results
}

// bootProcess starts a machine's boot stage. Its output goes to console.
func (r *Rack) bootProcess(config boot.Config, console io.Writer) (*process, error) {
	inputReader, inputWriter, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("making a pipe: %w", err)
	}
	defer inputReader.Close()
	statusReader, statusWriter, err := os.Pipe()
	if err != nil {
		inputWriter.Close()
		return nil, fmt.Errorf("making a pipe: %w", err)
	}
	defer statusWriter.Close()
	// The running program itself, even where its file was replaced since. No
	// context ends it: a machine lives until it is told otherwise.
	command := exec.CommandContext(context.Background(), "/proc/self/exe", r.config.BootCommand...)
	command.Env = []string{}
	command.Stdout, command.Stderr = console, console
	command.ExtraFiles = []*os.File{inputReader, statusWriter}
	command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: machineNamespaces,
		Setsid:     true,
		Pdeathsig:  syscall.SIGKILL,
	}
	if r.config.UserNamespace {
		command.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		command.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}}
		command.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}}
	}
	if err := r.starter.start(command); err != nil {
		inputWriter.Close()
		statusReader.Close()
		return nil, fmt.Errorf("starting the machine's first process: %w", err)
	}
	started := &process{
		command: command,
		pid:     command.Process.Pid,
		started: r.config.Now(),
		input:   inputWriter,
		status:  statusReader,
		done:    make(chan struct{}),
	}
	go func() {
		// The error only repeats the state.
		_ = command.Wait()
		started.state = command.ProcessState
		close(started.done)
	}()
	if err := json.NewEncoder(inputWriter).Encode(config); err != nil {
		started.kill()
		return nil, errors.Join(fmt.Errorf("configuring the boot stage: %w", err), started.release())
	}
	return started, nil
}

// enter tells the boot stage that the network is there, and waits until init runs.
func (p *process) enter(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = p.status.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	_, writeError := io.WriteString(p.input, boot.Go)
	text, err := io.ReadAll(p.status)
	if releaseError := p.release(); err == nil {
		err = releaseError
	}
	switch {
	case len(text) > 0:
		return errors.New(strings.TrimSpace(string(text)))
	case ctx.Err() != nil:
		return fmt.Errorf("waiting for the boot stage: %w", context.Cause(ctx))
	default:
		return errors.Join(writeError, err)
	}
}

// release closes the pipes to the boot stage.
func (p *process) release() error {
	return errors.Join(p.input.Close(), p.status.Close())
}

// kill ends the process at once, and with it the machine, and waits for it.
func (p *process) kill() {
	// It fails only where the process has ended already.
	_ = p.command.Process.Kill()
	<-p.done
}

// stop asks the process to end with a signal, and kills it after a grace period.
func (p *process) stop(signal os.Signal, grace time.Duration) {
	if p.command.Process.Signal(signal) == nil {
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-p.done:
		case <-timer.C:
		}
	}
	p.kill()
}

// reboots tells whether the process ended because the machine is to be started again.
func (p *process) reboots() bool {
	status, ok := p.state.Sys().(syscall.WaitStatus)
	// The kernel ends a PID namespace by SIGHUP where reboot(2) asked for a restart.
	return p.state.ExitCode() == rebootCode || ok && status.Signaled() && status.Signal() == syscall.SIGHUP
}

// identity tells a process from a later one of the same number.
type identity struct {
	PID int `json:"pid"`
	// StartTime is in clock ticks after the host's boot.
	StartTime uint64 `json:"startTime"`
}

func identify(pid int) (identity, error) {
	content, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return identity{}, fmt.Errorf("reading a process's state: %w", err)
	}
	// The name, in parentheses, may itself hold spaces and parentheses.
	_, fields, _ := strings.Cut(string(content[strings.LastIndexByte(string(content), ')')+1:]), " ")
	scanner := bufio.NewScanner(strings.NewReader(fields))
	scanner.Split(bufio.ScanWords)
	const startTimeField = 20 // field 22 of proc(5), counted after the name
	for index := 1; scanner.Scan(); index++ {
		if index == startTimeField {
			startTime, err := strconv.ParseUint(scanner.Text(), 10, 64)
			if err != nil {
				return identity{}, fmt.Errorf("decoding a process's start time: %w", err)
			}
			return identity{PID: pid, StartTime: startTime}, nil
		}
	}
	return identity{}, fmt.Errorf("the state of process %d has no start time", pid)
}

// endOrphan ends a process that an earlier rack left, and waits until it and
// all other processes of its machine are gone.
func endOrphan(path string) error {
	var left identity
	err := readJSON(path, &left)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	descriptor, err := unix.PidfdOpen(left.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening process %d: %w", left.PID, err)
	}
	defer unix.Close(descriptor)
	if now, err := identify(left.PID); err != nil || now != left {
		return nil
	}
	if err := unix.PidfdSendSignal(descriptor, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("ending process %d of an earlier rack: %w", left.PID, err)
	}
	for {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(descriptor), Events: unix.POLLIN}}, -1)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
