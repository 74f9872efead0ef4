package cri

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/packetyard/packetyard/internal/machineos/process"
	"github.com/packetyard/packetyard/internal/machineos/stage"
)

// drainTime is how long a container's last output is waited for after its
// process has ended.
const drainTime = time.Second

// startProcess starts the process of a container whose image is known.
func (s *Server) startProcess(c *container, config *runtimeapi.ContainerConfig, pod sandbox, name, file string) error {
	spec := stage.Spec{
		MountPoint: s.rootMountPoint(),
		Name:       name,
		Executable: file,
		Command:    config.Command,
		Arguments:  config.Args,
		Env:        s.environment(config, pod),
		Directory:  config.WorkingDir,
		ResolvConf: pod.resolvConf,
	}
	if !pod.hostNetwork {
		spec.Hostname = pod.hostname
	}
	spec.ReadOnlyRoot = config.GetLinux().GetSecurityContext().GetReadonlyRootfs()
	for _, mount := range config.Mounts {
		if mount.GetHostPath() == "" {
			return fmt.Errorf("mounts: %s has no host_path; mounting an image is not supported", mount.GetContainerPath())
		}
		spec.Mounts = append(spec.Mounts, stage.Mount{Source: mount.HostPath, Target: mount.ContainerPath, ReadOnly: mount.Readonly})
	}
	for _, device := range config.Devices {
		spec.Mounts = append(spec.Mounts, stage.Mount{Source: device.HostPath, Target: device.ContainerPath})
	}
	cmd := stage.Prepare(spec, pod.namespace())
	output, err := connect(c, cmd, config)
	if err != nil {
		return err
	}
	child, err := stage.Start(cmd, spec, s.config.Reaper.StartGroup)
	output.closeTheirs()
	if err != nil {
		output.closeOurs()
		return err
	}
	s.mu.Lock()
	c.child = child
	c.env, c.directory, c.tty = spec.Env, spec.Directory, config.Tty
	c.stdin, c.terminal = output.stdin, output.terminal
	c.status.State = runtimeapi.ContainerState_CONTAINER_RUNNING
	c.status.StartedAt = s.config.Now().UnixNano()
	s.keepContainer(c)
	s.mu.Unlock()
	go s.watch(c, output)
	return nil
}

// environment is the container's environment. Where pods have the machine's
// network, that is the machine's address in place of the one that the pod was
// given before it was known to have a process.
func (s *Server) environment(config *runtimeapi.ContainerConfig, pod sandbox) []string {
	env := []string{"PATH=" + stage.DefaultPath, "HOME=/root"}
	if pod.hostname != "" {
		env = append(env, "HOSTNAME="+pod.hostname)
	}
	if config.Tty {
		env = append(env, "TERM=xterm")
	}
	for _, one := range config.Envs {
		value := string(one.GetValue())
		for _, address := range pod.own {
			if value == address.String() && s.sharesMachine(&pod) {
				value = s.config.Address()
			}
		}
		env = slices.DeleteFunc(env, func(entry string) bool { return strings.HasPrefix(entry, one.GetKey()+"=") })
		env = append(env, one.GetKey()+"="+value)
	}
	return env
}

// streamEnds are the ends of a container's streams.
type streamEnds struct {
	// stdout and stderr are read, stdin is written to; terminal is all three.
	stdout, stderr, stdin, terminal *os.File
	theirs                          []*os.File
}

func connect(c *container, cmd *exec.Cmd, config *runtimeapi.ContainerConfig) (*streamEnds, error) {
	ends := &streamEnds{}
	if config.Tty {
		control, terminal, err := process.OpenPTY(process.WindowSize{})
		if err != nil {
			return nil, err
		}
		cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
		cmd.SysProcAttr.Setctty = true
		ends.terminal, ends.theirs = control, []*os.File{terminal}
		return ends, nil
	}
	fail := func(err error) (*streamEnds, error) {
		ends.closeTheirs()
		ends.closeOurs()
		return nil, fmt.Errorf("making a pipe to container %q: %w", c.status.Metadata.Name, err)
	}
	if config.Stdin {
		read, write, err := os.Pipe()
		if err != nil {
			return fail(err)
		}
		cmd.Stdin, ends.stdin = read, write
		ends.theirs = append(ends.theirs, read)
	}
	read, write, err := os.Pipe()
	if err != nil {
		return fail(err)
	}
	cmd.Stdout, ends.stdout = write, read
	ends.theirs = append(ends.theirs, write)
	if read, write, err = os.Pipe(); err != nil {
		return fail(err)
	}
	cmd.Stderr, ends.stderr = write, read
	ends.theirs = append(ends.theirs, write)
	return ends, nil
}

func (e *streamEnds) closeTheirs() {
	for _, file := range e.theirs {
		_ = file.Close()
	}
	e.theirs = nil
}

func (e *streamEnds) closeOurs() {
	for _, file := range []*os.File{e.stdout, e.stderr, e.stdin, e.terminal} {
		if file != nil {
			_ = file.Close()
		}
	}
}

// watch keeps a container's log and records its end.
func (s *Server) watch(c *container, output *streamEnds) {
	var pumping sync.WaitGroup
	if output.terminal != nil {
		pumping.Go(func() { c.log.pump(runtimeapi.Stdout, output.terminal) })
	} else {
		pumping.Go(func() { c.log.pump(runtimeapi.Stdout, output.stdout) })
		pumping.Go(func() { c.log.pump(runtimeapi.Stderr, output.stderr) })
	}
	<-c.child.Done()
	drained := make(chan struct{})
	go func() {
		pumping.Wait()
		close(drained)
	}()
	timer := time.NewTimer(drainTime)
	select {
	case <-drained:
	case <-timer.C:
	}
	timer.Stop()
	output.closeOurs()
	code, reason, message := c.child.ExitCode(), "Completed", ""
	if code != 0 {
		reason = "Error"
	}
	if sig := c.child.ExitSignal(); sig != 0 {
		message = fmt.Sprintf("ended by signal %d", int(sig))
	}
	s.finish(c, code, reason, message)
}
