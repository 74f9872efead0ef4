package process

import (
	"maps"
	"slices"

	"golang.org/x/sys/unix"
)

// endings are the processes that were told to end, each with a descriptor
// that becomes readable when it has; see pidfd_open(2).
type endings map[int]ending

type ending struct {
	process    Process
	descriptor int
}

// add takes over the descriptor.
func (e endings) add(process Process, descriptor int) {
	if before, again := e[process.PID]; again {
		_ = unix.Close(before.descriptor)
	}
	e[process.PID] = ending{process: process, descriptor: descriptor}
}

// any tells whether one has yet to end, and forgets those that have.
func (e endings) any() bool {
	for pid, ending := range e {
		poll := []unix.PollFd{{Fd: int32(ending.descriptor), Events: unix.POLLIN}}
		if n, err := unix.Poll(poll, 0); err == nil && n > 0 {
			_ = unix.Close(ending.descriptor)
			delete(e, pid)
		}
	}
	return len(e) > 0
}

// processes lists those that have yet to end.
func (e endings) processes() []Process {
	var list []Process
	for _, pid := range slices.Sorted(maps.Keys(e)) {
		list = append(list, e[pid].process)
	}
	return list
}

func (e endings) forget() {
	for _, ending := range e {
		_ = unix.Close(ending.descriptor)
	}
	clear(e)
}
