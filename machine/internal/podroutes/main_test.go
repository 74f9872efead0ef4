package podroutes

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// insideVariable marks the process that has namespaces of its own.
const insideVariable = "PACKETYARD_TEST_PODROUTES"

// TestMain runs the tests in a network namespace of their own, with rights in
// it and, as a machine, none outside of it.
func TestMain(m *testing.M) {
	if os.Getenv(insideVariable) != "" {
		os.Exit(m.Run())
	}
	attributes := &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	command := again(attributes)
	err := command.Start()
	if err != nil && os.Getuid() == 0 {
		// Root needs no user namespace, where those are forbidden.
		command = again(&syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL})
		err = command.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "these tests need user and network namespaces:", err)
		os.Exit(1)
	}
	if err := command.Wait(); err != nil {
		os.Exit(max(1, command.ProcessState.ExitCode()))
	}
	os.Exit(0)
}

// again is this program with the same arguments and other attributes.
func again(attributes *syscall.SysProcAttr) *exec.Cmd {
	return &exec.Cmd{
		Path: "/proc/self/exe", Args: os.Args, Env: append(os.Environ(), insideVariable+"=1"),
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, SysProcAttr: attributes,
	}
}
