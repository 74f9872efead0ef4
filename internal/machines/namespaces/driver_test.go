package namespaces

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/packetyard/packetyard/internal/machines"
)

// TestUnprivileged runs all other tests as a user without any rights, where root runs them.
func TestUnprivileged(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("already unprivileged")
	}
	directory := t.TempDir()
	if err := os.Chmod(filepath.Dir(directory), 0o755); err != nil {
		t.Fatal(err)
	}
	program, temporary := filepath.Join(directory, "tests"), filepath.Join(directory, "tmp")
	copyProgram(t, program)
	const nobody = 65534
	if err := errors.Join(os.Mkdir(temporary, 0o700), os.Chown(temporary, nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	// One test builds a program, which such a user has no cache for.
	command := exec.CommandContext(t.Context(), program, "-test.v", "-test.timeout=5m", "-test.skip=^TestRescueRunsNoUserData$")
	command.Dir = temporary
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + temporary}
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	output, err := command.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, output)
	} else if testing.Verbose() {
		t.Logf("%s", output)
	}
}

func TestMachines(t *testing.T) {
	y := newYard(t)
	first, second := device(1, "198.18.2.10"), device(2)
	for _, spec := range []machines.Spec{first, second} {
		begun := time.Now()
		y.must(y.driver.Provision(t.Context(), spec))
		t.Logf("%s runs after %s", spec.Hostname, time.Since(begun))
	}

	t.Run("addresses", func(t *testing.T) {
		want := map[string][]string{"bond0": {"10.70.0.3/31", "198.18.1.3/31"}, "lo": {"198.18.2.10/32"}}
		if kernelHasIPv6() {
			want["bond0"] = append(want["bond0"], "2001:db8::3/127")
		}
		if found := y.addresses(first); !reflect.DeepEqual(found, want) {
			t.Errorf("machine has addresses %v, want %v", found, want)
		}
	})
	t.Run("identity", func(t *testing.T) {
		for command, want := range map[string]string{
			"hostname":                          "machine-1",
			"cat /etc/hostname":                 "machine-1",
			"echo $$ >/dev/null; id -u":         "0",
			"cat /proc/sys/net/ipv4/ip_forward": "1",
			"cat /etc/machine-id":               "00000000000040008000000000000001",
			"echo hello > /usr/local/bin/x && cat /usr/local/bin/x":                    "hello",
			"echo hello > /usr/bin/x && cat /usr/bin/x":                                "hello",
			"readlink /proc/1/exe":                                                     "/opt/packetyard/init",
			"touch /opt/packetyard/x 2>/dev/null || echo read-only":                    "read-only",
			"cat /proc/1/comm":                                                         "init",
			"tty=/dev/pts/ptmx; test -c $tty && echo terminals":                        "terminals",
			"echo to the console > /dev/console":                                       "",
			"dd if=/dev/urandom of=/dev/null bs=16 count=1 2>/dev/null && echo device": "device",
			"grep -c . /proc/mounts >/dev/null && grep -c host /proc/mounts || true":   "0",
		} {
			if output := strings.TrimSpace(y.run(first, "sh", "-c", command)); output != want {
				t.Errorf("%s: %q, want %q", command, output, want)
			}
		}
		if _, err := os.Stat("/usr/local/bin/x"); err == nil {
			t.Error("the machine wrote to the host's /usr")
		}
		y.eventually("both lines on the console", func() bool {
			console, err := os.ReadFile(y.client.ConsolePath(first.ID))
			y.must(err)
			return strings.Contains(string(console), "init runs as process 1\n") && strings.Contains(string(console), "to the console\n")
		})
	})
	t.Run("environment", func(t *testing.T) {
		environment := y.run(first, "cat", "/proc/1/environ")
		for _, want := range []string{"PACKET_METADATA_URL=http://192.80.8.124\x00", "PACKET_CPUS=8\x00", "PACKET_MEMORY_BYTES=34359738368\x00", "HOME=/root\x00", "container=packetyard\x00"} {
			if !strings.Contains(environment, want) {
				t.Errorf("environment %q lacks %q", environment, want)
			}
		}
	})
	t.Run("machine to machine", func(t *testing.T) {
		for address, source := range map[string]string{
			public(first):              public(second),
			"198.18.2.10":              public(second),
			first.Addresses[2].Address: second.Addresses[2].Address,
		} {
			if answer := y.tool(second, "dial", net.JoinHostPort(address, "7")); answer != "machine-1 "+source {
				t.Errorf("%s answers %q, want machine-1 to see %s", address, answer, source)
			}
		}
		if kernelHasIPv6() {
			if answer := y.tool(second, "dial", "[2001:db8::3]:7"); answer != "machine-1 2001:db8::5" {
				t.Errorf("over IPv6 the answer is %q", answer)
			}
		}
	})
	t.Run("from the switch", func(t *testing.T) {
		for _, address := range []string{public(first), "198.18.2.10"} {
			if answer, err := y.dial(net.JoinHostPort(address, "7")); err != nil || !strings.HasPrefix(answer, "machine-1 ") {
				t.Errorf("%s answers %q, %v", address, answer, err)
			}
		}
		if _, err := y.dial(net.JoinHostPort(public(first), "9")); err == nil {
			t.Error("a port where nobody listens answers")
		}
	})
	t.Run("to listeners on the switch", func(t *testing.T) {
		for _, address := range []string{APIAddress, MetadataAddress, LinkLocalMetadataAddress} {
			listener := y.listen(net.JoinHostPort(address, "80"))
			if answer := y.tool(second, "dial", net.JoinHostPort(address, "80")); answer != public(second) {
				t.Errorf("%s sees %q, want the machine's public address", address, answer)
			}
			y.must(listener.Close())
		}
	})
	t.Run("elastic address moves", func(t *testing.T) {
		y.must(y.driver.SetAddresses(t.Context(), second.ID, device(2, "198.18.2.10").Addresses))
		y.must(y.driver.SetAddresses(t.Context(), first.ID, device(1).Addresses))
		if answer, err := y.dial("198.18.2.10:7"); err != nil || !strings.HasPrefix(answer, "machine-2 ") {
			t.Errorf("the elastic address answers %q, %v", answer, err)
		}
		if answer := y.tool(first, "dial", "198.18.2.10:7"); answer != "machine-2 "+public(first) {
			t.Errorf("from the machine that had it, it answers %q", answer)
		}
		if found := y.addresses(first)["lo"]; len(found) > 0 {
			t.Errorf("the machine that had it keeps %v", found)
		}
		y.must(y.driver.SetAddresses(t.Context(), second.ID, device(2).Addresses))
		if answer, err := y.dial("198.18.2.10:7"); err == nil {
			t.Errorf("an address that nobody has answers %q", answer)
		}
	})
	t.Run("memory", func(t *testing.T) {
		if status := y.status(first); status.MemoryBytes < 1<<20 || status.MemoryBytes > 1<<30 || status.PID == 0 || status.Hostname != "machine-1" {
			t.Errorf("status is %+v", status)
		}
	})
}

