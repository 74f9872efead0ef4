package main

import (
	"os"
	"runtime/debug"
)

// garbagePercent is how much garbage there may be beside the records, in
// percent of these, before it is collected. Go's own 100 would have a server
// with many devices take twice the memory that they need.
const garbagePercent = 50

// limitGarbage trades some time for memory, unless the environment says how
// much of it.
func limitGarbage() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbagePercent)
	}
}
