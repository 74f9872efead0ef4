package boot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// copied are the small parts of the host's /etc that its programs need, and
// that hold no secrets: the linker's tables, names of protocols, shells' settings.
var copied = []string{
	"bash.bashrc", "ca-certificates", "ca-certificates.conf", "crypto-policies", "gai.conf", "inputrc",
	"ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "login.defs", "mime.types", "profile",
	"protocols", "services", "shells", "skel", "terminfo", "timezone",
}

// writeEtc fills /etc when the machine is installed; afterwards it belongs
// to the machine. Only the host name is written at every boot.
func writeEtc(etc string, config Config) error {
	if err := os.WriteFile(filepath.Join(etc, "hostname"), []byte(config.Hostname+"\n"), 0o644); err != nil {
		return fmt.Errorf("writing /etc/hostname: %w", err)
	}
	// The last file that is written tells that the others are there.
	last := filepath.Join(etc, "machine-id")
	if _, err := os.Lstat(last); err == nil {
		return nil
	}
	for _, name := range copied {
		if err := copyTree(filepath.Join("/etc", name), filepath.Join(etc, name)); err != nil {
			return fmt.Errorf("copying the host's /etc/%s: %w", name, err)
		}
	}
	for name, content := range files(config) {
		if err := os.WriteFile(filepath.Join(etc, name), []byte(content), 0o644); err != nil {
			return fmt.Errorf("writing /etc/%s: %w", name, err)
		}
	}
	if err := link("/proc/self/mounts", filepath.Join(etc, "mtab")); err != nil {
		return err
	}
	if err := os.WriteFile(last, []byte(strings.ReplaceAll(config.ID, "-", "")+"\n"), 0o444); err != nil {
		return fmt.Errorf("writing /etc/machine-id: %w", err)
	}
	return nil
}

// files are the contents of a new machine's /etc.
func files(config Config) map[string]string {
	shell := "/bin/sh"
	if _, err := os.Stat("/bin/bash"); err == nil {
		shell = "/bin/bash"
	}
	return map[string]string{
		"passwd": "root:x:0:0:root:/root:" + shell + "\n" +
			"daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n" +
			"nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
		"group":         "root:x:0:\ndaemon:x:1:\ntty:x:5:\nsudo:x:27:\nusers:x:100:\nnogroup:x:65534:\n",
		"hosts":         hosts(config),
		"resolv.conf":   "nameserver " + config.NameServer + "\noptions timeout:1 attempts:1\n",
		"nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\nprotocols: files\nservices: files\n",
		"os-release":    osRelease("/etc/os-release"),
		"fstab":         "",
	}
}

func hosts(config Config) string {
	var text strings.Builder
	text.WriteString("127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n")
	fmt.Fprintf(&text, "%s %s\n", config.HostAddress, config.Hostname)
	for _, address := range slices.Sorted(maps.Keys(config.Hosts)) {
		fmt.Fprintf(&text, "%s %s\n", address, strings.Join(config.Hosts[address], " "))
	}
	return text.String()
}

// osRelease is the host's, whose programs a machine runs, under a name that
// tells the two apart.
func osRelease(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return "NAME=Linux\nID=linux\nPRETTY_NAME=\"Linux (Packetyard)\"\n"
	}
	var text strings.Builder
	pretty := "Linux"
	for line := range strings.Lines(string(content)) {
		if value, found := strings.CutPrefix(line, "PRETTY_NAME="); found {
			pretty = strings.Trim(strings.TrimSpace(value), `"'`)
			continue
		}
		text.WriteString(strings.TrimSuffix(line, "\n") + "\n")
	}
	fmt.Fprintf(&text, "PRETTY_NAME=\"%s (Packetyard)\"\n", pretty)
	return text.String()
}

// copyTree copies files, directories and symbolic links. What is missing, or
// may not be read, is left out: no machine depends on one of these files.
func copyTree(source, target string) error {
	return filepath.WalkDir(source, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			return nil
		}
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(source, path)
		if err != nil {
			return err
		}
		err = copyEntry(path, filepath.Join(target, relative), entry)
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
}

func copyEntry(source, target string, entry fs.DirEntry) error {
	switch {
	case entry.IsDir():
		return os.MkdirAll(target, 0o755)
	case entry.Type() == fs.ModeSymlink:
		destination, err := os.Readlink(source)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if err := os.Symlink(destination, target); !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil
	case entry.Type().IsRegular():
		return copyFile(source, target)
	default:
		return nil
	}
}

func copyFile(source, target string) error {
	from, err := os.Open(source)
	if err != nil {
		return err
	}
	defer from.Close()
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	to, err := os.Create(target)
	if err != nil {
		return err
	}
	if _, err := io.Copy(to, from); err != nil {
		to.Close()
		return err
	}
	return to.Close()
}