// listen answers each connection with the address that it came from.
func (y *yard) listen(address string) net.Listener {
	y.Helper()
	listener, err := y.driver.Listen(y.Context(), "tcp", address)
	y.must(err)
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			io.WriteString(connection, connection.RemoteAddr().(*net.TCPAddr).IP.String())
			connection.Close()
		}
	}()
	return listener
}

func TestPower(t *testing.T) {
	y := newYard(t)
	spec := device(1)
	y.must(y.driver.Provision(t.Context(), spec))
	events, err := y.driver.Watch(t.Context())
	y.must(err)
	content := func(path string) string {
		t.Helper()
		return strings.TrimSpace(y.run(spec, "sh", "-c", "cat "+path+" 2>/dev/null || echo none"))
	}
	written := []string{"/var/lib/x", "/root/x", "/etc/x", "/usr/local/bin/x", "/opt/x", "/tmp/x"}
	write := func() {
		for _, path := range written {
			y.run(spec, "sh", "-c", "echo kept > "+path)
		}
	}
	expect := func(what string, kept bool) {
		t.Helper()
		for _, path := range written {
			want := "none"
			if kept && !strings.HasPrefix(path, "/tmp/") {
				want = "kept"
			}
			if found := content(path); found != want {
				t.Errorf("after %s %s holds %q, want %q", what, path, found, want)
			}
		}
	}
	write()

	y.must(y.driver.PowerOff(t.Context(), spec.ID))
	y.must(y.driver.PowerOff(t.Context(), spec.ID))
	if status := y.status(spec); status.Power != machines.PowerOff || status.PID != 0 {
		t.Errorf("status after power off is %+v", status)
	}
	if _, err := y.dial(net.JoinHostPort(public(spec), "7")); err == nil {
		t.Error("a machine that is off answers")
	}
	// A repeated request does not switch a machine on that was switched off.
	y.must(y.driver.Provision(t.Context(), spec))
	if status := y.status(spec); status.Power != machines.PowerOff {
		t.Errorf("status after a repeated request is %+v", status)
	}
	y.must(y.driver.PowerOn(t.Context(), spec.ID))
	expect("a power cycle", true)

	before := y.status(spec).PID
	y.must(y.driver.PowerOn(t.Context(), spec.ID))
	if after := y.status(spec).PID; after != before {
		t.Error("switching on a machine that runs has booted it")
	}
	y.must(y.driver.Reboot(t.Context(), spec.ID))
	if after := y.status(spec).PID; after == before || after == 0 {
		t.Errorf("first process was %d before the reboot and is %d after it", before, after)
	}
	expect("a reboot", true)

	before = y.status(spec).PID
	if _, _, err := y.try(spec, "exit-init", "100"); err == nil {
		t.Error("the session outlived the machine")
	}
	y.eventually("the machine to reboot itself", func() bool {
		after := y.status(spec)
		return after.Power == machines.PowerOn && after.PID != before
	})
	expect("its own reboot", true)

	y.must(y.driver.Reinstall(t.Context(), spec))
	expect("reinstalling", false)

	if _, _, err := y.try(spec, "exit-init", "3"); err == nil {
		t.Error("the session outlived the machine")
	}
	select {
	case event := <-events:
		if event.ID != spec.ID || event.Power != machines.PowerOff || !strings.Contains(event.Detail, "exit status 3") {
			t.Errorf("event is %+v", event)
		}
	case <-time.After(10 * time.Second):
		t.Error("no event tells of the machine's end")
	}
	if status := y.status(spec); status.Power != machines.PowerOff {
		t.Errorf("status after its end is %+v", status)
	}
}

