// Package footprint keeps the memory of a machine's programs small. A yard runs
// many machines on one computer, each with programs that upstream sizes for a
// server of their own.
package footprint

import (
	"runtime/debug"
	"time"
)

// Plan is how a program trades memory against time. While it starts, processor
// time is what everybody waits for; afterwards its memory is what everybody
// shares the computer with.
type Plan struct {
	// Start is the garbage collector's target in percent while the program
	// starts, as in GOGC.
	Start int
	// Steady is the target from then on.
	Steady int
	// Settle is how long starting takes, with everything that follows it.
	Settle time.Duration
}

// Apply puts the plan into effect for this process. A GOGC in the environment
// wins over the plan's targets, so that whoever runs a program by hand can choose.
func (p Plan) Apply(getenv func(string) string) {
	if p == (Plan{}) {
		return
	}
	chosen := getenv("GOGC") != ""
	if !chosen {
		debug.SetGCPercent(p.Start)
	}
	time.AfterFunc(p.Settle, func() {
		if !chosen {
			debug.SetGCPercent(p.Steady)
		}
		debug.FreeOSMemory()
	})
}
