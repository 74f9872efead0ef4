//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Capabilities from linux/capability.h.
const (
	capSysAdmin    = 21
	capSysResource = 24
)

// limitedRole in the environment makes the test binary forbid its user
// namespace to have others in it, and become the program it is given.
const limitedRole = "E2E_FORBID_USER_NAMESPACES"

func TestMain(m *testing.M) {
	if os.Getenv(limitedRole) == "" {
		os.Exit(m.Run())
	}
	err := os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0)
	if err == nil {
		err = syscall.Exec(os.Args[1], os.Args[1:], os.Environ())
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(99)
}

// TestHostThatForbidsUserNamespaces runs up as a user for whom a sysctl
// forbids user namespaces. Such a host is made of a user namespace, in which
// the limit is ours to set.
func TestHostThatForbidsUserNamespaces(t *testing.T) {
	y := newYard(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	up := exec.CommandContext(t.Context(), self, filepath.Join(y.bin, "packetyard"), "up")
	up.Env = append(y.environment(), limitedRole+"=1")
	up.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER,
		// Any user but root, who could do without user namespaces.
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 1000, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 1000, HostID: os.Getgid(), Size: 1}},
		AmbientCaps: []uintptr{capSysAdmin, capSysResource},
	}
	var output bytes.Buffer
	up.Stdout, up.Stderr = &output, &output
	code := exitCode(up.Run())
	if code == 99 || code == -1 {
		t.Fatalf("such a host cannot be made here: %s", output.String())
	}
	t.Logf("%s", output.String())
	for _, want := range []string{"user namespaces", "user.max_user_namespaces", "root"} {
		if code != 1 || !strings.Contains(output.String(), want) {
			t.Errorf("up ended with %d, want a failure that tells %q", code, want)
		}
	}
	if _, err := os.Stat(y.state); !os.IsNotExist(err) {
		t.Errorf("the state directory was made: %v", err)
	}
}
