// Package statedir owns the one directory in which a yard keeps all that it
// has: where things lie in it, how it is known to be a yard's, who may change
// it at a time, and how it is removed.
package statedir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Environment is the name of the environment variable that names the state
// directory where no flag does.
const Environment = "PACKETYARD_STATE_DIR"

// marker is the file that tells a yard's directory from any other, so that
// `down` never removes a directory that it did not make.
const marker = ".packetyard"

const markerText = "This directory belongs to packetyard. `packetyard down --state-dir DIRECTORY` ends what runs in it and removes it.\n"

// ErrNoYard is returned for a directory that does not exist, or that is empty.
var ErrNoYard = errors.New("there is no yard here")

// Dir is the state directory of one yard.
type Dir struct {
	path string
}

// DefaultPath is the state directory where the user names none:
// $PACKETYARD_STATE_DIR, else packetyard below $XDG_STATE_HOME, else below
// ~/.local/state, as the XDG base directory specification has it.
func DefaultPath(getenv func(string) string) (string, error) {
	if path := getenv(Environment); path != "" {
		return path, nil
	}
	if base := getenv("XDG_STATE_HOME"); filepath.IsAbs(base) {
		return filepath.Join(base, "packetyard"), nil
	}
	home := getenv("HOME")
	if home == "" {
		return "", fmt.Errorf("finding the state directory: neither %s, XDG_STATE_HOME nor HOME is set; pass --state-dir DIRECTORY", Environment)
	}
	return filepath.Join(home, ".local", "state", "packetyard"), nil
}

// Open returns the yard's directory at path. It returns ErrNoYard, with the
// directory that it would be, where there is none, and another error where
// there is a directory of somebody else's.
func Open(path string) (Dir, error) {
	path, err := resolve(path)
	if err != nil {
		return Dir{}, fmt.Errorf("finding the state directory: %w", err)
	}
	entries, err := os.ReadDir(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && len(entries) == 0:
		return Dir{path: path}, fmt.Errorf("%w: %s", ErrNoYard, path)
	case err != nil:
		return Dir{}, fmt.Errorf("reading the state directory: %w", err)
	}
	if _, err := os.Stat(filepath.Join(path, marker)); err != nil {
		return Dir{}, fmt.Errorf("%s is not empty and not a yard's state directory (it has no file %s): pass --state-dir with another directory", path, marker)
	}
	return Dir{path: path}, nil
}

// resolve makes a path absolute and free of symbolic links, also where its
// end does not exist: the yard's processes are known by the path among their
// arguments, so one directory has to have one name.
func resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	resolved, err := filepath.EvalSymlinks(path)
	parent := filepath.Dir(path)
	if !errors.Is(err, fs.ErrNotExist) || parent == path {
		return resolved, err
	}
	if parent, err = resolve(parent); err != nil {
		return "", err
	}
	return filepath.Join(parent, filepath.Base(path)), nil
}

// Create returns the yard's directory at path and makes it where it does not
// exist. A directory with other things in it is refused.
func Create(path string) (Dir, error) {
	dir, err := Open(path)
	if err == nil {
		return dir, dir.makeFolders()
	}
	if !errors.Is(err, ErrNoYard) {
		return Dir{}, err
	}
	path = dir.path
	// Only the owner may enter: kubeconfigs, tokens and machines' disks are in it.
	if err := os.MkdirAll(path, 0o700); err != nil {
		return Dir{}, fmt.Errorf("making the state directory: %w", err)
	}
	if err := os.Chmod(path, 0o700); err != nil {
		return Dir{}, fmt.Errorf("making the state directory: %w", err)
	}
	if err := os.WriteFile(filepath.Join(path, marker), []byte(markerText), 0o600); err != nil {
		return Dir{}, fmt.Errorf("marking the state directory: %w", err)
	}
	dir = Dir{path: path}
	return dir, dir.makeFolders()
}

func (d Dir) makeFolders() error {
	for _, folder := range []string{d.API(), d.Logs()} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return fmt.Errorf("making a folder of the state directory: %w", err)
		}
	}
	return nil
}

