package stage

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// programs are the machine's directories that a container sees, read only, so
// that a shell and the tools that real images carry are there.
var programs = []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix", "/gnu"}

// settings are the machine's files and directories below /etc that a
// container sees. The rest of /etc is its own.
var settings = []string{
	"/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf",
	"/etc/localtime", "/etc/services", "/etc/protocols", "/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/etc/alternatives",
	"/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d",
}

// devices are the machine's devices that a container sees.
var devices = []string{"null", "zero", "full", "random", "urandom", "tty"}

// ownDirectories exist in every container, with these permissions.
var ownDirectories = []struct {
	path string
	mode os.FileMode
}{
	{"/dev", 0o755}, {"/dev/shm", os.ModeSticky | 0o777}, {"/dev/pts", 0o755}, {"/etc", 0o755}, {"/home", 0o755},
	{"/mnt", 0o755}, {"/opt", 0o755}, {"/proc", 0o555}, {"/root", 0o700}, {"/run", 0o755}, {"/sys", 0o555},
	{"/tmp", os.ModeSticky | 0o777}, {"/var", 0o755}, {"/var/cache", 0o755}, {"/var/lib", 0o755}, {"/var/log", 0o755},
	{"/var/run", 0o755}, {"/var/tmp", os.ModeSticky | 0o777},
}

// buildRoot builds the container's root over spec.MountPoint in this
// process's own mount namespace and makes it the root.
func buildRoot(spec Spec) error {
	// Nothing that is mounted here may show in the machine.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making the container's mounts private: %w", err)
	}
	root := spec.MountPoint
	if err := unix.Mount("tmpfs", root, "tmpfs", unix.MS_NOSUID, "mode=0755"); err != nil {
		return fmt.Errorf("mounting the container's root on %s: %w", root, err)
	}
	for _, directory := range ownDirectories {
		target := filepath.Join(root, directory.path)
		if err := os.Mkdir(target, directory.mode.Perm()); err != nil {
			return fmt.Errorf("making the container's %s: %w", directory.path, err)
		}
		// Mkdir obeys the umask and does not set the sticky bit.
		if err := os.Chmod(target, directory.mode); err != nil {
			return fmt.Errorf("making the container's %s: %w", directory.path, err)
		}
	}
	steps := []func(string, Spec) error{showPrograms, showDevices, showSettings, placeExecutable, makeMounts}
	for _, step := range steps {
		if err := step(root, spec); err != nil {
			return err
		}
	}
	if err := pivot(root); err != nil {
		return err
	}
	if spec.Hostname != "" {
		if err := unix.Sethostname([]byte(spec.Hostname)); err != nil {
			return fmt.Errorf("setting the container's host name to %q: %w", spec.Hostname, err)
		}
	}
	if spec.ReadOnlyRoot {
		if err := makeReadOnly("/", false); err != nil {
			return err
		}
	}
	return nil
}

func showPrograms(root string, _ Spec) error {
	for _, directory := range programs {
		if err := show(root, directory, true); err != nil {
			return err
		}
	}
	return nil
}

func showDevices(root string, _ Spec) error {
	// The container has the machine's processes, and of the kernel's settings
	// those of its own network: /proc tells everyone about their own.
	for _, directory := range []string{"/proc", "/sys", "/dev/pts"} {
		if directory == "/sys" && unix.Mount("sysfs", filepath.Join(root, directory), "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "") == nil {
			// It has the links of the container's network. Where this is not
			// allowed, the machine's are better than none.
			continue
		}
		if _, err := os.Stat(directory); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := bind(directory, filepath.Join(root, directory), false); err != nil {
			return err
		}
	}
	for _, device := range devices {
		if err := show(root, "/dev/"+device, false); err != nil {
			return err
		}
	}
	for name, target := range map[string]string{
		"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
	} {
		if err := os.Symlink(target, filepath.Join(root, "dev", name)); err != nil {
			return fmt.Errorf("making the container's /dev/%s: %w", name, err)
		}
	}
	return nil
}

func showSettings(root string, spec Spec) error {
	own := map[string]string{"/etc/resolv.conf": spec.ResolvConf}
	if spec.Hostname != "" {
		own["/etc/hostname"] = spec.Hostname + "\n"
	}
	for _, file := range settings {
		if text := own[file]; text != "" {
			if err := os.WriteFile(filepath.Join(root, file), []byte(text), 0o644); err != nil {
				return fmt.Errorf("writing the container's %s: %w", file, err)
			}
			continue
		}
		if err := show(root, file, true); err != nil {
			return err
		}
	}
	return nil
}

// placeExecutable puts the image's executable at the two places where images
// keep theirs: /name, and /usr/local/bin/name, which is in PATH. The rest of
// the machine's /usr/local/bin is not part of the image.
func placeExecutable(root string, spec Spec) error {
	if spec.Name == "" {
		return nil
	}
	if err := bind(spec.Executable, filepath.Join(root, spec.Name), true); err != nil {
		return err
	}
	local := filepath.Join(root, "usr/local/bin")
	if _, err := os.Stat(local); errors.Is(err, fs.ErrNotExist) {
		// A machine without the directory only loses the second place.
		return nil
	} else if err != nil {
		return fmt.Errorf("looking for the container's /usr/local/bin: %w", err)
	}
	source := filepath.Join(root, "opt/image")
	if err := os.Mkdir(source, 0o755); err != nil {
		return fmt.Errorf("making the container's /opt/image: %w", err)
	}
	if err := os.Symlink("/"+spec.Name, filepath.Join(source, spec.Name)); err != nil {
		return fmt.Errorf("linking the container's executable: %w", err)
	}
	return bind(source, local, false)
}

