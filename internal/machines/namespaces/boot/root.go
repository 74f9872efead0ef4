package boot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// systemDirectories are the host's directories of programs and of what they
// need in /etc, which a machine sees and changes for itself alone. On most
// hosts bin and those after it are symbolic links into usr.
var systemDirectories = []string{"usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "etc/alternatives", "etc/ssl", "etc/pki"}

// privateDirectories are in those, and hold what is the host's alone.
var privateDirectories = []string{"etc/ssl/private", "etc/pki/tls/private", "etc/pki/nssdb"}

// storeDirectories are where some distributions keep what the above link to.
var storeDirectories = []string{"nix", "gnu"}

// writable are directories in which a machine may make and replace files. It
// could not otherwise: where the host's root has no number in the machine's
// user namespace, the kernel cannot copy its directories up.
var writable = []string{
	"usr", "usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "usr/libexec", "usr/share", "usr/src", "usr/include",
	"usr/local", "usr/local/bin", "usr/local/sbin", "usr/local/lib", "usr/local/share", "usr/local/etc", "usr/local/src",
	"usr/local/share/ca-certificates", "usr/share/ca-certificates", "usr/share/keyrings", "usr/share/doc",
	"usr/lib/systemd", "usr/lib/systemd/system", "usr/lib/modules-load.d", "usr/lib/sysctl.d", "usr/lib/cni",
	"bin", "sbin", "lib", "lib32", "lib64", "libx32",
	"etc/alternatives", "etc/ssl", "etc/ssl/certs", "etc/pki", "etc/pki/tls", "etc/pki/tls/certs",
	"etc/pki/ca-trust", "etc/pki/ca-trust/source", "etc/pki/ca-trust/source/anchors",
}

// plainDirectories are made on the disk, with their permissions.
var plainDirectories = map[string]os.FileMode{
	"dev": 0o755, "etc": 0o755, "home": 0o755, "media": 0o755, "mnt": 0o755, "opt": 0o755, "opt/packetyard": 0o755,
	"proc": 0o555, "root": 0o700, "run": 0o755, "srv": 0o755, "sys": 0o555, "tmp": 0o1777,
	"var": 0o755, "var/cache": 0o755, "var/lib": 0o755, "var/log": 0o755, "var/spool": 0o755, "var/tmp": 0o1777,
}

// buildRoot mounts the machine's file systems below the directory that it
// returns. All mounts are the machine's own and go when its processes do.
func buildRoot(config Config) (string, error) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return "", fmt.Errorf("keeping mounts from the host: %w", err)
	}
	// Overlay mounts take relative names, so that no character of the
	// directory's name needs quoting in their options.
	directory := config.Directory
	if config.Rescue {
		directory = filepath.Join(config.Directory, RescueName)
		if err := makeDirectory(directory, 0o700); err != nil {
			return "", err
		}
	}
	if err := os.Chdir(directory); err != nil {
		return "", fmt.Errorf("entering the machine's directory: %w", err)
	}
	root := filepath.Join(directory, DiskName)
	for name, mode := range plainDirectories {
		if err := makeDirectory(filepath.Join(root, name), mode); err != nil {
			return "", err
		}
	}
	for name, target := range map[string]string{"var/run": "/run", "var/lock": "/run/lock"} {
		if err := link(target, filepath.Join(root, name)); err != nil {
			return "", err
		}
	}
	if err := unix.Mount(root, root, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return "", fmt.Errorf("binding the machine's disk: %w", err)
	}
	for _, name := range systemDirectories {
		if err := mountSystem(root, name); err != nil {
			return "", err
		}
	}
	for _, name := range storeDirectories {
		if info, err := os.Stat("/" + name); err != nil || !info.IsDir() {
			continue
		}
		if err := bindReadOnly("/"+name, filepath.Join(root, name)); err != nil {
			return "", err
		}
	}
	if config.Rescue {
		if err := mountRescued(root, filepath.Join(config.Directory, DiskName)); err != nil {
			return "", err
		}
	}
	if err := writeEtc(filepath.Join(root, "etc"), config); err != nil {
		return "", err
	}
	if err := trust(root, config.TrustedCertificate); err != nil {
		return "", err
	}
	if err := mountKernel(root, config.UserNamespace); err != nil {
		return "", err
	}
	if err := mountDevices(filepath.Join(root, "dev")); err != nil {
		return "", err
	}
	return root, mountShared(root, config)
}

