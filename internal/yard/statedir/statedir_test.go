package statedir

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestDefaultPath(t *testing.T) {
	for _, test := range []struct {
		name        string
		environment map[string]string
		want        string
		wantError   bool
	}{
		{name: "own variable", environment: map[string]string{Environment: "/y", "XDG_STATE_HOME": "/x", "HOME": "/h"}, want: "/y"},
		{name: "XDG", environment: map[string]string{"XDG_STATE_HOME": "/x", "HOME": "/h"}, want: "/x/packetyard"},
		{name: "a relative XDG path does not count", environment: map[string]string{"XDG_STATE_HOME": "x", "HOME": "/h"}, want: "/h/.local/state/packetyard"},
		{name: "home", environment: map[string]string{"HOME": "/h"}, want: "/h/.local/state/packetyard"},
		{name: "nothing", wantError: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := DefaultPath(func(name string) string { return test.environment[name] })
			if got != test.want || (err != nil) != test.wantError {
				t.Errorf("got %q, %v; want %q, error %t", got, err, test.want, test.wantError)
			}
		})
	}
}

func TestCreateIsRepeatableAndPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "yard")
	for range 2 {
		dir, err := Create(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, folder := range []string{dir.Path(), dir.API(), dir.Logs()} {
			info, err := os.Stat(folder)
			if err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("%s: %v, %v; want mode 0700", folder, info, err)
			}
		}
	}
	if _, err := Open(path); err != nil {
		t.Error(err)
	}
}

func TestCreateRefusesADirectoryOfSomebodyElse(t *testing.T) {
	path := t.TempDir()
	precious := filepath.Join(path, "precious")
	if err := os.WriteFile(precious, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(path); err == nil || errors.Is(err, ErrNoYard) {
		t.Errorf("Create returned %v, want a refusal", err)
	}
	if _, err := Open(path); err == nil || errors.Is(err, ErrNoYard) {
		t.Errorf("Open returned %v, want a refusal", err)
	}
}

func TestOpenWithoutYard(t *testing.T) {
	for _, path := range []string{filepath.Join(t.TempDir(), "none"), t.TempDir()} {
		if _, err := Open(path); !errors.Is(err, ErrNoYard) {
			t.Errorf("Open(%s) returned %v, want ErrNoYard", path, err)
		}
	}
}

func TestRemoveTakesClosedFoldersToo(t *testing.T) {
	dir, err := Create(filepath.Join(t.TempDir(), "yard"))
	if err != nil {
		t.Fatal(err)
	}
	deep := filepath.Join(dir.API(), "machines", "m", "work")
	if err := os.MkdirAll(filepath.Join(deep, "inner"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(deep, "inner", "file"), nil, 0o400); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{filepath.Join(deep, "inner"), deep} {
		if err := os.Chmod(folder, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := dir.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir.Path()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is still there: %v", err)
	}
	if err := dir.Remove(); err != nil {
		t.Errorf("removing twice: %v", err)
	}
}

func TestLockExcludes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	if pid, err := Holder(path); pid != 0 || err != nil {
		t.Errorf("before: holder %d, %v", pid, err)
	}
	lock, err := TryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = TryLock(path)
	var locked *LockedError
	if !errors.As(err, &locked) || locked.PID != os.Getpid() {
		t.Errorf("second lock returned %v, want a LockedError with process %d", err, os.Getpid())
	}
	if pid, err := Holder(path); pid != os.Getpid() || err != nil {
		t.Errorf("while locked: holder %d, %v", pid, err)
	}
	lock.Unlock()
	if pid, err := Holder(path); pid != 0 || err != nil {
		t.Errorf("after: holder %d, %v", pid, err)
	}
	again, err := TryLock(path)
	if err != nil {
		t.Fatalf("locking again: %v", err)
	}
	again.Unlock()
}

func TestWriteFileReplacesWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, content := range []string{"one", "two"} {
		if err := WriteFile(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != content {
			t.Errorf("read %q, %v; want %q", got, err, content)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// A yard made by way of a link was not found, or half removed, by its real name.
func TestLinkedDirectoryHasOneName(t *testing.T) {
	folder := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(folder, link); err != nil {
		t.Fatal(err)
	}
	want := filepath.Join(folder, "yard")
	// It is known before it exists, too.
	if dir, err := Open(filepath.Join(link, "yard")); !errors.Is(err, ErrNoYard) || dir.Path() != want {
		t.Errorf("before: %s, %v; want %s and ErrNoYard", dir.Path(), err, want)
	}
	dir, err := Create(filepath.Join(link, "yard"))
	if err != nil || dir.Path() != want {
		t.Fatalf("created %s, %v; want %s", dir.Path(), err, want)
	}
	yardLink := filepath.Join(t.TempDir(), "yard")
	if err := os.Symlink(want, yardLink); err != nil {
		t.Fatal(err)
	}
	if dir, err = Open(yardLink); err != nil || dir.Path() != want {
		t.Fatalf("opened %s, %v; want %s", dir.Path(), err, want)
	}
	if err := dir.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(want); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left: %v", want, err)
	}
}

func TestLockIsLostWithItsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	lock, err := TryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Unlock()
	if lock.Lost() {
		t.Error("it is lost at once")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if !lock.Lost() {
		t.Error("it is not lost with its file")
	}
	other, err := TryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Unlock()
	if !lock.Lost() || other.Lost() {
		t.Error("the lock of a new file is taken for that of the old one")
	}
}
