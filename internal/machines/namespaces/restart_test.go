package namespaces

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/packetyard/packetyard/internal/machines"
)

// TestDriverComesBack is the API server's restart: another driver finds the
// machines, which ran on.
func TestDriverComesBack(t *testing.T) {
	y := newYard(t)
	spec := device(1)
	y.must(y.driver.Provision(t.Context(), spec))
	before := y.status(spec).PID
	y.must(y.driver.Close())
	y.open()
	if after := y.status(spec); after.PID != before || after.Power != machines.PowerOn {
		t.Errorf("the machine's first process was %d, and now the status is %+v", before, after)
	}
	y.must(y.driver.Provision(t.Context(), spec))
	if after := y.status(spec); after.PID != before {
		t.Error("provisioning a machine again has booted it")
	}
}

// TestDriverIsKilled starts rack and machine from another process and kills that.
func TestDriverIsKilled(t *testing.T) {
	if problems := CheckHost(t.Context(), CheckConfig{Dir: t.TempDir()}); len(problems) > 0 {
		t.Fatal(HostError{Problems: problems})
	}
	y := &yard{T: t, data: filepath.Join(t.TempDir(), "data"), image: newImage(t)}
	executable, err := os.Executable()
	y.must(err)
	command := exec.CommandContext(t.Context(), executable, "provision", y.data, y.image)
	stdin, err := command.StdinPipe()
	y.must(err)
	stdout, err := command.StdoutPipe()
	y.must(err)
	command.Stderr = os.Stderr
	y.must(command.Start())
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "provisioned\n" {
		t.Errorf("the other process says %q, %v", line, err)
	}
	y.must(command.Process.Kill())
	if err := command.Wait(); err == nil {
		t.Error("the other process was not killed")
	}
	stdin.Close()
	y.open()
	t.Cleanup(y.remove)
	spec := device(1)
	if status := y.status(spec); status.Power != machines.PowerOn || status.PID == 0 {
		t.Errorf("the machine of the killed process is %+v", status)
	}
	if hostname := strings.TrimSpace(y.run(spec, "hostname")); hostname != spec.Hostname {
		t.Errorf("the machine calls itself %q", hostname)
	}
}

// TestWithoutUserNamespaces is root on a host that forbids them.
func TestWithoutUserNamespaces(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can do without user namespaces")
	}
	y := newProbedYard(t, func(ctx context.Context, request ProbeRequest) ([]ProbeFailure, error) {
		if request.UserNamespace {
			return []ProbeFailure{{Step: StepUserNamespace, Errno: syscall.EPERM, Text: "operation not permitted"}}, nil
		}
		return probeHost(ctx, request)
	})
	first, second := device(1, "198.18.2.10"), device(2)
	for _, spec := range []machines.Spec{first, second} {
		y.must(y.driver.Provision(t.Context(), spec))
	}
	for command, want := range map[string]string{
		"echo $(cut -c1-40 /proc/self/uid_map)":                            "0 0 4294967295",
		"touch /usr/bin/x && echo written":                                 "written",
		"echo 1 2>/dev/null > /proc/sys/vm/overcommit_memory || echo safe": "safe",
		"echo 1 > /proc/sys/net/ipv4/ip_forward && echo set":               "set",
	} {
		if output := strings.TrimSpace(y.run(first, "sh", "-c", command+" 2>/dev/null")); output != want {
			t.Errorf("%s: %q, want %q", command, output, want)
		}
	}
	y.eventually("the other machine to answer", func() bool {
		answer, _, err := y.try(second, "/opt/packetyard/init", "dial", "198.18.2.10:7")
		return err == nil && answer == "machine-1 "+public(second)
	})
}

