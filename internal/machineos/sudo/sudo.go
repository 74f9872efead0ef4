// Package sudo is the command sudo in a machine, whose only user may do all.
// The host's would refuse: it wants to belong to the host's root.
package sudo

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
)

// withValue are the options whose value is a word of its own.
var withValue = []string{"-u", "--user", "-g", "--group", "-h", "--host", "-p", "--prompt", "-C", "-D", "-R", "-T", "-r", "-t", "-U"}

// Command returns the command that sudo runs and what is to be added to its
// environment. The command is a shell where none is named and one is asked
// for, and empty where there is nothing to run.
func Command(arguments []string, shell string) (command, environment []string) {
	wantsShell := false
	for i := 0; i < len(arguments); i++ {
		argument := arguments[i]
		switch {
		case argument == "--":
			command = arguments[i+1:]
		case slices.Contains(withValue, argument):
			i++
			continue
		case strings.HasPrefix(argument, "-") && len(argument) > 1:
			wantsShell = wantsShell || argument == "--login" || argument == "--shell" ||
				(!strings.HasPrefix(argument, "--") && strings.ContainsAny(argument, "is"))
			continue
		case len(command) == 0 && strings.Contains(argument, "=") && !strings.HasPrefix(argument, "="):
			environment = append(environment, argument)
			continue
		default:
			command = arguments[i:]
		}
		break
	}
	if len(command) == 0 && wantsShell {
		command = []string{shell}
	}
	return command, environment
}

// Run becomes the command that the arguments name. It returns, with an exit
// code, only where there is none to become.
func Run(arguments []string, stderr io.Writer) int {
	shell := os.Getenv("SHELL")
	if shell == "" {
		shell = "/bin/sh"
	}
	command, environment := Command(arguments, shell)
	if len(command) == 0 {
		// Asking whether one may (-v, -l, -n true) or ending that (-k) succeeds.
		return 0
	}
	program, err := exec.LookPath(command[0])
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, exec.ErrNotFound) {
		_, _ = fmt.Fprintf(stderr, "sudo: %s: command not found\n", command[0])
		return 1
	}
	if err == nil {
		err = syscall.Exec(program, command, append(os.Environ(), environment...))
	}
	_, _ = fmt.Fprintf(stderr, "sudo: %v\n", err)
	return 1
}
