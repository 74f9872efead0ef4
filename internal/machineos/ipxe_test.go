package machineos

import (
	"strings"
	"testing"
)

// TestIPXEUserDataIsNotRun has user data that was for the firmware. It was
// executed as a script of an interpreter called ipxe, and reported as failed.
func TestIPXEUserDataIsNotRun(t *testing.T) {
	p := newProvider(t, "#!ipxe\nchain http://boot.example.com\n")
	m, console := p.boot(t, t.TempDir(), nil)
	phoned, states := p.told()
	if m.userData.Load() != "none" || len(states) != 0 || phoned != 1 || !strings.Contains(console, "iPXE script") {
		t.Errorf("user data is %v, %d states, phoned home %d times, console:\n%s", m.userData.Load(), len(states), phoned, console)
	}
}