func makeMounts(root string, spec Spec) error {
	mounts := slices.Clone(spec.Mounts)
	// A mount below another's target has to come after it.
	slices.SortStableFunc(mounts, func(a, b Mount) int {
		return cmp.Compare(strings.Count(path.Clean(a.Target), "/"), strings.Count(path.Clean(b.Target), "/"))
	})
	for _, mount := range mounts {
		if _, err := os.Stat(mount.Source); errors.Is(err, fs.ErrNotExist) {
			// Container runtimes make a directory of a host path that is not there.
			if err := os.MkdirAll(mount.Source, 0o755); err != nil {
				return fmt.Errorf("making the mount source %s: %w", mount.Source, err)
			}
		}
		target, err := resolveIn(root, mount.Target)
		if err != nil {
			return fmt.Errorf("finding the mount target %s: %w", mount.Target, err)
		}
		if err := bind(mount.Source, target, mount.ReadOnly); err != nil {
			return err
		}
	}
	return nil
}

// show makes a path of the machine visible at the same path of the container.
// What the machine does not have is left out, and a link stays a link.
func show(root, name string, readOnly bool) error {
	info, err := os.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking at the machine's %s: %w", name, err)
	}
	target := filepath.Join(root, name)
	if info.Mode()&fs.ModeSymlink == 0 {
		return bind(name, target, readOnly)
	}
	link, err := os.Readlink(name)
	if err != nil {
		return fmt.Errorf("reading the machine's link %s: %w", name, err)
	}
	// A link into a part of the machine that the container does not have
	// would lead nowhere; show what it leads to instead.
	if resolved, err := filepath.EvalSymlinks(name); err == nil && !strings.HasPrefix(resolved, "/usr/") && !strings.HasPrefix(resolved, "/etc/") {
		return bind(resolved, target, readOnly)
	}
	if err := os.Symlink(link, target); err != nil {
		return fmt.Errorf("linking the container's %s: %w", name, err)
	}
	return nil
}

// bind mounts source, with all that is mounted below it, on target, which is
// made where it does not exist.
func bind(source, target string, readOnly bool) error {
	info, err := os.Stat(source)
	if err != nil {
		return fmt.Errorf("looking at the mount source %s: %w", source, err)
	}
	if err := makeTarget(target, info.IsDir()); err != nil {
		return err
	}
	if err := unix.Mount(source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("mounting %s on the container's %s: %w", source, target, err)
	}
	if readOnly {
		return makeReadOnly(target, true)
	}
	return nil
}

func makeTarget(target string, directory bool) error {
	if _, err := os.Stat(target); err == nil {
		return nil
	}
	parent := target
	if !directory {
		parent = filepath.Dir(target)
	}
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return fmt.Errorf("making the mount target: %w", err)
	}
	if directory {
		return nil
	}
	file, err := os.OpenFile(target, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("making the mount target: %w", err)
	}
	return file.Close()
}

// makeReadOnly adds the flag and keeps all others, some of which a user
// namespace may not take away.
func makeReadOnly(target string, recursive bool) error {
	flags := uint(0)
	if recursive {
		flags = unix.AT_RECURSIVE
	}
	if err := unix.MountSetattr(unix.AT_FDCWD, target, flags, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}); err != nil {
		return fmt.Errorf("making %s read only: %w", target, err)
	}
	return nil
}

// pivot makes root the root of the mount namespace and lets go of the old one.
func pivot(root string) error {
	if err := os.Chdir(root); err != nil {
		return fmt.Errorf("changing to the container's root: %w", err)
	}
	// The old root is stacked over the new one and then taken off, which
	// needs no directory to keep it in.
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("making %s the root: %w", root, err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("letting go of the machine's root: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return fmt.Errorf("changing to the container's root: %w", err)
	}
	return nil
}

// maxLinks is how many links a path may lead over, as in the kernel.
const maxLinks = 40

// resolveIn returns where name leads when root is the root directory, so that
// a link of the container never leads into the machine. What does not exist
// yet is taken as it is written.
func resolveIn(root, name string) (string, error) {
	rest := strings.Split(path.Clean("/"+name), "/")
	current := "/"
	for links := 0; len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			current = path.Dir(current)
			continue
		}
		next := path.Join(current, part)
		link, err := os.Readlink(filepath.Join(root, next))
		if err != nil {
			// Not a link, or not there.
			current = next
			continue
		}
		if links++; links > maxLinks {
			return "", fmt.Errorf("%s: %w", name, unix.ELOOP)
		}
		if path.IsAbs(link) {
			current = "/"
		}
		rest = append(strings.Split(link, "/"), rest...)
	}
	return filepath.Join(root, current), nil
}
