// Package process finds the processes of a yard on the host, whoever started
// them and whether or not anything of the yard still knows of them, and ends
// them.
package process

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Yard says by what a yard's processes are known.
type Yard struct {
	// StateDir is the absolute path of its state directory.
	StateDir string
	// Machines is the folder below it that machines' files are in.
	Machines string
	// Daemons are the programs that have the state directory, or something
	// below it, among their arguments.
	Daemons []Daemon
}

// Daemon is a program that works for a yard in the background.
type Daemon struct {
	// Program is the base name of its executable file.
	Program string
	// Command is its first argument, where only that makes it a daemon.
	Command string
}

// Process is a process on the host.
type Process struct {
	PID int
	// Command is what it runs, for messages.
	Command string
	parent  int
}

// String names the process in a message.
func (p Process) String() string { return fmt.Sprintf("%d (%s)", p.PID, p.Command) }

// Find returns the yard's processes: its daemons, all that runs in a mount
// namespace into which a machine's files are mounted, and what descends from
// either. The calling process is left out, as is what descends from it alone.
func (y Yard) Find() ([]Process, error) {
	places, err := y.mountedPlaces()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("looking for processes: %w", err)
	}
	all := map[int]Process{}
	var found []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		arguments, parent, ok := read(pid)
		if !ok {
			continue
		}
		all[pid] = Process{PID: pid, parent: parent, Command: command(pid, arguments)}
		if y.isDaemon(pid, arguments) || y.isInMachine(pid, places) {
			found = append(found, pid)
		}
	}
	for pid, process := range all {
		if !slices.Contains(found, pid) && descends(process, found, all) {
			found = append(found, pid)
		}
	}
	slices.Sort(found)
	processes := make([]Process, len(found))
	for i, pid := range found {
		processes[i] = all[pid]
	}
	return processes, nil
}

func descends(process Process, from []int, all map[int]Process) bool {
	// A chain of parents is never longer than the number of processes; the
	// table may hold a loop, because it was not read in one moment.
	for range len(all) {
		if slices.Contains(from, process.parent) {
			return true
		}
		next, ok := all[process.parent]
		if !ok {
			return false
		}
		process = next
	}
	return false
}

// read returns a process's arguments and its parent; a process that is a
// zombie, and so only waits for its parent to look, counts as ended.
func read(pid int) (arguments []string, parent int, ok bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, 0, false
	}
	// The name in parentheses may itself hold spaces and parentheses.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 2 || fields[0] == "Z" || fields[0] == "X" {
		return nil, 0, false
	}
	parent, err = strconv.Atoi(fields[1])
	if err != nil {
		return nil, 0, false
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return nil, 0, false
	}
	return strings.Split(strings.TrimRight(string(line), "\x00"), "\x00"), parent, true
}

func command(pid int, arguments []string) string {
	if arguments[0] != "" {
		// Arguments are left out: some programs are given secrets there.
		return filepath.Base(arguments[0])
	}
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(name))
}

// isDaemon tells the yard's daemons by their program and an argument that is
// the state directory or lies below it.
func (y Yard) isDaemon(pid int, arguments []string) bool {
	executable, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return false
	}
	// A program that was built anew since has its old file marked so.
	name := filepath.Base(strings.TrimSuffix(executable, " (deleted)"))
	if !slices.ContainsFunc(y.Daemons, func(daemon Daemon) bool {
		return daemon.Program == name && (daemon.Command == "" || len(arguments) > 1 && arguments[1] == daemon.Command)
	}) {
		return false
	}
	return slices.ContainsFunc(arguments, func(argument string) bool {
		_, value, assigned := strings.Cut(argument, "=")
		if !assigned {
			value = argument
		}
		return value == y.StateDir || strings.HasPrefix(value, y.StateDir+"/")
	})
}

// place is a folder as a mount table names it: by its file system's device
// number and its path within that file system.
type place struct {
	device, path string
}

