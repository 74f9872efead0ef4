package service

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/packetyard/packetyard/internal/machineos/kubelet"
	"github.com/packetyard/packetyard/internal/machineos/units"
)

// shownLines is how much journalctl prints where it is not told.
const shownLines = 1000

// Journalctl is the command journalctl, for the kubelet's log and those of people's units.
type Journalctl struct {
	// LogFile is the kubelet's.
	LogFile        string
	Stdout, Stderr io.Writer
}

// Run carries the command out and returns its exit code.
func (j Journalctl) Run(arguments []string) int {
	unit, lines := "", shownLines
	for i := 0; i < len(arguments); i++ {
		name, value, attached := strings.Cut(arguments[i], "=")
		if !strings.HasPrefix(name, "--") && len(name) > 2 && (name[1] == 'u' || name[1] == 'n') {
			// The short form with its value, for example -n50.
			name, value, attached = name[:2], name[2:], true
		}
		switch name {
		case "-u", "--unit", "-n", "--lines":
			if !attached && i+1 < len(arguments) {
				i++
				value = arguments[i]
			}
			if name == "-u" || name == "--unit" {
				unit = strings.TrimSuffix(value, ".service")
				continue
			}
			count, err := strconv.Atoi(strings.TrimPrefix(value, "+"))
			if err != nil || count < 0 {
				_, _ = fmt.Fprintf(j.Stderr, "Failed to parse lines '%s'\n", value)
				return exitFailure
			}
			lines = count
		case "-f", "--follow":
			_, _ = fmt.Fprintf(j.Stderr, "journalctl: following is not supported here, use: tail -f %s\n", kubelet.LogFile)
		}
	}
	file := j.LogFile
	if unit != "" && unit != "kubelet" {
		if file = ""; units.ValidName(unit + ".service") {
			file = units.LogFile(unit + ".service")
		}
	}
	found, err := kubelet.Tail(file, lines)
	if len(found) == 0 && unit == "kubelet" {
		// A unit file of the owner runs it.
		found, err = kubelet.Tail(units.LogFile("kubelet.service"), lines)
	}
	if err != nil || len(found) == 0 {
		_, _ = fmt.Fprintln(j.Stdout, "-- No entries --")
		return exitOK
	}
	_, _ = fmt.Fprintln(j.Stdout, strings.Join(found, "\n"))
	return exitOK
}
