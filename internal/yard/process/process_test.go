package process

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test binary play a daemon: it waits until it is ended.
func TestMain(m *testing.M) {
	switch os.Getenv("PLAY") {
	case "daemon":
		fmt.Println("ready")
		_, _ = io.Copy(io.Discard, os.Stdin)
	case "heavy":
		// So much memory takes the kernel a while to take back.
		memory := make([]byte, 512<<20)
		for i := 0; i < len(memory); i += 4096 {
			memory[i] = 1
		}
		fmt.Println("ready")
		_, _ = io.Copy(io.Discard, os.Stdin)
		runtime.KeepAlive(memory)
	case "parent":
		// A shell that was not told anything of the yard.
		child := exec.Command("/bin/sh", "-c", "echo ready; read line")
		child.Stdin, child.Stdout = os.Stdin, os.Stdout
		_ = child.Run()
	case "machine":
		// Play a machine: mount a folder of the yard's and wait.
		if err := syscall.Mount(os.Args[2], os.Args[3], "", syscall.MS_BIND, ""); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("ready")
		_, _ = io.Copy(io.Discard, os.Stdin)
	default:
		os.Exit(m.Run())
	}
}

// play starts the test binary as something of a yard, or not.
func play(t *testing.T, role string, attributes *syscall.SysProcAttr, arguments ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), self, arguments...)
	command.Env = append(os.Environ(), "PLAY="+role)
	command.SysProcAttr = attributes
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		if role == "machine" {
			t.Fatalf("this host does not let us make namespaces, and machines need them: %v", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		_ = command.Wait()
	})
	greeting := make([]byte, 100)
	n, err := output.Read(greeting)
	if err != nil || string(greeting[:n]) != "ready\n" {
		t.Fatalf("the %s said %q, %v", role, greeting[:n], err)
	}
	return command
}

func pids(t *testing.T, yard Yard) []int {
	t.Helper()
	processes, err := yard.Find()
	if err != nil {
		t.Fatal(err)
	}
	var found []int
	for _, process := range processes {
		found = append(found, process.PID)
	}
	return found
}

func TestFindAndEndAll(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	state := t.TempDir()
	yard := Yard{StateDir: state, Machines: filepath.Join(state, "api", "machines"), Daemons: []Daemon{{Program: filepath.Base(self), Command: "supervise"}}}
	if found := pids(t, yard); len(found) != 0 {
		t.Fatalf("found %v before anything was started", found)
	}

	daemon := play(t, "daemon", nil, "supervise", "--state-dir="+state)
	parent := play(t, "parent", nil, "supervise", "--data-dir", filepath.Join(state, "api"))
	stranger := play(t, "daemon", nil, "supervise", "--state-dir", state+"-of-another")
	client := play(t, "daemon", nil, "console", "--state-dir", state)
	found := pids(t, yard)
	if slices.Contains(found, client.Process.Pid) {
		t.Errorf("found %d, which only looks at the yard", client.Process.Pid)
	}
	if !slices.Contains(found, daemon.Process.Pid) || !slices.Contains(found, parent.Process.Pid) {
		t.Errorf("found %v, which lacks %d or %d", found, daemon.Process.Pid, parent.Process.Pid)
	}
	if len(found) != 3 {
		t.Errorf("found %v, want three: two daemons and the shell below one of them", found)
	}
	if slices.Contains(found, stranger.Process.Pid) {
		t.Errorf("found %d, which is another yard's", stranger.Process.Pid)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	// The test is the daemons' parent, and zombies do not count.
	if err := yard.EndAll(ctx); err != nil {
		t.Fatal(err)
	}
	if found := pids(t, yard); len(found) != 0 {
		t.Errorf("left: %v", found)
	}
	if err := stranger.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("another yard's daemon was ended, too: %v", err)
	}
}

// TestEndAllLeftProcessesThatWereStillEnding is about a process that has lost
// its arguments and namespaces, by which a yard's are known, but still holds
// its memory: `down` said that all had ended, and one was there.
func TestEndAllLeftProcessesThatWereStillEnding(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	state := t.TempDir()
	yard := Yard{StateDir: state, Machines: filepath.Join(state, "machines"), Daemons: []Daemon{{Program: filepath.Base(self), Command: "supervise"}}}
	daemon := play(t, "heavy", nil, "supervise", "--state-dir="+state)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := yard.EndAll(ctx); err != nil {
		t.Fatal(err)
	}
	// It is a zombie now, because the test has not waited for it yet.
	if _, _, ok := read(daemon.Process.Pid); ok {
		t.Errorf("process %d has not ended yet", daemon.Process.Pid)
	}
}

func TestFindWhatLivesAmongMachineFiles(t *testing.T) {
	state := t.TempDir()
	yard := Yard{StateDir: state, Machines: filepath.Join(state, "machines")}
	control, target := filepath.Join(yard.Machines, "m1", "control"), t.TempDir()
	if err := os.MkdirAll(control, 0o700); err != nil {
		t.Fatal(err)
	}
	namespaces := &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	machine := play(t, "machine", namespaces, "run", control, target)
	// The whole machines' folder mounted somewhere is no machine: a state
	// directory may be a mount of its own, which every namespace then has.
	bystander := play(t, "machine", namespaces, "run", yard.Machines, target)
	found := pids(t, yard)
	if !slices.Contains(found, machine.Process.Pid) {
		t.Errorf("found %v, which lacks the machine %d", found, machine.Process.Pid)
	}
	if slices.Contains(found, bystander.Process.Pid) {
		t.Errorf("found the bystander %d", bystander.Process.Pid)
	}
}

func TestParseMounts(t *testing.T) {
	const table = `22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:25 /a\040b /mnt/x\134y rw,nosuid - overlay overlay rw,upperdir=/s/m
broken line
`
	want := []mount{
		{device: "254:0", root: "/", point: "/", options: "rw"},
		{device: "0:25", root: "/a b", point: `/mnt/x\y`, options: "rw,upperdir=/s/m"},
	}
	if got := parseMounts([]byte(table)); !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
