// Package testmachine runs a package's tests the way they run in a machine:
// as the first process of namespaces of their own, without any right outside
// of them. It is used by tests only.
package testmachine

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/packetyard/packetyard/internal/machineos/stage"
)

// insideVariable marks the process that is inside.
const insideVariable = "PACKETYARD_TEST_MACHINE"

// Main is for TestMain. It does not return.
func Main(m *testing.M) {
	if name := filepath.Base(os.Args[0]); stage.Is(name) {
		stage.Main(name)
	}
	if os.Getenv(insideVariable) == "" {
		os.Exit(outside())
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		fmt.Fprintln(os.Stderr, "making mounts private:", err)
		os.Exit(1)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		fmt.Fprintln(os.Stderr, "mounting /proc:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// outside runs this program again in new namespaces and returns its exit code.
func outside() int {
	cmd := again(&syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	})
	err := cmd.Start()
	if err != nil && os.Getuid() == 0 {
		// Root needs no user namespace, where those are forbidden.
		cmd = again(&syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL})
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "this host does not allow what machines need, skipping:", err)
		return 0
	}
	if err := cmd.Wait(); err != nil {
		return max(1, cmd.ProcessState.ExitCode())
	}
	return 0
}

// again is this program with the same arguments and other attributes.
func again(attributes *syscall.SysProcAttr) *exec.Cmd {
	return &exec.Cmd{
		Path: "/proc/self/exe", Args: os.Args, Env: append(os.Environ(), insideVariable+"=1"),
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, SysProcAttr: attributes,
	}
}
