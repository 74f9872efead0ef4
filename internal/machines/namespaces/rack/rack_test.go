package rack

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/packetyard/packetyard/internal/machines"
)

func TestRemoveTree(t *testing.T) {
	path := filepath.Join(t.TempDir(), "machine")
	inner := filepath.Join(path, "a/b/c")
	err := errors.Join(os.MkdirAll(inner, 0o755), os.WriteFile(filepath.Join(inner, "file"), nil, 0),
		os.Symlink("/etc/passwd", filepath.Join(inner, "link")),
		os.Chmod(inner, 0), os.Chmod(filepath.Dir(inner), 0o100), os.Chmod(path, 0o500))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := RemoveTree(path); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is left: %v", err)
	}
}

func TestReadRecords(t *testing.T) {
	directory := t.TempDir()
	want := record{Spec: machines.Spec{ID: "a", Hostname: "one", CPUs: 8}, Power: machines.PowerOn}
	if err := errors.Join(os.Mkdir(filepath.Join(directory, "a"), 0o700), writeJSON(filepath.Join(directory, "a", specName), want),
		os.Mkdir(filepath.Join(directory, "half-made"), 0o700), os.WriteFile(filepath.Join(directory, "rack.log"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	records, err := readRecords(directory)
	if err != nil || len(records) != 1 || records[0].Spec.Hostname != "one" || records[0].Power != machines.PowerOn {
		t.Errorf("records are %+v, %v", records, err)
	}
	if err := os.WriteFile(filepath.Join(directory, "a", specName), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readRecords(directory); err == nil || !strings.Contains(err.Error(), "machine a") {
		t.Errorf("a broken record gives %v", err)
	}
}

func TestConsoleBeginsAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "console.log")
	written := &console{path: path, limit: 10}
	for _, text := range []string{"12345", "6789012", "new"} {
		if _, err := written.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{path: "new", path + ".old": "123456789012"} {
		if content, err := os.ReadFile(name); err != nil || string(content) != want {
			t.Errorf("%s holds %q, %v, want %q", name, content, err, want)
		}
	}
}

func TestEndOrphan(t *testing.T) {
	start := func() *exec.Cmd {
		command := exec.Command("sleep", "1000")
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		return command
	}
	path := filepath.Join(t.TempDir(), pidName)
	if err := endOrphan(path); err != nil {
		t.Errorf("without a record: %v", err)
	}

	mine := start()
	who, err := identify(mine.Process.Pid)
	if err != nil || who.StartTime == 0 {
		t.Fatalf("identity is %+v, %v", who, err)
	}
	// A later process that got the same number is left alone.
	earlier := who
	earlier.StartTime--
	if err := errors.Join(writeJSON(path, earlier), endOrphan(path)); err != nil {
		t.Error(err)
	}
	if _, err := identify(mine.Process.Pid); err != nil {
		t.Errorf("another process was ended: %v", err)
	}
	if err := errors.Join(writeJSON(path, who), endOrphan(path)); err != nil {
		t.Error(err)
	}
	if err := mine.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the process ended with %v", err)
	}
	begun := time.Now()
	if err := endOrphan(path); err != nil || time.Since(begun) > time.Second {
		t.Errorf("a process that is gone: %v after %s", err, time.Since(begun))
	}
}

func TestMemory(t *testing.T) {
	sums := memoryByNamespace()
	if bytes := sums[pidNamespace(os.Getpid())]; bytes < 1<<20 {
		t.Errorf("the processes here have %d bytes", bytes)
	}
	for text, want := range map[string]int64{"Rss:  10 kB\nPss:   3 kB\n": 3 << 10, "Rss: 1 kB\n": 0, "Pss: x kB\n": 0} {
		if bytes, _ := kilobytes([]byte(text), "Pss:"); bytes != want {
			t.Errorf("%q holds %d bytes, want %d", text, bytes, want)
		}
	}
}