// Path is the directory's absolute path.
func (d Dir) Path() string { return d.path }

// API is the data directory of the Packet API server.
func (d Dir) API() string { return filepath.Join(d.path, "api") }

// Logs is where the daemons of the yard write their logs.
func (d Dir) Logs() string { return filepath.Join(d.path, "logs") }

// SupervisorLog is the log of `packetyard supervise`.
func (d Dir) SupervisorLog() string { return filepath.Join(d.Logs(), "supervise.log") }

// APIServerLog is the log of the Packet API server.
func (d Dir) APIServerLog() string { return filepath.Join(d.Logs(), "packet-api-server.log") }

// APIServerSettings is the yard's copy of the file that `up --api-settings`
// named, and is not there if it named none.
func (d Dir) APIServerSettings() string { return filepath.Join(d.path, "packet-api-server.yaml") }

// Report is the file in which the supervisor tells what it runs.
func (d Dir) Report() string { return filepath.Join(d.path, "supervise.json") }

// SupervisorLock is the file that a running supervisor holds locked.
func (d Dir) SupervisorLock() string { return filepath.Join(d.path, "supervise.lock") }

// CommandLock is the file that a running `up` or `down` holds locked.
func (d Dir) CommandLock() string { return filepath.Join(d.path, "command.lock") }

// BootstrapKubeconfig is the kubeconfig of the bootstrap cluster.
func (d Dir) BootstrapKubeconfig() string { return d.Kubeconfig("bootstrap") }

// Kubeconfig is the kubeconfig of the named cluster. A name may have a
// namespace in front, as in team-a/demo.
func (d Dir) Kubeconfig(cluster string) string {
	return filepath.Join(d.path, strings.ReplaceAll(cluster, "/", namespaceSeparator)+kubeconfigSuffix)
}

const (
	kubeconfigSuffix = ".kubeconfig"
	// namespaceSeparator is in no name that Kubernetes allows.
	namespaceSeparator = "_"
)

// Kubeconfigs returns the names of the clusters whose kubeconfig is there.
func (d Dir) Kubeconfigs() ([]string, error) {
	paths, err := filepath.Glob(filepath.Join(d.path, "*"+kubeconfigSuffix))
	if err != nil {
		return nil, fmt.Errorf("looking for kubeconfigs: %w", err)
	}
	var names []string
	for _, path := range paths {
		// A name that begins with a dot is that of a file that is being written.
		if name := strings.TrimSuffix(filepath.Base(path), kubeconfigSuffix); !strings.HasPrefix(name, ".") {
			names = append(names, strings.ReplaceAll(name, namespaceSeparator, "/"))
		}
	}
	return names, nil
}

// WriteFile writes a file that only the owner may read, whole or not at all:
// a reader never sees half of it, also when the writer is interrupted.
func WriteFile(path string, content []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	defer os.Remove(file.Name())
	_, err = file.Write(content)
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// Remove removes the directory and all that is in it.
func (d Dir) Remove() error {
	if d.path == "" {
		return errors.New("removing the state directory: it has no path")
	}
	// The marker goes last, so that an interrupted removal can be repeated, and
	// with it the lock, so that no other command begins before the end.
	entries, err := os.ReadDir(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("removing the state directory: %w", err)
	}
	for _, entry := range entries {
		if entry.Name() == marker || entry.Name() == filepath.Base(d.CommandLock()) {
			continue
		}
		if err := removeTree(filepath.Join(d.path, entry.Name())); err != nil {
			return fmt.Errorf("removing the state directory: %w", err)
		}
	}
	if err := os.RemoveAll(d.path); err != nil {
		return fmt.Errorf("removing the state directory: %w", err)
	}
	return nil
}

// removeTree removes a tree whose folders may be closed even to their owner,
// as an overlay file system leaves its work folder.
func removeTree(root string) error {
	if os.RemoveAll(root) == nil {
		return nil
	}
	// The walk opens each folder before it reads it.
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if entry != nil && entry.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return os.RemoveAll(root)
}
