//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// firstProcesses returns the process number of each machine's init.
func (y *yard) firstProcesses(t *testing.T) map[string]int {
	t.Helper()
	var status struct {
		Machines []struct {
			Power *struct {
				ID  string
				PID int
			}
		}
	}
	if err := json.Unmarshal([]byte(y.must(t, "status", "-o", "json")), &status); err != nil {
		t.Fatal(err)
	}
	processes := map[string]int{}
	for _, machine := range status.Machines {
		if machine.Power != nil && machine.Power.PID != 0 {
			processes[machine.Power.ID] = machine.Power.PID
		}
	}
	return processes
}

// checkDown ends the yard, twice, and looks for what is left. How it looks
// for processes is not how `down` does: by the parents of each.
func checkDown(t *testing.T, y *yard) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(y.state, "supervise.json"))
	if err != nil {
		t.Fatal(err)
	}
	var report struct{ APIAddress, ProxyAddress string }
	if err := json.Unmarshal(content, &report); err != nil {
		t.Fatal(err)
	}
	before := y.processes(t)
	if len(before) < 10 {
		t.Errorf("only %d processes of the yard are found, which checks little: %v", len(before), before)
	}
	began := time.Now()
	t.Logf("%sdown took %s", y.must(t, "down"), time.Since(began).Round(100*time.Millisecond))

	for pid, started := range before {
		if startTime(pid) == started {
			line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			t.Errorf("process %d is left: %q", pid, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	if _, err := os.Stat(y.state); !os.IsNotExist(err) {
		t.Errorf("the state directory is left: %v", err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || strings.Contains(string(mounts), y.state) {
		t.Errorf("a mount is left, %v:\n%s", err, mounts)
	}
	for _, address := range []string{report.APIAddress, report.ProxyAddress} {
		if connection, err := (&net.Dialer{Timeout: time.Second}).DialContext(context.Background(), "tcp", address); err == nil {
			connection.Close()
			t.Errorf("something still listens on %s", address)
		}
	}
	y.must(t, "down")
}

// processes returns the yard's processes with the time each was started at:
// the daemons, by the state directory in their arguments, and all below them.
func (y *yard) processes(t *testing.T) map[int]string {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	children := map[int][]int{}
	var roots []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		fields := statFields(pid)
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if len(fields) < 20 || err != nil {
			continue
		}
		if parent, err := strconv.Atoi(fields[1]); err == nil {
			children[parent] = append(children[parent], pid)
		}
		if strings.Contains(string(line), y.state) {
			roots = append(roots, pid)
		}
	}
	found := map[int]string{}
	for len(roots) > 0 {
		pid := roots[0]
		roots = roots[1:]
		if _, ok := found[pid]; ok {
			continue
		}
		found[pid] = startTime(pid)
		roots = append(roots, children[pid]...)
	}
	return found
}

// statFields are the fields of /proc/PID/stat after the name: the state, the
// parent, and so on.
func statFields(pid int) []string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
}

// startTime tells a process from a later one with the same number.
func startTime(pid int) string {
	fields := statFields(pid)
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return "gone"
	}
	return fields[19]
}
