package capitest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// ticks are the clock ticks in a second that /proc counts in: sysconf(_SC_CLK_TCK), which is 100 on Linux.
const ticks = 100

// ProcessorTime is how long this process and the control plane kept processors busy so far. Unlike the time that passes, it
// hardly depends on what else the machine does.
func (e *Environment) ProcessorTime(t testing.TB) time.Duration {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatalf("listing the processes: %v", err)
	}
	self, total := strconv.Itoa(os.Getpid()), 0
	for _, file := range files {
		stat, err := os.ReadFile(file)
		if err != nil {
			// It has ended since.
			continue
		}
		// The fields after the name, which is in parentheses and may contain any: state, parent, …, utime and stime as the
		// 12th and 13th. (proc_pid_stat(5))
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if len(fields) < 13 || fields[1] != self && filepath.Base(filepath.Dir(file)) != self {
			continue
		}
		busy, err := sum(fields[11:13])
		if err != nil {
			t.Fatalf("reading %s: %v", file, err)
		}
		total += busy
	}
	return time.Duration(total) * time.Second / ticks
}

func sum(numbers []string) (int, error) {
	total := 0
	for _, number := range numbers {
		n, err := strconv.Atoi(number)
		if err != nil {
			return 0, fmt.Errorf("%q is no number: %w", number, err)
		}
		total += n
	}
	return total, nil
}
