package rack

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// memoryByNamespace sums what the processes of each PID namespace have in
// memory, in bytes. Pages that processes share are counted in shares where
// the kernel tells them. Processes that end meanwhile do not count.
func memoryByNamespace() map[string]int64 {
	sums := map[string]int64{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return sums
	}
	for _, entry := range entries {
		if _, err := strconv.Atoi(entry.Name()); err != nil {
			continue
		}
		directory := filepath.Join("/proc", entry.Name())
		// Only processes of machines, and few others, may be looked into.
		if namespace, err := os.Readlink(filepath.Join(directory, "ns/pid")); err == nil {
			sums[namespace] += resident(directory)
		}
	}
	return sums
}

func pidNamespace(pid int) string {
	namespace, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "ns/pid"))
	if err != nil {
		return ""
	}
	return namespace
}

func resident(directory string) int64 {
	if content, err := os.ReadFile(filepath.Join(directory, "smaps_rollup")); err == nil {
		if bytes, found := kilobytes(content, "Pss:"); found {
			return bytes
		}
	}
	if content, err := os.ReadFile(filepath.Join(directory, "status")); err == nil {
		bytes, _ := kilobytes(content, "VmRSS:")
		return bytes
	}
	return 0
}

// kilobytes finds a line "Name:   123 kB" and returns its value in bytes.
func kilobytes(content []byte, name string) (int64, bool) {
	scanner := bufio.NewScanner(bytes.NewReader(content))
	for scanner.Scan() {
		value, found := strings.CutPrefix(scanner.Text(), name)
		if !found {
			continue
		}
		number, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(value, "kB")), 10, 64)
		return number << 10, err == nil
	}
	return 0, false
}
