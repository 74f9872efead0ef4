package stage

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Namespaces are those of a container that are not the machine's, for another
// process to enter.
type Namespaces struct {
	files []*os.File
}

// NamespacesOf opens the namespaces of a container by its process, which has
// to exist until this returns.
func NamespacesOf(pid int) (*Namespaces, error) {
	container := &Namespaces{}
	for _, kind := range []string{"net", "uts", "mnt"} {
		name := "/proc/" + strconv.Itoa(pid) + "/ns/" + kind
		theirs, err := os.Readlink(name)
		if err != nil {
			container.Close()
			return nil, fmt.Errorf("looking at the container's namespaces: %w", err)
		}
		// The machine's need not be entered. It may not be allowed either: some of
		// them belong to the machine's host.
		if ours, err := os.Readlink("/proc/self/ns/" + kind); err == nil && ours == theirs {
			continue
		}
		file, err := os.Open(name)
		if err != nil {
			container.Close()
			return nil, fmt.Errorf("opening the container's namespaces: %w", err)
		}
		container.files = append(container.files, file)
	}
	return container, nil
}

// Close lets the namespaces go.
func (n *Namespaces) Close() {
	for _, file := range n.files {
		_ = file.Close()
	}
}

// enter moves the calling thread into the namespaces that this process was
// given. The thread stays locked: the exec that follows has to come from it.
func enter(count int) error {
	runtime.LockOSThread()
	// Threads of a Go process share their root and working directory, and a
	// thread that shares them may not change its mount namespace.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("separating the thread's working directory: %w", err)
	}
	for descriptor := namespaceFD; descriptor < namespaceFD+count; descriptor++ {
		syscall.CloseOnExec(descriptor)
		// The kernel sees for itself of which kind it is.
		if err := unix.Setns(descriptor, 0); err != nil {
			return fmt.Errorf("entering the container's namespaces: %w", err)
		}
	}
	return nil
}