// mountRescued shows the machine's disk to its rescue system. A machine that
// was never booted from its disk has none.
func mountRescued(root, disk string) error {
	if _, err := os.Stat(disk); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	target := filepath.Join(root, RescuedDisk)
	if err := makeDirectory(target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(disk, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mounting the machine's disk: %w", err)
	}
	return nil
}

// mountSystem gives the machine its own version of one of the host's system directories.
func mountSystem(root, name string) error {
	host, target := "/"+name, filepath.Join(root, name)
	info, err := os.Lstat(host)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", host, err)
	}
	if info.Mode()&os.ModeSymlink != 0 {
		destination, err := os.Readlink(host)
		if err != nil {
			return fmt.Errorf("reading %s: %w", host, err)
		}
		return link(destination, target)
	}
	upper, work := filepath.Join(OverlayName, name, "upper"), filepath.Join(OverlayName, name, "work")
	for _, directory := range []string{upper, work, target} {
		if err := makeDirectory(directory, 0o755); err != nil {
			return err
		}
	}
	for _, directory := range writable {
		inner, below := strings.CutPrefix(directory, name+"/")
		if !below {
			continue
		}
		if info, err := os.Lstat("/" + directory); (err == nil && !info.IsDir()) || (err != nil && strings.HasPrefix(directory, "etc/")) {
			continue
		}
		if err := makeDirectory(filepath.Join(upper, inner), 0o755); err != nil {
			return err
		}
	}
	for _, directory := range privateDirectories {
		if inner, below := strings.CutPrefix(directory, name+"/"); below {
			if err := hide(filepath.Join(upper, inner)); err != nil {
				return err
			}
		}
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s,userxattr", host, upper, work)
	if err := unix.Mount("overlay", target, "overlay", 0, options); err != nil {
		return fmt.Errorf("mounting an overlay over %s: %w", host, err)
	}
	return nil
}

// hide makes an empty directory of an overlay's upper layer cover the one below it.
func hide(path string) error {
	if err := makeDirectory(path, 0o700); err != nil {
		return err
	}
	if err := unix.Setxattr(path, "user.overlay.opaque", []byte("y"), 0); err != nil {
		return fmt.Errorf("hiding the host's directory below %s: %w", path, err)
	}
	return nil
}

// mountKernel mounts the kernel's own file systems.
func mountKernel(root string, userNamespace bool) error {
	proc := filepath.Join(root, "proc")
	const safe = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	if err := unix.Mount("proc", proc, "proc", safe, ""); err != nil {
		return fmt.Errorf("mounting a fresh /proc: %w (where parts of the host's /proc are covered, as in most containers, the kernel forbids it)", err)
	}
	sys := filepath.Join(root, "sys")
	if err := unix.Mount("sysfs", sys, "sysfs", safe, ""); err != nil {
		if err := bindReadOnly("/sys", sys); err != nil {
			return err
		}
	} else {
		mountCgroups(filepath.Join(sys, "fs/cgroup"))
	}
	if userNamespace {
		return nil
	}
	// The host's own root could set the host's kernel from within: only the
	// network's settings are the machine's.
	settings := filepath.Join(proc, "sys")
	for _, path := range []string{settings, filepath.Join(settings, "net")} {
		if err := unix.Mount(path, path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("binding %s: %w", path, err)
		}
	}
	for _, path := range []string{settings, sys} {
		if err := makeReadOnly(path, 0); err != nil {
			return err
		}
	}
	return nil
}

// mountCgroups mounts whatever cgroups can be had. A machine works without.
func mountCgroups(path string) {
	const safe = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	if unix.Mount("cgroup2", path, "cgroup2", safe, "") != nil {
		_ = unix.Mount("tmpfs", path, "tmpfs", safe, "mode=755,size=64k")
	}
}

// deviceNodes are the host's devices that a machine has too.
var deviceNodes = []string{"null", "zero", "full", "random", "urandom", "tty"}

// deviceLinks are names in /dev that stand for others. The console is where
// init writes; nobody reads kernel messages in a machine.
var deviceLinks = map[string]string{
	"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1",
	"stderr": "/proc/self/fd/2", "core": "/proc/kcore", "console": "/proc/1/fd/1", "kmsg": "null",
}

func mountDevices(dev string) error {
	if err := unix.Mount("tmpfs", dev, "tmpfs", unix.MS_NOSUID, "mode=755,size=4m"); err != nil {
		return fmt.Errorf("mounting /dev: %w", err)
	}
	for _, name := range deviceNodes {
		node := filepath.Join(dev, name)
		if err := os.WriteFile(node, nil, 0o666); err != nil {
			return fmt.Errorf("making a place for device %s: %w", name, err)
		}
		if err := unix.Mount("/dev/"+name, node, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("binding device %s: %w", name, err)
		}
	}
	for name, target := range deviceLinks {
		if err := link(target, filepath.Join(dev, name)); err != nil {
			return err
		}
	}
	for _, file := range []struct {
		name, kind string
		flags      uintptr
		options    string
	}{
		{"pts", "devpts", unix.MS_NOSUID | unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620"},
		{"shm", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
		{"mqueue", "mqueue", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	} {
		path := filepath.Join(dev, file.name)
		if err := makeDirectory(path, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(file.kind, path, file.kind, file.flags, file.options); err != nil && file.kind != "mqueue" {
			return fmt.Errorf("mounting /dev/%s: %w", file.name, err)
		}
	}
	return nil
}

// mountShared mounts what is the machine's for one boot, and what it shares with the rack.
func mountShared(root string, config Config) error {
	for name, options := range map[string]string{"tmp": "mode=1777", "run": "mode=755"} {
		if err := unix.Mount("tmpfs", filepath.Join(root, name), "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
			return fmt.Errorf("mounting /%s: %w", name, err)
		}
	}
	for _, name := range []string{"run/lock", "run/packetyard"} {
		if err := makeDirectory(filepath.Join(root, name), 0o755); err != nil {
			return err
		}
	}
	control := filepath.Join(root, "run/packetyard")
	if err := unix.Mount(filepath.Join(config.Directory, ControlName), control, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("binding the control directory: %w", err)
	}
	return bindReadOnly(config.ImageDirectory, filepath.Join(root, ImageMount))
}

func bindReadOnly(source, target string) error {
	if err := makeDirectory(target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("binding %s: %w", source, err)
	}
	return makeReadOnly(target, unix.AT_RECURSIVE)
}

// makeReadOnly keeps all other flags of a mount, some of which a user
// namespace is not allowed to clear.
func makeReadOnly(path string, flags uint) error {
	if err := unix.MountSetattr(unix.AT_FDCWD, path, flags, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}); err != nil {
		return fmt.Errorf("making %s read-only: %w", path, err)
	}
	return nil
}

func makeDirectory(path string, mode os.FileMode) error {
	if err := os.MkdirAll(path, mode.Perm()); err != nil {
		return fmt.Errorf("making a directory: %w", err)
	}
	if mode == 0o1777 {
		if err := os.Chmod(path, 0o777|os.ModeSticky); err != nil {
			return fmt.Errorf("opening directory %s to all: %w", path, err)
		}
	}
	return nil
}

// link makes a symbolic link unless there is something already.
func link(target, path string) error {
	if err := os.Symlink(target, path); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("making a link: %w", err)
	}
	return nil
}
