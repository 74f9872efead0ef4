package stage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
)

// DefaultPath is the PATH of a container that sets none.
const DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// execute becomes the container's process.
func execute(spec Spec) error {
	directory := spec.Directory
	if directory == "" {
		directory = "/"
	}
	if err := os.Chdir(directory); err != nil {
		return fmt.Errorf("changing to the container's working directory: %w", err)
	}
	file, argv, err := entryPoint(spec)
	if err != nil {
		return err
	}
	err = syscall.Exec(file, argv, spec.Env)
	return fmt.Errorf("running %s: %w", file, err)
}

// entryPoint chooses what is run. Where the command names the image's own
// executable, or a file that only the real image has, it is the executable:
// images differ in where they keep it.
func entryPoint(spec Spec) (file string, argv []string, err error) {
	own := "/" + spec.Name
	if len(spec.Command) == 0 {
		if spec.Name == "" {
			return "", nil, errors.New("command is empty, it must name a program")
		}
		return own, append([]string{spec.Name}, spec.Arguments...), nil
	}
	argv = append(append([]string{}, spec.Command...), spec.Arguments...)
	if spec.Name != "" && path.Base(spec.Command[0]) == spec.Name {
		return own, argv, nil
	}
	file, err = lookPath(spec.Command[0], spec.Env)
	if err == nil {
		return file, argv, nil
	}
	if spec.Name == "" || !errors.Is(err, fs.ErrNotExist) {
		return "", nil, err
	}
	argv[0] = spec.Name
	return own, argv, nil
}

// lookPath finds a program as a shell would, by the container's PATH.
func lookPath(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, executable(name)
	}
	search := DefaultPath
	for _, entry := range env {
		if value, found := strings.CutPrefix(entry, "PATH="); found {
			search = value
		}
	}
	for _, directory := range strings.Split(search, ":") {
		if file := path.Join("/", directory, name); executable(file) == nil {
			return file, nil
		}
	}
	return "", fmt.Errorf("looking for %q in PATH: executable file not found: %w", name, fs.ErrNotExist)
}

func executable(file string) error {
	info, err := os.Stat(file)
	if err != nil {
		return fmt.Errorf("looking for the command: %w", err)
	}
	if info.IsDir() || info.Mode().Perm()&0o111 == 0 {
		return fmt.Errorf("%s: permission denied: it is not an executable file", file)
	}
	return nil
}
