package host

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/packetyard/packetyard/internal/machines/namespaces"
)

// TestMain makes the test binary a program that can try the host out.
func TestMain(m *testing.M) {
	root := &cobra.Command{Use: "test", SilenceUsage: true}
	root.AddCommand(namespaces.Commands()...)
	if len(os.Args) > 1 && slices.ContainsFunc(root.Commands(), func(c *cobra.Command) bool { return c.Name() == os.Args[1] }) {
		if root.Execute() != nil {
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// tree writes files below a new directory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestAvailableMemory(t *testing.T) {
	const meminfo = "MemTotal:        8000000 kB\nMemFree:  100 kB\nMemAvailable:    4000000 kB\n"
	for _, test := range []struct {
		name      string
		files     map[string]string
		want      int64
		wantError string
	}{
		{"no control group", map[string]string{"proc/meminfo": meminfo}, 4000000 << 10, ""},
		{"no limit", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/user\n",
			"sys/fs/cgroup/user/memory.max": "max\n", "sys/fs/cgroup/user/memory.current": "5\n",
		}, 4000000 << 10, ""},
		{"limit of the group above", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/user/shell\n",
			"sys/fs/cgroup/user/shell/memory.max": "max\n",
			"sys/fs/cgroup/user/memory.max":       "1000000\n",
			"sys/fs/cgroup/user/memory.current":   "600000\n",
			"sys/fs/cgroup/user/memory.stat":      "active_file 7\ninactive_file 100000\n",
		}, 500000, ""},
		{"more used than allowed", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n",
			"sys/fs/cgroup/memory.max": "10\n", "sys/fs/cgroup/memory.current": "20\n",
		}, 0, ""},
		{"not Linux", map[string]string{}, 0, "proc/meminfo"},
		{"a strange kernel", map[string]string{"proc/meminfo": "MemTotal: 1 kB\n"}, 0, "MemAvailable"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := host{root: tree(t, test.files)}.availableMemory()
			if test.wantError != "" {
				if err == nil || !strings.Contains(err.Error(), test.wantError) {
					t.Errorf("got %v, want an error with %q", err, test.wantError)
				}
				return
			}
			if err != nil || got != test.want {
				t.Errorf("got %d, %v; want %d", got, err, test.want)
			}
		})
	}
}

func TestCheckTellsEverything(t *testing.T) {
	later := filepath.Join(t.TempDir(), "not", "there", "yet")
	if err := (host{root: "/"}).check(Needs{MemoryBytes: 1, DiskBytes: 1}, later); err != nil {
		t.Errorf("a byte of each is too much: %v", err)
	}
	err := host{root: "/"}.check(Needs{MemoryBytes: math.MaxInt64, DiskBytes: math.MaxInt64}, later)
	if err == nil {
		t.Fatal("everything there is was enough")
	}
	for _, want := range []string{"memory", "disk space", "--state-dir", "--workers"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q: %v", want, err)
		}
	}
}

// TestCheckOfThisHost tries the host for real. Where it cannot run machines,
// that has to be told with what to do about it.
func TestCheckOfThisHost(t *testing.T) {
	err := Check(t.Context(), Needs{MemoryBytes: 1, DiskBytes: 1}, filepath.Join(t.TempDir(), "state"), "")
	if err != nil && !strings.Contains(err.Error(), ": ") {
		t.Errorf("the problem does not tell what to do: %v", err)
	}
	err = Check(t.Context(), Needs{MemoryBytes: math.MaxInt64, DiskBytes: 1}, filepath.Join(t.TempDir(), "state"), "")
	if err == nil || !strings.Contains(err.Error(), "memory") {
		t.Errorf("got %v, want that memory is too little", err)
	}
}

func TestNeedsGrowWithMachines(t *testing.T) {
	small, more := NeedsOf(1, 0), NeedsOf(1, 2)
	if more.MemoryBytes-small.MemoryBytes != 2*workerMemory || more.DiskBytes-small.DiskBytes != 2*workerDisk {
		t.Errorf("two workers add %+v to %+v", more, small)
	}
	if small.MemoryBytes < 2*controlPlaneMemory {
		t.Errorf("%d bytes do not hold the bootstrap machine and a control plane", small.MemoryBytes)
	}
}
