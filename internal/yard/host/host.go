// Package host finds out whether the computer that a yard is to run on can
// run it: whether it allows machines made of namespaces, and has the memory
// and disk space that a cluster takes.
package host

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/packetyard/packetyard/internal/machines/namespaces"
)

const mebibyte = 1 << 20

// What the parts of a yard take, measured on running ones and rounded up.
const (
	serverMemory       = 300 * mebibyte
	managerMemory      = 250 * mebibyte
	controlPlaneMemory = 700 * mebibyte
	workerMemory       = 120 * mebibyte

	// An etcd sets two files of 64 MiB aside for its log before it writes a byte.
	serverDisk       = 256 * mebibyte
	controlPlaneDisk = 256 * mebibyte
	workerDisk       = 32 * mebibyte
)

// Needs is what a yard takes.
type Needs struct {
	MemoryBytes int64
	DiskBytes   int64
	// InotifyInstances are counted for each user of the host.
	InotifyInstances int64
}

// NeedsOf returns what a yard takes whose cluster has so many machines. Its
// own bootstrap machine is counted, too.
func NeedsOf(controlPlanes, workers int) Needs {
	return Needs{
		MemoryBytes:      serverMemory + managerMemory + int64(controlPlanes+1)*controlPlaneMemory + int64(workers)*workerMemory,
		DiskBytes:        serverDisk + int64(controlPlanes+1)*controlPlaneDisk + int64(workers)*workerDisk,
		InotifyInstances: serverInotify + int64(controlPlanes+1)*controlPlaneInotify + int64(workers)*workerInotify,
	}
}

// Check returns all that keeps this host from running a yard with the given
// needs, and what to do about each. The yard's files are to be in stateDir,
// which need not exist yet. Executable is a program with the subcommands of
// the namespaces driver, empty for the running one.
func Check(ctx context.Context, needs Needs, stateDir, executable string) error {
	stateDir, err := filepath.Abs(stateDir)
	if err != nil {
		return fmt.Errorf("finding the state directory: %w", err)
	}
	var problems []error
	for _, problem := range namespaces.CheckHost(ctx, namespaces.CheckConfig{Dir: stateDir, Executable: executable}) {
		problems = append(problems, errors.New(problem.String()))
	}
	return errors.Join(append(problems, host{root: "/"}.check(needs, stateDir))...)
}

// host is where the kernel tells about itself.
type host struct {
	// root is "/" but for tests.
	root string
}

// check returns what is too little for the needs.
func (h host) check(needs Needs, stateDir string) error {
	var problems []error
	memory, err := h.availableMemory()
	switch {
	case err != nil:
		problems = append(problems, err)
	case memory < needs.MemoryBytes:
		problems = append(problems, fmt.Errorf("too little memory: %d MiB are available and the cluster needs about %d MiB: end other programs, raise the memory limit, or ask for fewer machines with --workers", memory/mebibyte, needs.MemoryBytes/mebibyte))
	}
	disk, where, err := availableDisk(stateDir)
	switch {
	case err != nil:
		problems = append(problems, err)
	case disk < needs.DiskBytes:
		problems = append(problems, fmt.Errorf("too little disk space: %d MiB are free in %s and the yard needs about %d MiB: free some, or choose another place with --state-dir", disk/mebibyte, where, needs.DiskBytes/mebibyte))
	}
	return errors.Join(append(problems, h.checkInotify(needs.InotifyInstances))...)
}

// availableMemory is what programs can still get: of the kernel, and of every
// control group above us.
func (h host) availableMemory() (int64, error) {
	path := filepath.Join(h.root, "proc/meminfo")
	file, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("reading how much memory there is: %w", err)
	}
	defer file.Close()
	available := int64(-1)
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) >= 2 && fields[0] == "MemAvailable:" {
			kibibytes, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil {
				return 0, fmt.Errorf("reading MemAvailable in %s: %w", path, err)
			}
			available = kibibytes << 10
		}
	}
	if err := lines.Err(); err != nil {
		return 0, fmt.Errorf("reading %s: %w", path, err)
	}
	if available < 0 {
		return 0, fmt.Errorf("%s does not tell MemAvailable: is this Linux?", path)
	}
	return min(available, h.cgroupMemory(available)), nil
}

// cgroupMemory is what the control groups leave, or the given value where
// they do not limit memory or cannot be read.
func (h host) cgroupMemory(otherwise int64) int64 {
	membership, err := os.ReadFile(filepath.Join(h.root, "proc/self/cgroup"))
	if err != nil {
		return otherwise
	}
	group, found := "", false
	for line := range strings.Lines(string(membership)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			group, found = path, true
		}
	}
	if !found {
		return otherwise
	}
	for path := filepath.Clean("/" + group); ; path = filepath.Dir(path) {
		folder := filepath.Join(h.root, "sys/fs/cgroup", path)
		limit, limited := readNumber(filepath.Join(folder, "memory.max"))
		used, known := readNumber(filepath.Join(folder, "memory.current"))
		if limited && known {
			// Cached file pages are counted as used and given back on demand.
			otherwise = min(otherwise, limit-used+readStatistic(filepath.Join(folder, "memory.stat"), "inactive_file"))
		}
		if path == "/" {
			return max(otherwise, 0)
		}
	}
}

func readNumber(path string) (int64, bool) {
	content, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	// "max" is no number, and no limit.
	number, err := strconv.ParseInt(strings.TrimSpace(string(content)), 10, 64)
	return number, err == nil
}

func readStatistic(path, name string) int64 {
	content, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(content)) {
		if fields := strings.Fields(line); len(fields) == 2 && fields[0] == name {
			number, err := strconv.ParseInt(fields[1], 10, 64)
			if err == nil {
				return number
			}
		}
	}
	return 0
}

// availableDisk is what is free on the file system that path is or will be on.
func availableDisk(path string) (free int64, where string, err error) {
	for {
		var system unix.Statfs_t
		err := unix.Statfs(path, &system)
		if err == nil {
			return int64(system.Bavail) * system.Bsize, path, nil
		}
		if !errors.Is(err, fs.ErrNotExist) || path == "/" {
			return 0, "", fmt.Errorf("reading how much disk space is free in %s: %w", path, err)
		}
		path = filepath.Dir(path)
	}
}