// mountedPlaces returns under which names the machines' folder may stand in
// another namespace's mount table.
func (y Yard) mountedPlaces() ([]place, error) {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("reading the mount table: %w", err)
	}
	folder := y.Machines
	if resolved, err := filepath.EvalSymlinks(folder); err == nil {
		folder = resolved
	}
	best := mount{}
	for _, mount := range parseMounts(table) {
		// The last one that covers the folder with the longest path is the visible one.
		if isBelow(folder, mount.point) && len(mount.point) >= len(best.point) {
			best = mount
		}
	}
	if best.point == "" {
		return nil, nil
	}
	relative := strings.TrimPrefix(folder, strings.TrimSuffix(best.point, "/"))
	return []place{{device: best.device, path: strings.TrimSuffix(best.root, "/") + relative}}, nil
}

// isInMachine tells whether a process lives in a mount namespace, other than
// ours, into which something below the machines' folder is mounted.
func (y Yard) isInMachine(pid int, places []place) bool {
	ours, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		return false
	}
	theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", pid))
	if err != nil || theirs == ours {
		return false
	}
	table, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil {
		return false
	}
	for _, mount := range parseMounts(table) {
		for _, place := range places {
			if mount.device == place.device && mount.root != place.path && isBelow(mount.root, place.path) {
				return true
			}
		}
		if strings.Contains(mount.options, "upperdir="+y.Machines+"/") {
			return true
		}
	}
	return false
}

type mount struct {
	device, root, point, options string
}

// parseMounts reads a mount table in the form of proc(5), mountinfo.
func parseMounts(table []byte) []mount {
	var mounts []mount
	for line := range strings.Lines(string(table)) {
		before, after, ok := strings.Cut(line, " - ")
		fields, last := strings.Fields(before), strings.Fields(after)
		if !ok || len(fields) < 6 || len(last) < 3 {
			continue
		}
		mounts = append(mounts, mount{device: fields[2], root: unescape(fields[3]), point: unescape(fields[4]), options: unescape(last[2])})
	}
	return mounts
}

// unescape undoes the octal escapes of spaces and the like.
func unescape(text string) string {
	for _, escape := range []struct{ code, character string }{{`\040`, " "}, {`\011`, "\t"}, {`\012`, "\n"}, {`\134`, `\`}} {
		text = strings.ReplaceAll(text, escape.code, escape.character)
	}
	return text
}

func isBelow(path, folder string) bool {
	folder = strings.TrimSuffix(folder, "/")
	return path == folder || strings.HasPrefix(path, folder+"/")
}

// EndAll ends the yard's processes at once and returns when none is left, or
// with an error that names those that are, when the context ends.
func (y Yard) EndAll(ctx context.Context) error {
	ending := endings{}
	defer ending.forget()
	for {
		// What is found may start something new before it has ended, so one
		// look is not enough.
		left, err := y.Find()
		if err != nil {
			return err
		}
		for _, process := range left {
			if err := y.kill(process, ending); err != nil {
				return err
			}
		}
		// A process that is ending loses its namespaces and its arguments
		// before it has ended, and so is found no more: those are waited for too.
		if len(left) == 0 && !ending.any() {
			return nil
		}
		select {
		case <-ctx.Done():
			if len(left) == 0 {
				left = ending.processes()
			}
			return fmt.Errorf("processes are left that do not end: %v", left)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// kill ends a process that still is the one that was found: the descriptor
// holds on to it, so its number cannot have gone to another after the check.
func (y Yard) kill(process Process, ending endings) error {
	descriptor, err := unix.PidfdOpen(process.PID, 0)
	if err != nil {
		return nil //nolint:nilerr // It has ended by itself.
	}
	arguments, parent, ok := read(process.PID)
	if !ok || command(process.PID, arguments) != process.Command || (parent != process.parent && parent != 1) {
		return unix.Close(descriptor)
	}
	ending.add(process, descriptor)
	err = unix.PidfdSendSignal(descriptor, unix.SIGKILL, nil, 0)
	if err != nil && err != unix.ESRCH {
		return fmt.Errorf("ending process %s: %w", process, err)
	}
	return nil
}
