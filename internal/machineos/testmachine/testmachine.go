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

	"github.com/vishvananda/netlink"
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
	if err := raiseLoopback(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// raiseLoopback makes 127.0.0.1 usable, which it is not in a new network namespace.
func raiseLoopback() error {
	link, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("finding the loopback interface: %w", err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("raising the loopback interface: %w", err)
	}
	return nil
}

// advice is what a host is told that allows too little. No test is skipped there: that would be to say that it passed.
const advice = "user, mount, PID and network namespaces cannot be made, which these tests need as machines do (%v): " +
	"sudo sysctl -w user.max_user_namespaces=15000 kernel.apparmor_restrict_unprivileged_userns=0 (the latter where there is AppArmor), " +
	"in a container --security-opt seccomp=unconfined --security-opt systempaths=unconfined, or run this as root; `make hostcheck` knows more\n"

// outside runs this program again in new namespaces and returns its exit code.
func outside() int {
	cmd := again(&syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	})
	err := cmd.Start()
	if err != nil && os.Getuid() == 0 {
		// Root needs no user namespace, where those are forbidden.
		cmd = again(&syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL})
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, advice, err)
		return 1
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
