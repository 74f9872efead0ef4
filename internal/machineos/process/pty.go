package process

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// WindowSize is the size of a terminal in characters.
type WindowSize struct {
	Rows uint16 `json:"rows"`
	Cols uint16 `json:"cols"`
}

// OpenPTY opens a new pseudo terminal and returns both ends. A process that
// gets the terminal end as its standard streams wants Setsid and Setctty.
func OpenPTY(size WindowSize) (control, terminal *os.File, err error) {
	control, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("opening a pseudo terminal: %w", err)
	}
	defer func() {
		if err != nil {
			_ = control.Close()
		}
	}()
	raw, err := control.SyscallConn()
	if err != nil {
		return nil, nil, fmt.Errorf("opening a pseudo terminal: %w", err)
	}
	var terminalFD uintptr
	var callErr error
	if err := raw.Control(func(fd uintptr) {
		if callErr = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); callErr != nil {
			return
		}
		// TIOCGPTPEER needs no path, so it works whichever devpts the
		// caller's own /dev shows.
		peer, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
		if errno != 0 {
			callErr = errno
			return
		}
		terminalFD = peer
	}); err != nil {
		return nil, nil, fmt.Errorf("opening a pseudo terminal: %w", err)
	}
	if callErr != nil {
		return nil, nil, fmt.Errorf("opening the terminal end of a pseudo terminal: %w", callErr)
	}
	terminal = os.NewFile(terminalFD, "pts")
	if size.Rows > 0 && size.Cols > 0 {
		_ = SetSize(control, size)
	}
	return control, terminal, nil
}

// SetSize tells the terminal, and whoever runs in it, its new size.
func SetSize(control *os.File, size WindowSize) error {
	raw, err := control.SyscallConn()
	if err != nil {
		return fmt.Errorf("setting the terminal's size: %w", err)
	}
	var callErr error
	if err := raw.Control(func(fd uintptr) {
		callErr = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: size.Rows, Col: size.Cols})
	}); err != nil {
		return fmt.Errorf("setting the terminal's size: %w", err)
	}
	if callErr != nil {
		return fmt.Errorf("setting the terminal's size: %w", callErr)
	}
	return nil
}
