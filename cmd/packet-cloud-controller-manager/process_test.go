package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/packetyard/packetyard/internal/processtest"
)

// childVariable makes this test program run the command instead of the tests,
// so that tests have the program as a process of its own.
const childVariable = "PACKET_CCM_TEST_RUN_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		main()
		return
	}
	code := m.Run()
	if err := stopKubernetes(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// process is the program, running.
type process struct{ *processtest.Process }

// thisProgram is the program as a part of this test program.
func thisProgram(t testing.TB) string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// buildProgram builds the program as users have it: what it takes of memory is
// not to be that of a test program.
func buildProgram(t testing.TB) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "packet-cloud-controller-manager")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-ldflags=-s -w", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("building the program: %v\n%s", err, out)
	}
	return program
}

// startProcess runs the program until the test ends. Of the environment it has
// only what is given.
func startProcess(t testing.TB, program string, environment []string, arguments ...string) *process {
	t.Helper()
	return &process{processtest.Start(t, "the program", program, append([]string{childVariable + "=1"}, environment...), arguments...)}
}

// residentMegabytes is the memory that the program has at this moment.
func (p *process) residentMegabytes(t testing.TB) float64 {
	t.Helper()
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.Command.Process.Pid), "status"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "VmHWM:" {
			kilobytes, err := strconv.Atoi(fields[1])
			if err != nil {
				t.Fatal(err)
			}
			return float64(kilobytes) / 1024
		}
	}
	t.Fatal("the system does not tell the memory of a process")
	return 0
}