// TestRackDies is a power cut: machines end with the rack, and those that ran
// are booted by the next.
func TestRackDies(t *testing.T) {
	y := newYard(t)
	on, off := device(1, "198.18.2.10"), device(2)
	for _, spec := range []machines.Spec{on, off} {
		y.must(y.driver.Provision(t.Context(), spec))
	}
	y.run(on, "sh", "-c", "echo kept > /var/x; sleep 1000 >/dev/null 2>&1 &")
	y.must(y.driver.PowerOff(t.Context(), off.ID))
	y.listen(net.JoinHostPort(APIAddress, "80"))
	first := y.status(on).PID
	rack, err := y.client.status(t.Context())
	y.must(err)

	y.must(syscall.Kill(rack.PID, syscall.SIGKILL))
	y.eventually("the machine to end with its rack", func() bool { return errors.Is(syscall.Kill(first, 0), syscall.ESRCH) })
	y.eventually("the driver to start a rack", func() bool {
		status, err := y.client.status(t.Context())
		return err == nil && status.PID != rack.PID
	})
	y.eventually("the machine to boot", func() bool { return y.status(on).PID != 0 })
	if content := strings.TrimSpace(y.run(on, "cat", "/var/x")); content != "kept" {
		t.Errorf("the disk holds %q", content)
	}
	if status := y.status(off); status.Power != machines.PowerOff {
		t.Errorf("the machine that was off is %+v", status)
	}
	y.eventually("the elastic address to answer", func() bool {
		answer, err := y.dial("198.18.2.10:7")
		return err == nil && strings.HasPrefix(answer, "machine-1 ")
	})
	y.eventually("the listener to listen again", func() bool {
		answer, _, err := y.try(on, "/opt/packetyard/init", "dial", net.JoinHostPort(APIAddress, "80"))
		return err == nil && answer == public(on)
	})
}

// TestShutdown ends everything, keeps the disks, and boots what ran at the next start.
func TestShutdown(t *testing.T) {
	y := newYard(t)
	spec := device(1)
	y.must(y.driver.Provision(t.Context(), spec))
	y.run(spec, "sh", "-c", "echo kept > /var/x")
	pid := y.status(spec).PID
	y.must(y.client.Shutdown(t.Context(), false))
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d is left: %v", pid, err)
	}
	if _, err := Dial(t.Context(), y.data); !errors.Is(err, ErrNoRack) {
		t.Errorf("dialling a rack that ended: %v, want ErrNoRack", err)
	}
	// Who asked for something before the driver had read that the rack was told to end started another one.
	if err := y.driver.PowerOn(t.Context(), spec.ID); !errors.Is(err, errShutDown) {
		t.Errorf("powering on after the end: %v, want %v", err, errShutDown)
	}
	y.must(y.driver.Close())
	y.open()
	y.eventually("the machine to boot", func() bool { return y.status(spec).PID != 0 })
	if content := strings.TrimSpace(y.run(spec, "cat", "/var/x")); content != "kept" {
		t.Errorf("the disk holds %q", content)
	}
}

// A rack whose directory was removed ran on with its machines, out of
// everybody's reach, and made the directory anew when one of them ended. At
// its own end it would have removed the socket of a rack in a new directory.
func TestRackEndsWhenItsDirectoryIsRemoved(t *testing.T) {
	y := newYard(t)
	spec := device(1)
	y.must(y.driver.Provision(t.Context(), spec))
	machine := y.status(spec).PID
	rack, err := y.client.status(t.Context())
	y.must(err)
	y.must(RemoveMachines(y.data))
	// A new yard's.
	directory := filepath.Join(y.data, "machines")
	socket := filepath.Join(directory, "rack.sock")
	y.must(errors.Join(os.Mkdir(directory, 0o700), os.WriteFile(socket, nil, 0o600)))
	for what, pid := range map[string]int{"rack": rack.PID, "machine": machine} {
		y.eventually("the "+what+" to end", func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) })
	}
	y.must(y.driver.Close())
	entries, err := os.ReadDir(directory)
	if err != nil || len(entries) != 1 || entries[0].Name() != "rack.sock" {
		t.Errorf("the new directory holds %v, %v; want its socket alone", entries, err)
	}
}
