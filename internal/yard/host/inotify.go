package host

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Each program of Kubernetes that watches files takes some of the inotify
// instances that a user may have, 128 on most hosts, and does not start
// without. These are the counts of v1.36.
const (
	// serverInotify is for the manager and what else runs once.
	serverInotify       = 8
	controlPlaneInotify = 16
	workerInotify       = 4
)

// checkInotify tells whether this user can have so many more instances.
func (h host) checkInotify(needed int64) error {
	setting := "proc/sys/fs/inotify/max_user_instances"
	limit, limited := readNumber(filepath.Join(h.root, setting))
	if !limited {
		return nil
	}
	if free := limit - h.usedInotify(); free < needed {
		return fmt.Errorf("too few inotify instances: %d of %d are left to this user and the cluster needs about %d: end other yards, ask for fewer machines with --workers, or have root run `sysctl -w fs.inotify.max_user_instances=%d`, and write it to a file in /etc/sysctl.d to keep it",
			max(free, 0), limit, needed, max(1024, 2*(limit-free+needed)))
	}
	return nil
}

// usedInotify counts the instances of this user's programs, as far as they
// can be looked into.
func (h host) usedInotify() int64 {
	descriptors, err := filepath.Glob(filepath.Join(h.root, "proc/[0-9]*/fd/*"))
	if err != nil {
		return 0
	}
	var used int64
	for _, descriptor := range descriptors {
		target, err := os.Readlink(descriptor)
		if err != nil || target != "anon_inode:inotify" {
			continue
		}
		info, err := os.Stat(filepath.Dir(filepath.Dir(descriptor)))
		if err != nil {
			continue
		}
		if owner, ok := info.Sys().(*syscall.Stat_t); ok && int(owner.Uid) == os.Getuid() {
			used++
		}
	}
	return used
}
