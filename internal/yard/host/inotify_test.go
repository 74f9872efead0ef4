package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// With three yards of one user, kube-apiservers and pods ended with "couldn't
// initialize inotify: too many open files".
func TestTooFewInotifyInstances(t *testing.T) {
	root := tree(t, map[string]string{"proc/sys/fs/inotify/max_user_instances": "128\n", "proc/7/fd/0": ""})
	for _, name := range []string{"3", "4"} {
		if err := os.Symlink("anon_inode:inotify", filepath.Join(root, "proc/7/fd", name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := (host{root: root}).checkInotify(126); err != nil {
		t.Errorf("126 instances are left, and enough: %v", err)
	}
	err := host{root: root}.checkInotify(127)
	for _, want := range []string{"126 of 128 are left", "needs about 127", "sysctl -w fs.inotify.max_user_instances=1024", "--workers"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v, want one with %q", err, want)
		}
	}
	if err := (host{root: t.TempDir()}).checkInotify(1 << 20); err != nil {
		t.Errorf("a host that does not tell its limit: %v", err)
	}
}