func TestDeprovision(t *testing.T) {
	y := newYard(t)
	spec := device(1)
	y.must(y.driver.Provision(t.Context(), spec))
	// Directories that their owner may not write to, and a process that ignores signals.
	y.run(spec, "sh", "-c", "mkdir -p /var/a/b && touch /var/a/b/c && chmod 0 /var/a/b /var/a; (trap '' TERM INT HUP; exec sleep 1000) >/dev/null 2>&1 &")
	pid := y.status(spec).PID
	y.must(y.driver.Deprovision(t.Context(), spec.ID))
	y.must(y.driver.Deprovision(t.Context(), spec.ID))
	if list, err := y.driver.List(t.Context()); err != nil || len(list) > 0 {
		t.Errorf("list is %v, %v", list, err)
	}
	if _, err := os.Stat(filepath.Dir(y.client.ConsolePath(spec.ID))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the machine's directory is left: %v", err)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d is left: %v", pid, err)
	}
	if processes := y.processes(); len(processes) > 0 {
		t.Errorf("processes are left: %v", processes)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	y.must(err)
	if strings.Contains(string(mounts), spec.ID) {
		t.Error("mounts are left on the host")
	}
	for name, call := range map[string]func(context.Context, string) error{
		"power on": y.driver.PowerOn, "power off": y.driver.PowerOff, "reboot": y.driver.Reboot,
		"set addresses": func(ctx context.Context, id string) error { return y.driver.SetAddresses(ctx, id, nil) },
	} {
		if err := call(t.Context(), spec.ID); !errors.Is(err, machines.ErrNotFound) {
			t.Errorf("%s: %v, want ErrNotFound", name, err)
		}
	}
	// The address is free for another.
	other := device(2)
	other.Addresses = spec.Addresses
	y.must(y.driver.Provision(t.Context(), other))
	y.eventually("the address to answer for the other machine", func() bool {
		answer, err := y.dial(net.JoinHostPort(public(other), "7"))
		return err == nil && strings.HasPrefix(answer, "machine-2 ")
	})
}

// processes are the host's processes that look like machines of this yard:
// below its rack.
func (y *yard) processes() []string {
	y.Helper()
	status, err := y.client.status(y.Context())
	y.must(err)
	children, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", status.PID))
	y.must(err)
	var found []string
	for _, path := range children {
		content, _ := os.ReadFile(path)
		found = append(found, strings.Fields(string(content))...)
	}
	return found
}

func TestBadInput(t *testing.T) {
	y := newYard(t)
	for name, test := range map[string]struct {
		change func(*machines.Spec)
		text   string
	}{
		"id":       {func(s *machines.Spec) { s.ID = "..%2fescape" }, "id:"},
		"hostname": {func(s *machines.Spec) { s.Hostname = "two\nlines" }, "hostname:"},
		"address":  {func(s *machines.Spec) { s.Addresses[0].Address = "198.18.1" }, "addresses[0].address:"},
		"family":   {func(s *machines.Spec) { s.Addresses[1].Family = 4 }, "addresses[1].family:"},
		"cidr":     {func(s *machines.Spec) { s.Addresses[2].CIDR = 33 }, "addresses[2].cidr:"},
		"gateway":  {func(s *machines.Spec) { s.Addresses[0].Gateway = "198.18.9.9" }, "addresses[0].gateway:"},
	} {
		t.Run(name, func(t *testing.T) {
			spec := device(1)
			test.change(&spec)
			if err := y.driver.Provision(t.Context(), spec); err == nil || !strings.Contains(err.Error(), test.text) {
				t.Errorf("error is %v, want one about %s", err, test.text)
			}
		})
	}
	if list, err := y.driver.List(t.Context()); err != nil || len(list) > 0 {
		t.Errorf("list is %v, %v", list, err)
	}
	t.Run("image without init", func(t *testing.T) {
		y.must(os.Rename(filepath.Join(y.image, "init"), filepath.Join(y.image, "hidden")))
		spec := device(1)
		if err := y.driver.Provision(t.Context(), spec); err == nil || !strings.Contains(err.Error(), "the machine image has no init") {
			t.Errorf("error is %v", err)
		}
		console, err := os.ReadFile(y.client.ConsolePath(spec.ID))
		if err != nil || !strings.Contains(string(console), "the machine image has no init") {
			t.Errorf("console is %q, %v", console, err)
		}
		y.must(os.Rename(filepath.Join(y.image, "hidden"), filepath.Join(y.image, "init")))
		y.must(y.driver.Provision(t.Context(), spec))
		if status := y.status(spec); status.Power != machines.PowerOn {
			t.Errorf("asked again, the machine is %+v", status)
		}
	})
	t.Run("init that cannot run", func(t *testing.T) {
		y.must(os.Rename(filepath.Join(y.image, "init"), filepath.Join(y.image, "hidden")))
		y.must(os.WriteFile(filepath.Join(y.image, "init"), []byte("no program"), 0o755))
		if err := y.driver.Provision(t.Context(), device(2)); err == nil || !strings.Contains(err.Error(), "executing /opt/packetyard/init") {
			t.Errorf("error is %v", err)
		}
		y.must(os.Rename(filepath.Join(y.image, "hidden"), filepath.Join(y.image, "init")))
	})
}
