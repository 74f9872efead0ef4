package kubelet

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"k8s.io/kubernetes/pkg/volume/util/hostutil"
	"k8s.io/kubernetes/pkg/volume/util/subpath"
	"k8s.io/mount-utils"
)

// kernelLog is where the kubelet looks for the kernel's out-of-memory reports.
const kernelLog = "/dev/kmsg"

// ensureKernelLog makes an always empty kernel log where the machine has none:
// the host's is not readable from a user namespace, and the kubelet does not
// start without one.
func ensureKernelLog(name string) error {
	log, err := os.Open(name)
	if err == nil {
		return log.Close()
	}
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("replacing the kernel log that cannot be read: %w", err)
	}
	if err := os.Symlink(os.DevNull, name); err != nil {
		return fmt.Errorf("making an empty kernel log: %w", err)
	}
	return nil
}

// hostUtil looks at the machine's real files. Only mounts are not real.
type hostUtil struct {
	*hostutil.HostUtil
}

func newHostUtil() hostUtil { return hostUtil{hostutil.NewHostUtil()} }

// MakeRShared does nothing: the kubelet mounts nothing that containers would
// have to see, since its mounter only keeps books.
func (hostUtil) MakeRShared(string) error { return nil }

// subpather hands out a volume's sub-path as it is. On real hardware a bind mount
// guards against a container that swaps the path for a link out of its volume;
// here every container is the same user's as the kubelet.
type subpather struct {
	safe subpath.Interface
}

func newSubpather() subpath.Interface {
	return subpather{subpath.New(mount.NewFakeMounter(nil))}
}

func (subpather) PrepareSafeSubpath(s subpath.Subpath) (string, func(), error) {
	if _, err := os.Stat(s.Path); err != nil {
		return "", nil, fmt.Errorf("preparing sub-path of volume %q: %w", s.VolumeName, err)
	}
	return s.Path, nil, nil
}

func (subpather) CleanSubPaths(string, string) error { return nil }

func (s subpather) SafeMakeDir(dir, base string, perm os.FileMode) error {
	return s.safe.SafeMakeDir(dir, base, perm)
}
